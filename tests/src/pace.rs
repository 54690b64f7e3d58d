//! Requests at a steady rate, whatever becomes of them: several connections, each with its share, every answer's status
//! with its time. For limits, where being refused is as right as being served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::{Client, Connection};

/// Requests of one write: answers to those before it are awaited first.
const PIPELINED_MAX: u64 = 64;
/// What one connection carries at least: its answers come in order, one request at a time.
const CONNECTION_PER_S: f64 = 4500.0;
/// A connection with nothing to send looks again after so long.
const TICK: Duration = Duration::from_millis(2);

/// What is sent.
#[derive(Debug, Clone)]
pub struct Pace {
    pub path: String,
    /// Requests a second of each connection.
    pub rates: Vec<f64>,
}

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub at: Instant,
    pub status: u16,
}

/// Load that runs until it is stopped.
pub struct Paced {
    begun: Instant,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(Vec<Seen>, Vec<String>)>>,
}

/// All answers in the order of their times, and what else happened.
#[derive(Debug)]
pub struct Outcome {
    pub begun: Instant,
    pub seen: Vec<Seen>,
    /// Connections that broke, and answers that could not be read.
    pub errors: Vec<String>,
}

impl Pace {
    /// Equal shares.
    pub fn spread(path: &str, connections: usize, per_s: f64) -> Pace {
        Pace { path: path.to_owned(), rates: vec![per_s / connections as f64; connections] }
    }

    /// Nine tenths on one connection, and so on one worker; on as few as can carry it.
    pub fn skewed(path: &str, connections: usize, per_s: f64) -> Pace {
        let mut pace = Pace::spread(path, connections, per_s / 10.0);
        let heavy = (per_s * 0.9 / CONNECTION_PER_S).ceil().max(1.0);
        pace.rates.iter_mut().take(heavy as usize).for_each(|rate| *rate += per_s * 0.9 / heavy);
        pace
    }

    /// Connects everything, then begins.
    pub fn start(&self, client: &Client) -> Result<Paced> {
        let connections: Vec<Connection> = self.rates.iter().map(|_| client.connect()).collect::<Result<_>>()?;
        let (begun, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let threads = connections
            .into_iter()
            .zip(&self.rates)
            .map(|(connection, rate)| {
                let (path, rate, stop) = (self.path.clone(), *rate, Arc::clone(&stop));
                std::thread::spawn(move || pace(connection, &path, rate, begun, &stop))
            })
            .collect();
        Ok(Paced { begun, stop, threads })
    }

    /// Runs for a while.
    pub fn run(&self, client: &Client, duration: Duration) -> Result<Outcome> {
        let paced = self.start(client)?;
        std::thread::sleep(duration);
        Ok(paced.stop())
    }
}

impl Paced {
    /// Ends it after the answers under way.
    pub fn stop(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let (mut seen, mut errors) = (Vec::new(), Vec::new());
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok((answers, broken)) => {
                    seen.extend(answers);
                    errors.extend(broken);
                }
                Err(_) => errors.push("a client thread panicked".into()),
            }
        }
        seen.sort_by_key(|seen| seen.at);
        Outcome { begun: self.begun, seen, errors }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Outcome {
    /// Answers with this status until `end` after the beginning.
    pub fn count(&self, status: u16, end: Duration) -> u64 {
        let in_time = |seen: &&Seen| seen.status == status && seen.at.duration_since(self.begun) <= end;
        self.seen.iter().filter(in_time).count() as u64
    }

    /// Answers with any other status than these.
    pub fn others(&self, expected: &[u16]) -> Vec<u16> {
        self.seen.iter().map(|seen| seen.status).filter(|status| !expected.contains(status)).collect()
    }
}

fn pace(
    mut connection: Connection,
    path: &str,
    rate: f64,
    begun: Instant,
    stop: &AtomicBool,
) -> (Vec<Seen>, Vec<String>) {
    let (mut seen, mut sent) = (Vec::new(), 0u64);
    while !stop.load(Ordering::Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * rate) as u64;
        let batch = (due - sent).min(PIPELINED_MAX);
        if batch == 0 {
            std::thread::sleep(TICK);
            continue;
        }
        // What could not be sent in time is not made up for: the rate is the most, not an average.
        sent = due;
        match exchange(&mut connection, path, batch) {
            Ok(answers) => seen.extend(answers),
            Err(error) => return (seen, vec![format!("{error:#}")]),
        }
    }
    (seen, Vec::new())
}

fn exchange(connection: &mut Connection, path: &str, batch: u64) -> Result<Vec<Seen>> {
    connection.send_heads("GET", path, batch)?;
    (0..batch)
        .map(|_| connection.answer("GET").map(|answer| Seen { at: Instant::now(), status: answer.status }))
        .collect()
}
