//! What a check found, and the time that each has.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use postern_model::check::{StepResult, printable};
use serde::Serialize;

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    /// Which relay or address, where there may be several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) about: String,
    /// Only ok, warn and fail.
    pub(super) result: StepResult,
    pub(super) ms: u64,
    pub(super) seen: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) cure: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, seen: impl AsRef<str>) -> Self {
        Self::new(check, StepResult::Ok, seen.as_ref(), "")
    }

    pub(super) fn warn(check: &'static str, seen: impl AsRef<str>, cure: &str) -> Self {
        Self::new(check, StepResult::Warn, seen.as_ref(), cure)
    }

    pub(super) fn fail(check: &'static str, seen: impl AsRef<str>, cure: &str) -> Self {
        Self::new(check, StepResult::Fail, seen.as_ref(), cure)
    }

    /// As good as there are no troubles, else a warning of all of them.
    pub(super) fn of(check: &'static str, seen: impl AsRef<str>, troubles: &[String], cure: &str) -> Self {
        if troubles.is_empty() {
            return Self::ok(check, seen);
        }
        Self::warn(check, format!("{}; {}", seen.as_ref(), troubles.join("; ")), cure)
    }

    fn new(check: &'static str, result: StepResult, seen: &str, cure: &str) -> Self {
        let seen = printable(seen, TEXT_CHARS_MAX);
        Self { check, about: String::new(), result, ms: 0, seen, cure: printable(cure, TEXT_CHARS_MAX) }
    }

    pub(super) fn about(mut self, about: &str) -> Self {
        self.about = printable(about, TEXT_CHARS_MAX);
        self
    }

    pub(super) fn failed(&self) -> bool {
        self.result == StepResult::Fail
    }
}

/// Looks within [`PATIENCE`]. What hangs longer is left behind on its thread, which ends with the program.
pub(super) fn bounded<T: Send + 'static>(
    check: &'static str,
    look: impl FnOnce() -> (Finding, Option<T>) + Send + 'static,
) -> (Finding, Option<T>) {
    let begun = Instant::now();
    let (done, ended) = mpsc::channel();
    // Nobody listens any more where it took too long.
    let started = thread::Builder::new().name(check.into()).spawn(move || drop(done.send(look())));
    let (mut finding, value) = match started.map(|_| ended.recv_timeout(PATIENCE)) {
        Ok(Ok(found)) => found,
        Ok(Err(RecvTimeoutError::Timeout)) => {
            let seen = format!("it did not end within {} s", PATIENCE.as_secs());
            (Finding::fail(check, seen, "look at what it asks (a name server, the network, a disk): it hangs"), None)
        }
        Ok(Err(RecvTimeoutError::Disconnected)) => (Finding::fail(check, "it broke off", "report this as a bug"), None),
        Err(error) => (Finding::fail(check, format!("no thread can be started: {error}"), "raise `ulimit -u`"), None),
    };
    finding.ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    (finding, value)
}

/// A check that leads to no other.
pub(super) fn single(check: &'static str, look: impl FnOnce() -> Finding + Send + 'static) -> Finding {
    bounded(check, || (look(), None::<()>)).0
}

/// One check.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const TEXT_CHARS_MAX: usize = 380;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_behind() {
        let begun = Instant::now();
        let hung = single("dns", || {
            thread::sleep(Duration::from_secs(60));
            Finding::ok("dns", "late")
        });
        assert!(hung.failed() && hung.seen.contains("within 5 s") && !hung.cure.is_empty(), "{hung:?}");
        assert!(begun.elapsed() < Duration::from_secs(10) && hung.ms >= 5000, "{hung:?}");
    }

    #[test]
    fn texts_are_printable_and_troubles_are_warnings() {
        assert_eq!(Finding::ok("tls", "by \x1b[2J").about("a\n").seen, "by \u{fffd}[2J");
        assert_eq!(Finding::of("x", "fine", &[], "do").result, StepResult::Ok);
        let warned = Finding::of("x", "so", &["a".into(), "b".into()], "do");
        assert_eq!((warned.result, &*warned.seen, &*warned.cure), (StepResult::Warn, "so; a; b", "do"));
    }
}
