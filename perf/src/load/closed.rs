//! Closed loop over HTTP/1.1: a task per connection, its next request when the last is answered.

use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;

use super::answer::exchange;
use super::link::Link;
use super::tally::Tally;
use super::{Plan, request};

pub(super) async fn run(plan: &Plan, tally: &Rc<Tally>) -> Result<()> {
    let tasks: Vec<_> =
        (0..plan.connections).map(|_| tokio_uring::spawn(connection(plan.clone(), Rc::clone(tally)))).collect();
    tally.conduct(plan).await?;
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn connection(plan: Plan, tally: Rc<Tally>) {
    let bytes = request(&plan.target, &plan.path);
    while !tally.is_over() {
        if let Err(error) = requests(&plan, &bytes, &tally).await {
            tally.failed(&error);
        }
    }
}

async fn requests(plan: &Plan, bytes: &[u8], tally: &Tally) -> std::io::Result<()> {
    let mut link = Link::open(&plan.target).await?;
    tally.keep(link.socket());
    while !tally.is_over() {
        let begun = Instant::now();
        let content = exchange(&mut link, bytes).await?;
        tally.answered(begun.elapsed(), content);
    }
    Ok(())
}
