//! What is recorded of an application's requests while an operator looks at it. The side thread says which, as control asks; workers
//! hand over what they recorded and wait for nothing: what finds no room is dropped and counted.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use postern_model::ids::{AppId, TenantId, UserId};
use postern_model::trace::{
    TRACE_ANSWER_BYTES_MAX, TRACE_LEASE_MS, TRACE_TIME_MS_MAX, TraceAsked, TraceEntry, TraceTaken,
};
use tokio::sync::mpsc;

use crate::limit::monotonic_ns;
use crate::limits::{TRACE_HELD_BYTES_MAX, TRACE_QUEUE_MAX, TRACES_MAX};

/// All that are run.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// There is one at all: what each request looks at.
    on: AtomicBool,
    /// Held for writing when one begins or ends, and only then.
    running: RwLock<Vec<Trace>>,
    /// Requests that came at such a moment.
    missed: AtomicU64,
}

/// One of them, and the way out of it.
#[derive(Debug)]
struct Trace {
    name: String,
    running: Arc<Running>,
    recorded: Mutex<mpsc::Receiver<Recorded>>,
    /// Nobody asks for it any more from then on.
    forgotten_ns: AtomicU64,
    /// [`Traces::missed`] when it began.
    missed_before: u64,
}

/// One of them, as workers see it.
#[derive(Debug)]
pub(crate) struct Running {
    app: AppId,
    user: Option<UserId>,
    pub(crate) bodies: bool,
    /// Nothing is recorded from then on, whatever becomes of control.
    until_ns: AtomicU64,
    held: Arc<AtomicUsize>,
    dropped: AtomicU64,
    queue: mpsc::Sender<Recorded>,
}

/// A request that was recorded. Its room is free when it is gone.
#[derive(Debug)]
struct Recorded {
    entry: TraceEntry,
    _room: Room,
}

/// What one request takes of its trace's memory.
#[derive(Debug)]
pub(crate) struct Room {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Traces {
    /// Whether any request may have to be recorded.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// The one that wants this application's requests, and this user's. A lock that is held at this moment is not waited for.
    pub(crate) fn of(&self, app: AppId, user: Option<UserId>) -> Option<Arc<Running>> {
        let Ok(running) = self.running.try_read() else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let wants = |one: &&Arc<Running>| one.app == app && one.user.is_none_or(|wanted| user == Some(wanted));
        // One that ended is here until all of it was collected, and another may have begun since.
        let mut newest_first = running.iter().rev().map(|trace| &trace.running);
        newest_first.find(|one| wants(one) && one.is_live()).map(Arc::clone)
    }

    /// What control asks: that it is run, and what was recorded.
    pub(crate) fn asked(&self, tenant: TenantId, asked: &TraceAsked) -> TraceTaken {
        let now_ns = monotonic_ns();
        self.sweep_at(now_ns);
        if asked.app.tenant != tenant {
            return TraceTaken { refused: true, ..TraceTaken::default() };
        }
        let begun = asked.left_ms > 0 && self.begin(asked);
        let taken = {
            let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
            let Some(trace) = running.iter().find(|trace| trace.is(asked)) else {
                return TraceTaken { refused: asked.left_ms > 0, ..TraceTaken::default() };
            };
            trace.prolong(asked.left_ms, now_ns);
            let missed = self.missed.load(Ordering::Relaxed);
            TraceTaken { begun, ..trace.take(asked.bytes_max, missed) }
        };
        if asked.left_ms == 0 && !taken.more {
            self.keep(|trace| !trace.is(asked));
        }
        taken
    }

    /// Forgets those that nobody asks for any more.
    pub(crate) fn sweep(&self) {
        self.sweep_at(monotonic_ns());
    }

    fn sweep_at(&self, now_ns: u64) {
        let is_wanted = |trace: &Trace| now_ns < trace.forgotten_ns.load(Ordering::Relaxed);
        if self.is_on() && !self.running.read().unwrap_or_else(PoisonError::into_inner).iter().all(is_wanted) {
            self.keep(is_wanted);
        }
    }

    /// Whether it is another one now; not if it runs already, or as many as may be do.
    fn begin(&self, asked: &TraceAsked) -> bool {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        if running.len() >= TRACES_MAX || running.iter().any(|trace| trace.is(asked)) {
            return false;
        }
        running.push(Trace::begin(asked, self.missed.load(Ordering::Relaxed)));
        self.on.store(true, Ordering::Relaxed);
        true
    }

    fn keep(&self, is_kept: impl Fn(&Trace) -> bool) {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        running.retain(is_kept);
        self.on.store(!running.is_empty(), Ordering::Relaxed);
    }
}

impl Trace {
    fn begin(asked: &TraceAsked, missed_before: u64) -> Self {
        let (queue, recorded) = mpsc::channel(TRACE_QUEUE_MAX);
        let running = Running {
            app: asked.app,
            user: asked.user,
            bodies: asked.bodies,
            until_ns: AtomicU64::new(0),
            held: Arc::default(),
            dropped: AtomicU64::new(0),
            queue,
        };
        Self {
            name: asked.trace.clone(),
            running: Arc::new(running),
            recorded: Mutex::new(recorded),
            // Until it is prolonged, which is next.
            forgotten_ns: AtomicU64::new(u64::MAX),
            missed_before,
        }
    }

    fn is(&self, asked: &TraceAsked) -> bool {
        self.name == asked.trace && self.running.app == asked.app
    }

    /// Until its end, and no longer than until somebody should have asked again.
    fn prolong(&self, left_ms: u64, now_ns: u64) {
        let ns = |ms: u64| u64::try_from(Duration::from_millis(ms).as_nanos()).unwrap_or(u64::MAX);
        let lease_ns = now_ns.saturating_add(ns(TRACE_LEASE_MS));
        let until_ns = now_ns.saturating_add(ns(left_ms.min(TRACE_TIME_MS_MAX))).min(lease_ns);
        self.running.until_ns.store(until_ns, Ordering::Relaxed);
        self.forgotten_ns.store(lease_ns, Ordering::Relaxed);
    }

    fn take(&self, bytes_max: u64, missed: u64) -> TraceTaken {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = self.running.dropped.load(Ordering::Relaxed) + missed.saturating_sub(self.missed_before);
        let mut taken = TraceTaken { dropped, ..TraceTaken::default() };
        let mut bytes = 0;
        while bytes < bytes_max.clamp(1, TRACE_ANSWER_BYTES_MAX) {
            let Ok(Recorded { entry, .. }) = recorded.try_recv() else { return taken };
            bytes += entry.size();
            taken.entries.push(entry);
        }
        taken.more = !recorded.is_empty();
        taken
    }
}

impl Running {
    fn is_live(&self) -> bool {
        monotonic_ns() < self.until_ns.load(Ordering::Relaxed)
    }

    /// None is taken yet.
    pub(crate) fn room(&self) -> Room {
        Room { held: Arc::clone(&self.held), bytes: 0 }
    }

    /// For the head of a request; where there is none, it is missing, and counted.
    pub(crate) fn room_for(&self, entry: &TraceEntry) -> Option<Room> {
        let mut room = self.room();
        let fits = room.take(usize::try_from(entry.size()).unwrap_or(usize::MAX));
        if !fits {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        fits.then_some(room)
    }

    /// Hands over a request that is recorded. One that ended after the trace has is nobody's any more.
    pub(crate) fn hand_over(&self, entry: TraceEntry, mut room: Room) {
        if !self.is_live() {
            return;
        }
        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        let fits = room.take(size.saturating_sub(room.bytes));
        if !fits || self.queue.try_send(Recorded { entry, _room: room }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Room {
    /// So much more, if there is as much.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let sum = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= TRACE_HELD_BYTES_MAX);
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
