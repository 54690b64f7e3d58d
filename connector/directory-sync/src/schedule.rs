//! When passes are due: changes every few seconds, everything every hour, both at once when an operator says so.

use std::time::{Duration, Instant};

use postern_connector::embed::Credentials;
use postern_model::directory_sync as model;
use postern_model::directory_sync::{Begin, Config, Nothing, SourceSettings, path};
use tokio::time::sleep;

use crate::args::Source;
use crate::control::{Control, Unanswered};
use crate::failure::Failure;
use crate::limits::{BACKOFF_MAX, POLL};
use crate::pass::{self, Memory, Pass, Report, Stopped};

/// What is due when.
struct Schedule {
    memory: Option<Memory>,
    settings: Option<SourceSettings>,
    /// [`Config::runs`] of the last full pass.
    runs: u64,
    next_full: Instant,
    next_look: Instant,
    failures: u32,
}

/// Follows the directory as long as the process lives.
pub(crate) async fn follow(credentials: Credentials, source: Source) {
    let control = Control::new(credentials);
    let now = Instant::now();
    let mut schedule = Schedule { memory: None, settings: None, runs: 0, next_full: now, next_look: now, failures: 0 };
    let mut said = None;
    let mut pause = POLL;
    loop {
        match control.ask::<Config>(path::CONFIG, &Nothing {}).await {
            Ok(config) => {
                (said, pause) = (None, POLL);
                schedule.attend(&control, &source, config).await;
            }
            Err(error) => {
                let words = error.to_string();
                if said.as_ref() != Some(&words) {
                    tracing::warn!("control cannot be asked: {words}");
                }
                (said, pause) = (Some(words), (pause * 2).min(UNANSWERED_PAUSE_MAX));
            }
        }
        sleep(pause).await;
    }
}

impl Schedule {
    /// Does what is due.
    async fn attend(&mut self, control: &Control, source: &Source, config: Config) {
        let now = Instant::now();
        // Control began anew, and counts from nothing.
        self.runs = self.runs.min(config.runs);
        if self.settings.as_ref() != Some(&config.settings) {
            self.memory = None;
            (self.next_full, self.failures) = (now, 0);
        }
        self.settings = Some(config.settings.clone());
        if config.settings.disabled {
            return;
        }
        let is_asked = config.runs > self.runs;
        if is_asked || now >= self.next_full {
            self.memory = None;
        } else if self.memory.is_none() || now < self.next_look {
            return;
        }
        self.runs = config.runs;
        let failed = self.pass(control, source, &config).await;
        self.plan(&config.settings, failed);
    }

    /// One pass; whether it failed.
    async fn pass(&mut self, control: &Control, source: &Source, config: &Config) -> bool {
        let memory = self.memory.take();
        let mut pass = match Pass::open(control, &config.settings, source, memory).await {
            Ok(pass) => pass,
            Err(failure) => {
                warn(config, &failure);
                told(pass::end(control, None, Report::default(), Some(&failure)).await);
                return true;
            }
        };
        let is_full = pass.is_full();
        let begin = Begin { full: is_full, runs: config.runs };
        let begun: model::Pass = match control.ask(path::BEGIN, &begin).await {
            Ok(begun) => begun,
            Err(error) => {
                tracing::info!(source = %config.source, "no pass begins: {error}");
                return true;
            }
        };
        let ran = pass.run(begun.pass).await;
        let Pass { report, memory, .. } = pass;
        let (users, groups) = (report.users, report.groups);
        let failure = match ran {
            Ok(()) => None,
            Err(Stopped::Failed(failure)) => Some(failure),
            Err(Stopped::Unanswered(error)) => {
                tracing::warn!(source = %config.source, "a pass was given up: {error}");
                return true;
            }
        };
        told(pass::end(control, Some(begun.pass), report, failure.as_ref()).await);
        // Everything was read all the same: looks at what has changed go on.
        let is_read = failure.as_ref().is_none_or(|failure| failure.code == STOPPED);
        self.memory = is_read.then_some(memory);
        match &failure {
            Some(failure) => warn(config, failure),
            None if is_full => {
                let kind = pass::name_of(config.settings.kind);
                tracing::info!(source = %config.source, kind, users, groups, "the directory was read");
            }
            None => {}
        }
        if is_full && is_read {
            self.next_full = Instant::now() + Duration::from_secs(config.settings.full_every_s.into());
        }
        !is_read
    }

    fn plan(&mut self, settings: &SourceSettings, failed: bool) {
        let interval = Duration::from_secs(settings.interval_s.into());
        let now = Instant::now();
        if !failed {
            (self.failures, self.next_look) = (0, now + interval);
            return;
        }
        let pause = interval.saturating_mul(1 << self.failures.min(8)).min(BACKOFF_MAX);
        self.failures += 1;
        (self.memory, self.next_full) = (None, now + pause);
    }
}

fn warn(config: &Config, failure: &Failure) {
    tracing::warn!(source = %config.source, code = failure.code, "the directory was not followed: {}", failure.detail);
}

fn told(answer: Result<(), Unanswered>) {
    if let Err(error) = answer {
        tracing::warn!("what became of a pass is not told: {error}");
    }
}

const STOPPED: &str = "directory-sync-stopped";
const UNANSWERED_PAUSE_MAX: Duration = Duration::from_secs(15);
