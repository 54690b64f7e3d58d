//! `postern relay …`.

use std::time::SystemTime;

use anyhow::Result;
use postern_model::admin::{AddRelay, Changed, List, Pinned, RelayView, path};

use super::Context;
use crate::args::RelayCommand;
use crate::client::segment;
use crate::output::{Output, details, joined, short};
use crate::time_text::{relative_ms, since_ms};

pub(super) fn run(context: &Context, command: RelayCommand) -> Result<()> {
    let Context { client, output } = context;
    match command {
        RelayCommand::Add { name, address, fingerprint } => {
            let unpinned = fingerprint.is_none();
            let made: RelayView = client.post(path::RELAYS, &AddRelay { name, address, fingerprint })?;
            output.show(&made, |made| format!("relay {} ({}) added; control dials it now\n", made.name, made.id))?;
            if unpinned && made.pinned == Pinned::No {
                output.warn(&[
                    "the first key it shows will be trusted; compare it: postern relay show, and the relay's log"
                        .into(),
                ]);
            }
            Ok(())
        }
        RelayCommand::List => {
            let list: List<RelayView> = client.get(path::RELAYS)?;
            output.show(&list, |list| table(*output, &list.items))
        }
        RelayCommand::Show { name } => {
            let relay: RelayView = client.get(&path::relay(&segment(&name)))?;
            output.show(&relay, show)
        }
        RelayCommand::Remove { name, keep_keys } => {
            let query = if keep_keys { "?keep_keys=true" } else { "" };
            let changed: Changed = client.delete(&format!("{}{query}", path::relay(&segment(&name))))?;
            output.changed(&changed, &format!("relay {name} removed"), &changed.warnings)
        }
    }
}

/// Relays at a glance; `postern status` shows the same.
pub(super) fn table(output: Output, relays: &[RelayView]) -> String {
    let now = SystemTime::now();
    let heads = ["ID", "NAME", "ADDRESS", "LINK", "SINCE", "VERSION", "WORKERS", "IO", "EBPF", "CONNECTORS"];
    let table = output.table(heads).rows(relays, |relay| {
        let status = relay.status.clone().unwrap_or_default();
        let online = status.connectors.iter().filter(|connector| connector.online).count();
        [
            relay.id.to_string(),
            relay.name.to_string(),
            relay.address.clone().unwrap_or_else(|| "(socket)".into()),
            link(relay),
            since_ms(relay.since_unix_ms, now),
            status.applied_version.to_string(),
            status.workers.to_string(),
            status.io_backend,
            short(&status.ebpf),
            format!("{online} online"),
        ]
    });
    table.render("no relays; add one: postern relay add NAME HOST:PORT")
}

fn show(relay: &RelayView) -> String {
    let now = SystemTime::now();
    let status = relay.status.clone().unwrap_or_default();
    let connectors: Vec<String> = status
        .connectors
        .iter()
        .map(|connector| {
            let state = if connector.online { "online" } else { "offline" };
            format!("{} {state}, {} tunnels, {} µs", connector.id, connector.tunnels, connector.rtt_us)
        })
        .collect();
    details(&[
        ("id", relay.id.to_string()),
        ("name", relay.name.to_string()),
        ("address", relay.address.clone().unwrap_or_else(|| "(comes to the admin socket)".into())),
        ("key", relay.fingerprint.clone().unwrap_or_default()),
        ("key trusted", pinned(relay.pinned).into()),
        ("link", format!("{}, since {}", link(relay), relative_ms(relay.since_unix_ms, now))),
        ("problem", relay.problem.clone().unwrap_or_default()),
        ("software", relay.software.clone()),
        ("version applied", status.applied_version.to_string()),
        ("generation", status.generation.to_string()),
        ("workers", status.workers.to_string()),
        ("io", status.io_backend),
        ("ebpf", status.ebpf),
        ("connectors", connectors.join("\n")),
        ("warnings", joined(&status.warnings)),
    ])
}

fn link(relay: &RelayView) -> String {
    if relay.connected { "up".into() } else { "down".into() }
}

fn pinned(pinned: Pinned) -> &'static str {
    match pinned {
        Pinned::No => "not seen yet",
        Pinned::Given => "given with --fingerprint",
        Pinned::FirstUse => "at first connection",
        Pinned::Socket => "it came to the admin socket",
    }
}
