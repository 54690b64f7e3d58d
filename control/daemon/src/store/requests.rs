//! Access requests in the store: written with what they lead to, in the same transaction.

use postern_model::admin::JUSTIFICATION_BYTES_MAX;
use postern_model::directory::Line;
use postern_model::ids::{AccessRequestId, AppId, TenantId, UserId};

use super::StoreError;

/// A request as control keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessRequest {
    pub(crate) id: AccessRequestId,
    pub(crate) user: UserId,
    pub(crate) app: AppId,
    pub(crate) justification: Line<JUSTIFICATION_BYTES_MAX>,
    pub(crate) created_unix: u64,
    /// `None`: it waits.
    pub(crate) decision: Option<Decision>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) approved: bool,
    pub(crate) by: String,
    pub(crate) at_unix: u64,
    pub(crate) note: Line<JUSTIFICATION_BYTES_MAX>,
}

/// Which requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestQuery {
    pub(crate) tenant: TenantId,
    pub(crate) user: Option<UserId>,
    /// Those that wait, or all.
    pub(crate) open: bool,
    pub(crate) limit: u32,
}

/// What can be asked about requests.
pub(crate) trait Requests {
    /// A request by id.
    fn access_request(&mut self, id: AccessRequestId) -> Result<Option<AccessRequest>, StoreError>;

    /// Requests, those that were made last first.
    fn access_requests(&mut self, query: &RequestQuery) -> Result<Vec<AccessRequest>, StoreError>;

    /// How many wait, of a user or of all of a tenant.
    fn access_requests_open(&mut self, tenant: TenantId, user: Option<UserId>) -> Result<u32, StoreError>;
}

/// A change to requests.
#[derive(Debug)]
pub(crate) enum RequestChange {
    /// A new one. Of its user's that were decided, only the newest stay.
    Asked(Box<AccessRequest>),
    /// One that waits was decided. One that does not fails the commit.
    Decided(AccessRequestId, Decision),
    /// There is nothing to ask for any more.
    AppGone(AppId),
}
