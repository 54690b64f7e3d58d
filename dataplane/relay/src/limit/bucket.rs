//! A rate in one atomic: GCRA's theoretical arrival time, the moment at which the bucket is full again. Nothing refills it
//! but the clock, and 0, a bucket never seen, is full. Any number of threads take from it; each take is one exchange.

use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes what costs `cost_ns` of the clock from a bucket that holds `depth_ns` of it when full.
    ///
    /// # Errors
    /// In how many ns there is enough.
    pub(crate) fn take(&self, cost_ns: u64, depth_ns: u64, now_ns: u64) -> Result<(), u64> {
        let mut held = self.0.load(Ordering::Relaxed);
        loop {
            let full_at = held.max(now_ns).saturating_add(cost_ns);
            let owed = full_at - now_ns;
            if owed > depth_ns {
                return Err(owed - depth_ns);
            }
            match self.0.compare_exchange_weak(held, full_at, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => held = other,
            }
        }
    }

    /// Puts back what was taken and not used.
    pub(crate) fn give_back(&self, cost_ns: u64) {
        // Others only add, but new terms may have emptied it meanwhile; less than 0 would be a debt of centuries.
        let back = |held: u64| Some(held.saturating_sub(cost_ns));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
    }

    /// Takes in any case, in turn: gives the moment from which it may be used. Until then there is at most `depth_ns`
    /// worth of others before it.
    pub(crate) fn reserve(&self, cost_ns: u64, depth_ns: u64, now_ns: u64) -> u64 {
        let mut held = self.0.load(Ordering::Relaxed);
        loop {
            let full_at = held.max(now_ns);
            match self.0.compare_exchange_weak(
                held,
                full_at.saturating_add(cost_ns),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return full_at.saturating_sub(depth_ns),
                Err(other) => held = other,
            }
        }
    }

    /// For new terms: a bucket that by the old ones is full only later is just empty by the new, so that they hold at once.
    /// Not done by each take, for the takers' clocks differ by a turn of their loops.
    pub(crate) fn cap(&self, depth_ns: u64, now_ns: u64) {
        self.0.fetch_min(now_ns.saturating_add(depth_ns), Ordering::Relaxed);
    }

    /// Whether it is full: then it says nothing of what went before.
    pub(crate) fn is_full(&self, now_ns: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// How many of the tries after these steps are let through.
    fn granted(bucket: &Bucket, cost: u64, depth: u64, start: u64, steps: &[u64]) -> (u64, u64) {
        let (mut now, mut granted) = (start, 0);
        for step in steps {
            now += step;
            granted += u64::from(bucket.take(cost, depth, now).is_ok());
        }
        (granted, now - start)
    }

    proptest! {
        #[test]
        fn a_full_bucket_holds_its_burst(cost in 1u64..1_000_000, burst in 0u64..100, now in 1u64 << 40..1 << 50) {
            let (granted, _) = granted(&Bucket::default(), cost, cost * burst, now, &[0; 128]);
            prop_assert_eq!(granted, burst);
        }

        #[test]
        fn never_more_than_burst_and_rate_allow(
            cost in 1u64..1_000_000,
            burst in 1u64..100,
            start in 1u64 << 40..1 << 50,
            steps in prop::collection::vec(0u64..2_000_000, 1..300),
        ) {
            let (granted, elapsed) = granted(&Bucket::default(), cost, cost * burst, start, &steps);
            prop_assert!(granted <= burst + elapsed / cost);
        }

        #[test]
        fn one_below_the_rate_is_never_refused(
            cost in 1u64..1_000_000,
            burst in 1u64..100,
            start in 1u64 << 40..1 << 50,
            slack in prop::collection::vec(0u64..1_000, 1..300),
        ) {
            let steps: Vec<u64> = slack.iter().map(|slack| cost + slack).collect();
            let (granted, _) = granted(&Bucket::default(), cost, cost * burst, start, &steps);
            prop_assert_eq!(granted, steps.len() as u64);
        }

        #[test]
        fn who_waits_as_told_is_let_through(cost in 1u64..1_000_000, burst in 1u64..20, start in 1u64 << 40..1 << 50) {
            let bucket = Bucket::default();
            let mut now = start;
            for _ in 0..100 {
                if let Err(wait) = bucket.take(cost, cost * burst, now) {
                    prop_assert!(wait <= cost);
                    now += wait;
                    prop_assert_eq!(bucket.take(cost, cost * burst, now), Ok(()));
                }
            }
        }

        #[test]
        fn what_is_given_back_can_be_taken_again(cost in 1u64..1_000_000, burst in 1u64..20, now in 1u64 << 40..1 << 50) {
            let bucket = Bucket::default();
            for _ in 0..burst {
                prop_assert_eq!(bucket.take(cost, cost * burst, now), Ok(()));
            }
            prop_assert!(bucket.take(cost, cost * burst, now).is_err());
            bucket.give_back(cost);
            prop_assert_eq!(bucket.take(cost, cost * burst, now), Ok(()));
            prop_assert!(bucket.take(cost, cost * burst, now).is_err());
        }

        #[test]
        fn new_terms_hold_at_once(slow in 1u64..1 << 40, fast in 1u64..1_000, burst in 1u64..100, now in 1u64 << 50..1 << 60) {
            let bucket = Bucket::default();
            while bucket.take(slow, slow * burst, now).is_ok() {}
            bucket.cap(fast * burst, now);
            let (granted, _) = granted(&bucket, fast, fast * burst, now, &[fast; 50]);
            prop_assert_eq!(granted, 50, "the debt of the slow terms is forgotten");
        }

        #[test]
        fn reserved_turns_come_at_the_rate(cost in 1u64..1_000_000, count in 1u64..200, now in 1u64 << 40..1 << 50) {
            let bucket = Bucket::default();
            let last = (0..count).map(|_| bucket.reserve(cost, 0, now)).last();
            prop_assert_eq!(last, Some(now + (count - 1) * cost));
            prop_assert!(!bucket.is_full(now) && bucket.is_full(now + count * cost));
        }

        #[test]
        fn no_input_overflows(held: u64, cost: u64, depth: u64, now: u64) {
            let bucket = Bucket(AtomicU64::new(held));
            let _ = (bucket.take(cost, depth, now), bucket.reserve(cost, depth, now), bucket.is_full(now));
        }
    }

    /// Threads with clocks of their own, as workers have: the sum is what one thread alone would be given.
    #[test]
    fn threads_share_one_rate_exactly() {
        const THREADS: u64 = 4;
        const TICK: u64 = 1_000;
        let (cost, burst, ticks) = (3_700, 10, 20_000u64);
        for round in 0..5 {
            let (bucket, start) = (Bucket::default(), (1 << 40) + round);
            let barrier = Barrier::new(THREADS as usize);
            let run = || {
                let mut granted = 0;
                for tick in 0..ticks {
                    // All within one tick of each other, so that they contend and their clocks differ.
                    if tick % 64 == 0 {
                        barrier.wait();
                    }
                    granted += u64::from(bucket.take(cost, cost * burst, start + tick * TICK).is_ok());
                }
                granted
            };
            let granted: u64 = thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            let most = burst + (ticks - 1) * TICK / cost;
            assert!(granted <= most, "{granted} of at most {most}");
            // What one thread sees late is made up by the burst.
            assert!(granted + burst >= most, "{granted} of {most}");
        }
    }
}
