//! A connection after an upgrade: how long it may idle and last, and when it has to leave.

use std::task::{Context, Poll};
use std::time::Duration;

use postern_io::{Instant, now};
use postern_model::settings::AppSettings;

use super::websocket::Farewell;
use super::{DrainWatch, Worker};
use crate::limits::{CLOSE_LINGER, REVOKED_LINGER};

/// Since the upgrade.
///
/// ```text
/// Open ──drain, idle for too long, or at the end of its life──▶ Leaving (a WebSocket says good-bye) ──▶ over
///   └──its permit was taken back───────────────────────────────▶ Leaving (soon)  ─────────────────────▶ over
/// ```
pub(crate) struct Upgraded<'a> {
    idle_max: Duration,
    until: Instant,
    websocket: bool,
    leaving: Option<Leaving>,
    drain: DrainWatch<'a>,
}

#[derive(Debug, Clone, Copy)]
struct Leaving {
    since: Instant,
    farewell: Farewell,
}

impl<'a> Upgraded<'a> {
    pub(crate) fn begin(worker: &'a Worker, settings: &AppSettings, websocket: bool) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            idle_max: seconds(settings.websocket_idle_s),
            until: now().after(seconds(settings.websocket_lifetime_s)),
            websocket,
            leaving: None,
            drain: worker.watch_drain(),
        }
    }

    /// When something is due if nothing moves after `moved_at`.
    pub(crate) fn deadline(&self, moved_at: Instant) -> Instant {
        match self.leaving {
            Some(Leaving { since, farewell: Farewell::GoingAway }) => since.after(CLOSE_LINGER),
            Some(Leaving { since, farewell: Farewell::Policy }) => since.after(REVOKED_LINGER),
            None => self.until.min(moved_at.after(self.idle_max)),
        }
    }

    /// Ready while it is leaving. Only a WebSocket knows how to: others may stay until the process ends.
    pub(crate) fn poll_leaving(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leaving.is_none() && self.websocket && self.drain.poll(cx).is_ready() {
            self.leaving = Some(Leaving { since: now(), farewell: Farewell::GoingAway });
        }
        if self.leaving.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A deadline has passed: whether there is still something to say.
    pub(crate) fn begin_to_leave(&mut self) -> bool {
        self.begin_with(Farewell::GoingAway)
    }

    /// It may not be any longer: whether there is still something to say.
    pub(crate) fn dismiss(&mut self) -> bool {
        self.begin_with(Farewell::Policy)
    }

    /// What is said while it is leaving.
    pub(crate) fn farewell(&self) -> Farewell {
        self.leaving.map_or(Farewell::GoingAway, |leaving| leaving.farewell)
    }

    fn begin_with(&mut self, farewell: Farewell) -> bool {
        let begins = self.websocket && self.leaving.is_none();
        if begins {
            self.leaving = Some(Leaving { since: now(), farewell });
        }
        begins
    }
}
