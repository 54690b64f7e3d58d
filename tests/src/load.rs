//! Steady load of GETs whose answers are compared, counted by what became of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::{Broken, Client, Connection};
use crate::pattern;

/// How many reasons for failures are kept for messages.
const REASONS_MAX: usize = 10;

/// What became of the requests so far.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    pub right: u64,
    /// Complete by its own account, yet not the bytes expected: never acceptable.
    pub wrong: u64,
    /// Cut visibly after answer bytes had come.
    pub cut: u64,
    /// No answer, or an error's.
    pub failed: u64,
    /// Why, for the first of them.
    pub reasons: Vec<String>,
    /// The longest time between two right answers, over all connections together.
    pub gap: Duration,
}

/// Load that runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
}

struct Tally {
    begun: Instant,
    right: AtomicU64,
    wrong: AtomicU64,
    cut: AtomicU64,
    failed: AtomicU64,
    last_right_us: AtomicU64,
    gap_us: AtomicU64,
    reasons: Mutex<Vec<String>>,
}

impl Load {
    /// `connections` clients, each with one keep-alive connection, fetching `path`, which must hold `length` bytes of the pattern.
    pub fn start(client: &Client, connections: usize, path: &str, length: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::new());
        let mut threads = Vec::new();
        for _ in 0..connections {
            let (client, path) = (client.clone(), path.to_owned());
            let (stop, tally) = (Arc::clone(&stop), Arc::clone(&tally));
            threads.push(std::thread::spawn(move || {
                let mut connection = None;
                while !stop.load(Ordering::Relaxed) {
                    one(&client, &mut connection, &path, length, &tally);
                }
            }));
        }
        Load { stop, tally, threads }
    }

    /// How many right answers so far.
    pub fn right(&self) -> u64 {
        self.tally.right.load(Ordering::Relaxed)
    }

    /// Forgets the longest gap so far: what follows is measured.
    pub fn forget_gap(&self) {
        self.tally.gap_us.store(0, Ordering::Relaxed);
    }

    /// Ends the load after the requests under way.
    pub fn stop(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic in a client thread shows as missing answers.
            let _ = thread.join();
        }
        self.tally.outcome()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn one(client: &Client, connection: &mut Option<Connection>, path: &str, length: usize, tally: &Tally) {
    let mut open = match connection.take() {
        Some(open) => open,
        None => match client.connect() {
            Ok(open) => open,
            Err(error) => {
                tally.fail(format!("{error:#}"));
                std::thread::sleep(Duration::from_millis(10));
                return;
            }
        },
    };
    match open.get(path) {
        Ok(answer) if answer.status == 200 => {
            let right = answer.body.len() == length && pattern::matches(0, &answer.body);
            tally.note(right);
            if answer.header("connection") != Some("close") {
                *connection = Some(open);
            }
        }
        Ok(answer) => tally.fail(format!("status {}: {}", answer.status, answer.text())),
        Err(error) => match error.downcast_ref::<Broken>() {
            Some(Broken::Cut { .. }) => {
                tally.cut.fetch_add(1, Ordering::Relaxed);
            }
            _ => tally.fail(format!("{error:#}")),
        },
    }
}

impl Tally {
    fn new() -> Tally {
        Tally {
            begun: Instant::now(),
            right: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_right_us: AtomicU64::new(0),
            gap_us: AtomicU64::new(0),
            reasons: Mutex::new(Vec::new()),
        }
    }

    fn note(&self, right: bool) {
        if !right {
            self.wrong.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.right.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let last = self.last_right_us.fetch_max(now, Ordering::Relaxed);
        self.gap_us.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
    }

    fn fail(&self, reason: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.len() < REASONS_MAX {
            reasons.push(reason);
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            right: self.right.load(Ordering::Relaxed),
            wrong: self.wrong.load(Ordering::Relaxed),
            cut: self.cut.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            reasons: self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            gap: Duration::from_micros(self.gap_us.load(Ordering::Relaxed)),
        }
    }
}
