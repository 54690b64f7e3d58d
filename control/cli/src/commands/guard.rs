//! `postern guard …`: reads and changes the maps of the relay on this host, without control.

use std::net::IpAddr;

use anyhow::Result;
use postern_ebpf_loader::{BpfError, Pinned, Prefix, Rate, SourceLimits, instances};
use postern_service::failure::Failure;
use serde::Serialize;

use crate::args::{DenyCommand, GuardArgs, GuardCommand, LimitArgs};
use crate::output::{Output, details};

mod view;

use view::{GuardView, LimitsView};

pub(super) fn run(args: &GuardArgs, output: Output) -> Result<()> {
    let instance = choose(args.instance.as_deref())?;
    let mut pinned = Pinned::open(&instance).map_err(failure)?;
    match &args.command {
        GuardCommand::Show => {
            let view = GuardView::read(instance, &mut pinned).map_err(failure)?;
            output.show(&view, |view| view.text(output))
        }
        GuardCommand::Deny(command) => deny(&mut pinned, command, output),
        GuardCommand::Set(limits) => set(&mut pinned, limits, output),
        GuardCommand::Drop { source, duration } => {
            pinned.sources().drop_source(*source, *duration).map_err(failure)?;
            let done = Dropped { source: *source, for_s: duration.as_secs_f64() };
            output.show(&done, |done| format!("{} is dropped for {} s\n", done.source, done.for_s))
        }
        GuardCommand::Release { source } => {
            if !pinned.sources().release(*source).map_err(failure)? {
                return Err(Failure::new(format!("{source} is not dropped at present")).code("not-found").into());
            }
            let done = Released { released: *source };
            output.show(&done, |done| format!("{} is let in again\n", done.released))
        }
    }
}

#[derive(Serialize)]
struct Dropped {
    source: IpAddr,
    for_s: f64,
}

#[derive(Serialize)]
struct Released {
    released: IpAddr,
}

#[derive(Serialize)]
struct DenyList {
    items: Vec<String>,
}

fn deny(pinned: &mut Pinned, command: &DenyCommand, output: Output) -> Result<()> {
    match command {
        DenyCommand::Add { prefixes } => {
            for prefix in prefixes {
                pinned.sources().deny(*prefix).map_err(failure)?;
            }
            changed(pinned, output, &format!("denied from now on, until the relay ends: {}", list(prefixes)))
        }
        DenyCommand::Remove { prefixes } => {
            let denied = pinned.sources().denied().map_err(failure)?;
            if let Some(unknown) = prefixes.iter().find(|prefix| !denied.contains(prefix)) {
                return Err(not_denied(*unknown, &denied).into());
            }
            for prefix in prefixes {
                pinned.sources().allow(*prefix).map_err(failure)?;
            }
            changed(pinned, output, &format!("no longer denied: {}", list(prefixes)))
        }
        DenyCommand::List => {
            let denied = texts(&pinned.sources().denied().map_err(failure)?);
            output.show(&DenyList { items: denied }, |list| match list.items.as_slice() {
                [] => "nothing is denied\n".into(),
                items => items.join("\n") + "\n",
            })
        }
    }
}

/// JSON has the whole list.
fn changed(pinned: &mut Pinned, output: Output, line: &str) -> Result<()> {
    let denied = texts(&pinned.sources().denied().map_err(failure)?);
    output.show(&DenyList { items: denied }, |_| format!("{line}\n"))
}

fn not_denied(prefix: Prefix, denied: &[Prefix]) -> Failure {
    let wider = denied.iter().find(|wider| wider.covers(&prefix));
    let why = match wider {
        Some(wider) => format!("{prefix} is denied as part of {wider}: only that can be removed"),
        None => format!("{prefix} is not on the deny list"),
    };
    Failure::new(why).code("not-found").cure("postern guard deny list shows it")
}

fn set(pinned: &mut Pinned, args: &LimitArgs, output: Output) -> Result<()> {
    let before = pinned.limits().map_err(failure)?;
    let changed = |rate: Rate, (per_s, burst), flag| rate.changed(per_s, burst).ok_or_else(|| burst_alone(flag));
    let limits = SourceLimits {
        connections: changed(before.connections, (args.connection_rate, args.connection_burst), "connection")?,
        syns: changed(before.syns, (args.syn_rate, args.syn_burst), "syn")?,
        packets: changed(before.packets, (args.packet_rate, args.packet_burst), "packet")?,
    };
    pinned.sources().set_limits(&limits).map_err(failure)?;
    let view = LimitsView::from(&limits);
    output.show(&view, |view| details(&view.lines()))?;
    if pinned.interfaces().map_err(failure)?.is_empty()
        && (limits.syns, limits.packets) != (before.syns, before.packets)
    {
        output.warn(&[
            "no interface is filtered, so only connections are limited; start the relay with --xdp IFACE".into()
        ]);
    }
    Ok(())
}

fn burst_alone(flag: &str) -> Failure {
    Failure::usage(format!("--{flag}-burst without a limit")).cure(format!("give --{flag}-rate as well, above 0"))
}

/// The instance named, or the only one.
fn choose(named: Option<&str>) -> Result<String, Failure> {
    let found = instances().map_err(failure)?;
    let chosen: Vec<&String> = match named {
        Some(name) => found.iter().filter(|instance| is_named(instance, name)).collect(),
        None => found.iter().collect(),
    };
    match (chosen.as_slice(), named) {
        ([one], _) => Ok((*one).clone()),
        ([], Some(name)) if !found.is_empty() => {
            Err(Failure::new(format!("no relay `{name}` runs with BPF on this host, but {}", found.join(", ")))
                .code("guard-unavailable"))
        }
        ([], _) => Err(Failure::new("no relay with BPF runs on this host").code("guard-unavailable")),
        (_, _) => Err(Failure::new(format!("several relays run on this host: {}", found.join(", ")))
            .cure("choose one with --instance")),
    }
}

/// An instance is the relay's name and a mark of its state folder.
fn is_named(instance: &str, name: &str) -> bool {
    instance == name || instance.rsplit_once('-').is_some_and(|(relay, _)| relay == name)
}

fn failure(error: BpfError) -> Failure {
    if error.is_permission() {
        return Failure::new("the kernel's maps of a relay are root's").code("guard-not-permitted");
    }
    let failure = Failure::new(error.chain());
    if matches!(error, BpfError::NotRunning(_) | BpfError::Pins { .. }) {
        return failure.code("guard-unavailable");
    }
    failure
}

fn list(prefixes: &[Prefix]) -> String {
    texts(prefixes).join(", ")
}

fn texts(prefixes: &[Prefix]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_its_relays_name() {
        assert!(is_named("edge-1a2b3c4d", "edge") && is_named("edge-1a2b3c4d", "edge-1a2b3c4d"));
        assert!(!is_named("edge-2-1a2b3c4d", "edge"));
    }

    #[test]
    fn what_is_denied_by_a_wider_prefix_is_said() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let said = not_denied(prefix("10.1.0.0/16"), &[prefix("10.0.0.0/8")]).to_string();
        assert!(said.starts_with("10.1.0.0/16 is denied as part of 10.0.0.0/8"), "{said}");
        let said = not_denied(prefix("10.0.0.0/8"), &[prefix("10.1.0.0/16")]).to_string();
        assert!(said.starts_with("10.0.0.0/8 is not on the deny list"), "{said}");
    }
}
