//! `postern app check`: what each connector sees of an application, step by step.

use std::process::ExitCode;

use anyhow::Result;
use postern_model::admin::path;
use postern_model::check::{AppChecked, CheckApp, ConnectorChecked};

use crate::args::CheckArgs;
use crate::client::segment;
use crate::commands::Context;
use crate::output::{Output, details};

pub(super) fn run(context: &Context, args: CheckArgs) -> Result<ExitCode> {
    let Context { client, output } = context;
    let target = path::app_check(&client.tenant(), &segment(&args.name));
    let asked = CheckApp { connector: args.connector, user: args.user, sign_on: !args.no_sso };
    let checked: AppChecked = client.post_patiently(&target, &asked)?;
    output.show(&checked, |checked| tables(*output, checked))?;
    output.warn(&checked.warnings);
    Ok(if checked.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One for each connector, each with what to do below, and what differs.
fn tables(output: Output, checked: &AppChecked) -> String {
    let mut text: String = checked.connectors.iter().map(|connector| table(output, checked, connector)).collect();
    if !checked.differences.is_empty() {
        let differ = format!("{}\n", checked.differences.join("\n"));
        text.push_str(&details(&[("differs", differ)]));
    }
    text.push_str(if checked.passed { "nothing failed\n" } else { "something failed\n" });
    text
}

fn table(output: Output, checked: &AppChecked, connector: &ConnectorChecked) -> String {
    let title = [("connector", format!("{} of {}, by relay {}", connector.connector, checked.group, connector.relay))];
    let table = output.table(["STEP", "RESULT", "TIME", "SEEN"]).rows(&connector.steps, |step| {
        [step.step.clone(), step.result.as_str().into(), format!("{} ms", step.ms), step.seen.clone()]
    });
    let cures: Vec<(&str, String)> = connector
        .steps
        .iter()
        .filter(|step| !step.cure.is_empty())
        .map(|step| ("cure", format!("{}: {}", step.step, step.cure)))
        .collect();
    format!("{}{}{}\n", details(&title), table.render("no steps"), details(&cures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use postern_model::check::{CheckStep, StepResult};

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
        let text = tables(Output::new(Format::Table), &checked);
        assert!(text.contains("connector: c1-2 of hq, by relay edge-1\n"), "{text}");
        assert!(text.contains("tls   fail    3 ms  evil\u{fffd}[2J\ncure: tls: renew it\n"), "{text}");
        assert!(text.contains("differs: tls: fail on c1-2\n") && text.ends_with("something failed\n"), "{text}");
    }
}
