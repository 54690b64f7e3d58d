//! A hierarchical timer wheel: insert, remove and fire in constant time, 1 ms resolution.
//!
//! Timers never fire early; they may fire up to one tick late. Deadlines beyond the outermost
//! level (about 12 days) wait there and are placed anew.

use std::task::Waker;

use slab::Slab;

use crate::time::Instant;

const TICK_NS: u64 = 1_000_000;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 5;
const NONE: u32 = u32::MAX;

/// Names one timer; a stale key is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Timer {
    deadline_tick: u64,
    waker: Waker,
    generation: u32,
    slot: u16,
    prev: u32,
    next: u32,
}

/// The wheel itself; `now` is always handed in.
#[derive(Debug)]
pub(crate) struct Wheel {
    timers: Slab<Timer>,
    heads: [u32; SLOTS * LEVELS],
    occupied: [u64; LEVELS],
    tick: u64,
    generation: u32,
}

impl Wheel {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            timers: Slab::new(),
            heads: [NONE; SLOTS * LEVELS],
            occupied: [0; LEVELS],
            tick: now.as_nanos() / TICK_NS,
            generation: 0,
        }
    }

    /// Adds a timer that wakes `waker` at `deadline` or up to a tick later.
    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        let deadline_tick = deadline.as_nanos().div_ceil(TICK_NS).max(self.tick + 1);
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index =
            index_of(self.timers.insert(Timer { deadline_tick, waker, generation, slot: 0, prev: NONE, next: NONE }));
        self.link(index);
        TimerKey { index, generation }
    }

    /// Takes the timer out; nothing happens when it has fired or was removed.
    pub(crate) fn remove(&mut self, key: TimerKey) {
        if self.holds(key) {
            self.unlink(key.index);
            self.timers.remove(key.index as usize);
        }
    }

    /// Sets the waker of a pending timer; false when it has fired or was removed.
    pub(crate) fn refresh(&mut self, key: TimerKey, waker: &Waker) -> bool {
        if !self.holds(key) {
            return false;
        }
        self.timers[key.index as usize].waker.clone_from(waker);
        true
    }

    /// Wakes all timers due at `now` (the caller runs the wakers).
    pub(crate) fn fire(&mut self, now: Instant, due: &mut Vec<Waker>) {
        let target = now.as_nanos() / TICK_NS;
        while self.tick < target {
            if self.timers.is_empty() {
                self.tick = target;
                return;
            }
            let step = self.ticks_to_next_slot().min(target - self.tick);
            self.tick += step.max(1);
            self.turn(due);
        }
    }

    /// When the loop has to look again at the latest; it may be early, never late.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.timers.is_empty() {
            return None;
        }
        Some(Instant::from_nanos((self.tick + self.ticks_to_next_slot()) * TICK_NS))
    }

    fn holds(&self, key: TimerKey) -> bool {
        self.timers.get(key.index as usize).is_some_and(|timer| timer.generation == key.generation)
    }

    /// Ticks until the next occupied slot of any level begins.
    fn ticks_to_next_slot(&self) -> u64 {
        let mut best = u64::MAX;
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            if occupied == 0 {
                continue;
            }
            let shift = SLOT_BITS * u32_of(level);
            let position = self.tick >> shift;
            let here = u32_of(usize_of(position) & (SLOTS - 1));
            let distance = u64::from(occupied.rotate_right((here + 1) & 63).trailing_zeros()) + 1;
            let start = (position + distance) << shift;
            best = best.min(start - self.tick);
        }
        best
    }

    /// Processes the slots that begin at `self.tick`, outermost level first.
    fn turn(&mut self, due: &mut Vec<Waker>) {
        for level in (0..LEVELS).rev() {
            let shift = SLOT_BITS * u32_of(level);
            if self.tick & ((1 << shift) - 1) != 0 {
                continue;
            }
            let slot = level * SLOTS + (usize_of(self.tick >> shift) & (SLOTS - 1));
            let mut index = std::mem::replace(&mut self.heads[slot], NONE);
            self.occupied[level] &= !(1 << (slot % SLOTS));
            while index != NONE {
                let next = self.timers[index as usize].next;
                if self.timers[index as usize].deadline_tick <= self.tick {
                    due.push(self.timers.remove(index as usize).waker);
                } else {
                    self.link(index);
                }
                index = next;
            }
        }
    }

    fn link(&mut self, index: u32) {
        let deadline = self.timers[index as usize].deadline_tick;
        let distance = deadline.saturating_sub(self.tick).max(1);
        let level = ((63 - distance.leading_zeros()) / SLOT_BITS).min(u32_of(LEVELS) - 1) as usize;
        let shift = SLOT_BITS * u32_of(level);
        // Beyond the outermost level: the farthest slot, placed anew when it turns.
        let farthest = (self.tick >> shift) + u64::from(u32_of(SLOTS)) - 1;
        let position = (deadline >> shift).min(farthest);
        let slot = level * SLOTS + (usize_of(position) & (SLOTS - 1));
        let head = std::mem::replace(&mut self.heads[slot], index);
        if head != NONE {
            self.timers[head as usize].prev = index;
        }
        let timer = &mut self.timers[index as usize];
        timer.slot = u16::try_from(slot).expect("320 slots fit in 16 bits");
        timer.prev = NONE;
        timer.next = head;
        self.occupied[level] |= 1 << (slot % SLOTS);
    }

    fn unlink(&mut self, index: u32) {
        let timer = &self.timers[index as usize];
        let (slot, prev, next) = (timer.slot as usize, timer.prev, timer.next);
        if next != NONE {
            self.timers[next as usize].prev = prev;
        }
        if prev != NONE {
            self.timers[prev as usize].next = next;
            return;
        }
        self.heads[slot] = next;
        if next == NONE {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }
}

fn index_of(key: usize) -> u32 {
    u32::try_from(key).expect("fewer than 2^32 timers")
}

fn u32_of(value: usize) -> u32 {
    u32::try_from(value).expect("levels and slots are small")
}

fn usize_of(value: u64) -> usize {
    usize::try_from(value & 0xffff_ffff).expect("32 bits fit")
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use proptest::prelude::*;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * TICK_NS)
    }

    proptest! {
        /// Against a sorted map: each timer fires once, at its deadline, never early, and
        /// `next_deadline` never oversleeps the earliest one.
        #[test]
        fn fires_like_a_sorted_map(
            start in 0u64..1 << 40,
            steps in proptest::collection::vec((0u8..4, 0u64..400_000, 1u64..70_000), 1..200),
        ) {
            let mut now = start;
            let mut wheel = Wheel::new(at(now));
            let mut model: BTreeMap<usize, (u64, TimerKey, Arc<Count>)> = BTreeMap::new();
            for (id, (kind, delay, advance)) in steps.into_iter().enumerate() {
                match kind {
                    0 | 1 => {
                        let count = Arc::new(Count(AtomicUsize::new(0)));
                        let deadline = now + delay;
                        let key = wheel.insert(at(deadline), Arc::clone(&count).into());
                        model.insert(id, (deadline.max(now + 1), key, count));
                    }
                    2 => {
                        if let Some((&id, _)) = model.iter().next() {
                            let (_, key, _) = model.remove(&id).unwrap();
                            wheel.remove(key);
                        }
                    }
                    _ => {
                        if let (Some(next), Some(first)) =
                            (wheel.next_deadline(), model.values().map(|t| t.0).min())
                        {
                            prop_assert!(next <= at(first));
                        }
                        now += advance;
                        let mut due = Vec::new();
                        wheel.fire(at(now), &mut due);
                        due.into_iter().for_each(Waker::wake);
                        model.retain(|_, (deadline, _, count)| {
                            let fired = count.0.load(Ordering::Relaxed);
                            assert_eq!(fired, usize::from(*deadline <= now));
                            fired == 0
                        });
                    }
                }
            }
            prop_assert_eq!(wheel.timers.len(), model.len());
        }
    }
}
