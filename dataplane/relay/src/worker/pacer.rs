//! Content that may have to wait for its turn at a limit of bytes a second. One direction of one request; without such a
//! limit it costs a few loads.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use postern_io::time::Sleep;
use postern_io::{Instant, now, sleep_until};

use super::throttle::Admitted;
use crate::limit::Reservation;
use crate::limits::PACED_LOOK_INTERVAL;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    turn: Option<Reservation>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pacer {
    /// Ready when the next `bytes` may pass. Asked again for the same piece until it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, admitted: &Admitted, bytes: usize) -> Poll<()> {
        let Some(limits) = admitted.pacing() else { return self.pass() };
        let turn = self.turn.get_or_insert_with(|| limits.reserve(bytes as u64, now().as_nanos()));
        let from = Instant::from_nanos(turn.due_ns());
        loop {
            if from <= now() || !turn.holds() {
                return self.pass();
            }
            // Now and then it looks whether the terms still hold.
            let look = from.min(now().after(PACED_LOOK_INTERVAL));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(look)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer.set(sleep_until(look));
        }
    }

    fn pass(&mut self) -> Poll<()> {
        if let Some(turn) = self.turn.take() {
            turn.used();
        }
        self.timer = None;
        Poll::Ready(())
    }
}
