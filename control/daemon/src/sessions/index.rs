//! Who has which session, in memory, so that a change to a user or a device finds the sessions that depend on it at once.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::ids::{DeviceId, SessionId, TenantId, UserId};

use crate::store::{DeviceChange, DirectoryChange, SessionChange, TermsChange};

/// Who has which session, and which began with which device.
#[derive(Default)]
pub(crate) struct SessionIndex {
    users: BTreeMap<SessionId, (UserId, Option<DeviceId>)>,
    sessions: BTreeSet<(UserId, SessionId)>,
    on_devices: BTreeSet<(DeviceId, SessionId)>,
}

/// What a commit changes that sessions depend on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touched {
    User(UserId),
    /// They are gone, and the store has dropped their sessions.
    UserGone(UserId),
    /// What sessions that began with it are told of it.
    Device(DeviceId),
    /// What devices count for whose authority is another one now, or gone.
    Devices(TenantId),
    /// Groups in groups, or rules: whoever is in them may be another.
    Tenant(TenantId),
}

impl SessionIndex {
    pub(crate) fn new(all: impl IntoIterator<Item = (SessionId, UserId, Option<DeviceId>)>) -> Self {
        let mut index = Self::default();
        all.into_iter().for_each(|(id, user, device)| index.insert(id, user, device));
        index
    }

    fn insert(&mut self, id: SessionId, user: UserId, device: Option<DeviceId>) {
        self.remove(id);
        self.users.insert(id, (user, device));
        self.sessions.insert((user, id));
        self.on_devices.extend(device.map(|device| (device, id)));
    }

    fn remove(&mut self, id: SessionId) {
        if let Some((user, device)) = self.users.remove(&id) {
            self.sessions.remove(&(user, id));
            if let Some(device) = device {
                self.on_devices.remove(&(device, id));
            }
        }
    }

    pub(crate) fn is_known(&self, id: SessionId) -> bool {
        self.users.contains_key(&id)
    }

    pub(crate) fn of_user(&self, user: UserId) -> impl Iterator<Item = SessionId> {
        self.sessions.range((user, SessionId(0))..=(user, SessionId(u128::MAX))).map(|(_, id)| *id)
    }

    fn of_device(&self, device: DeviceId) -> impl Iterator<Item = SessionId> {
        self.on_devices.range((device, SessionId(0))..=(device, SessionId(u128::MAX))).map(|(_, id)| *id)
    }

    pub(crate) fn of_tenant(&self, tenant: TenantId) -> impl Iterator<Item = SessionId> {
        let (first, last) = (UserId::new(tenant, 0), UserId::new(tenant, u32::MAX));
        self.sessions.range((first, SessionId(0))..=(last, SessionId(u128::MAX))).map(|(_, id)| *id)
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Follows a commit; gives the sessions that are not what they were, so that relays are told.
    pub(crate) fn follow(&mut self, changes: &[SessionChange], touched: &BTreeSet<Touched>) -> Followed {
        let mut found = Followed::default();
        for touched in touched {
            match touched {
                Touched::User(user) => found.single.extend(self.of_user(*user)),
                Touched::UserGone(user) => {
                    let gone: Vec<SessionId> = self.of_user(*user).collect();
                    gone.iter().for_each(|id| self.remove(*id));
                    found.single.extend(gone);
                }
                Touched::Device(device) => found.single.extend(self.of_device(*device)),
                Touched::Devices(tenant) => {
                    let (first, last) = (DeviceId::new(*tenant, 0), DeviceId::new(*tenant, u32::MAX));
                    let range = (first, SessionId(0))..=(last, SessionId(u128::MAX));
                    found.single.extend(self.on_devices.range(range).map(|(_, id)| *id));
                }
                Touched::Tenant(tenant) => found.many.extend(self.of_tenant(*tenant)),
            }
        }
        for change in changes {
            match change {
                SessionChange::Put(session) => self.insert(session.id, session.user, session.device),
                SessionChange::Removed(id) => {
                    self.remove(*id);
                    found.single.insert(*id);
                }
                SessionChange::OfProvider(..) | SessionChange::Inherits(..) | SessionChange::Seen(..) => {}
            }
        }
        found
    }
}

/// Sessions that are not what they were.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Those that ended, or whose user or device was changed, or its authority: relays are told of them first.
    pub(crate) single: BTreeSet<SessionId>,
    /// All of a tenant whose groups were changed: most of them stay what they are.
    pub(crate) many: BTreeSet<SessionId>,
}

impl Touched {
    /// What a change to the directory touches.
    pub(crate) fn by(change: &DirectoryChange) -> Option<Self> {
        match change {
            DirectoryChange::UserPut(user) => Some(Self::User(user.id)),
            DirectoryChange::UserRemoved(user) => Some(Self::UserGone(*user)),
            DirectoryChange::UserJoined(_, crate::store::Part::Member, user)
            | DirectoryChange::UserLeft(_, crate::store::Part::Member, user) => Some(Self::User(*user)),
            DirectoryChange::UserJoined(..) | DirectoryChange::UserLeft(..) | DirectoryChange::PasswordPut(..) => None,
            DirectoryChange::GroupPut(group) => Some(Self::Tenant(group.id.tenant)),
            DirectoryChange::GroupRemoved(group)
            | DirectoryChange::Nested(group, _)
            | DirectoryChange::Unnested(group, _) => Some(Self::Tenant(group.tenant)),
            DirectoryChange::GroupsRemoved(tenant) => Some(Self::Tenant(*tenant)),
            DirectoryChange::Terms(TermsChange::Accepted(user, ..)) => Some(Self::User(*user)),
            DirectoryChange::Terms(TermsChange::Put(terms, _)) => Some(Self::Tenant(terms.tenant)),
            DirectoryChange::Terms(TermsChange::Removed(tenant, _)) => Some(Self::Tenant(*tenant)),
            DirectoryChange::Device(DeviceChange::Put(device)) => Some(Self::Device(device.id)),
            DirectoryChange::Device(DeviceChange::Removed(device)) => Some(Self::Device(*device)),
            DirectoryChange::Device(
                DeviceChange::AuthorityRemoved(tenant, _) | DeviceChange::CertificatesEnded(tenant, ..),
            ) => Some(Self::Devices(*tenant)),
            // What expired counted for nothing before.
            DirectoryChange::Device(
                DeviceChange::Seen(..) | DeviceChange::SettingsPut(..) | DeviceChange::Expired(_),
            ) => None,
            DirectoryChange::ScimTokenPut(_)
            | DirectoryChange::ScimTokenRemoved(_)
            | DirectoryChange::ExternalIdPut(..)
            | DirectoryChange::ScimGroupPut(..)
            | DirectoryChange::Sync(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Part;
    use postern_model::ids::UserGroupId;

    const ANNA: UserId = UserId::new(TenantId::DEFAULT, 1);
    const BERT: UserId = UserId::new(TenantId::DEFAULT, 2);
    const LAPTOP: DeviceId = DeviceId::new(TenantId::DEFAULT, 1);
    const ELSEWHERE: UserId = UserId::new(TenantId(2), 1);

    fn index() -> SessionIndex {
        SessionIndex::new([
            (SessionId(1), ANNA, Some(LAPTOP)),
            (SessionId(2), ANNA, None),
            (SessionId(3), BERT, Some(LAPTOP)),
            (SessionId(4), ELSEWHERE, None),
        ])
    }

    fn touched(change: DirectoryChange) -> Vec<u128> {
        let touched = Touched::by(&change).into_iter().collect();
        let Followed { single, many } = index().follow(&[], &touched);
        single.into_iter().chain(many).map(|id| id.0).collect()
    }

    #[test]
    fn a_change_finds_the_sessions_that_depend_on_it() {
        let group = UserGroupId::new(TenantId::DEFAULT, 1);
        assert_eq!(touched(DirectoryChange::UserRemoved(ANNA)), [1, 2]);
        assert_eq!(touched(DirectoryChange::Device(DeviceChange::Removed(LAPTOP))), [1, 3]);
        assert_eq!(touched(DirectoryChange::Device(DeviceChange::Seen(LAPTOP, 7))), [0; 0]);
        let own = "own".parse().unwrap();
        let gone = DirectoryChange::Device(DeviceChange::AuthorityRemoved(TenantId::DEFAULT, own));
        assert_eq!(touched(gone), [1, 3]);
        let ended = DeviceChange::CertificatesEnded(TenantId::DEFAULT, "mdm".parse().unwrap(), 7);
        assert_eq!(touched(DirectoryChange::Device(ended)), [1, 3]);
        let devices = BTreeSet::from([Touched::Devices(TenantId::DEFAULT)]);
        assert!(index().follow(&[], &devices).many.is_empty(), "relays are told of them first");
        assert_eq!(touched(DirectoryChange::UserLeft(group, Part::Member, BERT)), [3]);
        assert_eq!(touched(DirectoryChange::UserLeft(group, Part::Owner, BERT)), [0; 0]);
        assert_eq!(touched(DirectoryChange::Nested(group, group)), [1, 2, 3]);
        assert_eq!(touched(DirectoryChange::GroupRemoved(group)), [1, 2, 3]);
        assert_eq!(touched(DirectoryChange::GroupsRemoved(TenantId(2))), [4]);
    }

    #[test]
    fn what_ended_is_found_once_and_forgotten() {
        let mut index = index();
        let ended = [SessionChange::Removed(SessionId(1))];
        assert_eq!(index.follow(&ended, &BTreeSet::new()).single, BTreeSet::from([SessionId(1)]));
        assert_eq!((index.of_user(ANNA).count(), index.len()), (1, 3));
        let removed = Touched::by(&DirectoryChange::UserRemoved(ANNA)).into_iter().collect();
        assert_eq!(index.follow(&[], &removed).single, BTreeSet::from([SessionId(2)]));
        assert_eq!((index.of_user(ANNA).count(), index.len()), (0, 2));
    }
}
