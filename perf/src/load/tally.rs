//! What the connections of one run have in common: the phase, the counts, the clocks.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use tokio_uring::net::TcpStream;

use super::{Plan, Run};
use crate::clock::Timer;
use crate::cpu::{Reading, Usage, Watch};

/// Longer ones are counted as this.
pub const LATENCY_MAX: Duration = Duration::from_secs(60);
const LATENCY_MIN: Duration = Duration::from_micros(1);
const FAILURES_KEPT: usize = 5;
/// A run in which so many requests failed is over.
const FAILURES_MAX: u64 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The warm-up, and between times that are measured.
    Unmeasured,
    Measuring,
    Over,
}

pub(super) struct Tally {
    watch: Watch,
    phase: Cell<Phase>,
    /// What was counted so far.
    run: RefCell<Run>,
    /// The clocks when measuring began, while it lasts.
    since: RefCell<Option<Reading>>,
    /// When measuring last began and ended.
    bounds: Cell<(Option<Instant>, Option<Instant>)>,
    sockets: RefCell<Vec<Weak<TcpStream>>>,
}

impl Tally {
    pub(super) fn new(watch: Watch) -> Rc<Tally> {
        Rc::new(Tally {
            watch,
            phase: Cell::new(Phase::Unmeasured),
            run: RefCell::new(nothing()),
            since: RefCell::default(),
            bounds: Cell::default(),
            sockets: RefCell::default(),
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase.get() == Phase::Over
    }

    /// Warms up, measures, and ends the run; the caller's connections follow the phase.
    pub(super) async fn conduct(&self, plan: &Plan) -> Result<()> {
        let mut timer = Timer::new()?;
        timer.until(Instant::now() + plan.warmup).await?;
        self.begin();
        let end = Instant::now() + plan.duration;
        while Instant::now() < end && !self.is_over() {
            timer.until(end.min(Instant::now() + Duration::from_millis(50))).await?;
        }
        self.end();
        Ok(())
    }

    /// From now on it counts.
    pub(super) fn begin(&self) {
        if !self.is_over() {
            self.phase.set(Phase::Measuring);
        }
        self.since.replace(Some(self.watch.read()));
        self.bounds.set((Some(Instant::now()), None));
    }

    /// Until now it counted; it may begin again, and then adds.
    pub(super) fn pause(&self) {
        self.bounds.set((self.bounds.get().0, Some(Instant::now())));
        if let Some(since) = self.since.take() {
            let usage = self.watch.usage(&since, &self.watch.read());
            self.run.borrow_mut().usage.add(usage);
        }
        if !self.is_over() {
            self.phase.set(Phase::Unmeasured);
        }
    }

    fn end(&self) {
        self.pause();
        self.phase.set(Phase::Over);
    }

    /// One answer, if this is the time to count it.
    pub(super) fn answered(&self, latency: Duration, bytes: u64) {
        if self.phase.get() == Phase::Measuring {
            self.count(latency, bytes);
        }
    }

    /// One answer to a request that was due at that moment: it counts when it was due in time, however late it came.
    pub(super) fn answered_since(&self, due: Instant, bytes: u64) {
        let (begin, end) = self.bounds.get();
        if begin.is_some_and(|begin| due >= begin) && end.is_none_or(|end| due < end) {
            self.count(due.elapsed(), bytes);
        }
    }

    fn count(&self, latency: Duration, bytes: u64) {
        let mut run = self.run.borrow_mut();
        run.requests += 1;
        run.bytes += bytes;
        run.latency.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn resumed(&self) {
        if self.phase.get() == Phase::Measuring {
            self.run.borrow_mut().resumed += 1;
        }
    }

    /// One request without an answer. Too many end the run.
    pub(super) fn failed(&self, why: &dyn std::fmt::Display) {
        if self.is_over() {
            return; // cut at the end, by ourselves
        }
        let mut run = self.run.borrow_mut();
        run.failed += 1;
        if run.failures.len() < FAILURES_KEPT {
            run.failures.push(why.to_string());
        }
        if run.failed > FAILURES_MAX {
            self.phase.set(Phase::Over);
        }
    }

    /// A socket to be cut at the end: the ring waits for what is still under way.
    pub(super) fn keep(&self, socket: &Rc<TcpStream>) {
        let mut sockets = self.sockets.borrow_mut();
        if sockets.len() == sockets.capacity() {
            sockets.retain(|socket| socket.strong_count() > 0);
        }
        sockets.push(Rc::downgrade(socket));
    }

    pub(super) fn cut_all(&self) {
        self.phase.set(Phase::Over);
        for socket in self.sockets.borrow().iter().filter_map(Weak::upgrade) {
            // An error says that it has ended already.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Why requests fail, if they do.
    pub(super) fn first_failure(&self) -> String {
        self.run.borrow().failures.first().cloned().unwrap_or_default()
    }

    /// What was counted since this was last asked.
    pub(super) fn take(&self) -> Result<Run> {
        let run = self.run.replace(nothing());
        if run.requests == 0 {
            let why = run.failures.first().map_or("nothing came back", String::as_str);
            return Err(anyhow!("{why}")).context("not one request was answered");
        }
        Ok(run)
    }
}

fn nothing() -> Run {
    Run {
        requests: 0,
        bytes: 0,
        failed: 0,
        failures: Vec::new(),
        resumed: 0,
        usage: Usage::default(),
        latency: histogram(),
    }
}

/// Nanoseconds from 1 µs to a minute, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    let (low, high) = (LATENCY_MIN.as_nanos() as u64, LATENCY_MAX.as_nanos() as u64);
    Histogram::new_with_bounds(low, high, 3).expect("the bounds are in order")
}
