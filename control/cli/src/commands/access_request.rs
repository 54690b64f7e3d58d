//! `postern access request …`.

use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{AccessDecided, AccessRequestView, DecideAccess, List, path};

use super::Context;
use crate::args::{AccessRequestCommand, DecideArgs};
use crate::output::Output;
use crate::time_text::relative;

pub(super) fn run(context: &Context, command: AccessRequestCommand) -> Result<()> {
    match command {
        AccessRequestCommand::List { all } => {
            let Context { client, output } = context;
            let query = if all { "?all=true" } else { "" };
            let list: List<AccessRequestView> =
                client.get(&format!("{}{query}", path::access_requests(&client.tenant())))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        AccessRequestCommand::Approve(args) => decide(context, args, "approve", "is approved"),
        AccessRequestCommand::Deny(args) => decide(context, args, "deny", "is denied"),
    }
}

fn decide(context: &Context, args: DecideArgs, decision: &str, done: &str) -> Result<()> {
    let Context { client, output } = context;
    let DecideArgs { request, note } = args;
    let target = path::access_request_decision(&client.tenant(), &request.to_string(), decision);
    let decided: AccessDecided = client.post(&target, &DecideAccess { note })?;
    let AccessRequestView { user, app, .. } = &decided.request;
    output.changed(&decided, &format!("the request of {user} for {app} {done}"), &decided.warnings)
}

fn table(output: Output, requests: &[AccessRequestView]) -> String {
    let now = SystemTime::now();
    let table = output.table(["ID", "USER", "APP", "ASKED", "STATE", "WHY"]).rows(requests, |request| {
        let state = match &request.decision {
            None => "waits".into(),
            Some(decision) if decision.approved => format!("approved by {}", decision.by),
            Some(decision) => format!("denied by {}", decision.by),
        };
        [
            request.id.to_string(),
            request.user.clone(),
            request.app.to_string(),
            relative(request.created_unix, now),
            state,
            request.justification.clone(),
        ]
    });
    table.render("no access requests")
}
