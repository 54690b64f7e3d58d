//! Sessions: begun, looked at, ended. The store keeps them; in memory is only who has which, so that a change to a user finds
//! their sessions at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_model::admin::{Problem, SessionView, SessionsEnded};
use postern_model::config::Tenant;
use postern_model::ids::{DeviceId, SessionId, TenantId, UserId};
use postern_model::link::SESSIONS_AT_ONCE;
use postern_model::secret::SecretText;
use postern_model::session::{SessionRecord, Subject};
use zeroize::Zeroizing;

use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::devices;
use crate::directory::{Groups, find_user};
use crate::limits::{SESSIONS_ENDED_AT_ONCE, SESSIONS_SHOWN_MAX};
use crate::problem::problem;
use crate::store::{DeviceChange, DirectoryChange, SessionChange, StoredSession, TermsChange};

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
    /// Groups in groups, or rules: whoever is in them may be another. Or what all of its devices count for.
    Tenant(TenantId),
}

/// The groups of one tenant, kept until one of them changes: every record needs them.
#[derive(Default)]
pub(crate) struct GroupsKept(RefCell<Option<(TenantId, Rc<Groups>)>>);

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
                Touched::Tenant(tenant) => {
                    let (first, last) = (UserId::new(*tenant, 0), UserId::new(*tenant, u32::MAX));
                    let range = (first, SessionId(0))..=(last, SessionId(u128::MAX));
                    found.many.extend(self.sessions.range(range).map(|(_, id)| *id));
                }
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
    /// Those that ended, or whose user or device was changed: relays are told of them first.
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
            DirectoryChange::Device(DeviceChange::AuthorityRemoved(tenant, _)) => Some(Self::Tenant(*tenant)),
            DirectoryChange::Device(DeviceChange::Seen(..) | DeviceChange::SettingsPut(..)) => None,
            DirectoryChange::ScimTokenPut(_)
            | DirectoryChange::ScimTokenRemoved(_)
            | DirectoryChange::ExternalIdPut(..)
            | DirectoryChange::ScimGroupPut(..)
            | DirectoryChange::Sync(_) => None,
        }
    }
}

impl GroupsKept {
    /// A tenant's groups.
    fn of(&self, control: &Control, tenant: TenantId) -> Result<Rc<Groups>, Problem> {
        if let Some((_, groups)) = self.0.borrow().as_ref().filter(|(kept, _)| *kept == tenant) {
            return Ok(Rc::clone(groups));
        }
        let groups = Rc::new(Groups::of(control, tenant)?);
        *self.0.borrow_mut() = Some((tenant, Rc::clone(&groups)));
        Ok(groups)
    }

    /// Groups may have changed.
    pub(crate) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }
}

/// What relays are told of a session; `None`: it lets nobody in any more.
pub(crate) fn record(control: &Control, id: SessionId) -> Result<Option<SessionRecord>, Problem> {
    let Some(stored) = control.sessions_in_store(|store| store.session(id))? else { return Ok(None) };
    record_of(control, &stored)
}

/// As [`record`], of a session that was read already.
pub(crate) fn record_of(control: &Control, stored: &StoredSession) -> Result<Option<SessionRecord>, Problem> {
    let now = now_unix();
    let Some(user) = control.directory(|store| store.user(stored.user))? else { return Ok(None) };
    if !user.is_active(now) || stored.is_over(now) {
        return Ok(None);
    }
    let groups = control.groups_kept.of(control, user.id.tenant)?;
    let direct = control.directory(|store| store.groups_with(user.id))?;
    let counted = groups.graph.counted_groups_of(&user, &direct, now);
    let named = counted.into_iter().filter_map(|id| Some((id, groups.all.get(&id)?.name.clone())));
    let terms = control.directory(|store| store.accepted_terms(user.id))?;
    let device = stored.device.map(|device| devices::for_session(control, device, user.id)).transpose()?.flatten();
    let subject = Subject::of(user, named.collect());
    Ok(Some(SessionRecord {
        id: stored.id,
        user: subject,
        authenticated_unix: stored.authenticated_unix,
        methods: stored.methods.clone(),
        provider: stored.provider.clone(),
        expires_unix: stored.expires_unix,
        idle_s: stored.idle_s,
        persistent: stored.persistent,
        source: stored.source,
        risk: stored.risk,
        terms,
        device,
    }))
}

impl StoredSession {
    /// Past its end, or not used for too long as far as was written down: the latter is late by as much as that is.
    pub(crate) const fn is_over(&self, now_unix: u64) -> bool {
        self.expires_unix <= now_unix || self.seen_unix.saturating_add(self.idle_s as u64) <= now_unix
    }
}

/// `session list`.
pub(crate) fn list(control: &Control, tenant: &Tenant, user: Option<&str>) -> Result<Vec<SessionView>, Problem> {
    let user = user.map(|user| find_user(control, tenant, user)).transpose()?.map(|user| user.id);
    let sessions = control.sessions_in_store(|store| store.sessions(tenant.id, user, SESSIONS_SHOWN_MAX))?;
    let now = now_unix();
    sessions.iter().filter(|session| !session.is_over(now)).map(|session| view(control, session)).collect()
}

/// `session revoke`: one, or all of a user, or of everybody.
pub(crate) fn revoke(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    which: &postern_model::admin::RevokeSessions,
) -> Result<SessionsEnded, Problem> {
    let mut draft = Draft::default();
    let (ids, target) = match (&which.session, &which.user, which.all) {
        (Some(id), None, false) => {
            let stored = control.sessions_in_store(|store| store.session(*id))?;
            let stored = stored.filter(|stored| stored.user.tenant == tenant.id);
            let stored = stored.ok_or_else(|| problem("not-found", format!("there is no session {id}")))?;
            (vec![stored.id], format!("session {id}"))
        }
        (None, Some(user), false) => {
            let user = find_user(control, tenant, user)?;
            (of_user(control, user.id), format!("sessions of {} ({})", user.login, user.id))
        }
        (None, None, true) => (of_tenant(control, tenant.id), format!("all sessions of {}", tenant.name)),
        _ => return Err(problem("request-invalid", "name a session, or a user, or all: one of them")),
    };
    let ended = ids.len();
    // A transaction of a hundred thousand rows takes a second: what is at hand first, the rest follows.
    for id in ids.iter().take(SESSIONS_ENDED_AT_ONCE) {
        draft.session(SessionChange::Removed(*id));
    }
    draft.audit(Audit {
        action: "session.revoke",
        tenant: Some(tenant.id),
        target,
        before: Some(format!("{ended} sessions")),
        after: None,
    });
    let version = control.commit(actor, draft)?;
    for part in ids.get(SESSIONS_ENDED_AT_ONCE..).unwrap_or_default().chunks(SESSIONS_ENDED_AT_ONCE) {
        let mut draft = Draft::default();
        part.iter().for_each(|id| draft.session(SessionChange::Removed(*id)));
        control.commit(actor, draft)?;
    }
    Ok(SessionsEnded { ended: u64::try_from(ended).unwrap_or(u64::MAX), version, warnings: Vec::new() })
}

/// Ends what a user has, as part of another change.
pub(crate) fn end_all_of(control: &Control, user: UserId, draft: &mut Draft) {
    of_user(control, user).into_iter().for_each(|id| draft.session(SessionChange::Removed(id)));
}

fn of_user(control: &Control, user: UserId) -> Vec<SessionId> {
    control.sessions.borrow().of_user(user).collect()
}

fn of_tenant(control: &Control, tenant: TenantId) -> Vec<SessionId> {
    let index = control.sessions.borrow();
    index.users.iter().filter(|(_, (user, _))| user.tenant == tenant).map(|(id, _)| *id).collect()
}

/// Removes what is over, some at a time. Relays know the times themselves.
pub(crate) fn sweep(control: &Control) -> Result<(), Problem> {
    loop {
        let over = control.sessions_in_store(|store| store.sessions_over(now_unix(), SESSIONS_SHOWN_MAX))?;
        if over.is_empty() {
            return Ok(());
        }
        let mut draft = Draft::default();
        over.iter().for_each(|id| draft.session(SessionChange::Removed(*id)));
        control.commit(&Actor::Control, draft)?;
    }
}

/// Relays saw these used. Not worth a transaction each: what comes together is written together.
pub(crate) fn seen(control: &Control, seen: &[(SessionId, u64)]) -> Result<(), Problem> {
    let now = now_unix();
    let mut draft = Draft::default();
    let known: Vec<_> = {
        let index = control.sessions.borrow();
        seen.iter().take(SESSIONS_AT_ONCE).filter(|(id, _)| index.is_known(*id)).copied().collect()
    };
    if known.is_empty() {
        return Ok(());
    }
    known.into_iter().for_each(|(id, at)| draft.session(SessionChange::Seen(id, at.min(now))));
    control.commit(&Actor::Control, draft).map(drop)
}

fn view(control: &Control, session: &StoredSession) -> Result<SessionView, Problem> {
    let user = control.directory(|store| store.user(session.user))?;
    Ok(SessionView {
        id: session.id,
        user: user.map_or_else(|| session.user.to_string(), |user| user.login.to_string()),
        created_unix: session.created_unix,
        authenticated_unix: session.authenticated_unix,
        seen_unix: session.seen_unix,
        expires_unix: session.expires_unix,
        methods: session.methods.iter().map(|method| method.as_str().to_owned()).collect(),
        provider: session.provider.clone(),
        source: session.source.map(|source| source.to_string()),
        risk: session.risk,
        device: session.device.map(|device| devices::for_session(control, device, session.user)).transpose()?.flatten(),
        user_agent: session.user_agent.clone(),
    })
}

/// 256 random bits as text, and what they are known by.
pub(crate) fn random_secret() -> Result<(SecretText, [u8; 32]), Problem> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| problem("internal", "there is no randomness"))?;
    let text = SecretText::new(URL_SAFE_NO_PAD.encode(*bytes));
    let key = secret_key(text.expose());
    Ok((text, key))
}

/// What a secret is known by. The secret has 256 random bits: nobody finds it by trying.
pub(crate) fn secret_key(text: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    key
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
        assert_eq!(touched(gone), [1, 2, 3]);
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
