//! The further segments of an application: whether each can be reached, as far as there is time. One step for all of them.

use std::time::{Duration, Instant};

use postern_model::check::StepResult;

use super::findings::{Findings, Seen};
use super::reach;
use crate::backend::Backend;
use crate::proxy::Way;

/// The step; none where there are no segments. `way`: to each.
pub(super) fn look(findings: &Findings, backend: &Backend, way: &Way) {
    let all: Vec<&Backend> = backend.segments().collect();
    if !all.is_empty() {
        findings.step("segments", || (judged(&all, way), ()));
    }
}

fn judged(all: &[&Backend], way: &Way) -> Seen {
    let begun = Instant::now();
    let (mut looked_at, mut wildcards, mut troubles) = (0, 0, Vec::new());
    for segment in all {
        if begun.elapsed() >= PATIENCE || troubles.len() >= TROUBLES_MAX {
            break;
        }
        if segment.internal.wildcard().is_some() {
            wildcards += 1;
            continue;
        }
        let own = Findings::default();
        reach::reach(&own, segment, way);
        looked_at += 1;
        let failed = own.report(true).steps.into_iter().find(|step| step.result == StepResult::Fail);
        troubles.extend(failed.map(|step| format!("{}, {}: {}", segment.internal, step.step, step.seen)));
    }
    let left = all.len() - looked_at - wildcards;
    let mut seen = format!("{looked_at} of {} looked at", all.len());
    if wildcards > 0 {
        seen.push_str(&format!("; {wildcards} with a wildcard, of which no host is looked at"));
    }
    if left > 0 && troubles.is_empty() {
        seen.push_str("; there was no time for more");
    }
    if troubles.is_empty() {
        return Seen::ok(&seen);
    }
    Seen::fail(&format!("{seen}; {}", troubles.join("; ")), CURE)
}

/// All of a check's time is 25 s.
const PATIENCE: Duration = Duration::from_secs(5);
const TROUBLES_MAX: usize = 3;
const CURE: &str =
    "look at what serves these, from this connector's host; the first page of each is asked for, without a user";
