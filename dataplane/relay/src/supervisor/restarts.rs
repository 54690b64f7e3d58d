//! When a dataplane that ended by itself is started again: at once, unless it keeps ending.

use std::time::Duration;

use crate::limits::{DATAPLANE_LIFE_MIN, RESTART_PAUSE_MAX, RESTART_PAUSE_MIN};

/// Counts dataplanes that did not live long.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    short_lives: u32,
}

impl Restarts {
    /// How long to wait before the next start, after a dataplane that lived for `lived`.
    pub(crate) fn pause_after(&mut self, lived: Duration) -> Duration {
        if lived >= DATAPLANE_LIFE_MIN {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        self.short_lives = self.short_lives.saturating_add(1);
        match self.short_lives.checked_sub(FREE_OF_CHARGE + 1) {
            None => Duration::ZERO, // such as kills right after the start
            Some(n) => RESTART_PAUSE_MIN.saturating_mul(1 << n.min(16)).min(RESTART_PAUSE_MAX),
        }
    }
}

/// Short lives in a row that are no pattern yet.
const FREE_OF_CHARGE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_life_restarts_at_once_and_short_ones_ever_later() {
        let mut restarts = Restarts::default();
        let short = Duration::from_millis(10);
        let pauses: Vec<_> = (0..12).map(|_| restarts.pause_after(short)).collect();
        assert_eq!(pauses[..6], [0, 0, 0, 100, 200, 400].map(Duration::from_millis));
        assert_eq!(pauses[11], RESTART_PAUSE_MAX);
        assert_eq!(restarts.pause_after(DATAPLANE_LIFE_MIN), Duration::ZERO);
        assert_eq!(restarts.pause_after(short), Duration::ZERO);
    }
}
