//! The directory in the store: rows that are asked for one by one or page by page, never held as a whole, and the changes to
//! them. They go into the same transaction as the deltas and the audit record of their commit.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::directory::{LoginName, User, UserGroup};
use postern_model::ids::{Name, TenantId, UserGroupId, UserId};

use super::{DeviceChange, Devices, Factors, ScimToken, StoreError, SyncChange, Terms, TermsChange};
use crate::password::PasswordHash;

/// What can be asked about users and groups. While a stage is open, answers are the stage's.
pub(crate) trait Directory: Devices + Factors + Terms {
    /// A user by id.
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError>;

    /// A user by login name.
    fn user_by_login(&mut self, tenant: TenantId, login: &LoginName) -> Result<Option<User>, StoreError>;

    /// Users by login name.
    fn users(&mut self, query: &UserQuery) -> Result<Vec<User>, StoreError>;

    /// At most `limit` users with numbers above `after`, by number: for what looks at all of them.
    fn users_after(&mut self, tenant: TenantId, after: u32, limit: u32) -> Result<Vec<User>, StoreError>;

    /// How many users a tenant has.
    fn user_count(&mut self, tenant: TenantId) -> Result<u32, StoreError>;

    /// Login names next to this one in order, at most `limit` on either side: what a mistyped one may have meant.
    fn logins_near(&mut self, tenant: TenantId, login: &str, limit: u32) -> Result<Vec<String>, StoreError>;

    /// A tenant's groups.
    fn user_groups(&mut self, tenant: TenantId) -> Result<Vec<UserGroup>, StoreError>;

    /// A group by name.
    fn user_group(&mut self, tenant: TenantId, name: &Name) -> Result<Option<UserGroup>, StoreError>;

    /// A group by id.
    fn user_group_by_id(&mut self, id: UserGroupId) -> Result<Option<UserGroup>, StoreError>;

    /// Which of a tenant's groups are nested in which: (outer, inner).
    fn nested(&mut self, tenant: TenantId) -> Result<Vec<(UserGroupId, UserGroupId)>, StoreError>;

    /// What is in each of a tenant's groups, counted; those with nothing in them are left out.
    fn group_sizes(&mut self, tenant: TenantId) -> Result<BTreeMap<UserGroupId, GroupSize>, StoreError>;

    /// The groups that a user was put into.
    fn groups_with(&mut self, user: UserId) -> Result<BTreeSet<UserGroupId>, StoreError>;

    /// The groups that a user looks after.
    fn groups_owned(&mut self, user: UserId) -> Result<BTreeSet<UserGroupId>, StoreError>;

    /// The groups that users with numbers from `first` to `last` were put into.
    fn groups_with_each(
        &mut self,
        tenant: TenantId,
        first: u32,
        last: u32,
    ) -> Result<Vec<(UserId, UserGroupId)>, StoreError>;

    /// Who was put into a group in this way, by login name, at most `limit`.
    fn members(
        &mut self,
        group: UserGroupId,
        part: Part,
        limit: u32,
    ) -> Result<BTreeMap<LoginName, UserId>, StoreError>;

    /// The hash of a user's password, if they have one.
    fn password(&mut self, user: UserId) -> Result<Option<PasswordHash>, StoreError>;

    /// How many users that count now were put into one of these groups, each counted once.
    fn active_members(
        &mut self,
        tenant: TenantId,
        groups: &BTreeSet<UserGroupId>,
        now_unix: u64,
    ) -> Result<u32, StoreError>;
}

/// What a user is to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Member,
    Owner,
}

/// Which users.
#[derive(Debug, Clone)]
pub(crate) struct UserQuery {
    pub(crate) tenant: TenantId,
    /// Those behind this login name.
    pub(crate) after: Option<LoginName>,
    /// Those whose login name, display name or mail address has this in it, whatever its case (of ASCII letters).
    pub(crate) filter: Option<String>,
    pub(crate) limit: u32,
}

/// What is in a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupSize {
    pub(crate) users: u32,
    pub(crate) groups: u32,
    pub(crate) owners: u32,
}

/// A change to the directory. `Put` makes or replaces; what is removed takes along what refers to it here. A change that
/// names what is not there fails the commit.
#[derive(Debug)]
pub(crate) enum DirectoryChange {
    UserPut(Box<User>),
    UserRemoved(UserId),
    PasswordPut(UserId, PasswordHash),
    GroupPut(UserGroup),
    GroupRemoved(UserGroupId),
    /// A user becomes a part of a group; nothing happens when it is already.
    UserJoined(UserGroupId, Part, UserId),
    UserLeft(UserGroupId, Part, UserId),
    /// The second is nested in the first; nothing happens when it is already.
    Nested(UserGroupId, UserGroupId),
    Unnested(UserGroupId, UserGroupId),
    /// All groups of a tenant that has no users.
    GroupsRemoved(TenantId),
    /// A tenant's SCIM token.
    ScimTokenPut(ScimToken),
    ScimTokenRemoved(TenantId),
    /// What a SCIM client calls a user, or that it calls them nothing.
    ExternalIdPut(UserId, Option<String>),
    /// What people and a SCIM client call a group.
    ScimGroupPut(UserGroupId, String, Option<String>),
    /// Directory synchronisation.
    Sync(SyncChange),
    /// Terms of use, and who accepted them.
    Terms(TermsChange),
    /// Devices.
    Device(DeviceChange),
}
