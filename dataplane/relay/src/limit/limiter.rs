//! One limiter: its terms, which change while it is at work, what it holds, and what it counts. Shared by all workers;
//! nothing is allocated and nothing waits.

use std::sync::atomic::{AtomicU64, Ordering};

use postern_model::limit::PlannedLimit;

use super::bucket::Bucket;

/// What a limiter allows. Each worker reads it with every request; only the side thread writes it, seldom.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Terms {
    /// Requests a second; 0 for any number.
    rps: AtomicU64,
    burst: AtomicU64,
    /// Requests in progress; 0 for any number.
    conns: AtomicU64,
    /// Bytes a second; 0 for any number.
    bps: AtomicU64,
    /// Counts changes, so that who waits by old terms notices.
    version: AtomicU64,
}

/// What every request writes.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shared {
    requests: Bucket,
    /// Requests in progress that were admitted while `conns` was set.
    in_progress: AtomicU64,
    refused: AtomicU64,
    bytes: Bucket,
}

/// Counts of some of the workers, so that they do not write to the same line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    admitted: AtomicU64,
    in_progress: AtomicU64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    terms: Terms,
    shared: Shared,
    shards: [Shard; SHARDS],
    sampled: Sampled,
}

/// The last second, as the side thread saw it.
#[derive(Debug, Default)]
struct Sampled {
    at_ns: AtomicU64,
    admitted: AtomicU64,
    /// Admitted a second, in thousandths.
    rate_milli: AtomicU64,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many requests a second.
    Rate {
        /// The rate.
        rps: u64,
        /// Until the next would be let through.
        wait_ns: u64,
    },
    /// Too many in progress.
    Concurrency {
        /// How many may be.
        conns: u64,
    },
}

/// A request's place in a limiter: which count it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    Shared,
    Shard(u8),
}

/// Figures for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    pub(crate) in_progress: u64,
    pub(crate) rate_1s: f64,
}

impl Terms {
    /// Takes over what is planned; `true` when it is something else than before.
    pub(crate) fn set(&self, planned: &PlannedLimit) -> bool {
        let [rps, burst, conns, bps] =
            [planned.rps, planned.burst, planned.conns, planned.bps].map(|bound| bound.limit.unwrap_or(0));
        let mut changed = false;
        for (held, next) in [(&self.rps, rps), (&self.burst, burst), (&self.conns, conns), (&self.bps, bps)] {
            changed |= held.swap(next, Ordering::Relaxed) != next;
        }
        if changed {
            self.version.fetch_add(1, Ordering::Release);
        }
        changed
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Makes a bucket that was used by other terms one of these; content that waits is let go, and is counted from here on.
    pub(crate) fn adapt(&self, requests: &Bucket, bytes: &Bucket, now_ns: u64) {
        let rps = self.rps.load(Ordering::Relaxed);
        if rps != 0 {
            requests.cap(self.depth_ns(cost_ns(rps), 1), now_ns);
        }
        bytes.cap(0, now_ns);
    }

    fn depth_ns(&self, cost_ns: u64, times: u64) -> u64 {
        cost_ns.saturating_mul(self.burst.load(Ordering::Relaxed).max(1).saturating_mul(times))
    }

    /// Allows everything from here on.
    fn lift(&self) {
        for held in [&self.rps, &self.burst, &self.conns, &self.bps] {
            held.store(0, Ordering::Relaxed);
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Takes one request from a bucket.
    pub(crate) fn take(&self, bucket: &Bucket, now_ns: u64) -> Result<(), Refused> {
        self.take_times(bucket, 1, now_ns)
    }

    /// As [`Terms::take`], from a bucket that is `times` as large and fills as much faster.
    pub(crate) fn take_times(&self, bucket: &Bucket, times: u64, now_ns: u64) -> Result<(), Refused> {
        let rps = self.rps.load(Ordering::Relaxed);
        if rps == 0 {
            return Ok(());
        }
        let cost_ns = cost_ns(rps.saturating_mul(times));
        bucket.take(cost_ns, self.depth_ns(cost_ns, times), now_ns).map_err(|wait_ns| Refused::Rate { rps, wait_ns })
    }

    /// Undoes a take.
    pub(crate) fn give_back(&self, bucket: &Bucket, times: u64) {
        let rps = self.rps.load(Ordering::Relaxed);
        if rps != 0 {
            bucket.give_back(cost_ns(rps.saturating_mul(times)));
        }
    }

    /// How many may be in progress.
    pub(crate) fn conns(&self) -> Option<u64> {
        Some(self.conns.load(Ordering::Relaxed)).filter(|conns| *conns != 0)
    }

    /// Whether content is paced at all.
    pub(crate) fn paces(&self) -> bool {
        self.bps.load(Ordering::Relaxed) != 0
    }

    /// From when this much content may pass.
    pub(crate) fn reserve(&self, bucket: &Bucket, bytes: u64, now_ns: u64) -> u64 {
        self.content_cost_ns(bytes).map_or(0, |cost_ns| bucket.reserve(cost_ns, BYTES_DEPTH_NS, now_ns))
    }

    /// This much content was reserved by these terms and does not pass after all.
    pub(crate) fn unreserve(&self, bucket: &Bucket, bytes: u64) {
        if let Some(cost_ns) = self.content_cost_ns(bytes) {
            bucket.give_back(cost_ns);
        }
    }

    fn content_cost_ns(&self, bytes: u64) -> Option<u64> {
        bytes.saturating_mul(NS_PER_S).checked_div(self.bps.load(Ordering::Relaxed))
    }
}

impl Limiter {
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// New terms; `true` when they are others than before.
    pub(crate) fn set(&self, planned: &PlannedLimit, now_ns: u64) -> bool {
        let changed = self.terms.set(planned);
        if changed {
            self.terms.adapt(&self.shared.requests, &self.shared.bytes, now_ns);
        }
        changed
    }

    /// There is no such limit any more.
    pub(crate) fn lift(&self, now_ns: u64) {
        self.terms.lift();
        self.terms.adapt(&self.shared.requests, &self.shared.bytes, now_ns);
    }

    /// Lets a request in, unless there are too many in progress or too many a second.
    pub(crate) fn enter(&self, worker: u16, now_ns: u64) -> Result<Entered, Refused> {
        let entered = self.count_in(worker);
        let taken = entered.and_then(|entered| match self.terms.take(&self.shared.requests, now_ns) {
            Ok(()) => Ok(entered),
            Err(refused) => {
                self.count_out(entered);
                Err(refused)
            }
        });
        if taken.is_err() {
            self.refused();
        }
        taken
    }

    /// The request's end.
    pub(crate) fn leave(&self, entered: Entered) {
        self.count_out(entered);
    }

    /// It was let in here and refused elsewhere: as if it had never come.
    pub(crate) fn turn_back(&self, entered: Entered) {
        self.terms.give_back(&self.shared.requests, 1);
        self.count_out(entered);
    }

    /// It was let in everywhere.
    pub(crate) fn admitted(&self, worker: u16) {
        self.shards[shard(worker)].admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// One of its sources was refused.
    pub(crate) fn refused(&self) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// What paces content.
    pub(crate) fn bytes(&self) -> &Bucket {
        &self.shared.bytes
    }

    /// From when this much content may pass.
    #[cfg(test)]
    pub(crate) fn reserve(&self, bytes: u64, now_ns: u64) -> u64 {
        self.terms.reserve(&self.shared.bytes, bytes, now_ns)
    }

    /// The bucket itself, for sources that have none of their own.
    pub(crate) fn requests(&self) -> &Bucket {
        &self.shared.requests
    }

    /// Counts a request of a source, which is limited elsewhere.
    pub(crate) fn count_in_shard(&self, worker: u16) -> Entered {
        let shard = shard(worker);
        self.shards[shard].in_progress.fetch_add(1, Ordering::Relaxed);
        Entered::Shard(u8::try_from(shard).unwrap_or(0))
    }

    fn count_in(&self, worker: u16) -> Result<Entered, Refused> {
        let Some(conns) = self.terms.conns() else { return Ok(self.count_in_shard(worker)) };
        // Those that came before there was a limit count, too.
        let before = self.shards.iter().map(|shard| shard.in_progress.load(Ordering::Relaxed)).sum();
        if enter_below(&self.shared.in_progress, conns.saturating_sub(before)) {
            return Ok(Entered::Shared);
        }
        Err(Refused::Concurrency { conns })
    }

    fn count_out(&self, entered: Entered) {
        match entered {
            Entered::Shared => self.shared.in_progress.fetch_sub(1, Ordering::Relaxed),
            Entered::Shard(shard) => self.shards[usize::from(shard)].in_progress.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// Looks at the last second; called about once a second.
    pub(crate) fn sample(&self, now_ns: u64) {
        let admitted = self.figures().admitted;
        let before = self.sampled.admitted.swap(admitted, Ordering::Relaxed);
        let elapsed = now_ns.saturating_sub(self.sampled.at_ns.swap(now_ns, Ordering::Relaxed)).max(1);
        let rate = u128::from(admitted - before) * u128::from(NS_PER_S) * 1000 / u128::from(elapsed);
        self.sampled.rate_milli.store(u64::try_from(rate).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> Figures {
        let sum = |of: fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| of(shard).load(Ordering::Relaxed)).sum()
        };
        Figures {
            admitted: sum(|shard| &shard.admitted),
            refused: self.shared.refused.load(Ordering::Relaxed),
            in_progress: sum(|shard| &shard.in_progress) + self.shared.in_progress.load(Ordering::Relaxed),
            rate_1s: self.sampled.rate_milli.load(Ordering::Relaxed) as f64 / 1000.0,
        }
    }
}

/// One more, unless there are `max` already.
pub(crate) fn enter_below(count: &AtomicU64, max: u64) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < max).then_some(count + 1)).is_ok()
}

const fn shard(worker: u16) -> usize {
    worker as usize % SHARDS
}

/// Ten million a second is the most that can be set: never 0.
const fn cost_ns(rps: u64) -> u64 {
    match NS_PER_S.checked_div(rps) {
        Some(0) | None => 1,
        Some(cost) => cost,
    }
}

const NS_PER_S: u64 = 1_000_000_000;
/// Content flows in pieces of up to 64 KiB from many streams: 50 ms worth of them may go at once.
const BYTES_DEPTH_NS: u64 = 50_000_000;
/// Each is a cache line: with 10,000 limiters 5 MiB.
const SHARDS: usize = 8;

#[cfg(test)]
mod tests;
