//! When assignments last let somebody in, to the day: so that those that nobody uses can be found.

use std::collections::BTreeMap;

use postern_model::directory::Principal;
use postern_model::ids::{AppId, TenantId};

use super::StoreError;

/// What can be asked about it. What an assignment was used for goes with the assignment.
pub(crate) trait Uses {
    /// When one was last used, a Unix second.
    fn assignment_used(&mut self, app: AppId, principal: Principal) -> Result<Option<u64>, StoreError>;

    /// The same of all of a tenant that ever were.
    fn assignments_used(&mut self, tenant: TenantId) -> Result<BTreeMap<(AppId, Principal), u64>, StoreError>;
}

/// One that let somebody in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) app: AppId,
    pub(crate) principal: Principal,
    pub(crate) at_unix: u64,
}
