//! A user's own sessions. Those of others are not there for them, whatever they ask for.

use postern_model::admin::Problem;
use postern_model::ids::SessionId;
use postern_model::portal::{OwnSession, PortalAnswer, Sessions};

use super::Caller;
use crate::clock::now_unix;
use crate::control::{Audit, Control, Draft};
use crate::limits::{OWN_SESSIONS_SHOWN_MAX, SESSIONS_ENDED_AT_ONCE};
use crate::store::{SessionChange, StoredSession};

pub(super) fn shown(control: &Control, caller: &Caller) -> Result<PortalAnswer, Problem> {
    let now_unix = now_unix();
    let own = own(control, caller)?.into_iter().filter(|session| !session.is_over(now_unix));
    let view = |session: StoredSession| OwnSession {
        id: session.id,
        this_one: session.id == caller.session.id,
        created_unix: session.created_unix,
        seen_unix: session.seen_unix,
        source: session.source.map(|source| source.to_string()),
        user_agent: session.user_agent,
    };
    Ok(PortalAnswer::Sessions(Box::new(Sessions {
        visitor: caller.visitor(),
        sessions: own.map(view).collect(),
        now_unix,
    })))
}

/// One of them. That of somebody else is none of theirs, as one that is not there.
pub(super) fn end(control: &Control, caller: &Caller, session: SessionId) -> Result<PortalAnswer, Problem> {
    let stored = control.sessions_in_store(|store| store.session(session))?;
    let Some(stored) = stored.filter(|stored| stored.user == caller.user.id) else {
        return Ok(PortalAnswer::Absent {});
    };
    end_all(control, caller, &[stored.id], format!("session {session}"))?;
    Ok(PortalAnswer::Done {})
}

/// All but the one that asks.
pub(super) fn end_others(control: &Control, caller: &Caller) -> Result<PortalAnswer, Problem> {
    let others: Vec<SessionId> = {
        let index = control.sessions.borrow();
        let others = index.of_user(caller.user.id).filter(|id| *id != caller.session.id);
        others.take(SESSIONS_ENDED_AT_ONCE).collect()
    };
    if !others.is_empty() {
        let target = format!("other sessions of {} ({})", caller.user.login, caller.user.id);
        end_all(control, caller, &others, target)?;
    }
    Ok(PortalAnswer::Done {})
}

fn end_all(control: &Control, caller: &Caller, sessions: &[SessionId], target: String) -> Result<(), Problem> {
    let mut draft = Draft::default();
    sessions.iter().for_each(|id| draft.session(SessionChange::Removed(*id)));
    draft.audit(Audit {
        action: "session.revoke",
        tenant: Some(caller.user.id.tenant),
        target,
        before: Some(format!("{} sessions", sessions.len())),
        after: None,
    });
    control.commit(&caller.actor(), draft).map(drop)
}

fn own(control: &Control, caller: &Caller) -> Result<Vec<StoredSession>, Problem> {
    let user = caller.user.id;
    control.sessions_in_store(|store| store.sessions(user.tenant, Some(user), OWN_SESSIONS_SHOWN_MAX))
}
