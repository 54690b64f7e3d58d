//! `postern status` and `postern ready`.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use hyper::StatusCode;
use postern_model::admin::{Ready, Status, path};
use postern_service::failure::EXIT_FAILURE;

use super::{Context, relay};
use crate::args::ReadyArgs;
use crate::output::{Output, details};
use crate::time_text::relative_ms;

/// How often `ready --wait` asks.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(super) fn run(context: &Context) -> Result<()> {
    let status: Status = context.client.get(path::STATUS)?;
    context.output.show(&status, |status| table(context.output, status))?;
    context.output.warn(&status.warnings);
    Ok(())
}

fn table(output: Output, status: &Status) -> String {
    let summary = details(&[
        ("control", format!("{}, started {}", status.software, relative_ms(status.started_unix_ms, SystemTime::now()))),
        ("store", format!("{}, version {}", status.store, status.version)),
        ("tenants", status.tenants.to_string()),
        ("applications", status.apps.to_string()),
        ("connector groups", status.groups.to_string()),
        ("connectors", format!("{} ({} online)", status.connectors, status.connectors_online)),
    ]);
    format!("{summary}\n{}", relay::table(output, &status.relays))
}

/// 0 when ready, 1 with what is missing when not.
pub(super) fn ready(context: &Context, args: &ReadyArgs) -> Result<ExitCode> {
    let deadline = args.wait.map(|wait| Instant::now() + wait);
    loop {
        let asked = ask(context);
        let is_ready = asked.as_ref().is_ok_and(|ready| ready.ready);
        if !is_ready && deadline.is_some_and(|deadline| Instant::now() + ASK_EVERY < deadline) {
            std::thread::sleep(ASK_EVERY);
            continue;
        }
        context.output.show(&asked?, ready_text)?;
        return Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) });
    }
}

/// Control says what is missing with a 503 that carries the same document.
fn ask(context: &Context) -> Result<Ready> {
    let answer = context.client.ask(path::READY)?;
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        return answer.parse().map_err(|_| answer.problem());
    }
    answer.value()
}

fn ready_text(ready: &Ready) -> String {
    if ready.ready {
        return "ready\n".into();
    }
    let missing: String = ready.missing.iter().map(|reason| format!("not ready: {reason}\n")).collect();
    if missing.is_empty() { "not ready\n".into() } else { missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_line_by_line() {
        assert_eq!(ready_text(&Ready { ready: true, missing: Vec::new() }), "ready\n");
        let missing = vec!["relay edge is not linked".into(), "group hq has no connector online".into()];
        assert_eq!(
            ready_text(&Ready { ready: false, missing }),
            "not ready: relay edge is not linked\nnot ready: group hq has no connector online\n"
        );
    }
}
