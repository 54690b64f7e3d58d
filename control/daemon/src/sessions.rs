//! Sessions: begun, looked at, ended. The store keeps them.

mod index;

use std::cell::RefCell;
use std::rc::Rc;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_model::admin::{Problem, SessionView, SessionsEnded};
use postern_model::config::Tenant;
use postern_model::ids::{SessionId, TenantId, UserId};
use postern_model::link::SESSIONS_AT_ONCE;
use postern_model::policy::DeviceState;
use postern_model::secret::SecretText;
use postern_model::session::{AuthMethod, SessionRecord, Subject, is_silent};
use zeroize::Zeroizing;

use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::devices;
use crate::directory::{Groups, find_user};
use crate::limits::{SESSIONS_ENDED_AT_ONCE, SESSIONS_SHOWN_MAX};
use crate::problem::problem;
use crate::store::{SessionChange, StoredSession};
pub(crate) use index::{Followed, SessionIndex, Touched};

/// The groups of one tenant, kept until one of them changes: every record needs them.
#[derive(Default)]
pub(crate) struct GroupsKept(RefCell<Option<(TenantId, Rc<Groups>)>>);

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
    // Whom their device alone signed in is signed in as long as it counts: one that was stolen must not outlive being blocked.
    let counts = device.as_ref().is_some_and(|device| device.state != DeviceState::Unknown);
    let by_device = stored.methods.contains(&AuthMethod::SoftwareKey);
    if by_device && !counts {
        return Ok(None);
    }
    let device_ends = device.as_ref().and_then(|device| device.until_unix).filter(|_| by_device);
    let subject = Subject::of(user, named.collect());
    Ok(Some(SessionRecord {
        id: stored.id,
        user: subject,
        authenticated_unix: stored.authenticated_unix,
        methods: stored.methods.clone(),
        provider: stored.provider.clone(),
        expires_unix: device_ends.unwrap_or(u64::MAX).min(stored.expires_unix),
        idle_s: stored.idle_s,
        persistent: stored.persistent,
        source: stored.source,
        risk: stored.risk,
        terms,
        device,
        claimed_device: stored.claimed_device,
    }))
}

impl StoredSession {
    /// As [`SessionRecord::is_silent`].
    pub(crate) fn is_silent(&self) -> bool {
        self.provider.is_none() && is_silent(&self.methods)
    }

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
    let mut warnings = Vec::new();
    let (ids, target) = match (&which.session, &which.user, which.all) {
        (Some(id), None, false) => {
            let stored = control.sessions_in_store(|store| store.session(*id))?;
            let stored = stored.filter(|stored| stored.user.tenant == tenant.id);
            let stored = stored.ok_or_else(|| problem("not-found", format!("there is no session {id}")))?;
            (vec![stored.id], format!("session {id}"))
        }
        (None, Some(user), false) => {
            let user = find_user(control, tenant, user)?;
            warnings.extend(devices::that_sign_in(control, &user).map(|ids| {
                format!("devices of {} sign them in again, until they are blocked or removed: {ids}", user.login)
            }));
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
    Ok(SessionsEnded { ended: u64::try_from(ended).unwrap_or(u64::MAX), version, warnings })
}

/// Ends what a user has, as part of another change.
pub(crate) fn end_all_of(control: &Control, user: UserId, draft: &mut Draft) {
    of_user(control, user).into_iter().for_each(|id| draft.session(SessionChange::Removed(id)));
}

fn of_user(control: &Control, user: UserId) -> Vec<SessionId> {
    control.sessions.borrow().of_user(user).collect()
}

fn of_tenant(control: &Control, tenant: TenantId) -> Vec<SessionId> {
    control.sessions.borrow().of_tenant(tenant).collect()
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
        claimed_device: session.claimed_device,
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
