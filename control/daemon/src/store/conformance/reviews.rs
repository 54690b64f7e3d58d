//! Access reviews: what was decided stays so, and nothing outlasts the application that it is about.

use postern_model::directory::Principal;
use postern_model::ids::{AccessReviewId, AppId, TenantId, UserGroupId};

use super::Open;
use crate::limits::FINISHED_REVIEWS_KEPT;
use crate::store::{Commit, Decision, Review, ReviewChange};

const TENANT: TenantId = TenantId(1);
const SALES: Principal = Principal::Group(UserGroupId::new(TENANT, 9));

pub(super) fn run(open: Open<'_>) {
    one_goes_on_and_each_is_decided_once(open);
    few_of_the_finished_are_kept(open);
}

fn id(seq: u32) -> AccessReviewId {
    AccessReviewId::new(TENANT, seq)
}

fn review(seq: u32, app: u32) -> Review {
    Review {
        id: id(seq),
        app: AppId::new(TENANT, app),
        reviewers: "user/anna,group/leads".into(),
        by: "uid 0".into(),
        created_unix: 5,
        due_unix: 9,
        finished_unix: None,
    }
}

fn write(open: Open<'_>, change: ReviewChange) -> bool {
    open().commit(&Commit { reviews: vec![change], ..Commit::default() }).is_ok()
}

fn start(open: Open<'_>, review: Review) -> bool {
    write(open, ReviewChange::Started(Box::new(review), vec![SALES, Principal::Everyone]))
}

fn decision(approved: bool) -> Decision {
    Decision { approved, by: "user anna".into(), at_unix: 7, note: "it's \"fine\"".parse().unwrap() }
}

fn one_goes_on_and_each_is_decided_once(open: Open<'_>) {
    assert!(start(open, review(1, 1)) && !start(open, review(2, 1)), "one of an application goes on at a time");
    assert!(start(open, review(3, 2)));
    assert_eq!(open().review(id(1)).unwrap(), Some((review(1, 1), 2, 2)));
    assert!(write(open, ReviewChange::Decided(id(1), SALES, decision(false))));
    for approved in [true, false] {
        assert!(!write(open, ReviewChange::Decided(id(1), SALES, decision(approved))), "decided already");
    }
    let nobody = Principal::Group(UserGroupId::new(TENANT, 10));
    assert!(!write(open, ReviewChange::Decided(id(1), nobody, decision(true))), "no part of it");
    assert_eq!(open().review_items(id(1)).unwrap(), [(Principal::Everyone, None), (SALES, Some(decision(false)))]);
    assert_eq!(open().review(id(1)).unwrap().map(|(_, all, undecided)| (all, undecided)), Some((2, 1)));
    assert!(write(open, ReviewChange::Finished(id(1), 8)) && !write(open, ReviewChange::Finished(id(1), 9)));
    let finished = Review { finished_unix: Some(8), ..review(1, 1) };
    assert_eq!(open().reviews(TENANT, true, 9).unwrap(), [(review(3, 2), 2, 2)]);
    assert_eq!(open().reviews(TENANT, false, 9).unwrap(), [(review(3, 2), 2, 2), (finished, 2, 1)]);
    assert_eq!(open().reviews(TenantId(2), false, 9).unwrap(), []);
}

fn few_of_the_finished_are_kept(open: Open<'_>) {
    for seq in 10..(12 + FINISHED_REVIEWS_KEPT) {
        assert!(start(open, review(seq, 1)) && write(open, ReviewChange::Finished(id(seq), 8)), "{seq}");
    }
    let kept = open().reviews(TENANT, false, 1_000).unwrap();
    assert_eq!(kept.len(), FINISHED_REVIEWS_KEPT as usize + 2, "the newest, the last one, and what goes on");
    assert!(open().review(id(1)).unwrap().is_none() && open().review_items(id(1)).unwrap().is_empty());
}

/// After their application was removed.
pub(super) fn are_gone(open: Open<'_>) {
    let left = open().reviews(TENANT, false, 1_000).unwrap();
    assert!(!left.is_empty() && left.iter().all(|(review, ..)| review.app.seq == 1), "{left:?}");
}
