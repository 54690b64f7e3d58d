//! Access reviews: who is assigned to an application is looked at one by one. Who does not stay is taken away in the transaction
//! that decides it; nothing happens by itself when a review is overdue.

use std::collections::BTreeMap;

use postern_model::admin::{
    AccessReviewChanged, AccessReviewDetail, AccessReviewView, DecideReview, DecisionView, FinishReview,
    JUSTIFICATION_BYTES_MAX, Problem, ReviewItemView, StartReview,
};
use postern_model::config::{App, Preauth, Tenant};
use postern_model::directory::{AssignmentKey, Line, Principal};
use postern_model::ids::{AccessReviewId, AppId, Name};
use postern_model::settings::Approver;

use crate::apps::find_app;
use crate::assignments;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::directory::{check_end, find_group, find_user, principal_name};
use crate::limits::{REVIEWERS_MAX, REVIEWS_SHOWN_MAX};
use crate::problem::{not_found, problem};
use crate::store::{Counted, Decision, Review, ReviewChange};

/// `access review start`.
pub(crate) fn start(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: StartReview,
) -> Result<AccessReviewChanged, Problem> {
    let StartReview { app, reviewers, due_unix } = request;
    let app = find_app(&control.snapshot(), tenant, &app).map_err(|problem| problem.about("app"))?.clone();
    if app.preauth == Preauth::Passthrough {
        let detail = format!("{} is published with --preauth passthrough: nobody's assignment counts", app.name);
        return Err(problem("access-review-refused", detail));
    }
    check_end(Some(due_unix))?;
    if due_unix <= now_unix() {
        return Err(problem("request-invalid", "the review would be due in the past").about("due_unix"));
    }
    check_reviewers(control, tenant, &reviewers)?;
    let (open, _) = reviews(control, tenant, true)?;
    if let Some((review, ..)) = open.iter().find(|(review, ..)| review.app == app.id) {
        let detail = format!("{} goes on already for {}: finish it first", review.id, app.name);
        return Err(problem("access-review-refused", detail));
    }
    let principals: Vec<Principal> = {
        let (snapshot, now) = (control.snapshot(), now_unix());
        let held = snapshot.assignments.values().filter(|held| held.app == app.id && held.is_current(now));
        held.map(|held| held.principal).collect()
    };
    if principals.is_empty() {
        return Err(problem("access-review-refused", format!("nobody is assigned to {}", app.name)));
    }
    let mut draft = Draft::default();
    let id = AccessReviewId::new(tenant.id, control.next(counter("access-review", tenant.id), &mut draft)?);
    let review = Review {
        id,
        app: app.id,
        reviewers: reviewers.join(","),
        by: actor.to_string(),
        created_unix: now_unix(),
        due_unix,
        finished_unix: None,
    };
    let after = format!("{} assignments, due_unix={due_unix}, reviewers: {}", principals.len(), named(&review));
    draft.audit(Audit { after: Some(after), ..audit("access-review.start", &review, &app) });
    draft.review(ReviewChange::Started(Box::new(review), principals));
    let version = control.commit(actor, draft)?;
    changed(control, id, version)
}

/// `access review list`.
pub(crate) fn list(control: &Control, tenant: &Tenant, all: bool) -> Result<Vec<AccessReviewView>, Problem> {
    let (found, names) = reviews(control, tenant, !all)?;
    Ok(found.into_iter().filter_map(|counted| view(&names, counted)).collect())
}

/// `access review show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, id: &str) -> Result<AccessReviewDetail, Problem> {
    let (counted, app) = find(control, tenant, id)?;
    let (review, used) = (counted.0.id, control.read("assignments", |store| store.assignments_used(tenant.id))?);
    let mut items = Vec::new();
    for (principal, decision) in control.read("access reviews", |store| store.review_items(review))? {
        items.push(ReviewItemView {
            principal: principal_name(control, principal)?,
            assigned: control.snapshot().assignments.contains_key(&AssignmentKey { app: app.id, principal }),
            last_used_unix: used.get(&(app.id, principal)).copied(),
            decision: decision.map(|decision| DecisionView {
                approved: decision.approved,
                by: decision.by,
                at_unix: decision.at_unix,
                note: decision.note.to_string(),
            }),
        });
    }
    items.sort_by(|a, b| a.principal.cmp(&b.principal));
    Ok(AccessReviewDetail { review: seen(counted, &app), items })
}

/// `access review keep` and `remove`: operators decide about all.
pub(crate) fn decide(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    id: &str,
    request: DecideReview,
) -> Result<AccessReviewChanged, Problem> {
    let (counted, app) = find(control, tenant, id)?;
    let DecideReview { principal, keep, note } = request;
    let principal = assignments::parse_principal(control, tenant, &principal)?;
    let version = decide_one(control, actor, &counted, &app, (principal, keep, note))?;
    changed(control, counted.0.id, version)
}

/// Somebody decides: an operator, or a reviewer who was found to be one. With the last decision the review is finished.
pub(crate) fn decide_one(
    control: &Control,
    actor: &Actor,
    (review, _, undecided): &Counted,
    app: &App,
    (principal, keep, note): (Principal, bool, Line<JUSTIFICATION_BYTES_MAX>),
) -> Result<u64, Problem> {
    check_open(review)?;
    let items = control.read("access reviews", |store| store.review_items(review.id))?;
    let name = principal_name(control, principal)?;
    let Some((_, decision)) = items.into_iter().find(|(item, _)| *item == principal) else {
        return Err(not_found("assignment in this review", &name));
    };
    if decision.is_some() {
        return Err(problem("access-review-over", format!("{name} was decided about already in {}", review.id)));
    }
    let mut draft = Draft::default();
    put_decision(control, actor, &mut draft, review, app, (principal, keep, note))?;
    if *undecided == 1 {
        finish_in(&mut draft, review, app);
    }
    control.commit(actor, draft)
}

/// `access review finish`: those that nobody decided about stay, or are taken away.
pub(crate) fn finish(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    id: &str,
    request: &FinishReview,
) -> Result<AccessReviewChanged, Problem> {
    let ((review, ..), app) = find(control, tenant, id)?;
    check_open(&review)?;
    let mut draft = Draft::default();
    for (principal, decision) in control.read("access reviews", |store| store.review_items(review.id))? {
        if decision.is_none() {
            put_decision(control, actor, &mut draft, &review, &app, (principal, request.keep, Line::default()))?;
        }
    }
    finish_in(&mut draft, &review, &app);
    let version = control.commit(actor, draft)?;
    changed(control, review.id, version)
}

fn put_decision(
    control: &Control,
    actor: &Actor,
    draft: &mut Draft,
    review: &Review,
    app: &App,
    (principal, keep, note): (Principal, bool, Line<JUSTIFICATION_BYTES_MAX>),
) -> Result<(), Problem> {
    let name = principal_name(control, principal)?;
    let said = if note.as_str().is_empty() { String::new() } else { format!(": {note}") };
    let after = Some(format!("{} {name}{said}", if keep { "keep" } else { "remove" }));
    draft.audit(Audit { after, ..audit("access-review.decide", review, app) });
    if !keep {
        assignments::take_away(control, draft, app, principal)?;
    }
    let decision = Decision { approved: keep, by: actor.to_string(), at_unix: now_unix(), note };
    draft.review(ReviewChange::Decided(review.id, principal, decision));
    Ok(())
}

fn finish_in(draft: &mut Draft, review: &Review, app: &App) {
    draft.audit(audit("access-review.finish", review, app));
    draft.review(ReviewChange::Finished(review.id, now_unix()));
}

fn check_open(review: &Review) -> Result<(), Problem> {
    match review.finished_unix {
        None => Ok(()),
        Some(_) => Err(problem("access-review-over", format!("the access review {} is finished", review.id))),
    }
}

/// They are there, so that a review does not wait for nobody.
fn check_reviewers(control: &Control, tenant: &Tenant, reviewers: &[String]) -> Result<(), Problem> {
    if reviewers.len() > REVIEWERS_MAX {
        return Err(problem("request-invalid", format!("at most {REVIEWERS_MAX} reviewers")).about("reviewers"));
    }
    for reviewer in reviewers {
        match reviewer.parse::<Approver>() {
            Ok(Approver::User(login)) => drop(find_user(control, tenant, login.as_str())?),
            Ok(Approver::Group(name)) => drop(find_group(control, tenant, name.as_str())?),
            Err(_) => {
                let detail = format!("{reviewer:?} is not user/LOGIN or group/NAME");
                return Err(problem("request-invalid", detail).about("reviewers"));
            }
        }
    }
    Ok(())
}

fn reviews(control: &Control, tenant: &Tenant, open: bool) -> Result<(Vec<Counted>, BTreeMap<AppId, Name>), Problem> {
    let found = control.read("access reviews", |store| store.reviews(tenant.id, open, REVIEWS_SHOWN_MAX))?;
    let snapshot = control.snapshot();
    let own = snapshot.apps.values().filter(|app| app.id.tenant == tenant.id);
    Ok((found, own.map(|app| (app.id, app.name.clone())).collect()))
}

fn find(control: &Control, tenant: &Tenant, id: &str) -> Result<(Counted, App), Problem> {
    let none = || not_found("access review", id);
    let known = id.parse().ok().filter(|id: &AccessReviewId| id.tenant == tenant.id).ok_or_else(none)?;
    let counted = control.read("access reviews", |store| store.review(known))?.ok_or_else(none)?;
    let app = control.snapshot().apps.get(&counted.0.app).cloned().ok_or_else(none)?;
    Ok((counted, app))
}

fn changed(control: &Control, id: AccessReviewId, version: u64) -> Result<AccessReviewChanged, Problem> {
    let none = || not_found("access review", &id.to_string());
    let counted = control.read("access reviews", |store| store.review(id))?.ok_or_else(none)?;
    let app = control.snapshot().apps.get(&counted.0.app).cloned().ok_or_else(none)?;
    Ok(AccessReviewChanged { review: seen(counted, &app), version, warnings: Vec::new() })
}

fn view(names: &BTreeMap<AppId, Name>, counted: Counted) -> Option<AccessReviewView> {
    let app = names.get(&counted.0.app)?.clone();
    Some(named_view(counted, app))
}

fn seen(counted: Counted, app: &App) -> AccessReviewView {
    named_view(counted, app.name.clone())
}

fn named_view((review, assignments, undecided): Counted, app: Name) -> AccessReviewView {
    AccessReviewView {
        id: review.id,
        app,
        reviewers: review.reviewers.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        by: review.by,
        created_unix: review.created_unix,
        due_unix: review.due_unix,
        finished_unix: review.finished_unix,
        assignments,
        undecided,
    }
}

fn named(review: &Review) -> &str {
    if review.reviewers.is_empty() { "operators only" } else { &review.reviewers }
}

fn audit(action: &'static str, review: &Review, app: &App) -> Audit {
    let target = format!("access-review {} of {}", review.id, app.name);
    Audit { action, tenant: Some(review.id.tenant), target, before: None, after: None }
}
