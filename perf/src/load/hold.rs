//! Many connections that each had one exchange and then stay, idle.

use std::time::Duration;

use anyhow::{Context, Result};

use super::answer::exchange;
use super::link::Link;
use super::{Target, request, start};

/// Connections that are opened at the same time.
const AT_A_TIME: usize = 32;

/// Opens `count` connections, lets each have one exchange, waits until everything is quiet, and calls `look` while they are open.
pub fn hold<T>(target: &Target, path: &str, count: usize, quiet: Duration, look: impl FnOnce() -> T) -> Result<T> {
    start(async {
        let mut links = Vec::with_capacity(count);
        while links.len() < count {
            let batch = AT_A_TIME.min(count - links.len());
            let opening: Vec<_> =
                (0..batch).map(|_| tokio_uring::spawn(open(target.clone(), path.to_owned()))).collect();
            for link in opening {
                links.push(link.await?.with_context(|| format!("connection {}", links.len()))?);
            }
        }
        tokio::time::sleep(quiet).await;
        let seen = look();
        for link in links {
            // The other side may have closed it first.
            let _ = link.close().await;
        }
        Ok(seen)
    })
}

async fn open(target: Target, path: String) -> std::io::Result<Link> {
    let mut link = Link::open(&target).await?;
    exchange(&mut link, &request(&target, &path)).await?;
    link.forget_buffers();
    Ok(link)
}
