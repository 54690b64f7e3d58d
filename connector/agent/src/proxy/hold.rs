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
    /// They rested, and someone tries them.
    trying: bool,
}

/// The right to try them, as long as it takes.
#[must_use]
pub(super) struct Turn<'a>(Option<&'a Hold>);

impl Hold {
    /// None while they are to rest. After that one caller alone finds out: as many as would like to, in a moment of load, are as many
    /// failed sign-ins.
    pub(super) fn begin(&self, now: Instant) -> Option<Turn<'_>> {
        self.refused(|refused| {
            if refused.trying || refused.until.is_some_and(|until| now < until) {
                return None;
            }
            refused.trying = refused.until.is_some();
            Some(Turn(refused.trying.then_some(self)))
        })
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

/// Whatever came of it, the next one may try, if they do not rest.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(hold) = self.0 {
            hold.refused(|refused| refused.trying = false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_pause_one_alone_tries() {
        let (hold, mut now) = (Hold::default(), Instant::now());
        let turns = |now: Instant| (0..100).filter_map(|_| hold.begin(now)).collect::<Vec<_>>();
        assert_eq!(turns(now).len(), 100, "nothing is known against them");
        let mut attempts = 0;
        for _ in 0..10 {
            hold.refuse(now);
            assert!(turns(now).is_empty());
            now += PROXY_LOGIN_PAUSE_MAX;
            let tried = turns(now);
            attempts += tried.len();
            assert!(hold.begin(now).is_none(), "it is on its way");
            // It comes to nothing, and the next one tries; that one is refused.
            drop(tried);
            assert_eq!(turns(now).len(), 1);
        }
        assert_eq!(attempts, 10);
        hold.take();
        assert_eq!(turns(now).len(), 100);
    }

    #[test]
    fn pauses_grow_and_are_bounded_and_end_when_they_are_taken() {
        let (hold, mut now) = (Hold::default(), Instant::now());
        let is_on = |now: Instant| hold.begin(now).is_none();
        assert!(!is_on(now));
        let mut pauses = Vec::new();
        for _ in 0..40 {
            hold.refuse(now);
            hold.refuse(now);
            let mut seconds = 0;
            while is_on(now + Duration::from_secs(seconds)) {
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
        assert!(!is_on(now));
    }
}
