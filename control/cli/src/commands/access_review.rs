//! `postern access review …`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use postern_model::admin::{
    AccessReviewChanged, AccessReviewDetail, AccessReviewView, DecideReview, FinishReview, List, StartReview, path,
};

use super::Context;
use super::assign::named;
use crate::args::{AccessReviewCommand, DecideReviewArgs, Undecided};
use crate::output::{Output, details, joined};
use crate::time_text::relative;

pub(super) fn run(context: &Context, command: AccessReviewCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        AccessReviewCommand::Start { app, reviewers, due } => {
            let due = SystemTime::now() + due;
            let due_unix = due.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let request = StartReview { app, reviewers, due_unix };
            let started: AccessReviewChanged = client.post(&path::access_reviews(&tenant), &request)?;
            let AccessReviewView { id, app, assignments, .. } = &started.review;
            let words = format!("started {id} of {app}: {assignments} assignments");
            output.changed(&started, &words, &started.warnings)
        }
        AccessReviewCommand::List { all } => {
            let query = if all { "?all=true" } else { "" };
            let list: List<AccessReviewView> = client.get(&format!("{}{query}", path::access_reviews(&tenant)))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        AccessReviewCommand::Show { review } => {
            let review: AccessReviewDetail = client.get(&path::access_review(&tenant, &review.to_string()))?;
            output.show(&review, |review| show(*output, review))
        }
        AccessReviewCommand::Keep(args) => decide(context, args, true),
        AccessReviewCommand::Remove(args) => decide(context, args, false),
        AccessReviewCommand::Finish { review, undecided } => {
            let target = path::access_review_step(&tenant, &review.to_string(), "finish");
            let finished: AccessReviewChanged =
                client.post(&target, &FinishReview { keep: undecided == Undecided::Keep })?;
            output.changed(&finished, &format!("finished {review}"), &finished.warnings)
        }
    }
}

fn decide(context: &Context, args: DecideReviewArgs, keep: bool) -> Result<()> {
    let Context { client, output } = context;
    let DecideReviewArgs { review, principal, note } = args;
    let principal = named(&principal).0;
    let target = path::access_review_step(&client.tenant(), &review.to_string(), "decide");
    let request = DecideReview { principal: principal.clone(), keep, note };
    let decided: AccessReviewChanged = client.post(&target, &request)?;
    let AccessReviewView { app, undecided, finished_unix, .. } = &decided.review;
    let done = if keep { "stays assigned" } else { "is no longer assigned" };
    let rest = match finished_unix {
        Some(_) => format!("{review} is finished"),
        None => format!("{undecided} to go"),
    };
    output.changed(&decided, &format!("{principal} {done} to {app}; {rest}"), &decided.warnings)
}

fn table(output: Output, reviews: &[AccessReviewView]) -> String {
    let now = SystemTime::now();
    let table = output.table(["ID", "APP", "REVIEWERS", "STARTED", "DUE", "UNDECIDED"]).rows(reviews, |review| {
        [
            review.id.to_string(),
            review.app.to_string(),
            joined(&review.reviewers),
            relative(review.created_unix, now),
            review.finished_unix.map_or_else(|| relative(review.due_unix, now), |_| "finished".into()),
            format!("{} of {}", review.undecided, review.assignments),
        ]
    });
    table.render("no access reviews")
}

fn show(output: Output, detail: &AccessReviewDetail) -> String {
    let (now, review) = (SystemTime::now(), &detail.review);
    let head = details(&[
        ("review", review.id.to_string()),
        ("application", review.app.to_string()),
        ("reviewers", joined(&review.reviewers)),
        ("started", format!("{} by {}", relative(review.created_unix, now), review.by)),
        ("due", relative(review.due_unix, now)),
        ("finished", review.finished_unix.map_or_else(|| "no".into(), |at| relative(at, now))),
    ]);
    let table = output.table(["WHO", "LAST USED", "DECISION", "NOTE"]).rows(&detail.items, |item| {
        let decision = match &item.decision {
            None if item.assigned => String::new(),
            None => "assigned no more".into(),
            Some(decision) if decision.approved => format!("keep, by {}", decision.by),
            Some(decision) => format!("remove, by {}", decision.by),
        };
        [
            item.principal.clone(),
            item.last_used_unix.map(|used| relative(used, now)).unwrap_or_default(),
            decision,
            item.decision.as_ref().map(|decision| decision.note.clone()).unwrap_or_default(),
        ]
    });
    format!("{head}\n{}", table.render("no assignments"))
}
