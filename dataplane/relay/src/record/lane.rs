//! The way of lines from one worker to the log's thread: a batch that one fills and the other takes whole. The lock is held
//! for a copy or a swap; the worker does not wait even for that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;

use crate::limits::LANE_BYTES_MAX;

/// One worker's lane.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    batch: Mutex<Batch>,
    dropped: AtomicU64,
}

/// Lines of one worker, each with its line end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// All of them.
    pub(crate) lines: String,
    /// Those of requests that the relay refused, once more: they are kept longer in memory.
    pub(crate) refused: String,
}

/// The log's thread, once it runs: parked while there is nothing to write.
#[derive(Debug, Default)]
pub(crate) struct Bell(OnceLock<Thread>);

impl Bell {
    /// Who is to be woken.
    pub(crate) fn belongs_to(&self, thread: Thread) {
        // There is one log thread.
        let _ = self.0.set(thread);
    }

    fn ring(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.refused.clear();
    }

    fn bytes(&self) -> usize {
        self.lines.len() + self.refused.len()
    }
}

impl Lane {
    /// Takes what was gathered; `into` is emptied, to be filled again.
    pub(crate) fn take(&self, into: &mut Batch) {
        into.clear();
        std::mem::swap(into, &mut self.batch.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Lines that found no room since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct LaneWriter {
    lane: Arc<Lane>,
    bell: Arc<Bell>,
}

impl LaneWriter {
    pub(crate) fn new(lane: Arc<Lane>, bell: Arc<Bell>) -> Self {
        Self { lane, bell }
    }

    /// Hands lines over and empties `own`. False: the other end holds the batch at this moment, and `own` is as it was.
    pub(crate) fn hand_over(&self, own: &mut Batch) -> bool {
        let mut batch = match self.lane.batch.try_lock() {
            Ok(batch) => batch,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if own.bytes() < LANE_BYTES_MAX => return false,
            Err(TryLockError::WouldBlock) => {
                self.drop_lines(own);
                return true;
            }
        };
        let was_empty = batch.is_empty();
        if batch.bytes() + own.bytes() > LANE_BYTES_MAX {
            self.drop_lines(own);
            return true;
        }
        if was_empty {
            std::mem::swap(&mut *batch, own);
        } else {
            batch.lines.push_str(&own.lines);
            batch.refused.push_str(&own.refused);
        }
        drop(batch);
        own.clear();
        if was_empty {
            self.bell.ring();
        }
        true
    }

    fn drop_lines(&self, own: &mut Batch) {
        let lines = own.lines.bytes().filter(|byte| *byte == b'\n').count() as u64;
        // One writer.
        self.lane.dropped.store(self.lane.dropped() + lines, Ordering::Relaxed);
        own.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: &str) -> Batch {
        Batch { lines: lines.to_owned(), refused: String::new() }
    }

    #[test]
    fn lines_arrive_in_order_and_both_buffers_are_used_again() {
        let lane = Arc::new(Lane::default());
        let writer = LaneWriter::new(Arc::clone(&lane), Arc::default());
        let (mut own, mut taken) = (batch("a\n"), Batch::default());
        assert!(writer.hand_over(&mut own));
        assert!(own.is_empty());
        own.lines.push_str("b\nc\n");
        assert!(writer.hand_over(&mut own));
        lane.take(&mut taken);
        assert_eq!(taken, batch("a\nb\nc\n"));
        lane.take(&mut taken);
        assert_eq!(taken, Batch::default());
    }

    #[test]
    fn a_full_lane_drops_and_counts_and_a_held_one_is_not_waited_for() {
        let lane = Arc::new(Lane::default());
        let writer = LaneWriter::new(Arc::clone(&lane), Arc::default());
        let big = "x".repeat(LANE_BYTES_MAX - 1) + "\n";
        assert!(writer.hand_over(&mut batch(&big)));
        let mut more = batch("a\nb\n");
        assert!(writer.hand_over(&mut more));
        assert!((more.is_empty(), lane.dropped()) == (true, 2));
        let held = lane.batch.lock().unwrap();
        let mut kept = batch("c\n");
        assert!(!writer.hand_over(&mut kept));
        assert_eq!(kept, batch("c\n"));
        assert!(writer.hand_over(&mut batch(&(big.clone() + "d\n"))), "not kept without bound");
        assert_eq!(lane.dropped(), 4);
        drop(held);
    }
}
