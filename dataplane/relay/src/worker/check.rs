//! A question of control's to one connector, on its way through whichever worker has a tunnel to it. Only the side thread, which
//! has it from control's link, makes one: nothing that a client sends becomes a check.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use postern_model::ids::{AppId, ConnectorId};
use postern_tunnel::{CHECK_BYTES_MAX, Check, CheckAnswer};
use tokio::sync::oneshot;

use super::Worker;
use super::tunnel::{Health, Tunnel};

/// A question, the same for every worker: the first with a tunnel to the connector takes it.
#[derive(Debug, Clone)]
pub struct CheckOrder {
    id: u64,
    connector: ConnectorId,
    app: AppId,
    asked: Bytes,
    answer: Arc<Mutex<Option<oneshot::Sender<CheckReply>>>>,
}

/// What came of it at the tunnel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CheckReply {
    /// What the connector said.
    Found(Bytes),
    /// It does not know checks.
    TooOld,
    /// It was not asked: too many others wait for its answer.
    Busy,
}

impl CheckOrder {
    /// A question and where its answer comes; the latter ends without one when no worker has such a tunnel, or it is lost. `None`:
    /// more is asked than a tunnel takes.
    pub(crate) fn new(
        connector: ConnectorId,
        app: AppId,
        asked: Bytes,
    ) -> Option<(Self, oneshot::Receiver<CheckReply>)> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        if asked.len() > CHECK_BYTES_MAX {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Some(sender)));
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Some((Self { id, connector, app, asked, answer }, receiver))
    }

    fn take(&self) -> Option<oneshot::Sender<CheckReply>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Worker {
    /// Asks the connector, if this worker has a tunnel to it that is online.
    pub(super) fn check(&self, order: &CheckOrder) {
        let fit = |tunnel: &Rc<Tunnel>| tunnel.connector == order.connector && tunnel.health() == Health::Online;
        let Some(tunnel) = self.hub.tunnels().into_iter().find(fit) else { return };
        let Some(answer) = order.take() else { return };
        let check = Check { id: order.id, app: order.app, asked: order.asked.clone() };
        tunnel.check(&check, answer);
    }
}

/// What was asked on one tunnel and is not answered. An answer that nobody asked for is dropped.
#[derive(Debug, Default)]
pub(crate) struct Checks(RefCell<BTreeMap<u64, oneshot::Sender<CheckReply>>>);

impl Checks {
    /// Whether one more may wait. Those who wait no more are forgotten; nobody who waits is.
    fn have_room(&self) -> bool {
        let mut open = self.0.borrow_mut();
        open.retain(|_, answer| !answer.is_closed());
        open.len() < OPEN_MAX
    }

    fn asked(&self, id: u64, answer: oneshot::Sender<CheckReply>) {
        self.0.borrow_mut().insert(id, answer);
    }

    pub(super) fn answered(&self, answer: CheckAnswer) {
        if let Some(asked) = self.0.borrow_mut().remove(&answer.id) {
            // Who asked may have given up.
            let _ = asked.send(CheckReply::Found(answer.found));
        }
    }

    /// Nothing comes any more: who waits learns it.
    pub(super) fn lost(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Tunnel {
    fn check(self: &Rc<Self>, check: &Check, answer: oneshot::Sender<CheckReply>) {
        let refused = if !self.checks.have_room() {
            CheckReply::Busy
        } else if !self.with(|connection| connection.check(check)) {
            CheckReply::TooOld
        } else {
            return self.checks.asked(check.id, answer);
        };
        // Who asked may have given up.
        let _ = answer.send(refused);
    }
}

/// Questions on one tunnel that wait for an answer; a connector takes two at a time.
const OPEN_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::TenantId;

    fn order() -> (CheckOrder, oneshot::Receiver<CheckReply>) {
        let app = AppId::new(TenantId(1), 7);
        CheckOrder::new("c1-9".parse().unwrap(), app, Bytes::from_static(b"{}")).unwrap()
    }

    #[test]
    fn one_worker_takes_it_and_nobody_is_told_apart_from_lost() {
        let (order, mut answer) = order();
        let other = order.clone();
        assert!(order.take().is_some());
        assert!(other.take().is_none(), "one worker has it");
        assert!(answer.try_recv().is_err());
        let too_long = Bytes::from(vec![b' '; CHECK_BYTES_MAX + 1]);
        assert!(CheckOrder::new("c1-9".parse().unwrap(), AppId::new(TenantId(1), 7), too_long).is_none());
    }

    #[test]
    fn only_answers_that_were_asked_for_count_and_few_wait() {
        let checks = Checks::default();
        let mut waiting: Vec<_> = (0..OPEN_MAX as u64)
            .map(|id| {
                let (answer, waiting) = oneshot::channel();
                assert!(checks.have_room(), "{id}");
                checks.asked(id, answer);
                waiting
            })
            .collect();
        assert!(!checks.have_room(), "the next is refused, and those before it wait on");
        checks.answered(CheckAnswer { id: 999, found: Bytes::new() });
        let found = Bytes::from_static(b"x");
        checks.answered(CheckAnswer { id: 5, found: found.clone() });
        checks.answered(CheckAnswer { id: 5, found: Bytes::new() });
        assert_eq!(waiting[5].try_recv(), Ok(CheckReply::Found(found)));
        assert!(checks.have_room());
        drop(waiting.remove(0));
        assert!(checks.have_room() && checks.0.borrow().len() == OPEN_MAX - 2, "who gave up is forgotten");
        checks.lost();
        assert!(waiting.pop().unwrap().try_recv().is_err());
    }
}
