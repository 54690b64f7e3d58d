//! How long one request may go without anything moving, by what it waits for, and how long it may take in all.

use std::time::Duration;

use postern_io::{Instant, now};
use postern_model::settings::AppSettings;

use crate::limits::BACKEND_TIMEOUT_MARGIN;

/// Of one request, over all its attempts. Those times that the connector watches too are longer here: it knows more, and says
/// what went wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    asking: Duration,
    head: Duration,
    idle: Duration,
    /// The end of its time in all.
    until: Option<Instant>,
}

impl Patience {
    /// From now on.
    pub(crate) fn begin(settings: &AppSettings) -> Self {
        let time = |ms: u32| Duration::from_millis(ms.into());
        // The connector may wait for a free connection, and then for a new one.
        let margin = BACKEND_TIMEOUT_MARGIN.max(2 * time(settings.connect_timeout_ms));
        Self {
            asking: time(settings.backend_timeout_ms) + margin,
            head: time(settings.head_patience_ms()) + margin,
            idle: time(settings.idle_patience_ms()) + BACKEND_TIMEOUT_MARGIN,
            until: settings.limits.total_timeout_ms.map(|ms| now().after(time(ms))),
        }
    }

    /// When something must have moved since `moved_at`. `sent`: all of the request; `answered`: the answer's head came.
    pub(crate) fn deadline(&self, moved_at: Instant, sent: bool, answered: bool) -> Instant {
        let allowed = match (sent, answered) {
            (_, true) => self.idle,
            (true, false) => self.head,
            (false, false) => self.asking,
        };
        self.bounded(moved_at.after(allowed))
    }

    /// The deadline, or the end of its time in all if that comes before.
    pub(crate) fn bounded(&self, deadline: Instant) -> Instant {
        self.until.map_or(deadline, |until| until.min(deadline))
    }

    /// Whether its time in all is over.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= now())
    }
}
