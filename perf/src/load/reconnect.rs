//! A connection for each request: TCP, TLS, one exchange, close. Latency is that of all of it.

use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;

use super::answer::exchange;
use super::link::Link;
use super::tally::Tally;
use super::{Plan, request};

pub(super) async fn run(plan: &Plan, tally: &Rc<Tally>) -> Result<()> {
    let tasks: Vec<_> =
        (0..plan.connections).map(|_| tokio_uring::spawn(one_after_another(plan.clone(), Rc::clone(tally)))).collect();
    tally.conduct(plan).await?;
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn one_after_another(plan: Plan, tally: Rc<Tally>) {
    let bytes = request(&plan.target, &plan.path);
    while !tally.is_over() {
        if let Err(error) = one(&plan, &bytes, &tally).await {
            tally.failed(&error);
        }
    }
}

async fn one(plan: &Plan, bytes: &[u8], tally: &Tally) -> std::io::Result<()> {
    let begun = Instant::now();
    let mut link = Link::open(&plan.target).await?;
    tally.keep(link.socket());
    let content = exchange(&mut link, bytes).await?;
    if link.is_resumed() {
        tally.resumed();
    }
    tally.answered(begun.elapsed(), content);
    link.close().await
}
