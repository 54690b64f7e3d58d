//! `postern connector …` and `postern connector-group …`.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{Changed, ConnectorView, CreateNamed, CreateToken, GroupView, List, TokenIssued, path};
use postern_service::failure::Failure;
use postern_service::secret;

use super::Context;
use crate::args::{ConnectorCommand, GroupCommand, TokenArgs};
use crate::client::segment;
use crate::output::{Output, details, joined, yes_no};
use crate::time_text::{relative, relative_ms, since_ms};

pub(super) fn run_group(context: &Context, command: GroupCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        GroupCommand::Create { name } => {
            let made: GroupView = client.post(&path::groups(&tenant), &CreateNamed { name })?;
            output.show(&made, |made| format!("connector group {} ({}) made\n", made.name, made.id))
        }
        GroupCommand::List => {
            let list: List<GroupView> = client.get(&path::groups(&tenant))?;
            output.show(&list, |list| group_table(*output, &list.items))
        }
        GroupCommand::Show { name } => {
            let group: GroupView = client.get(&path::group(&tenant, &segment(&name)))?;
            output.show(&group, show_group)
        }
        GroupCommand::Delete { name } => {
            let changed: Changed = client.delete(&path::group(&tenant, &segment(&name)))?;
            output.changed(&changed, &format!("connector group {name} deleted"), &changed.warnings)
        }
    }
}

pub(super) fn run(context: &Context, command: ConnectorCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        ConnectorCommand::Token(args) => token(context, &args),
        ConnectorCommand::List => {
            let list: List<ConnectorView> = client.get(&path::connectors(&tenant))?;
            output.show(&list, |list| connector_table(*output, &list.items))
        }
        ConnectorCommand::Show { id } => {
            let connector: ConnectorView = client.get(&path::connector(&tenant, &segment(&id)))?;
            output.show(&connector, show)
        }
        ConnectorCommand::Remove { id } => {
            let changed: Changed = client.delete(&path::connector(&tenant, &segment(&id)))?;
            output.changed(&changed, &format!("connector {id} removed"), &changed.warnings)
        }
    }
}

fn token(context: &Context, args: &TokenArgs) -> Result<()> {
    let Context { client, output } = context;
    if let Some(out) = args.out.as_deref().filter(|out| out.exists()) {
        return Err(taken(out).into());
    }
    let asked = CreateToken { ttl_s: args.ttl.map(|ttl| ttl.as_secs()) };
    let issued: TokenIssued = client.post(&path::tokens(&client.tenant(), &segment(&args.group)), &asked)?;
    let Some(out) = &args.out else {
        return output.show(&issued, |issued| format!("{}\n", issued.token.expose()));
    };
    write_token(out, &issued)?;
    let written = serde_json::json!({
        "id": issued.id,
        "group": issued.group,
        "expires_unix": issued.expires_unix,
        "file": out,
    });
    let expiry = relative(issued.expires_unix, SystemTime::now());
    output.show(&written, |_| {
        format!("token for group {} written to {}; it expires {expiry}\n", issued.group, out.display())
    })
}

fn write_token(out: &Path, issued: &TokenIssued) -> Result<()> {
    let line = postern_model::secret::SecretText::new(format!("{}\n", issued.token.expose()));
    secret::write_new(out, line.expose().as_bytes()).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return taken(out);
        }
        Failure::new(format!("cannot write {}: {error}", out.display()))
            .cure("choose another file; the token just made expires unused")
    })?;
    Ok(())
}

fn taken(out: &Path) -> Failure {
    Failure::new(format!("{} exists already", out.display())).cure("remove it or choose another file")
}

fn group_table(output: Output, groups: &[GroupView]) -> String {
    let table = output.table(["ID", "NAME", "CONNECTORS", "ONLINE", "TOKENS", "APPS"]).rows(groups, |group| {
        [
            group.id.to_string(),
            group.name.to_string(),
            group.connectors.to_string(),
            group.connectors_online.to_string(),
            group.tokens_open.to_string(),
            joined(&group.apps),
        ]
    });
    table.render("no connector groups")
}

fn show_group(group: &GroupView) -> String {
    details(&[
        ("id", group.id.to_string()),
        ("name", group.name.to_string()),
        ("connectors", format!("{} ({} online)", group.connectors, group.connectors_online)),
        ("open tokens", group.tokens_open.to_string()),
        ("applications", joined(&group.apps)),
    ])
}

fn connector_table(output: Output, connectors: &[ConnectorView]) -> String {
    let now = SystemTime::now();
    let heads = ["ID", "GROUP", "ONLINE", "SINCE", "TUNNELS", "SOFTWARE", "ENROLLED"];
    let table = output.table(heads).rows(connectors, |connector| {
        [
            connector.id.to_string(),
            connector.group.to_string(),
            yes_no(connector.online),
            since_ms(connector.since_unix_ms, now),
            connector.relays.iter().map(|relay| relay.tunnels).sum::<u32>().to_string(),
            connector.software.clone(),
            relative_ms(connector.enrolled_unix_ms, now),
        ]
    });
    table.render(
        "no connectors; enrol one: postern connector token --out FILE, then postern-connector --token-file FILE",
    )
}

fn show(connector: &ConnectorView) -> String {
    let now = SystemTime::now();
    let relays: Vec<String> = connector
        .relays
        .iter()
        .map(|at| {
            let state = if at.online { "online" } else { "offline" };
            format!("{} {state}, {} tunnels, {} µs", at.relay, at.tunnels, at.rtt_us)
        })
        .collect();
    details(&[
        ("id", connector.id.to_string()),
        ("group", connector.group.to_string()),
        ("online", yes_no(connector.online)),
        ("since", relative_ms(connector.since_unix_ms, now)),
        ("software", connector.software.clone()),
        ("enrolled", relative_ms(connector.enrolled_unix_ms, now)),
        ("key", connector.key_sha256.clone()),
        ("relays", relays.join("\n")),
    ])
}
