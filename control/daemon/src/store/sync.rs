//! Sources of directory synchronisation in the store, and which users and groups are whose.

use postern_model::directory_sync::{Digest, KnownObject, Member, ObjectId, ObjectKind, SourceSettings};
use postern_model::ids::{GroupId, Name, TenantId, UserGroupId, UserId};

use super::StoreError;

/// A source as control keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSource {
    pub(crate) tenant: TenantId,
    pub(crate) name: Name,
    /// Whose connectors are its processes.
    pub(crate) group: GroupId,
    pub(crate) settings: SourceSettings,
}

/// How a source's user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncState {
    /// Nothing of it is due to the source.
    Present,
    /// Disabled because the source says so: it may enable them again.
    Disabled,
    /// The source has them no longer.
    Gone,
    /// The same, and somebody here disabled them: they come back disabled.
    GoneHeld,
}

impl SyncState {
    pub(crate) const fn is_gone(self) -> bool {
        matches!(self, Self::Gone | Self::GoneHeld)
    }
}

/// What can be asked. While a stage is open, answers are the stage's.
pub(crate) trait SyncRows {
    /// A tenant's sources, or all, by name.
    fn sync_sources(&mut self, tenant: Option<TenantId>) -> Result<Vec<StoredSource>, StoreError>;

    /// At most `limit` objects of a source behind one, by id. The digest of what was changed here since is empty.
    fn sync_known(
        &mut self,
        source: (TenantId, &Name),
        kind: ObjectKind,
        after: Option<&ObjectId>,
        limit: usize,
    ) -> Result<Vec<KnownObject>, StoreError>;

    /// Who a source's user is here.
    fn sync_user(
        &mut self,
        source: (TenantId, &Name),
        object: &ObjectId,
    ) -> Result<Option<(UserId, SyncState)>, StoreError>;

    /// Which group a source's is here.
    fn sync_group(&mut self, source: (TenantId, &Name), object: &ObjectId) -> Result<Option<UserGroupId>, StoreError>;

    /// How many users, those that are gone left out, and groups are a source's.
    fn sync_counts(&mut self, source: (TenantId, &Name)) -> Result<(u32, u32), StoreError>;

    /// At most `limit` members of a group that are the source's own, behind one, by kind and id.
    fn sync_members(
        &mut self,
        source: (TenantId, &Name),
        group: UserGroupId,
        after: Option<&Member>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError>;

    /// How a user stands with their source, if they are of one.
    fn sync_state_of(&mut self, user: UserId) -> Result<Option<SyncState>, StoreError>;

    /// Whose a user is.
    fn sync_source_of(&mut self, user: UserId) -> Result<Option<Name>, StoreError>;
}

/// A change to sources. Rows of users and groups go with these.
#[derive(Debug)]
pub(crate) enum SyncChange {
    Put(Box<StoredSource>),
    /// Its users and groups stay, and are nobody's but ours from now on.
    Removed(TenantId, Name),
    /// A user, as they are now, is what the source told.
    User(Name, ObjectId, UserId, Digest, SyncState),
    /// A user stands otherwise with their source; what it told of them stays.
    State(UserId, SyncState),
    /// A group, as it is now, is what the source told.
    Group(Name, ObjectId, UserGroupId, Digest),
}
