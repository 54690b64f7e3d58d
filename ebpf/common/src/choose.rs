//! The choice between two workers. The program applies it to two random ones, then to the winner and the worker
//! of the receiving CPU, and at last to every worker it looks at when none of them was fit.

use crate::{WorkerLoad, WorkerState, load};

/// A worker as the program sees it at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub load: u64,
    pub state: WorkerState,
    pub busy_since_ns: u64,
    /// Runs on the CPU that received the connection: wins a tie.
    pub same_cpu: bool,
}

/// Why a worker gets no new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    Absent,
    Draining,
    Stalled,
}

/// Outcome of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    First,
    Second,
    Neither,
}

impl Candidate {
    #[inline(always)]
    #[must_use]
    pub const fn new(worker: &WorkerLoad, same_cpu: bool) -> Self {
        Self {
            load: load(worker.assigned, worker.released),
            state: WorkerState::from_raw(worker.state),
            busy_since_ns: worker.busy_since_ns,
            same_cpu,
        }
    }

    /// Draining is told before stalled: a worker that leaves may well be slow.
    #[inline(always)]
    #[must_use]
    pub const fn unfit(&self, now_ns: u64, stall_limit_ns: u64) -> Option<Unfit> {
        match self.state {
            WorkerState::Absent => Some(Unfit::Absent),
            WorkerState::Draining => Some(Unfit::Draining),
            WorkerState::Active if self.stalled(now_ns, stall_limit_ns) => Some(Unfit::Stalled),
            WorkerState::Active => None,
        }
    }

    /// A turn that began after `now_ns` (another CPU's clock reading) is young, not ancient.
    #[inline(always)]
    const fn stalled(&self, now_ns: u64, stall_limit_ns: u64) -> bool {
        self.busy_since_ns != 0 && now_ns.saturating_sub(self.busy_since_ns) > stall_limit_ns
    }
}

/// Takes the fit one; of two fit ones the lighter; of two equally light ones the one on the receiving CPU,
/// else the first.
#[inline(always)]
#[must_use]
pub const fn choose(
    first: &Candidate,
    second: &Candidate,
    now_ns: u64,
    stall_limit_ns: u64,
) -> Pick {
    let first_fit = first.unfit(now_ns, stall_limit_ns).is_none();
    let second_fit = second.unfit(now_ns, stall_limit_ns).is_none();
    if !second_fit {
        return if first_fit {
            Pick::First
        } else {
            Pick::Neither
        };
    }
    let tie_goes_second = second.same_cpu && !first.same_cpu;
    if !first_fit || second.load < first.load || (second.load == first.load && tie_goes_second) {
        Pick::Second
    } else {
        Pick::First
    }
}

/// Maps a random number to `0..count` without a division; 0 when `count` is 0.
#[inline(always)]
#[must_use]
pub const fn random_index(random: u32, count: u32) -> u32 {
    ((random as u64 * count as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const LIMIT: u64 = crate::STALL_LIMIT_NS;

    fn candidate() -> impl Strategy<Value = Candidate> {
        (
            0u64..4,
            0u64..4,
            prop_oneof![Just(0), 1u64..3 * LIMIT],
            any::<bool>(),
        )
            .prop_map(|(load, state, busy_since_ns, same_cpu)| Candidate {
                load,
                state: WorkerState::from_raw(state),
                busy_since_ns,
                same_cpu,
            })
    }

    fn fit() -> impl Strategy<Value = Candidate> {
        (0u64..4, any::<bool>()).prop_map(|(load, same_cpu)| Candidate {
            load,
            state: WorkerState::Active,
            busy_since_ns: 0,
            same_cpu,
        })
    }

    proptest! {
        #[test]
        fn an_unfit_worker_is_never_taken(a in candidate(), b in candidate(), now in 0..4 * LIMIT) {
            let fit = [a.unfit(now, LIMIT).is_none(), b.unfit(now, LIMIT).is_none()];
            match choose(&a, &b, now, LIMIT) {
                Pick::First => prop_assert!(fit[0]),
                Pick::Second => prop_assert!(fit[1]),
                Pick::Neither => prop_assert_eq!(fit, [false, false]),
            }
        }

        #[test]
        fn of_two_fit_workers_the_heavier_is_never_taken(a in fit(), b in fit()) {
            match choose(&a, &b, 0, LIMIT) {
                Pick::First => prop_assert!(a.load <= b.load),
                Pick::Second => prop_assert!(b.load <= a.load),
                Pick::Neither => prop_assert!(false, "both are fit"),
            }
        }

        #[test]
        fn a_tie_goes_to_the_receiving_cpu(a in fit()) {
            let b = Candidate { same_cpu: !a.same_cpu, ..a };
            let expected = if a.same_cpu { Pick::First } else { Pick::Second };
            prop_assert_eq!(choose(&a, &b, 0, LIMIT), expected);
        }

        #[test]
        fn a_worker_is_stalled_only_beyond_the_limit(since in 1u64.., after: u32) {
            let worker = WorkerLoad { state: 1, busy_since_ns: since, ..WorkerLoad::default() };
            let now = since.saturating_add(u64::from(after));
            let stalled = Candidate::new(&worker, false).unfit(now, LIMIT) == Some(Unfit::Stalled);
            prop_assert_eq!(stalled, now - since > LIMIT);
            prop_assert_eq!(Candidate::new(&worker, false).unfit(since - 1, LIMIT), None);
        }

        #[test]
        fn a_random_index_stays_below_the_count(random: u32, count in 1u32..) {
            prop_assert!(random_index(random, count) < count);
        }

        /// The whole rule as the program applies it, with every connection received by one CPU.
        #[test]
        fn a_thousand_connections_are_even(randoms in prop::collection::vec(any::<(u32, u32)>(), 1000), local in 0u32..8) {
            let mut workers = vec![WorkerLoad { state: 1, ..WorkerLoad::default() }; 8];
            for (a, b) in randoms {
                let mut best = random_index(a, 8);
                for other in [random_index(b, 8), local] {
                    let view = |slot: u32| Candidate::new(&workers[slot as usize], slot == local);
                    if choose(&view(best), &view(other), 0, LIMIT) == Pick::Second {
                        best = other;
                    }
                }
                workers[best as usize].assigned += 1;
            }
            let heaviest = workers.iter().map(|worker| worker.assigned).max();
            prop_assert!(heaviest <= Some(131), "max/mean above 1.05: {heaviest:?} of mean 125");
        }
    }

    #[test]
    fn random_indexes_reach_both_ends() {
        assert_eq!(random_index(0, 8), 0);
        assert_eq!(random_index(u32::MAX, 8), 7);
        assert_eq!(random_index(u32::MAX, 0), 0);
    }
}
