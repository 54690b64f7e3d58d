//! Open loop: requests are due at a steady rate and wait for a free connection when answers are late. Latency counts from
//! the moment a request was due, so a stall shows in all requests that it held up, not in one (coordinated omission).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::Notify;

use super::answer::exchange;
use super::link::Link;
use super::tally::Tally;
use super::{Plan, request};
use crate::clock::Timer;

/// After the last request was due, answers are awaited for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests that are due, oldest first.
#[derive(Default)]
struct Due {
    queue: RefCell<VecDeque<Instant>>,
    under_way: Cell<usize>,
    news: Notify,
}

impl Due {
    fn is_settled(&self) -> bool {
        self.queue.borrow().is_empty() && self.under_way.get() == 0
    }
}

pub(super) async fn run(plan: &Plan, rate: f64, tally: &Rc<Tally>) -> Result<()> {
    let due = Rc::new(Due::default());
    for _ in 0..plan.connections {
        tokio_uring::spawn(connection(plan.clone(), Rc::clone(tally), Rc::clone(&due)));
    }
    // Connections first, so that the first requests do not wait for handshakes.
    tokio::time::sleep(plan.warmup).await;
    let clock = tokio_uring::spawn(schedule(rate, Rc::clone(tally), Rc::clone(&due)));
    tally.conduct(plan).await?;
    clock.await??;
    let end = Instant::now();
    while !due.is_settled() && end.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What was never sent waited at least until now.
    for moment in due.queue.borrow_mut().drain(..) {
        tally.answered_since(moment, 0);
    }
    due.news.notify_waiters();
    Ok(())
}

/// Puts what became due into the queue. A late wake-up adds several at once, each with its own moment.
async fn schedule(rate: f64, tally: Rc<Tally>, due: Rc<Due>) -> std::io::Result<()> {
    let mut timer = Timer::new()?;
    let begun = Instant::now();
    let mut next = 0u64;
    while !tally.is_over() {
        let moment = begun + Duration::from_secs_f64(next as f64 / rate);
        timer.until(moment).await?;
        due.queue.borrow_mut().push_back(moment);
        due.news.notify_one();
        next += 1;
    }
    Ok(())
}

async fn connection(plan: Plan, tally: Rc<Tally>, due: Rc<Due>) {
    let bytes = request(&plan.target, &plan.path);
    while !tally.is_over() {
        if let Err(error) = requests(&plan, &bytes, &tally, &due).await {
            tally.failed(&error);
        }
    }
}

async fn requests(plan: &Plan, bytes: &[u8], tally: &Tally, due: &Due) -> std::io::Result<()> {
    let mut link = Link::open(&plan.target).await?;
    tally.keep(link.socket());
    while let Some(moment) = next(due, tally).await {
        due.under_way.set(due.under_way.get() + 1);
        let outcome = exchange(&mut link, bytes).await;
        due.under_way.set(due.under_way.get() - 1);
        tally.answered_since(moment, outcome?);
    }
    Ok(())
}

async fn next(due: &Due, tally: &Tally) -> Option<Instant> {
    loop {
        if let Some(moment) = due.queue.borrow_mut().pop_front() {
            return Some(moment);
        }
        if tally.is_over() {
            return None;
        }
        due.news.notified().await;
    }
}
