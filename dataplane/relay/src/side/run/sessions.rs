//! Sessions on the side thread: what workers asked control, what control says of sessions, and who used theirs.

use std::sync::Arc;

use postern_model::link::{Reply, SESSIONS_AT_ONCE, ToControl};
use tokio::sync::mpsc;

use super::Side;
use super::report::since_1970;
use crate::sessions::SessionTable;

impl Side {
    /// Everything that speaks with control on its own.
    pub(super) fn link_desks(&self, link: Option<mpsc::Sender<ToControl>>) {
        self.reception.desk().link(link.clone());
        self.reception.pipes().link(link.clone());
        self.receiver.calls.link(link);
    }

    pub(super) fn sessions(&self) -> Arc<SessionTable> {
        Arc::clone(&self.keeper.handle().current().sessions)
    }

    /// In force before whoever waits goes on.
    pub(super) fn on_reply(&self, id: u64, reply: &Reply) {
        let Some(answered) = self.receiver.calls.replied(id) else { return };
        match (reply, answered.session) {
            (Reply::Session(record), _) => drop(self.sessions().put((**record).clone(), since_1970())),
            (Reply::Refused, Some(session)) => self.sessions().is_gone(session, since_1970()),
            (Reply::Refused | Reply::Done | Reply::Unknown, _) => {}
        }
        answered.pass_on(reply);
    }

    /// What is held, after a welcome: control says what became of it meanwhile.
    pub(super) fn tell_of_sessions(&mut self) {
        let held = self.sessions().held();
        let mut parts = held.chunks(SESSIONS_AT_ONCE).peekable();
        if parts.peek().is_none() {
            self.tell_control(ToControl::SessionsHeld { held: Vec::new(), last: true });
        }
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            self.tell_control(ToControl::SessionsHeld { held: part.to_vec(), last });
        }
    }

    /// Now and then: which sessions were used. Until control is linked they wait.
    pub(super) fn tell_of_use(&mut self) {
        if !self.linked {
            return;
        }
        let seen = self.sessions().take_seen(since_1970());
        for part in seen.chunks(SESSIONS_AT_ONCE) {
            self.tell_control(ToControl::SessionsSeen { seen: part.to_vec() });
        }
    }
}
