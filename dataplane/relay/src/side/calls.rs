//! Workers' calls to control: what only control knows, while a request waits. Whoever asks for the same session at the same
//! time shares the answer.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_io::mailbox::{self, mailbox};
use postern_io::timeout;
use postern_model::ids::SessionId;
use postern_model::link::{Call, Reply, ToControl};
use tokio::sync::mpsc;

use crate::limits::{CALL_TIMEOUT, CALLS_MAX};

/// Where calls meet their replies. Shared by all workers and the side thread.
#[derive(Default, Clone)]
pub(crate) struct CallDesk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    link: Option<mpsc::Sender<ToControl>>,
    last_id: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Sessions that are being asked for.
    fetching: HashMap<SessionId, u64>,
}

struct Waiting {
    session: Option<SessionId>,
    callers: Vec<mailbox::Sender<Reply>>,
}

/// A reply, and the session that was asked for.
pub(crate) struct Answered {
    pub(crate) session: Option<SessionId>,
    callers: Vec<mailbox::Sender<Reply>>,
}

impl CallDesk {
    /// The link came up, or went down: then nobody waits any longer.
    pub(crate) fn link(&self, link: Option<mpsc::Sender<ToControl>>) {
        let mut inner = self.lock();
        inner.link = link;
        inner.waiting.clear();
        inner.fetching.clear();
    }

    /// Control's reply has come; [`Answered::pass_on`] tells those who wait, once it is in force.
    pub(crate) fn replied(&self, id: u64) -> Option<Answered> {
        let mut inner = self.lock();
        let Waiting { session, callers } = inner.waiting.remove(&id)?;
        if let Some(session) = session {
            inner.fetching.remove(&session);
        }
        Some(Answered { session, callers })
    }

    /// Asks control, from a worker. `None` when it cannot be asked or does not answer in time.
    pub(crate) async fn call(&self, call: Call) -> Option<Reply> {
        let mut reply = self.post(call)?;
        timeout(CALL_TIMEOUT, reply.recv()).await.ok().flatten()
    }

    fn post(&self, call: Call) -> Option<mailbox::Receiver<Reply>> {
        let (caller, reply) = mailbox(1);
        let session = match &call {
            Call::Session { session } => Some(*session),
            Call::Redeem { .. } | Call::SignOut { .. } | Call::Unknown => None,
        };
        let mut inner = self.lock();
        if let Some(asked) = session.and_then(|session| inner.fetching.get(&session).copied())
            && let Some(waiting) = inner.waiting.get_mut(&asked)
            && waiting.callers.len() < CALLS_MAX
        {
            waiting.callers.push(caller);
            return Some(reply);
        }
        if inner.waiting.len() >= CALLS_MAX {
            // Of those who gave up control has not answered yet.
            return None;
        }
        inner.last_id += 1;
        let id = inner.last_id;
        inner.link.as_ref()?.try_send(ToControl::Call { id, call }).ok()?;
        inner.waiting.insert(id, Waiting { session, callers: vec![caller] });
        if let Some(session) = session {
            inner.fetching.insert(session, id);
        }
        Some(reply)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answered {
    pub(crate) fn pass_on(self, reply: &Reply) {
        for caller in self.callers {
            // It may have given up.
            let _ = caller.send(reply.clone());
        }
    }
}

impl fmt::Debug for CallDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallDesk(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FETCH: Call = Call::Session { session: SessionId(7) };

    fn desk() -> (CallDesk, mpsc::Receiver<ToControl>) {
        let (link, queue) = mpsc::channel(CALLS_MAX + 1);
        let desk = CallDesk::default();
        desk.link(Some(link));
        (desk, queue)
    }

    fn id_of(message: Option<ToControl>) -> u64 {
        let Some(ToControl::Call { id, .. }) = message else { panic!("a call: {message:?}") };
        id
    }

    #[tokio::test]
    async fn who_asks_for_the_same_session_shares_the_answer() {
        let (desk, mut queue) = desk();
        let mut replies = [desk.post(FETCH).unwrap(), desk.post(FETCH).unwrap()];
        let id = id_of(queue.recv().await);
        assert!(queue.try_recv().is_err(), "one call for both");
        assert!(desk.replied(id + 1).is_none());
        let answered = desk.replied(id).unwrap();
        assert_eq!(answered.session, Some(SessionId(7)));
        answered.pass_on(&Reply::Refused);
        for reply in &mut replies {
            assert_eq!(reply.recv().await, Some(Reply::Refused));
        }
        assert!(desk.post(FETCH).is_some());
        assert!(queue.recv().await.is_some(), "the next asks anew");
    }

    #[tokio::test]
    async fn without_a_link_nobody_waits() {
        let (desk, _queue) = desk();
        let mut reply = desk.post(FETCH).unwrap();
        desk.link(None);
        assert!(desk.post(FETCH).is_none());
        assert_eq!(reply.recv().await, None, "who waited is told at once");
    }

    #[test]
    fn calls_are_bounded() {
        let (desk, _queue) = desk();
        for _ in 0..CALLS_MAX {
            assert!(desk.post(Call::SignOut { session: SessionId(1) }).is_some());
        }
        assert!(desk.post(Call::SignOut { session: SessionId(1) }).is_none());
    }
}
