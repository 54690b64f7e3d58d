//! A token bucket in one `u64`, so that it is updated with one compare-and-exchange and needs no lock.
//!
//! The word is the time, in ktime ns, at which the bucket is full again (GCRA's theoretical arrival time): nothing
//! refills it but the clock, and a bucket never seen, 0, is full.

/// A bucket's settings. They may change while buckets are in use.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Time in which one token comes back; 0 is no limit.
    pub interval_ns: u64,
    /// Time in which an empty bucket is full again: what it holds, times the interval. Below one interval: no limit, so
    /// that a value read while half of it was written refuses nothing.
    pub depth_ns: u64,
    /// The rate as a person gave it, which the interval only approximates; 0 is no limit.
    pub per_s: u64,
    /// Tokens that a full bucket holds.
    pub burst: u64,
}

impl Rate {
    /// Nothing is refused.
    pub const UNLIMITED: Self = Self { interval_ns: 0, depth_ns: 0, per_s: 0, burst: 0 };

    /// `per_s` tokens a second on average and `burst` at once, neither above [`RATE_MAX`]; without one of them, no limit.
    #[must_use]
    pub const fn new(per_s: u64, burst: u64) -> Self {
        let (per_s, burst) = (at_most(per_s, RATE_MAX), at_most(burst, RATE_MAX));
        if per_s == 0 || burst == 0 {
            return Self::UNLIMITED;
        }
        let interval_ns = NS_PER_S / per_s;
        Self { interval_ns, depth_ns: interval_ns * burst, per_s, burst }
    }

    /// This rate with what is given changed. A rate alone brings a burst of two seconds, and 0 is no limit. Nothing where
    /// there is a burst to change but no rate.
    #[must_use]
    pub const fn changed(self, per_s: Option<u64>, burst: Option<u64>) -> Option<Self> {
        match (per_s, burst) {
            (None, None) => Some(self),
            (None | Some(0), Some(_)) if self.per_s == 0 || per_s.is_some() => None,
            (None, Some(burst)) => Some(Self::new(self.per_s, burst)),
            (Some(per_s), Some(burst)) => Some(Self::new(per_s, burst)),
            (Some(per_s), None) => Some(Self::new(per_s, per_s.saturating_mul(2))),
        }
    }

    /// Whether anything can be refused.
    #[inline(always)]
    #[must_use]
    pub const fn limits(&self) -> bool {
        self.interval_ns != 0 && self.depth_ns >= self.interval_ns
    }
}

/// Tokens a second, and in one bucket. An interval is 100 ns then, known to 1 %.
pub const RATE_MAX: u64 = 10_000_000;

/// The bucket after one token was taken at `now_ns`, or nothing when it holds none. `rate` must be one that
/// [limits](Rate::limits).
#[inline(always)]
#[must_use]
pub const fn take(bucket: u64, now_ns: u64, rate: &Rate) -> Option<u64> {
    let (interval_ns, depth_ns) = (rate.interval_ns, rate.depth_ns);
    let mut ahead_ns = bucket.saturating_sub(now_ns);
    if ahead_ns > depth_ns.saturating_add(CLOCK_SLACK_NS) {
        // Emptied under other settings: by the present ones it would have come back long ago.
        ahead_ns = depth_ns.saturating_sub(interval_ns);
    }
    let ahead_ns = ahead_ns.saturating_add(interval_ns);
    if ahead_ns > depth_ns {
        return None;
    }
    Some(now_ns.saturating_add(ahead_ns))
}

const fn at_most(value: u64, limit: u64) -> u64 {
    if value < limit { value } else { limit }
}

/// CPUs read the clock before they take: one of them may come late with an older time.
const CLOCK_SLACK_NS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// A bucket is full, at the longest, after this: far from the clock's end.
const _: () = assert!(NS_PER_S * RATE_MAX < u64::MAX / 2);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate() -> impl Strategy<Value = Rate> {
        (100u64..=RATE_MAX, 1u64..100).prop_map(|(per_s, burst)| Rate::new(per_s, burst))
    }

    /// Steps between the tries, and how many were let through.
    fn granted(rate: Rate, start: u64, steps: &[u64]) -> (u64, u64) {
        let (mut bucket, mut now, mut granted) = (0, start, 0);
        for step in steps {
            now += step;
            if let Some(next) = take(bucket, now, &rate) {
                bucket = next;
                granted += 1;
            }
        }
        (granted, now - start)
    }

    proptest! {
        #[test]
        fn a_full_bucket_holds_its_burst(rate in rate(), now in 1u64 << 40..1 << 50) {
            let (granted, _) = granted(rate, now, &[0; 128]);
            prop_assert_eq!(granted, rate.burst);
        }

        #[test]
        fn never_more_than_burst_and_rate_allow(
            rate in rate(),
            start in 1u64 << 40..1 << 50,
            steps in prop::collection::vec(0u64..2_000_000, 1..300),
        ) {
            let (granted, elapsed) = granted(rate, start, &steps);
            prop_assert!(granted <= rate.burst + elapsed / rate.interval_ns);
        }

        #[test]
        fn a_source_below_the_rate_is_never_refused(
            rate in rate(),
            start in 1u64 << 40..1 << 50,
            slack in prop::collection::vec(0u64..1_000, 1..300),
        ) {
            let steps: std::vec::Vec<u64> = slack.iter().map(|slack| rate.interval_ns + slack).collect();
            let (granted, _) = granted(rate, start, &steps);
            prop_assert_eq!(granted, steps.len() as u64);
        }

        #[test]
        fn a_change_of_settings_lets_nobody_wait_for_the_old_ones(
            before in rate(),
            after in rate(),
            now in 1u64 << 40..1 << 50,
        ) {
            let mut bucket = 0;
            while let Some(next) = take(bucket, now, &before) {
                bucket = next;
            }
            let within = CLOCK_SLACK_NS + after.interval_ns;
            prop_assert!(take(bucket, now, &after).is_some() || take(bucket, now + within, &after).is_some());
        }

        #[test]
        fn a_late_reading_of_the_clock_brings_no_token(rate in rate(), now in 1u64 << 40..1 << 50, late in 0..CLOCK_SLACK_NS) {
            let mut bucket = 0;
            while let Some(next) = take(bucket, now, &rate) {
                bucket = next;
            }
            prop_assert_eq!(take(bucket, now - late, &rate), None);
        }

        #[test]
        fn no_input_overflows(bucket: u64, now: u64, interval_ns: u64, depth_ns: u64) {
            let _ = take(bucket, now, &Rate { interval_ns, depth_ns, per_s: 1, burst: 1 });
        }

        #[test]
        fn the_rate_is_kept_to_one_percent(per_s in 1u64..=RATE_MAX, burst in 1u64..=RATE_MAX) {
            let rate = Rate::new(per_s, burst);
            let kept = NS_PER_S as f64 / rate.interval_ns as f64;
            prop_assert!((kept / per_s as f64 - 1.0).abs() <= 0.01, "{kept}");
            prop_assert!(rate.limits());
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let rate = Rate::new(10, 30);
        assert_eq!(rate.changed(None, None), Some(rate));
        assert_eq!(rate.changed(Some(5), None), Some(Rate::new(5, 10)));
        assert_eq!(rate.changed(None, Some(7)), Some(Rate::new(10, 7)));
        assert_eq!(rate.changed(Some(5), Some(7)), Some(Rate::new(5, 7)));
        assert_eq!(rate.changed(Some(0), None), Some(Rate::UNLIMITED));
        assert_eq!(rate.changed(Some(0), Some(7)), None);
        assert_eq!(Rate::UNLIMITED.changed(None, Some(7)), None);
    }

    #[test]
    fn half_written_settings_and_none_refuse_nothing() {
        assert!(!Rate::UNLIMITED.limits());
        assert!(!Rate::new(0, 5).limits() && !Rate::new(5, 0).limits());
        let new = Rate::new(1, 1);
        assert!(!Rate { interval_ns: new.interval_ns, ..Rate::UNLIMITED }.limits());
        assert!(!Rate { depth_ns: new.depth_ns, ..Rate::UNLIMITED }.limits());
    }
}
