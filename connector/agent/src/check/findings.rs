//! What a check has found so far. Read while the check still runs, should it take too long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use postern_model::check::{CheckReport, CheckStep, StepResult};

/// What a step saw.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    result: StepResult,
    seen: String,
    cure: String,
}

impl Seen {
    pub(super) fn ok(seen: &str) -> Self {
        Self { result: StepResult::Ok, seen: seen.into(), cure: String::new() }
    }

    pub(super) fn warn(seen: &str, cure: &str) -> Self {
        Self { result: StepResult::Warn, seen: seen.into(), cure: cure.into() }
    }

    pub(super) fn fail(seen: &str, cure: &str) -> Self {
        Self { result: StepResult::Fail, seen: seen.into(), cure: cure.into() }
    }

    pub(super) fn skipped(seen: &str) -> Self {
        Self { result: StepResult::Skipped, seen: seen.into(), cure: String::new() }
    }

    /// The same with advice.
    pub(super) fn with_cure(mut self, cure: &str) -> Self {
        self.cure = cure.into();
        self
    }
}

/// The steps so far, and the one that is being taken.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    steps: Vec<CheckStep>,
    now: Option<(&'static str, Instant)>,
}

impl Findings {
    /// A report of one step.
    pub(super) fn single(step: &'static str, seen: Seen) -> CheckReport {
        let findings = Self::default();
        findings.add(step, seen);
        findings.report(true)
    }

    /// Takes a step.
    pub(super) fn step<T>(&self, step: &'static str, look: impl FnOnce() -> (Seen, T)) -> T {
        let begun = Instant::now();
        self.lock().now = Some((step, begun));
        let (seen, value) = look();
        let mut taken = self.lock();
        taken.now = None;
        taken.steps.push(shown(step, begun, &seen));
        value
    }

    /// A step that takes no time.
    pub(super) fn add(&self, step: &'static str, seen: Seen) {
        self.step(step, || (seen, ()));
    }

    /// What there is; a step that is still being taken has failed.
    pub(super) fn report(&self, in_time: bool) -> CheckReport {
        let taken = self.lock();
        let mut steps = taken.steps.clone();
        if let Some((step, begun)) = taken.now.filter(|_| !in_time) {
            let slow = Seen::fail("it did not end in time; what comes after it was not looked at", CURE_SLOW);
            steps.push(shown(step, begun, &slow));
        }
        CheckReport { steps }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(step: &str, begun: Instant, seen: &Seen) -> CheckStep {
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    CheckStep::new(step, seen.result, ms, &seen.seen, &seen.cure)
}

const CURE_SLOW: &str = "look at what this step asks (a name server, the application, a KDC): it hangs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_hangs_is_named_with_all_before_it() {
        let findings = Findings::default();
        findings.add("name", Seen::ok("fine"));
        findings.step("connect", || {
            let report = findings.report(false);
            let steps: Vec<_> = report.steps.iter().map(|step| (step.step.as_str(), step.result)).collect();
            assert_eq!(steps, [("name", StepResult::Ok), ("connect", StepResult::Fail)]);
            (Seen::ok("late"), ())
        });
        assert_eq!(findings.report(true).steps.len(), 2);
    }
}
