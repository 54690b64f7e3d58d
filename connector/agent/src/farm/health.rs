//! How a member of a farm is. Looks at it, every few seconds, take it out and bring it back; a connection that fails puts it behind
//! the others for a moment, whether anybody looks or not.
//!
//! ```text
//! up ──so many looks in a row failed──▶ down
//!  ▲────────────so many passed─────────────┘      out: up, and only used when no other is
//! ```

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use postern_io::Instant;
use postern_model::settings::HealthCheck;

use crate::limits::MEMBER_OUT;

/// Of one member; its numbers may be a moment old.
#[derive(Debug, Default)]
pub(super) struct Health {
    down: AtomicBool,
    /// Looks in a row that found it otherwise than it is taken for.
    against: AtomicU32,
    /// No connection could be made; until then, nanoseconds of the engine's clock.
    out_until: AtomicU64,
    left_out: AtomicU64,
}

impl Health {
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(super) fn is_out(&self, now: Instant) -> bool {
        now.as_nanos() < self.out_until.load(Ordering::Relaxed)
    }

    /// Says whether that is news.
    pub(super) fn leave_out(&self, now: Instant) -> bool {
        let was = self.out_until.swap(now.after(MEMBER_OUT).as_nanos(), Ordering::Relaxed);
        let is_news = was <= now.as_nanos();
        if is_news {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        is_news
    }

    pub(super) fn times_left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Takes a look's outcome; one task looks at each member. Says whether the member is up now, if that changed.
    pub(super) fn looked(&self, passed: bool, check: &HealthCheck) -> Option<bool> {
        if passed {
            self.out_until.store(0, Ordering::Relaxed);
        }
        let down = self.is_down();
        if passed != down {
            self.against.store(0, Ordering::Relaxed);
            return None;
        }
        let against = self.against.load(Ordering::Relaxed) + 1;
        let enough = if down { check.passes } else { check.fails };
        if against < enough {
            self.against.store(against, Ordering::Relaxed);
            return None;
        }
        self.against.store(0, Ordering::Relaxed);
        self.down.store(!down, Ordering::Relaxed);
        Some(down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_a_row_take_a_member_out_and_bring_it_back() {
        let check = HealthCheck { path: "/".into(), interval_ms: 1, timeout_ms: 1, fails: 2, passes: 3 };
        let health = Health::default();
        let looks = [
            (true, None),
            (false, None),
            (true, None),
            (false, None),
            (false, Some(false)),
            (false, None),
            (true, None),
            (true, None),
            (false, None),
            (true, None),
            (true, None),
            (true, Some(true)),
            (true, None),
        ];
        for (nth, (passed, changed)) in looks.into_iter().enumerate() {
            assert_eq!(health.looked(passed, &check), changed, "look {nth}");
            assert_eq!(health.is_down(), (4..11).contains(&nth), "look {nth}");
        }
    }

    #[test]
    fn a_member_is_out_for_a_moment_or_until_a_look_passes() {
        let check = HealthCheck { path: "/".into(), interval_ms: 1, timeout_ms: 1, fails: 2, passes: 1 };
        let (health, begun) = (Health::default(), Instant::from_nanos(1));
        assert!(!health.is_out(begun) && health.leave_out(begun) && health.is_out(begun));
        assert!(!health.leave_out(begun), "it is no news");
        assert!(!health.is_out(begun.after(MEMBER_OUT)));
        health.leave_out(begun);
        health.looked(true, &check);
        assert!(!health.is_out(begun) && !health.is_down());
        assert_eq!(health.times_left_out(), 1);
    }
}
