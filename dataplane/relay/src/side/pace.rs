//! When the side thread does what it does by the clock: connect to control, report, end.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{DRAIN_END_TIME, RECONNECT_MAX, RECONNECT_MIN, STATUS_INTERVAL_MAX, STATUS_INTERVAL_MIN};

/// The next times of everything.
#[derive(Debug)]
pub(crate) struct Pace {
    connect_at: Option<Instant>,
    connect_pause: Duration,
    status_at: Instant,
    status_last: Instant,
    grace_ends_at: Option<Instant>,
    end_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            connect_at: None,
            connect_pause: RECONNECT_MIN,
            status_at: now,
            status_last: now,
            grace_ends_at: None,
            end_at: None,
        }
    }

    /// The earliest of them.
    pub(crate) fn next(&self) -> Instant {
        let others = [self.connect_at, self.grace_ends_at, self.end_at];
        others.into_iter().flatten().fold(self.status_at, Instant::min)
    }

    pub(crate) fn connect_now(&mut self) {
        self.connect_at = Some(Instant::now());
    }

    /// After a failure: ever later, and not together with other relays.
    pub(crate) fn connect_later(&mut self) {
        let pause = self.connect_pause;
        self.connect_pause = (pause * 2).min(RECONNECT_MAX);
        self.connect_at = Some(Instant::now() + pause.mul_f64(jitter()));
    }

    pub(crate) fn connected(&mut self) {
        self.connect_at = None;
    }

    /// The next failure starts from the shortest pause.
    pub(crate) fn welcomed(&mut self) {
        self.connect_pause = RECONNECT_MIN;
    }

    pub(crate) fn connect_is_due(&mut self, now: Instant) -> bool {
        let due = self.connect_at.is_some_and(|at| at <= now);
        if due {
            self.connect_at = None; // until the answer comes
        }
        due
    }

    /// Something changed: report as soon as the last report is old enough.
    pub(crate) fn status_soon(&mut self) {
        self.status_at = self.status_at.min(self.status_last + STATUS_INTERVAL_MIN);
    }

    pub(crate) fn status_is_due(&mut self, now: Instant) -> bool {
        let due = self.status_at <= now;
        if due {
            self.status_last = now;
            self.status_at = now + STATUS_INTERVAL_MAX;
        }
        due
    }

    /// Draining: the workers are told to end after `grace_period`, and have a moment for that.
    pub(crate) fn end_in(&mut self, grace_period: Duration) {
        let grace_ends_at = Instant::now() + grace_period;
        self.grace_ends_at = Some(grace_ends_at);
        self.end_at = Some(grace_ends_at + DRAIN_END_TIME);
    }

    pub(crate) fn grace_is_over(&mut self, now: Instant) -> bool {
        let over = self.grace_ends_at.is_some_and(|at| at <= now);
        if over {
            self.grace_ends_at = None;
        }
        over
    }

    pub(crate) fn ended(&self, now: Instant) -> bool {
        self.end_at.is_some_and(|at| at <= now)
    }
}

/// Between a half and one.
fn jitter() -> f64 {
    let mut byte = [0];
    // Without randomness there is no jitter, and worse things to worry about.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    0.5 + f64::from(byte[0]) / 512.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn status_is_sent_on_change_but_not_more_than_five_times_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(pace.status_is_due(start));
        assert_eq!(pace.next(), start + STATUS_INTERVAL_MAX);
        pace.status_soon();
        assert!(!pace.status_is_due(start + Duration::from_millis(199)));
        assert!(pace.status_is_due(start + Duration::from_millis(200)));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_become_rarer_until_one_succeeds() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut longest = Duration::ZERO;
        for _ in 0..12 {
            pace.connect_later();
            longest = longest.max(pace.connect_at.unwrap() - start);
        }
        assert!(longest > RECONNECT_MAX / 2 && longest <= RECONNECT_MAX);
        assert!(pace.connect_is_due(start + longest));
        assert!(!pace.connect_is_due(start + longest), "asked once");
        pace.welcomed();
        pace.connect_later();
        assert!(pace.connect_at.unwrap() - start <= RECONNECT_MIN);
    }
}
