//! How long a backend may be silent, how long it may take for its answer's head, and how long nothing may pass after that;
//! and when it is its turn to speak.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use postern_io::time::{Instant, Sleep, now, sleep_until};

use crate::backend::Backend;
use crate::failure::{Failed, Fault};

/// Watches one request's backend.
///
/// ```text
/// Asking ──it has the whole request──▶ Asked ──the answer's head came──▶ Answered
///    └──────────────────────the answer's head came──────────────────────────▲
/// ```
///
/// Its clock begins anew with whatever the backend gives or takes, and stands while the client owes part of the request. Two
/// settings change that: with `header_timeout` nothing that is `Asked` begins it anew, with `idle_timeout` nothing that is
/// `Answered` has it stand.
#[derive(Debug)]
pub(super) struct Silence {
    longest: Duration,
    header: Option<Duration>,
    idle: Option<Duration>,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    client_owes: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asking,
    Asked,
    Answered,
}

impl Silence {
    /// `has_body`: more of the request follows its head.
    pub(super) fn new(backend: &Backend, has_body: bool) -> Self {
        Self {
            longest: backend.silence_max,
            header: backend.header_timeout,
            idle: backend.idle_timeout,
            phase: Cell::new(if has_body { Phase::Asking } else { Phase::Asked }),
            since: Cell::new(now()),
            client_owes: Cell::new(false),
        }
    }

    /// The backend gave something, or its turn begins.
    pub(super) fn broken(&self) {
        if self.phase.get() != Phase::Asked || self.header.is_none() {
            self.since.set(now());
        }
    }

    /// The backend has all of the request, or takes no more of it.
    pub(super) fn asked(&self) {
        if self.phase.get() == Phase::Asking {
            self.phase.set(Phase::Asked);
            self.since.set(now());
        }
    }

    /// The head of the final answer is here.
    pub(super) fn answered(&self) {
        self.phase.set(Phase::Answered);
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

    /// Ready when the backend's time is over. `timer` is kept between polls.
    pub(super) fn poll_too_long(&self, cx: &mut Context<'_>, timer: &mut Option<Sleep>) -> Poll<Failed> {
        loop {
            let since = if self.stands() { now() } else { self.since.get() };
            let deadline = since.after(self.allowed());
            if deadline <= now() {
                return Poll::Ready(self.too_long());
            }
            let timer = timer.get_or_insert_with(|| sleep_until(deadline));
            if Pin::new(&mut *timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer.reset(deadline);
        }
    }

    fn stands(&self) -> bool {
        self.client_owes.get() && (self.phase.get() != Phase::Answered || self.idle.is_none())
    }

    fn allowed(&self) -> Duration {
        let own = match self.phase.get() {
            Phase::Asking => None,
            Phase::Asked => self.header,
            Phase::Answered => self.idle,
        };
        own.unwrap_or(self.longest)
    }

    fn too_long(&self) -> Failed {
        let ms = self.allowed().as_millis();
        let detail = match (self.phase.get(), self.header, self.idle) {
            (Phase::Asked, Some(_), _) => {
                format!("the head of the backend's answer was not complete after {ms} ms (header_timeout)")
            }
            (Phase::Answered, _, Some(_)) => format!("nothing passed either way for {ms} ms (idle_timeout)"),
            (Phase::Asking | Phase::Asked | Phase::Answered, _, _) => format!("the backend was silent for {ms} ms"),
        };
        Failed::new(Fault::BackendTimeout, detail)
    }
}
