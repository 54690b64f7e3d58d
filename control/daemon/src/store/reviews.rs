//! Access reviews in the store: what they are about as it was when they began, and what was decided.

use postern_model::directory::Principal;
use postern_model::ids::{AccessReviewId, AppId, TenantId};

use super::{Decision, StoreError};

/// A review as control keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Review {
    pub(crate) id: AccessReviewId,
    pub(crate) app: AppId,
    /// `user/LOGIN` and `group/NAME`, separated by commas; empty: operators only.
    pub(crate) reviewers: String,
    pub(crate) by: String,
    pub(crate) created_unix: u64,
    pub(crate) due_unix: u64,
    /// `None`: it goes on.
    pub(crate) finished_unix: Option<u64>,
}

/// A review, with its assignments counted: all of them, and those that nobody decided about.
pub(crate) type Counted = (Review, u32, u32);

/// What can be asked about reviews.
pub(crate) trait Reviews {
    /// A review by id.
    fn review(&mut self, id: AccessReviewId) -> Result<Option<Counted>, StoreError>;

    /// Those of a tenant, the newest first: those that go on, or all.
    fn reviews(&mut self, tenant: TenantId, open: bool, limit: u32) -> Result<Vec<Counted>, StoreError>;

    /// What one is about, and what was decided.
    fn review_items(&mut self, id: AccessReviewId) -> Result<Vec<(Principal, Option<Decision>)>, StoreError>;
}

/// A change to reviews.
#[derive(Debug)]
pub(crate) enum ReviewChange {
    /// A new one. Of those of its tenant that were finished, only the newest stay.
    Started(Box<Review>, Vec<Principal>),
    /// Somebody decided about one that nobody had decided about. Otherwise the commit fails.
    Decided(AccessReviewId, Principal, Decision),
    /// At this second.
    Finished(AccessReviewId, u64),
}
