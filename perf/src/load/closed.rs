//! Closed loop over HTTP/1.1: a task per connection, its next request when the last is answered.

use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;

use super::answer::answered;
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

async fn connection(mut plan: Plan, tally: Rc<Tally>) {
    while !tally.is_over() {
        if let Err(error) = requests(&mut plan, &tally).await {
            tally.failed(&error);
        }
    }
}

async fn requests(plan: &mut Plan, tally: &Tally) -> std::io::Result<()> {
    let mut link = Link::open(&plan.target).await?;
    tally.keep(link.socket());
    let mut bytes = request(&plan.target, &plan.path);
    while !tally.is_over() {
        let begun = Instant::now();
        let answer = answered(&mut link, &bytes).await?;
        tally.answered(begun.elapsed(), answer.content());
        // As browsers do: a session's cookie is renewed now and then, with every answer until the new one is shown.
        if let Some(cookie) = plan.target.cookie.as_deref().and_then(|shown| answer.renewed(shown)) {
            plan.target.cookie = Some(cookie);
            bytes = request(&plan.target, &plan.path);
        }
    }
    Ok(())
}
