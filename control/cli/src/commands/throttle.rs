//! `postern throttle …`.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Result;
use postern_model::admin::{Changed, LimitChanged, LimitView, LimitersView, List, SetLimit, path};
use postern_model::limit::{Bound, Origin};
use postern_model::question::LimiterReport;
use postern_service::failure::Failure;

use super::Context;
use crate::args::{ThrottleCommand, ThrottleSetArgs};
use crate::output::{Output, print};

pub(super) fn run(context: &Context, command: ThrottleCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        ThrottleCommand::List => {
            let list: List<LimitView> = client.get(&path::limits(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        ThrottleCommand::Show { scope } => {
            let seen = seen(context, scope.as_deref())?;
            output.show(&seen, |seen| figures(*output, &seen.items))?;
            output.warn(&seen.warnings);
            Ok(())
        }
        ThrottleCommand::Set(args) => {
            let changed: LimitChanged = client.patch(&path::limits(&tenant), &asked(args))?;
            output.changed(&changed, &sentence(&changed.limit), &changed.warnings)
        }
        ThrottleCommand::Unset { scope } => {
            let changed: Changed = client.delete(&path::limit(&tenant, &escaped(&scope)))?;
            output.changed(&changed, &format!("{scope} is at its default again"), &changed.warnings)
        }
        ThrottleCommand::Watch { scope, every, count } => watch(context, scope.as_deref(), every, count),
    }
}

fn asked(args: ThrottleSetArgs) -> SetLimit {
    let ThrottleSetArgs { scope, rps, burst, conns, bps } = args;
    SetLimit { scope, rps, burst, conns, bps }
}

/// What relays say, of one limit or of all.
fn seen(context: &Context, scope: Option<&str>) -> Result<LimitersView> {
    let client = &context.client;
    let mut seen: LimitersView = client.get(&path::limiters(&client.tenant()))?;
    let Some(scope) = scope else { return Ok(seen) };
    seen.items.retain(|item| is_of(&item.scope, scope));
    if seen.items.is_empty() && seen.warnings.is_empty() {
        let missing = Failure::new(format!("no limit of that name is applied: {scope}"));
        return Err(missing.cure("`postern throttle list` shows them all").code("not-found").into());
    }
    Ok(seen)
}

/// The limit itself, and its sources, which stand behind its name.
fn is_of(item: &str, scope: &str) -> bool {
    item.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn watch(context: &Context, scope: Option<&str>, every: Duration, count: Option<u32>) -> Result<()> {
    let redraw = std::io::stdout().is_terminal();
    let mut left = count;
    loop {
        let seen = seen(context, scope)?;
        if redraw {
            print(CLEAR)?;
        }
        context.output.show_line(&seen, |seen| figures(context.output, &seen.items))?;
        context.output.warn(&seen.warnings);
        if let Some(left) = &mut left {
            *left -= 1;
            if *left == 0 {
                return Ok(());
            }
        }
        std::thread::sleep(every);
    }
}

fn table(output: Output, limits: &[LimitView]) -> String {
    let table = output.table(["LIMIT", "RPS", "BURST", "CONNS", "BPS", "ORIGIN", "NOTE"]).rows(limits, |limit| {
        let LimitView { scope, rps, burst, conns, bps, note } = limit;
        [
            scope.clone(),
            bound(*rps),
            bound(*burst),
            bound(*conns),
            bound(*bps),
            origin(&[*rps, *burst, *conns, *bps]).into(),
            note.clone().unwrap_or_default(),
        ]
    });
    table.render("no limits")
}

fn figures(output: Output, items: &[LimiterReport]) -> String {
    let heads = ["LIMIT", "RPS", "CONNS", "BPS", "ORIGIN", "RATE", "IN PROGRESS", "ADMITTED", "REFUSED"];
    let table = output.table(heads).rows(items, |item| {
        [
            item.scope.clone(),
            number(item.rps),
            number(item.conns),
            number(item.bps),
            item.origin.clone(),
            format!("{:.1}/s", item.rate_1s),
            item.in_progress.to_string(),
            item.admitted_total.to_string(),
            item.refused_total.to_string(),
        ]
    });
    table.render("no relay answered")
}

fn sentence(limit: &LimitView) -> String {
    let bounds = [("rps", limit.rps), ("burst", limit.burst), ("conns", limit.conns), ("bps", limit.bps)];
    let stated: Vec<String> = bounds
        .iter()
        .filter(|(_, bound)| bound.limit.is_some() || bound.origin == Origin::Set)
        .map(|(name, bound)| format!("{name} {}", number(bound.limit)))
        .collect();
    format!("{}: {}", limit.scope, if stated.is_empty() { "no limit".into() } else { stated.join(", ") })
}

fn bound(bound: Bound) -> String {
    number(bound.limit)
}

fn number(limit: Option<u64>) -> String {
    limit.map_or_else(|| "none".into(), |limit| limit.to_string())
}

/// Of a whole line: set as soon as one of its bounds is. A burst that follows from the rate is neither.
fn origin(bounds: &[Bound]) -> &'static str {
    if bounds.iter().any(|bound| bound.origin == Origin::Set) { "set" } else { "default" }
}

/// A scope in a path: its slashes stand for themselves.
fn escaped(scope: &str) -> String {
    scope.split('/').map(crate::client::segment).collect::<Vec<_>>().join("/")
}

/// Clears the screen and goes to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_and_its_sources_are_one_thing() {
        assert!(is_of("source", "source") && is_of("source 192.0.2.7/32", "source"));
        assert!(!is_of("source/192.0.2.0/24", "source") && !is_of("app/wiki2", "app/wiki"));
    }

    #[test]
    fn scopes_go_into_paths_as_they_are() {
        assert_eq!(escaped("source/2001:db8::/32"), "source/2001%3Adb8%3A%3A/32");
        assert_eq!(escaped("user/b%@example.com"), "user/b%25%40example%2Ecom");
        assert_eq!(escaped("app/a b?"), "app/a%20b%3F");
    }

    #[test]
    fn what_was_set_is_said() {
        let set = |limit| Bound { limit, origin: Origin::Set };
        let default = |limit| Bound { limit, origin: Origin::Default };
        let limit = LimitView {
            scope: "app/wiki".into(),
            rps: set(Some(100)),
            burst: default(Some(10)),
            conns: default(None),
            bps: set(None),
            note: None,
        };
        assert_eq!(sentence(&limit), "app/wiki: rps 100, burst 10, bps none");
    }
}
