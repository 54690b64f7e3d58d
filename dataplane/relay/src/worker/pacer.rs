//! Content that may have to wait for its turn at a limit of bytes a second. One direction of one request; without such a
//! limit it costs a few loads.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use postern_io::time::Sleep;
use postern_io::{Instant, now, sleep_until};

use super::throttle::Admitted;
use crate::limits::PACED_LOOK_INTERVAL;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    turn: Option<Turn>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A piece's place in the queue of its limits.
#[derive(Debug)]
struct Turn {
    from: Instant,
    /// Of the limits' terms: under others it need not wait any longer.
    terms: u64,
}

impl Pacer {
    /// Ready when the next `bytes` may pass. Asked again for the same piece until it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, admitted: &Admitted, bytes: usize) -> Poll<()> {
        let Some(limits) = admitted.pacing() else { return self.pass() };
        let turn = self.turn.get_or_insert_with(|| {
            let from = Instant::from_nanos(limits.reserve(bytes as u64, now().as_nanos()));
            Turn { from, terms: limits.terms_version() }
        });
        loop {
            if turn.from <= now() || turn.terms != limits.terms_version() {
                return self.pass();
            }
            // Now and then it looks whether the terms still hold.
            let look = turn.from.min(now().after(PACED_LOOK_INTERVAL));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(look)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer.set(sleep_until(look));
        }
    }

    fn pass(&mut self) -> Poll<()> {
        self.turn = None;
        self.timer = None;
        Poll::Ready(())
    }
}
