//! The further places of an application that is at several: all at once, as each of them takes as long as the first.

use std::thread;

use postern_model::check::{CheckStep, StepResult};

use super::findings::{Findings, Seen};
use super::reach;
use crate::farm::{Farm, Member};
use crate::proxy::Way;

/// One step for all of them. `way`: to each.
pub(super) fn look(farm: &Farm, way: &Way) -> Seen {
    let found = thread::scope(|scope| {
        let looking: Vec<_> =
            farm.members.iter().skip(1).map(|member| (member, scope.spawn(move || reached(member, way)))).collect();
        let ended = looking.into_iter().map(|(member, looking)| (member, looking.join().ok().flatten()));
        ended.map(|(member, found)| (member.backend.internal.to_string(), found)).collect::<Vec<_>>()
    });
    let mut words: Vec<String> = Vec::with_capacity(found.len());
    let mut worst = StepResult::Ok;
    let mut cure = String::new();
    for (place, step) in found {
        let Some(step) = step else { continue };
        words.push(format!("{place}: {} {}", step.step, step.seen));
        // Of several that are equally bad the first one's.
        let is_worse = matches!(
            (worst, step.result),
            (StepResult::Ok, StepResult::Warn | StepResult::Fail) | (StepResult::Warn, StepResult::Fail)
        );
        if is_worse {
            (worst, cure) = (step.result, step.cure);
        }
    }
    let words = words.join("; ");
    match worst {
        StepResult::Ok => Seen::ok(&words),
        StepResult::Fail => Seen::fail(&words, &cure),
        StepResult::Warn | StepResult::Skipped => Seen::warn(&words, &cure),
    }
}

/// The worst step on the way to it; of those that went well the last.
fn reached(member: &Member, way: &Way) -> Option<CheckStep> {
    let findings = Findings::default();
    let _ = reach::reach(&findings, &member.backend, way);
    let steps = findings.report(true).steps;
    let is = |result| move |step: &&CheckStep| step.result == result;
    let worst = steps.iter().find(is(StepResult::Fail)).or_else(|| steps.iter().find(is(StepResult::Warn)));
    worst.or(steps.last()).cloned()
}
