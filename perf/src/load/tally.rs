//! What the connections of one run have in common: the phase, the counts, the clocks.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio_uring::net::TcpStream;

use super::{Plan, Run};
use crate::clock::Timer;
use crate::cpu::{Reading, Watch};

/// Longer ones are counted as this.
pub const LATENCY_MAX: Duration = Duration::from_secs(60);
const LATENCY_MIN: Duration = Duration::from_micros(1);
const FAILURES_KEPT: usize = 5;
/// A run in which so many requests failed is over.
const FAILURES_MAX: u64 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    WarmUp,
    Measuring,
    Over,
}

pub(super) struct Tally {
    watch: Watch,
    phase: Cell<Phase>,
    requests: Cell<u64>,
    bytes: Cell<u64>,
    resumed: Cell<u64>,
    failed: Cell<u64>,
    failures: RefCell<Vec<String>>,
    latency: RefCell<Histogram<u64>>,
    readings: RefCell<Vec<Reading>>,
    /// When measuring began and ended.
    bounds: Cell<(Option<Instant>, Option<Instant>)>,
    sockets: RefCell<Vec<Weak<TcpStream>>>,
}

impl Tally {
    pub(super) fn new(watch: Watch) -> Rc<Tally> {
        Rc::new(Tally {
            watch,
            phase: Cell::new(Phase::WarmUp),
            requests: Cell::new(0),
            bytes: Cell::new(0),
            resumed: Cell::new(0),
            failed: Cell::new(0),
            failures: RefCell::default(),
            latency: RefCell::new(histogram()),
            readings: RefCell::default(),
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

    fn begin(&self) {
        if !self.is_over() {
            self.phase.set(Phase::Measuring);
        }
        self.readings.borrow_mut().push(self.watch.read());
        self.bounds.set((Some(Instant::now()), None));
    }

    fn end(&self) {
        self.bounds.set((self.bounds.get().0, Some(Instant::now())));
        self.readings.borrow_mut().push(self.watch.read());
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
        self.requests.set(self.requests.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
        self.latency.borrow_mut().saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn resumed(&self) {
        if self.phase.get() == Phase::Measuring {
            self.resumed.set(self.resumed.get() + 1);
        }
    }

    /// One request without an answer. Too many end the run.
    pub(super) fn failed(&self, why: &dyn std::fmt::Display) {
        if self.is_over() {
            return; // cut at the end, by ourselves
        }
        self.failed.set(self.failed.get() + 1);
        let mut failures = self.failures.borrow_mut();
        if failures.len() < FAILURES_KEPT {
            failures.push(why.to_string());
        }
        if self.failed.get() > FAILURES_MAX {
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

    pub(super) fn into_run(self: Rc<Self>) -> Result<Run> {
        let readings = self.readings.borrow();
        let [from, to] = readings.as_slice() else { bail!("the run never began") };
        let run = Run {
            requests: self.requests.get(),
            bytes: self.bytes.get(),
            failed: self.failed.get(),
            failures: self.failures.borrow().clone(),
            resumed: self.resumed.get(),
            usage: self.watch.usage(from, to),
            latency: self.latency.borrow().clone(),
        };
        if run.requests == 0 {
            let why = run.failures.first().map_or("nothing came back", String::as_str);
            return Err(anyhow::anyhow!("{why}")).context("not one request was answered");
        }
        Ok(run)
    }
}

/// Nanoseconds from 1 µs to a minute, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    let (low, high) = (LATENCY_MIN.as_nanos() as u64, LATENCY_MAX.as_nanos() as u64);
    Histogram::new_with_bounds(low, high, 3).expect("the bounds are in order")
}
