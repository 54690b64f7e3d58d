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
    judged(found)
}

/// Of one whose thread broke off there is no step: that is no good sign.
fn judged(found: Vec<(String, Option<CheckStep>)>) -> Seen {
    let mut told: Vec<(u8, String)> = Vec::with_capacity(found.len());
    let mut worst = StepResult::Ok;
    let mut cure = String::new();
    for (place, step) in found {
        let step = step.unwrap_or_else(|| CheckStep::new("check", StepResult::Fail, 0, "broke off", BROKEN));
        told.push((rank(step.result), format!("{place}: {} {}", step.step, step.seen)));
        // Of several that are equally bad the first one's.
        let is_worse = matches!(
            (worst, step.result),
            (StepResult::Ok, StepResult::Warn | StepResult::Fail) | (StepResult::Warn, StepResult::Fail)
        );
        if is_worse {
            (worst, cure) = (step.result, step.cure);
        }
    }
    // A step's text is cut: what is wrong comes first.
    told.sort_by_key(|(rank, _)| *rank);
    let words = told.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join("; ");
    match worst {
        StepResult::Ok => Seen::ok(&words),
        StepResult::Fail => Seen::fail(&words, &cure),
        StepResult::Warn | StepResult::Skipped => Seen::warn(&words, &cure),
    }
}

fn rank(result: StepResult) -> u8 {
    match result {
        StepResult::Fail => 0,
        StepResult::Warn => 1,
        StepResult::Ok | StepResult::Skipped => 2,
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

const BROKEN: &str = "look at the connector's log, and report this as a bug";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_broke_off_is_not_taken_for_a_good_one() {
        let good = CheckStep::new("http", StepResult::Ok, 1, "HTTP/1.1 200", "");
        let found = vec![("http://a/".to_owned(), Some(good)), ("http://b/".to_owned(), None)];
        let step = Findings::single("members", judged(found)).steps.remove(0);
        assert!(step.result == StepResult::Fail && step.seen.contains("http://b/: check broke off"), "{step:?}");
        assert!(!step.cure.is_empty());
    }

    #[test]
    fn what_is_wrong_at_one_of_many_is_told_before_the_text_is_cut() {
        let step = |result, seen: &str| Some(CheckStep::new("http", result, 1, seen, "do"));
        let good = (0..20).map(|nth| (format!("http://{nth}.corp.example/"), step(StepResult::Ok, "HTTP/1.1 200")));
        let bad = ("http://bad.corp.example/".to_owned(), step(StepResult::Fail, "HTTP/1.1 500"));
        let step = Findings::single("members", judged(good.chain([bad]).collect())).steps.remove(0);
        assert!(step.seen.starts_with("http://bad.corp.example/: http HTTP/1.1 500; http://0.corp"), "{step:?}");
    }
}
