//! A fixed number of requests on connections that are warm, with a look before the first and after the last.

use std::time::Duration;

use anyhow::Result;

use crate::load::answer::exchange;
use crate::load::link::Link;
use crate::load::{Target, request, start};

/// Before the first look: pools are filled, buffers have grown. Never more than what is counted.
const WARM_UP_EACH: usize = 50;
/// Until what requests leave behind is done.
const QUIET: Duration = Duration::from_millis(100);

/// Requests for one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requests {
    pub(super) path: &'static str,
    pub(super) connections: usize,
    pub(super) each: usize,
}

impl Requests {
    pub(super) fn count(self) -> f64 {
        (self.connections * self.each) as f64
    }
}

/// What `look` saw before and after so many requests.
pub(super) fn between<T>(target: &Target, requests: Requests, mut look: impl FnMut() -> T) -> Result<(T, T)> {
    let Requests { path, connections, each } = requests;
    start(async {
        let bytes = request(target, path);
        let mut links = Vec::with_capacity(connections);
        for _ in 0..connections {
            links.push(Link::open(target).await?);
        }
        let links = all(links, &bytes, WARM_UP_EACH.min(each)).await?;
        tokio::time::sleep(QUIET).await;
        let before = look();
        let links = all(links, &bytes, each).await?;
        tokio::time::sleep(QUIET).await;
        let after = look();
        drop(links);
        Ok((before, after))
    })
}

async fn all(links: Vec<Link>, bytes: &[u8], each: usize) -> Result<Vec<Link>> {
    let tasks: Vec<_> = links
        .into_iter()
        .map(|mut link| {
            let bytes = bytes.to_vec();
            tokio_uring::spawn(async move {
                for _ in 0..each {
                    exchange(&mut link, &bytes).await?;
                }
                Ok::<Link, std::io::Error>(link)
            })
        })
        .collect();
    let mut links = Vec::with_capacity(tasks.len());
    for task in tasks {
        links.push(task.await??);
    }
    Ok(links)
}
