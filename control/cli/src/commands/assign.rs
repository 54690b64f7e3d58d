//! `postern assign …`.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use postern_model::admin::{Assign, AssignmentChanged, AssignmentView, Changed, List, path};
use postern_service::failure::Failure;
use serde::Serialize;

use super::Context;
use crate::args::{AssignArgs, AssignCommand, PrincipalArgs};
use crate::client::segment;
use crate::output::Output;
use crate::time_text::{relative, relative_ms};

pub(super) fn run(context: &Context, args: AssignArgs) -> Result<()> {
    let AssignArgs { command, app, principal, role, expires } = args;
    match (command, app) {
        (Some(command), None) => run_command(context, command),
        (None, Some(app)) => {
            let PrincipalArgs { user, group, everyone } = principal;
            let expires_unix = expires.and_then(|expires| expires.unix(SystemTime::now()));
            assign(context, &Assign { app, user, group, everyone, role, expires_unix })
        }
        (Some(_), Some(app)) => {
            let message =
                format!("{app} stands before the verb: write `postern assign list {app}` or `… remove {app}`");
            Err(Failure::usage(message).into())
        }
        (None, None) => Err(Failure::usage("assign needs an application").into()),
    }
}

fn run_command(context: &Context, command: AssignCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        AssignCommand::List { app, expiring } => {
            let app = app.map(|app| format!("app={}", segment(&app)));
            let expiring = expiring.map(|within| format!("expiring_s={}", within.as_secs()));
            let query = app.into_iter().chain(expiring).collect::<Vec<_>>().join("&");
            let list: List<AssignmentView> = client.get(&format!("{}?{query}", path::assignments(&tenant)))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        AssignCommand::Report { expiring, unused } => {
            let list = |query: &str, span: Duration| -> Result<Vec<AssignmentView>> {
                let target = format!("{}?{query}={}", path::assignments(&tenant), span.as_secs());
                Ok(client.get::<List<AssignmentView>>(&target)?.items)
            };
            let mut report = Report { expiring: list("expiring_s", expiring)?, unused: list("unused_s", unused)? };
            report.expiring.sort_by_key(|assignment| assignment.expires_unix);
            report.unused.sort_by_key(|assignment| (assignment.last_used_unix, assignment.created_unix_ms));
            output.show(&report, |report| report.table(*output))
        }
        AssignCommand::Remove { app, principal } => {
            let (words, target) = named(&principal);
            let changed: Changed = client.delete(&path::assignment(&tenant, &segment(&app), &target))?;
            output.changed(&changed, &format!("{words} is no longer assigned to {app}"), &changed.warnings)
        }
    }
}

fn assign(context: &Context, asked: &Assign) -> Result<()> {
    let Context { client, output } = context;
    let changed: AssignmentChanged = client.put(&path::assignments(&client.tenant()), asked)?;
    let AssignmentView { app, principal, .. } = &changed.assignment;
    output.changed(&changed, &format!("{principal} is assigned to {app}"), &changed.warnings)
}

/// As people read it, and as a path has it.
pub(super) fn named(principal: &PrincipalArgs) -> (String, String) {
    match (&principal.user, &principal.group) {
        (Some(user), _) => (format!("user/{user}"), format!("user/{}", segment(user))),
        (None, Some(group)) => (format!("group/{group}"), format!("group/{}", segment(group))),
        (None, None) => ("everyone".into(), "everyone".into()),
    }
}

fn table(output: Output, assignments: &[AssignmentView]) -> String {
    let now = SystemTime::now();
    let table = output.table(["APP", "WHO", "ROLE", "EXPIRES", "ASSIGNED"]).rows(assignments, |assignment| {
        [
            assignment.app.to_string(),
            assignment.principal.clone(),
            assignment.role.as_ref().map(ToString::to_string).unwrap_or_default(),
            assignment.expires_unix.map(|end| relative(end, now)).unwrap_or_default(),
            relative_ms(assignment.created_unix_ms, now),
        ]
    });
    table.render("no assignments")
}

/// What an operator may want to take away.
#[derive(Serialize)]
struct Report {
    /// What has ended is in front, then what ends first.
    expiring: Vec<AssignmentView>,
    /// What nobody used is in front, then what was not used for the longest.
    unused: Vec<AssignmentView>,
}

impl Report {
    fn table(&self, output: Output) -> String {
        let now = SystemTime::now();
        let ends = |assignment: &AssignmentView| {
            let state = if assignment.expired { "ended" } else { "ends" };
            (state, assignment.expires_unix.map(|end| relative(end, now)).unwrap_or_default())
        };
        let used = |assignment: &AssignmentView| match assignment.last_used_unix {
            Some(used) => ("last used", relative(used, now)),
            None => ("not used", format!("made {}", relative_ms(assignment.created_unix_ms, now))),
        };
        let expiring = self.expiring.iter().map(|assignment| (assignment, ends(assignment)));
        let all: Vec<_> = expiring.chain(self.unused.iter().map(|assignment| (assignment, used(assignment)))).collect();
        let table = output.table(["APP", "WHO", "ROLE", "STATE", "WHEN"]).rows(&all, |(assignment, (state, when))| {
            [
                assignment.app.to_string(),
                assignment.principal.clone(),
                assignment.role.as_ref().map(ToString::to_string).unwrap_or_default(),
                (*state).to_owned(),
                when.clone(),
            ]
        });
        table.render("no assignment has ended, ends in this time, or is unused")
    }
}

/// One of a user's: through whom, as what, until when.
pub(super) fn assignment_line(assignment: &AssignmentView) -> String {
    let role = assignment.role.as_ref().map(|role| format!(", role {role}")).unwrap_or_default();
    let end = assignment.expires_unix.map(|end| format!(", until {}", crate::time_text::utc(end))).unwrap_or_default();
    format!("{}{role}{end}", assignment.principal)
}
