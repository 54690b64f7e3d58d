//! The load generator: one thread on tokio-uring, HTTP/1.1 or HTTP/2 over TLS, closed loop (each connection sends when it
//! was answered), also of two sides in turns, or open loop (requests are due at a rate, whatever the answers do). It shares no
//! code with the product.

pub mod answer;
mod closed;
mod h2;
pub mod hold;
pub mod link;
mod open;
pub mod paired;
mod reconnect;
mod tally;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use rustls::ClientConfig;

use crate::cpu::{Usage, Watch};
pub use tally::LATENCY_MAX;
use tally::Tally;

/// Submission slots of the load generator's ring.
const RING_ENTRIES: u32 = 2048;
/// What a run may take beyond its own time: connecting and the last answers.
const MARGIN: Duration = Duration::from_secs(20);

/// Whom to ask, and how.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// The name in the handshake.
    pub name: String,
    /// The `Host` of requests.
    pub host: String,
    /// Plain TCP without.
    pub tls: Option<Arc<ClientConfig>>,
    /// What every request shows.
    pub cookie: Option<String>,
}

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Each connection sends its next request when the last is answered.
    Closed,
    /// The same with so many HTTP/2 streams on each connection.
    Streams(usize),
    /// A connection for each request, closed after it.
    Reconnect,
    /// So many requests a second are due, evenly; latency counts from when one was due, not from when it could be sent.
    Open(f64),
}

/// One measurement.
#[derive(Clone)]
pub struct Plan {
    pub target: Target,
    pub path: String,
    pub connections: usize,
    pub shape: Shape,
    pub warmup: Duration,
    pub duration: Duration,
}

/// What came of it, the warm-up left out.
#[derive(Debug, Clone)]
pub struct Run {
    pub requests: u64,
    /// Of content.
    pub bytes: u64,
    pub failed: u64,
    /// The first few failures, in words.
    pub failures: Vec<String>,
    /// Connections that resumed a TLS session, with [`Shape::Reconnect`].
    pub resumed: u64,
    pub usage: Usage,
    /// Nanoseconds.
    pub latency: Histogram<u64>,
}

impl Run {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.usage.elapsed.as_secs_f64().max(1e-9)
    }

    /// Latency at a quantile, in milliseconds.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e6
    }
}

impl Plan {
    /// Runs it on this thread. Failed requests are counted; a target that cannot be reached at all is an error.
    pub fn run(&self, watch: &Watch) -> Result<Run> {
        let tally = Tally::new(watch.clone());
        let limit = self.warmup + self.duration + MARGIN;
        let outcome = start(async {
            let work = async {
                match self.shape {
                    Shape::Closed => closed::run(self, &tally).await,
                    Shape::Streams(streams) => h2::run(self, streams, &tally).await,
                    Shape::Reconnect => reconnect::run(self, &tally).await,
                    Shape::Open(rate) => open::run(self, rate, &tally).await,
                }
            };
            let outcome = tokio::time::timeout(limit, work).await;
            tally.cut_all();
            outcome
        });
        match outcome {
            Ok(outcome) => outcome?,
            Err(_) => bail!("{} did not answer within {} s", self.target.address, limit.as_secs()),
        }
        tally.take()
    }
}

/// Runs a future on a ring of its own.
pub fn start<F: Future>(work: F) -> F::Output {
    tokio_uring::builder().entries(RING_ENTRIES).start(work)
}

/// The bytes of a GET over HTTP/1.1.
pub fn request(target: &Target, path: &str) -> Vec<u8> {
    let cookie = target.cookie.as_ref().map_or(String::new(), |cookie| format!("Cookie: {cookie}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: postern-perf\r\nAccept: */*\r\n{cookie}\r\n", target.host)
        .into_bytes()
}
