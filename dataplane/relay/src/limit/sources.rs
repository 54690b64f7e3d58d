//! Limits of each source address by itself: a table of fixed size, shared by all workers, without locks and allocations.
//!
//! Where a source's entry may lie is decided by a hash with a secret of this process, so that nobody can choose addresses
//! that meet. An entry is given to another source only when it says nothing any more: its buckets are full again and nothing
//! of it is in progress. Forgetting it then changes nothing, so no traffic whatsoever can reset a limit that is in use. A
//! source that finds no such entry shares one bucket, [`OVERFLOW_TIMES`] as large as its own would be, with all others that
//! found none: an attacker with more addresses than the table has entries gains that much and no more.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::bucket::Bucket;
use super::limiter::{Limiter, Refused, enter_below};
use crate::limits::{H2_STREAMS_MAX, SOURCE_SETS, SOURCE_WAYS};

/// One limit on sources, and its figures over all of them.
#[derive(Debug)]
pub(crate) struct SourceRule {
    /// Unlike that of every other rule of this process.
    number: u32,
    pub(crate) limiter: Arc<Limiter>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SourceTable {
    secret: RandomState,
    entries: Box<[Entry]>,
    /// Until when at most somebody is shut out: for the usual case that nobody is.
    shut_until: AtomicU64,
}

/// One source under one rule: a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Entry {
    /// Hash of rule and source; 0 for nobody.
    key: AtomicU64,
    requests: Bucket,
    bytes: Bucket,
    in_progress: AtomicU64,
    /// For people, written after the key: never decided by.
    source: AtomicU64,
    rule: AtomicU32,
    /// Which ten seconds `refused` counts.
    window: AtomicU32,
    refused: AtomicU64,
}

/// Where a source is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Own(u32),
    /// Together with others.
    Overflow,
}

/// A request's place at its source's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceEntered {
    slot: Slot,
    pub(super) in_rule: super::limiter::Entered,
}

/// A source that was refused, and how often in the present window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceRefused {
    pub(crate) refused: Refused,
    /// It sends so much more than it may that answering it is not worth while.
    pub(crate) floods: bool,
}

/// One source for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeenSource {
    pub(crate) address: IpAddr,
    /// Bits of the address that count: 32 or 64.
    pub(crate) bits: u8,
    pub(crate) in_progress: u64,
    pub(crate) refused: u64,
}

impl SourceRule {
    pub(crate) fn new(number: u32, limiter: Arc<Limiter>) -> Self {
        Self { number, limiter }
    }
}

impl SourceTable {
    pub(crate) fn new() -> Self {
        let entries = (0..SOURCE_SETS * SOURCE_WAYS).map(|_| Entry::default()).collect();
        Self { secret: RandomState::new(), entries, shut_until: AtomicU64::new(0) }
    }

    /// Lets a request in, unless its source has too many in progress or too many a second.
    pub(crate) fn enter(
        &self,
        rule: &SourceRule,
        address: IpAddr,
        worker: u16,
        now_ns: u64,
    ) -> Result<SourceEntered, SourceRefused> {
        let slot = self.slot(rule.number, address, now_ns);
        let terms = rule.limiter.terms();
        let taken = match slot {
            Slot::Own(index) => {
                let entry = &self.entries[index as usize];
                entry.enter(rule, now_ns).map_err(|refused| entry.refuse(refused, now_ns))
            }
            Slot::Overflow => terms
                .take_times(rule.limiter.requests(), OVERFLOW_TIMES, now_ns)
                .map_err(|refused| SourceRefused { refused, floods: false }),
        };
        match taken {
            Ok(()) => Ok(SourceEntered { slot, in_rule: rule.limiter.count_in_shard(worker) }),
            Err(refused) => {
                rule.limiter.refused();
                Err(refused)
            }
        }
    }

    /// The request's end.
    pub(crate) fn leave(&self, rule: &SourceRule, entered: SourceEntered) {
        rule.limiter.leave(entered.in_rule);
        if let Slot::Own(index) = entered.slot {
            self.entries[index as usize].in_progress.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// It was refused elsewhere: as if it had never come.
    pub(crate) fn turn_back(&self, rule: &SourceRule, entered: SourceEntered) {
        let terms = rule.limiter.terms();
        match entered.slot {
            Slot::Own(index) => terms.give_back(&self.entries[index as usize].requests, 1),
            Slot::Overflow => terms.give_back(rule.limiter.requests(), OVERFLOW_TIMES),
        }
        self.leave(rule, entered);
    }

    /// What paces a source's content.
    pub(crate) fn bytes<'a>(&'a self, rule: &'a SourceRule, entered: SourceEntered) -> &'a Bucket {
        match entered.slot {
            Slot::Own(index) => &self.entries[index as usize].bytes,
            Slot::Overflow => rule.limiter.bytes(),
        }
    }

    /// The rule has new terms.
    pub(crate) fn adapt(&self, rule: &SourceRule, now_ns: u64) {
        for entry in self.entries.iter().filter(|entry| entry.rule.load(Ordering::Relaxed) == rule.number) {
            rule.limiter.terms().adapt(&entry.requests, &entry.bytes, now_ns);
        }
    }

    /// Shuts a source out until a moment: where the kernel does not drop it. Nothing happens when the table is full.
    pub(crate) fn shut_out(&self, address: IpAddr, until_ns: u64, now_ns: u64) {
        if let Slot::Own(index) = self.slot(SHUT_OUT, address, now_ns) {
            let entry = &self.entries[index as usize];
            entry.requests.reserve(until_ns.saturating_sub(now_ns), 0, now_ns);
            entry.requests.cap(until_ns.saturating_sub(now_ns), now_ns);
            self.shut_until.fetch_max(until_ns, Ordering::Relaxed);
        }
    }

    /// Whether a source's connections are to be closed as they come.
    pub(crate) fn is_shut_out(&self, address: IpAddr, now_ns: u64) -> bool {
        if self.shut_until.load(Ordering::Relaxed) <= now_ns {
            return false;
        }
        let (key, set) = self.set(SHUT_OUT, address);
        let own = self.entries[set].iter().find(|entry| entry.key.load(Ordering::Relaxed) == key);
        own.is_some_and(|entry| !entry.requests.is_full(now_ns))
    }

    /// The sources of a rule that were refused most in the last seconds, most first.
    pub(crate) fn worst(&self, rule: &SourceRule, count: usize, now_ns: u64) -> Vec<SeenSource> {
        let own = self.entries.iter().filter(|entry| entry.rule.load(Ordering::Relaxed) == rule.number);
        let mut seen: Vec<SeenSource> = own.filter_map(|entry| entry.seen(now_ns)).collect();
        seen.sort_unstable_by_key(|seen| std::cmp::Reverse(seen.refused));
        seen.truncate(count);
        seen
    }

    /// What a source is called in the table, and where it may lie.
    fn set(&self, rule: u32, address: IpAddr) -> (u64, std::ops::Range<usize>) {
        let key = self.secret.hash_one((rule, site(address), address.is_ipv4())).max(1);
        let first = (key as usize % SOURCE_SETS) * SOURCE_WAYS;
        (key, first..first + SOURCE_WAYS)
    }

    fn slot(&self, rule: u32, address: IpAddr, now_ns: u64) -> Slot {
        let (key, places) = self.set(rule, address);
        let index = |way: usize| Slot::Own(u32::try_from(places.start + way).unwrap_or(u32::MAX));
        let set = &self.entries[places.clone()];
        if let Some(way) = set.iter().position(|entry| entry.key.load(Ordering::Relaxed) == key) {
            return index(way);
        }
        for (way, entry) in set.iter().enumerate() {
            if entry.claim(key, now_ns) {
                entry.rule.store(rule, Ordering::Relaxed);
                entry.source.store(site(address), Ordering::Relaxed);
                entry.window.store(window(now_ns) | if address.is_ipv4() { V4 } else { 0 }, Ordering::Relaxed);
                entry.refused.store(0, Ordering::Relaxed);
                return index(way);
            }
        }
        Slot::Overflow
    }
}

impl Entry {
    /// Takes the entry over for another source, if it says nothing of the one it has.
    fn claim(&self, key: u64, now_ns: u64) -> bool {
        let held = self.key.load(Ordering::Relaxed);
        let silent = self.requests.is_full(now_ns)
            && self.bytes.is_full(now_ns)
            && self.in_progress.load(Ordering::Relaxed) == 0;
        silent && self.key.compare_exchange(held, key, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn enter(&self, rule: &SourceRule, now_ns: u64) -> Result<(), Refused> {
        let terms = rule.limiter.terms();
        let conns = terms.conns().unwrap_or(u64::MAX);
        if !enter_below(&self.in_progress, conns) {
            return Err(Refused::Concurrency { conns });
        }
        terms.take(&self.requests, now_ns).inspect_err(|_| {
            self.in_progress.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Counts a refusal. Two that begin a window together may lose a count.
    fn refuse(&self, refused: Refused, now_ns: u64) -> SourceRefused {
        let held = self.window.load(Ordering::Relaxed);
        let present = window(now_ns) | (held & V4);
        if held != present && self.window.swap(present, Ordering::Relaxed) != present {
            self.refused.store(0, Ordering::Relaxed);
        }
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let (allowed, least) = match refused {
            Refused::Rate { rps, .. } => (rps.saturating_mul(WINDOW_NS / NS_PER_S), FLOOD_REFUSALS_MIN),
            Refused::Concurrency { conns } => (conns, FLOOD_TURNED_AWAY_MIN),
        };
        SourceRefused { refused, floods: count >= allowed.saturating_mul(FLOOD_TIMES).max(least) }
    }

    fn seen(&self, now_ns: u64) -> Option<SeenSource> {
        let held = self.window.load(Ordering::Relaxed);
        let is_present = held & !V4 == window(now_ns);
        let refused = if is_present { self.refused.load(Ordering::Relaxed) } else { 0 };
        let in_progress = self.in_progress.load(Ordering::Relaxed);
        if refused == 0 && in_progress == 0 {
            return None;
        }
        let source = self.source.load(Ordering::Relaxed);
        let (address, bits) = if held & V4 != 0 {
            (IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(source).unwrap_or(0))), 32)
        } else {
            (IpAddr::V6(Ipv6Addr::from_bits(u128::from(source) << 64)), 64)
        };
        Some(SeenSource { address, bits, in_progress, refused })
    }
}

/// An IPv4 address, or the 64 bits of an IPv6 address behind which one host may have every address.
fn site(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(0),
    }
}

fn window(now_ns: u64) -> u32 {
    u32::try_from(now_ns / WINDOW_NS).unwrap_or(u32::MAX) & !V4
}

/// Instead of a rule's number, which begin at 1: the source is shut out.
const SHUT_OUT: u32 = 0;
const NS_PER_S: u64 = 1_000_000_000;
/// What [`Entry::window`] holds beside the window: 2^31 windows are 680 years.
const V4: u32 = 1 << 31;
/// How much more than one source all those may have together that found no room.
const OVERFLOW_TIMES: u64 = 64;
/// Refusals are counted for so long.
const WINDOW_NS: u64 = 10 * NS_PER_S;
/// A source floods that is refused so many times what it may send.
const FLOOD_TIMES: u64 = 10;
/// And so often at least.
const FLOOD_REFUSALS_MIN: u64 = 100;
/// Of requests that come while too many others are in progress: one page may ask for all that HTTP/2 allows at once, which
/// is no flood. So often it would take eight such pages in ten seconds.
const FLOOD_TURNED_AWAY_MIN: u64 = 8 * H2_STREAMS_MAX as u64;

#[cfg(test)]
mod tests;
