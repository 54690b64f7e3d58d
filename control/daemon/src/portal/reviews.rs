//! Access reviews that wait for a user. Whoever is no reviewer does not see them, and nobody reviews
//! their own assignment; that of a group they are in they may.

use postern_model::admin::Problem;
use postern_model::directory::Principal;
use postern_model::ids::AccessReviewId;
use postern_model::portal::{PortalAnswer, ReviewItem, ReviewToDo, Reviews};

use super::Caller;
use super::requests::called;
use crate::access_requests::{is_meant, words};
use crate::access_reviews;
use crate::clock::now_unix;
use crate::control::Control;
use crate::directory::principal_name;
use crate::limits::{REQUESTS_OF_PAGE_MAX, REVIEWS_SHOWN_MAX};
use crate::problem::problem;
use crate::store::{Counted, Review};

pub(super) fn shown(control: &Control, caller: &Caller) -> Result<PortalAnswer, Problem> {
    let tenant = caller.user.id.tenant;
    let used = control.read("assignments", |store| store.assignments_used(tenant))?;
    let (mut reviews, mut room) = (Vec::new(), REQUESTS_OF_PAGE_MAX);
    // Those that wait longest first.
    for (review, ..) in theirs(control, caller)?.into_iter().rev() {
        let app = control.snapshot().apps.get(&review.app).map(called);
        let Some(app) = app else { continue };
        let items = control.read("access reviews", |store| store.review_items(review.id))?;
        let open = items.into_iter().filter(|(_, decision)| decision.is_none()).map(|(principal, _)| principal);
        let open: Vec<Principal> = open.filter(|principal| *principal != Principal::User(caller.user.id)).collect();
        let mut items = Vec::new();
        for principal in open.iter().take(room).copied() {
            let last_used_unix = used.get(&(review.app, principal)).copied();
            items.push(ReviewItem { principal, name: principal_name(control, principal)?, last_used_unix });
        }
        let more = open.len() > items.len();
        room -= items.len();
        reviews.push(ReviewToDo { id: review.id, app, due_unix: review.due_unix, items, more });
    }
    Ok(PortalAnswer::Reviews(Box::new(Reviews { visitor: caller.visitor(), reviews, now_unix: now_unix() })))
}

pub(super) fn decide(
    control: &Control,
    caller: &Caller,
    id: AccessReviewId,
    (principal, keep, note): (Principal, bool, &str),
) -> Result<PortalAnswer, Problem> {
    let counted = control.read("access reviews", |store| store.review(id))?;
    let counted = counted.filter(|(review, ..)| review.id.tenant == caller.user.id.tenant && reviews(caller, review));
    let Some(counted) = counted else { return Ok(PortalAnswer::Absent {}) };
    let app = control.snapshot().apps.get(&counted.0.app).cloned();
    let Some(app) = app else { return Ok(PortalAnswer::Absent {}) };
    if principal == Principal::User(caller.user.id) {
        return Err(problem("access-review-own", "Nobody reviews their own assignment. Another reviewer can."));
    }
    access_reviews::decide_one(control, &caller.actor(), &counted, &app, (principal, keep, words(note)?))?;
    Ok(PortalAnswer::Done {})
}

/// Those that go on and that they decide in, the newest first.
pub(super) fn theirs(control: &Control, caller: &Caller) -> Result<Vec<Counted>, Problem> {
    let tenant = caller.user.id.tenant;
    let open = control.read("access reviews", |store| store.reviews(tenant, true, REVIEWS_SHOWN_MAX))?;
    Ok(open.into_iter().filter(|(review, ..)| reviews(caller, review)).collect())
}

fn reviews(caller: &Caller, review: &Review) -> bool {
    let groups: Vec<&str> = caller.record.user.groups.values().map(|name| name.as_str()).collect();
    let reviewers = review.reviewers.split(',').filter_map(|reviewer| reviewer.parse().ok());
    reviewers.into_iter().any(|reviewer| is_meant(&reviewer, caller.user.login.as_str(), &groups))
}
