//! A name and password that a proxy did not take are not tried again at once: every dial would be a failed sign-in more, and many
//! directories lock an account after a few.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{PROXY_LOGIN_PAUSE_MAX, PROXY_LOGIN_PAUSE_MIN};

#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<Refused>);

#[derive(Debug, Default)]
struct Refused {
    times: u32,
    until: Option<Instant>,
}

impl Hold {
    /// Whether they are to rest.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.refused(|refused| refused.until.is_some_and(|until| now < until))
    }

    /// They were not taken. Those that were on their way together count once.
    pub(super) fn refuse(&self, now: Instant) {
        self.refused(|refused| {
            if refused.until.is_some_and(|until| now < until) {
                return;
            }
            let pause = PROXY_LOGIN_PAUSE_MIN * 2u32.saturating_pow(refused.times.min(16));
            refused.times = refused.times.saturating_add(1);
            refused.until = now.checked_add(Duration::min(pause, PROXY_LOGIN_PAUSE_MAX));
        });
    }

    /// They were taken.
    pub(super) fn take(&self) {
        self.refused(|refused| *refused = Refused::default());
    }

    fn refused<T>(&self, look: impl FnOnce(&mut Refused) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded_and_end_when_they_are_taken() {
        let (hold, mut now) = (Hold::default(), Instant::now());
        assert!(!hold.is_on(now));
        let mut pauses = Vec::new();
        for _ in 0..40 {
            hold.refuse(now);
            hold.refuse(now);
            let mut seconds = 0;
            while hold.is_on(now + Duration::from_secs(seconds)) {
                seconds += 1;
            }
            pauses.push(seconds);
            now += Duration::from_secs(seconds);
        }
        let (min, max) = (PROXY_LOGIN_PAUSE_MIN.as_secs(), PROXY_LOGIN_PAUSE_MAX.as_secs());
        assert_eq!(pauses[..3], [min, 2 * min, 4 * min]);
        assert!(pauses[39] == max && pauses.is_sorted(), "{pauses:?}");
        hold.refuse(now);
        hold.take();
        assert!(!hold.is_on(now));
    }
}
