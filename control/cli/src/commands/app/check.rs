//! `postern app check`: what each connector sees of an application, step by step, and then what users see who come by a relay.

mod outside;

use std::process::ExitCode;

use anyhow::Result;
use postern_model::admin::path;
use postern_model::check::{AppChecked, CheckApp, CheckStep, ConnectorChecked, StepResult};
use serde::Serialize;

use crate::args::CheckArgs;
use crate::client::segment;
use crate::commands::Context;
use crate::output::{Output, details};

/// Both looks, as `-o json` has them.
#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    checked: AppChecked,
    outside: Vec<Outside>,
    verdict: String,
}

/// What was seen through one relay.
#[derive(Debug, Serialize)]
struct Outside {
    /// Which one, or that the external host's name led there.
    by: String,
    steps: Vec<CheckStep>,
}

pub(super) fn run(context: &Context, args: CheckArgs) -> Result<ExitCode> {
    let Context { client, output } = context;
    let target = path::app_check(&client.tenant(), &segment(&args.name));
    let CheckArgs { name, connector, user, no_sso, no_outside, relay } = args;
    let asked = CheckApp { connector, user, sign_on: !no_sso };
    let checked: AppChecked = client.post_patiently(&target, &asked)?;
    let outside = if no_outside { Vec::new() } else { outside::look(client, &name, &asked, &relay, &checked) };
    let whole = Whole::of(checked, outside);
    output.show(&whole, |whole| tables(*output, whole))?;
    output.warn(&whole.checked.warnings);
    Ok(if whole.checked.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Whole {
    fn of(mut checked: AppChecked, outside: Vec<Outside>) -> Self {
        let fails = |steps: &[CheckStep]| steps.iter().any(|step| step.result == StepResult::Fail);
        checked.passed &= !outside.iter().any(|outside| fails(&outside.steps));
        let verdict = verdict(&checked, &outside);
        Self { checked, outside, verdict }
    }
}

/// The first step that failed, with what to do, or that none did.
fn verdict(checked: &AppChecked, by_relays: &[Outside]) -> String {
    let inside = checked
        .connectors
        .iter()
        .flat_map(|by| by.steps.iter().map(move |step| (format!("from {}", by.connector), step)));
    let outside =
        by_relays.iter().flat_map(|by| by.steps.iter().map(move |step| (format!("from outside, {}", by.by), step)));
    let steps: Vec<(String, &CheckStep)> = inside.chain(outside).collect();
    let failed = steps.iter().find(|(_, step)| step.result == StepResult::Fail);
    if let Some((place, step)) = failed {
        let cure = if step.cure.is_empty() { String::new() } else { format!(". Cure: {}", step.cure) };
        return format!("{} fails at {} {place}: {}{cure}", checked.app, step.step, step.seen);
    }
    match steps.iter().filter(|(_, step)| step.result == StepResult::Warn).count() {
        0 => format!("{} is well", checked.app),
        warnings => match unseen(by_relays) {
            None => format!("{} works; warnings: {warnings}", checked.app),
            Some(place) => format!(
                "{} works as connectors see it; nothing beyond name was seen from outside, {place}; warnings: {warnings}",
                checked.app
            ),
        },
    }
}

/// By which way the look ended before a connection, and without a failure: whether users get anything is not known then.
fn unseen(outside: &[Outside]) -> Option<&str> {
    let is_at = |by: &Outside, wanted: &str| by.steps.iter().any(|step| step.step == wanted);
    outside.iter().find(|by| is_at(by, "name") && !is_at(by, "connect")).map(|by| by.by.as_str())
}

/// One for each connector and relay, each with what to do below, what differs, and the verdict.
fn tables(output: Output, whole: &Whole) -> String {
    let Whole { checked, outside, verdict } = whole;
    let from = |by: &ConnectorChecked| format!("{} of {}, by relay {}", by.connector, checked.group, by.relay);
    let mut text: String =
        checked.connectors.iter().map(|by| table(output, ("connector", from(by)), &by.steps)).collect();
    text.extend(outside.iter().map(|by| table(output, ("outside", by.by.clone()), &by.steps)));
    if !checked.differences.is_empty() {
        let differ = format!("{}\n", checked.differences.join("\n"));
        text.push_str(&details(&[("differs", differ)]));
    }
    text.push_str(&details(&[("verdict", verdict.clone())]));
    text.push_str(if checked.passed { "nothing failed\n" } else { "something failed\n" });
    text
}

fn table(output: Output, title: (&str, String), steps: &[CheckStep]) -> String {
    let table = output.table(["STEP", "RESULT", "TIME", "SEEN"]).rows(steps, |step| {
        [step.step.clone(), step.result.as_str().into(), format!("{} ms", step.ms), step.seen.clone()]
    });
    let cures: Vec<(&str, String)> = steps
        .iter()
        .filter(|step| !step.cure.is_empty())
        .map(|step| ("cure", format!("{}: {}", step.step, step.cure)))
        .collect();
    format!("{}{}{}\n", details(&[title]), table.render("no steps"), details(&cures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;

    #[test]
    fn each_connector_has_its_table_and_nothing_reaches_the_terminal_raw() {
        let step = |step: &str, result, seen: &str, cure: &str| CheckStep {
            step: step.into(),
            result,
            ms: 3,
            seen: seen.into(),
            cure: cure.into(),
        };
        let connector = ConnectorChecked {
            connector: "c1-2".parse().unwrap(),
            relay: "edge-1".into(),
            steps: vec![
                step("name", StepResult::Ok, "wiki is 10.0.0.5", ""),
                step("tls", StepResult::Fail, "evil\x1b[2J", "renew it"),
            ],
        };
        let checked = AppChecked {
            app: "wiki".parse().unwrap(),
            group: "hq".parse().unwrap(),
            group_id: "g1-1".parse().unwrap(),
            passed: false,
            connectors: vec![connector],
            differences: vec!["tls: fail on c1-2".into()],
            warnings: Vec::new(),
        };
        let steps = vec![step("certificate", StepResult::Fail, "expired", "renew that")];
        let outside = vec![Outside { by: "relay edge-1".into(), steps }];
        let whole = Whole::of(checked, outside);
        let text = tables(Output::new(Format::Table), &whole);
        assert!(text.contains("outside: relay edge-1\n") && text.contains("cure: certificate: renew that\n"), "{text}");
        assert_eq!(whole.verdict, "wiki fails at tls from c1-2: evil\u{1b}[2J. Cure: renew it");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("connector: c1-2 of hq, by relay edge-1\n"), "{text}");
        assert!(text.contains("tls   fail    3 ms  evil\u{fffd}[2J\ncure: tls: renew it\n"), "{text}");
        assert!(text.contains("differs: tls: fail on c1-2\n") && text.ends_with("something failed\n"), "{text}");
        let json = serde_json::to_value(&whole).unwrap();
        assert_eq!((&json["passed"], &json["outside"][0]["by"]), (&false.into(), &"relay edge-1".into()), "{json}");
    }

    #[test]
    fn a_failure_outside_alone_fails_it_and_warnings_do_not() {
        let judged_at = |step: &str, result| {
            let checked = AppChecked {
                app: "wiki".parse().unwrap(),
                group: "hq".parse().unwrap(),
                group_id: "g1-1".parse().unwrap(),
                passed: true,
                connectors: Vec::new(),
                differences: Vec::new(),
                warnings: Vec::new(),
            };
            let steps = vec![CheckStep::new(step, result, 1, "seen", "do")];
            let whole = Whole::of(checked, vec![Outside { by: "relay edge".into(), steps }]);
            (whole.checked.passed, whole.verdict)
        };
        let judged = |result| judged_at("certificate", result);
        let failed = "wiki fails at certificate from outside, relay edge: seen. Cure: do";
        assert_eq!(judged(StepResult::Fail), (false, failed.into()));
        assert_eq!(judged(StepResult::Warn), (true, "wiki works; warnings: 1".into()));
        assert_eq!(judged(StepResult::Ok), (true, "wiki is well".into()));
        let unseen =
            "wiki works as connectors see it; nothing beyond name was seen from outside, relay edge; warnings: 1";
        assert_eq!(judged_at("name", StepResult::Warn), (true, unseen.into()));
    }
}
