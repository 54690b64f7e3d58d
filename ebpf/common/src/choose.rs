//! The choice between workers. The program takes the lighter of two random ones, sets the winner against the
//! worker of the receiving CPU, and looks at more when one of the two was unfit.

use crate::WorkerState;

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

/// A place in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    rank: u64,
    pub slot: u32,
}

impl Candidate {
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

impl Ranked {
    /// Before any worker was looked at.
    pub const NONE: Self = Self { rank: u64::MAX, slot: 0 };

    /// A fit worker's place: the lighter first, of equally light ones the one on the receiving CPU.
    #[inline(always)]
    #[must_use]
    pub const fn new(slot: u32, worker: &Candidate) -> Self {
        Self { rank: (worker.load << 1) | !worker.same_cpu as u64, slot }
    }

    /// The better of two; the first when neither is. Scalars only: the verifier follows no choice between
    /// structures on the stack.
    #[inline(always)]
    #[must_use]
    pub const fn better(self, other: Self) -> Self {
        if other.rank < self.rank { other } else { self }
    }

    #[inline(always)]
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.rank == u64::MAX
    }

    #[inline(always)]
    #[must_use]
    pub const fn same_cpu(&self) -> bool {
        self.rank & 1 == 0
    }
}

/// Maps a random number to `0..count` without a division; 0 when `count` is 0.
#[inline(always)]
#[must_use]
pub const fn random_index(random: u32, count: u32) -> u32 {
    ((random as u64 * count as u64) >> 32) as u32
}

/// Two random positions in `0..count`: different ones unless there is only one.
#[inline(always)]
#[must_use]
pub const fn two_positions(randoms: (u32, u32), count: u32) -> (u32, u32) {
    let first = random_index(randoms.0, count);
    let second = first + 1 + random_index(randoms.1, count.saturating_sub(1));
    (first, if second < count { second } else { second.saturating_sub(count) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = crate::STALL_LIMIT_NS;
    const IDLE: Candidate = Candidate { load: 0, state: WorkerState::Active, busy_since_ns: 0, same_cpu: false };

    fn candidate() -> impl Strategy<Value = Candidate> {
        (0u64..4, 0u64..4, prop_oneof![Just(0), 1u64..3 * LIMIT], any::<bool>()).prop_map(
            |(load, state, busy_since_ns, same_cpu)| Candidate {
                load,
                state: WorkerState::from_raw(state),
                busy_since_ns,
                same_cpu,
            },
        )
    }

    fn fit() -> impl Strategy<Value = Candidate> {
        (0u64..4, any::<bool>()).prop_map(|(load, same_cpu)| Candidate { load, same_cpu, ..IDLE })
    }

    proptest! {
        #[test]
        fn only_active_workers_that_move_are_fit(worker in candidate(), now in 0..4 * LIMIT) {
            let fit = worker.unfit(now, LIMIT).is_none();
            let moves = worker.busy_since_ns == 0 || now <= worker.busy_since_ns + LIMIT;
            prop_assert_eq!(fit, worker.state == WorkerState::Active && moves);
        }

        #[test]
        fn the_heavier_is_never_taken(a in fit(), b in fit()) {
            let best = Ranked::new(0, &a).better(Ranked::new(1, &b));
            let load = [a.load, b.load][best.slot as usize];
            prop_assert_eq!(load, a.load.min(b.load));
        }

        #[test]
        fn a_tie_goes_to_the_receiving_cpu(a in fit()) {
            let b = Candidate { same_cpu: !a.same_cpu, ..a };
            let best = Ranked::new(0, &a).better(Ranked::new(1, &b));
            prop_assert_eq!(best.slot, u32::from(b.same_cpu));
            prop_assert!(best.same_cpu());
        }

        #[test]
        fn any_worker_is_better_than_none(a in fit()) {
            prop_assert_eq!(Ranked::NONE.better(Ranked::new(5, &a)).slot, 5);
            prop_assert!(!Ranked::new(5, &a).better(Ranked::NONE).is_none());
        }

        #[test]
        fn a_worker_is_stalled_only_beyond_the_limit(since in 1u64.., after: u32) {
            let worker = Candidate { busy_since_ns: since, ..IDLE };
            let now = since.saturating_add(u64::from(after));
            let stalled = worker.unfit(now, LIMIT) == Some(Unfit::Stalled);
            prop_assert_eq!(stalled, now - since > LIMIT);
            prop_assert_eq!(worker.unfit(since - 1, LIMIT), None);
        }

        #[test]
        fn a_random_index_stays_below_the_count(random: u32, count in 1u32..) {
            prop_assert!(random_index(random, count) < count);
        }

        #[test]
        fn two_positions_are_different(randoms: (u32, u32), count in 2u32..=crate::SLOTS_MAX) {
            let (first, second) = two_positions(randoms, count);
            prop_assert!(first < count && second < count && first != second);
        }

        /// The whole rule as the program applies it, with every connection received by one CPU.
        #[test]
        fn a_thousand_connections_are_even(randoms in prop::collection::vec(any::<(u32, u32)>(), 1000), local in 0u32..8) {
            let mut workers = [IDLE; 8];
            workers[local as usize].same_cpu = true;
            for randoms in randoms {
                let (a, b) = two_positions(randoms, 8);
                let ranked = |slot: u32| Ranked::new(slot, &workers[slot as usize]);
                let best = ranked(a).better(ranked(b)).better(ranked(local));
                workers[best.slot as usize].load += 1;
            }
            let heaviest = workers.iter().map(|worker| worker.load).max();
            prop_assert!(heaviest <= Some(131), "max/mean above 1.05: {heaviest:?} of mean 125");
        }
    }

    #[test]
    fn random_indexes_reach_both_ends() {
        assert_eq!(two_positions((7, 7), 1), (0, 0));
        assert_eq!(random_index(0, 8), 0);
        assert_eq!(random_index(u32::MAX, 8), 7);
        assert_eq!(random_index(u32::MAX, 0), 0);
    }
}
