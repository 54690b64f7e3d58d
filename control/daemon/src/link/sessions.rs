//! Sessions on a link: what relays ask of them, and what they are told when one changes or ends.

use postern_model::ids::SessionId;
use postern_model::link::{Call, Reply, SESSIONS_AT_ONCE, ToRelay};

use crate::assignments;
use crate::control::Control;
use crate::fleet::{NOT_IN_STEP, Session};
use crate::sessions;
use crate::sign_in::{self, Redeem};

/// Where a link is with its relay's sessions.
#[derive(Debug, Default)]
pub(super) struct InStep {
    /// It said all that it holds and was told what became of that: from now on it is told what changes.
    compared: bool,
}

impl InStep {
    /// What the relay holds, part by part. The answer's number counts with the last.
    pub(super) fn held(
        &mut self,
        control: &Control,
        session: Session,
        held: &[(SessionId, u64)],
        last: bool,
    ) -> ToRelay {
        let (mut changed, mut ended) = (Vec::new(), Vec::new());
        for (id, digest) in held.iter().take(SESSIONS_AT_ONCE) {
            match sessions::record(control, *id) {
                Ok(Some(record)) if record.digest() == *digest => {}
                Ok(Some(record)) => changed.push(record),
                // What cannot be read lets nobody in.
                Ok(None) | Err(_) => ended.push(*id),
            }
        }
        self.compared |= last;
        // What changed since an earlier part was compared follows this, and is confirmed with its own number.
        let n = if last { control.fleet.borrow_mut().told_all(session) } else { NOT_IN_STEP };
        ToRelay::Sessions { n, changed, ended }
    }

    /// What changed since it was told last; `None` when there is nothing, or it is too early.
    pub(super) fn news(&self, control: &Control, session: Session) -> Option<ToRelay> {
        if !self.compared {
            return None;
        }
        let (ids, n) = control.fleet.borrow_mut().take_changed(session, SESSIONS_AT_ONCE);
        if ids.is_empty() {
            return None;
        }
        let (mut changed, mut ended) = (Vec::new(), Vec::new());
        for id in ids {
            match sessions::record(control, id) {
                Ok(Some(record)) => changed.push(record),
                Ok(None) | Err(_) => ended.push(id),
            }
        }
        Some(ToRelay::Sessions { n, changed, ended })
    }
}

/// Answers a relay's call.
pub(super) fn answer(control: &Control, call: &Call) -> Reply {
    let record = match call {
        Call::Redeem { app, code, verifier, redirect_uri } => {
            let (code, verifier) = (code.expose(), verifier.expose());
            let record = sign_in::redeem(control, &Redeem { app: *app, code, verifier, redirect_uri });
            record.inspect(|record| assignments::note_used(control, *app, record))
        }
        Call::Session { session } => sessions::record(control, *session).ok().flatten(),
        Call::SignOut { session } => {
            sign_in::end(control, *session);
            return Reply::Done;
        }
        Call::Unknown => return Reply::Unknown,
    };
    record.map_or(Reply::Refused, |record| Reply::Session(Box::new(record)))
}
