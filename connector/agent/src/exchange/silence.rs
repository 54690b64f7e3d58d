//! How long a backend may be silent, and when it is its turn to speak.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use postern_io::time::{Instant, Sleep, now, sleep_until};

/// Watches one request's backend. Its clock runs while something is awaited from the backend, and stands while the
/// client owes part of the request.
#[derive(Debug)]
pub(super) struct Silence {
    longest: Duration,
    since: Cell<Instant>,
    client_owes: Cell<bool>,
}

impl Silence {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, since: Cell::new(now()), client_owes: Cell::new(false) }
    }

    /// The backend gave or took something, or its turn begins.
    pub(super) fn broken(&self) {
        self.since.set(now());
    }

    /// Since when it is the backend's turn.
    pub(super) fn since(&self) -> Instant {
        self.since.get()
    }

    pub(super) fn client_owes(&self, owes: bool) {
        if self.client_owes.replace(owes) && !owes {
            self.broken();
        }
    }

    /// Ready when the backend has been silent for too long. `timer` is kept between polls.
    pub(super) fn poll_too_long(&self, cx: &mut Context<'_>, timer: &mut Option<Sleep>) -> Poll<Duration> {
        loop {
            let since = if self.client_owes.get() { now() } else { self.since.get() };
            let deadline = since.after(self.longest);
            if deadline <= now() {
                return Poll::Ready(self.longest);
            }
            let timer = timer.get_or_insert_with(|| sleep_until(deadline));
            if Pin::new(&mut *timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer.reset(deadline);
        }
    }
}
