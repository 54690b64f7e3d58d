//! A token bucket in one `u64`, so that it is updated with one compare-and-exchange and needs no lock.
//!
//! The word is the time, in ktime ns, at which the bucket is full again (GCRA's theoretical arrival time): nothing
//! refills it but the clock, and a bucket never seen, 0, is full.

/// A bucket's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time in which one token comes back.
    pub interval_ns: u64,
    /// Tokens that a full bucket holds.
    pub burst: u64,
}

/// The bucket after one token was taken at `now_ns`, or nothing when it holds none.
#[inline(always)]
#[must_use]
pub const fn take(bucket: u64, now_ns: u64, rate: Rate) -> Option<u64> {
    let full_at = if bucket > now_ns { bucket } else { now_ns };
    let full_at = full_at.saturating_add(rate.interval_ns);
    if full_at - now_ns > rate.interval_ns.saturating_mul(rate.burst) {
        return None;
    }
    Some(full_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate() -> impl Strategy<Value = Rate> {
        (1u64..1_000_000, 0u64..100).prop_map(|(interval_ns, burst)| Rate { interval_ns, burst })
    }

    /// Steps between the tries, and how many were let through.
    fn granted(rate: Rate, start: u64, steps: &[u64]) -> (u64, u64) {
        let (mut bucket, mut now, mut granted) = (0, start, 0);
        for step in steps {
            now += step;
            if let Some(next) = take(bucket, now, rate) {
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
            interval_ns in 1u64..1_000_000,
            burst in 1u64..100,
            start in 1u64 << 40..1 << 50,
            slack in prop::collection::vec(0u64..1_000, 1..300),
        ) {
            let steps: std::vec::Vec<u64> = slack.iter().map(|slack| interval_ns + slack).collect();
            let (granted, _) = granted(Rate { interval_ns, burst }, start, &steps);
            prop_assert_eq!(granted, steps.len() as u64);
        }

        #[test]
        fn no_input_overflows(bucket: u64, now: u64, interval_ns: u64, burst: u64) {
            let _ = take(bucket, now, Rate { interval_ns, burst });
        }
    }
}
