//! What SCIM needs of the store besides the directory: tokens, what clients call users and groups, and versions.

use std::collections::BTreeMap;

use postern_model::directory::User;
use postern_model::ids::{Name, TenantId, UserGroupId, UserId};
use postern_model::service_token::TokenKey;

use super::StoreError;

/// What can be asked. While a stage is open, answers are the stage's.
pub(crate) trait ScimRows {
    /// A tenant's token.
    fn scim_token(&mut self, tenant: TenantId) -> Result<Option<ScimToken>, StoreError>;

    /// Of users with numbers from `first` to `last`, by number.
    fn user_marks(&mut self, tenant: TenantId, first: u32, last: u32) -> Result<BTreeMap<UserId, Marks>, StoreError>;

    /// Of all groups of a tenant.
    fn group_marks(&mut self, tenant: TenantId) -> Result<BTreeMap<UserGroupId, Marks>, StoreError>;

    /// Users whom the client calls so, at most `limit`.
    fn users_called(&mut self, tenant: TenantId, external_id: &str, limit: u32) -> Result<Vec<User>, StoreError>;

    /// At most `limit` users by number, after the first `skip`.
    fn users_from(&mut self, tenant: TenantId, skip: u32, limit: u32) -> Result<Vec<User>, StoreError>;
}

/// A tenant's token: never its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScimToken {
    pub(crate) tenant: TenantId,
    /// What the audit log calls its holder.
    pub(crate) name: Name,
    pub(crate) key: TokenKey,
    pub(crate) expires_unix: Option<u64>,
    pub(crate) created_unix_ms: u64,
}

/// What is kept of a user or a group for SCIM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// What the client calls it.
    pub(crate) external_id: Option<String>,
    /// A group's name for people; without one it is the name it has here.
    pub(crate) display_name: Option<String>,
    /// Counted up by each change; 0: not since there are versions.
    pub(crate) version: u64,
    pub(crate) changed_unix_ms: Option<u64>,
}
