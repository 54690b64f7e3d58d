//! Figures that are counted, not timed, and so hardly wobble: system calls, allocations and copies per request, instructions
//! of the pure crates. Compared with `perf/baselines.json`, they find a regression on a busy machine too.

pub mod baselines;
pub mod instructions;
mod plausible;
pub mod report;
mod requests;
mod system_calls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use postern_tests::world::World;

use crate::chain::{Chain, Variant};
use crate::lab::{Lab, PROXY_CORE, contestant, on_core};
use crate::load::Target;
use crate::people;
use crate::tls::Protocol;

use report::Counts;
use requests::Requests;

/// Figures by name, `what/whose/how`.
pub type Figures = BTreeMap<String, f64>;

/// How they are called, and what is asked for.
const LOADS: &[(&str, Requests)] = &[
    ("1 connection", Requests { path: "/", connections: 1, each: 2000 }),
    ("64 connections", Requests { path: "/", connections: 64, each: 400 }),
];
/// What it costs beside the first of them that somebody signed in.
const SIGNED_IN: &[(&str, Requests)] = &[("signed in", Requests { path: "/", connections: 1, each: 2000 })];
/// The application that they sign in to.
const ASKING: &str = "asking";
/// Large answers: what each byte of content costs.
const BULK: Requests = Requests { path: "/10m", connections: 1, each: 16 };
const COPIES_PER_BYTE: &str = "copies per byte of content";
const BULK_BYTES: f64 = (10 << 20) as f64;

/// The counting build of a program, beside this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let file = std::env::current_exe()?.with_file_name(format!("{name}-counted"));
    ensure!(file.is_file(), "{} is missing: build the package postern-counted", file.display());
    Ok(file)
}

/// All of them.
pub fn measure(lab: &mut Lab) -> Result<Figures> {
    let mut figures = Figures::new();
    let mut chain = lab.other_chain(&Variant {
        relay: Some(program("postern-relay")?),
        connector: Some(program("postern-connector")?),
        ..Variant::default()
    })?;
    let target = contestant(&chain).target(Some(lab.tls(Protocol::Http1, false)?));
    eprintln!("instructions of the pure crates");
    instructions::measure(&mut figures)?;
    eprintln!("system calls per request");
    system_calls(&chain, &target, &mut figures)?;
    eprintln!("allocations per request");
    allocations(&chain, &target, LOADS, &mut figures)?;
    eprintln!("copies per request and byte");
    copies(&chain, &target, &mut figures)?;
    eprintln!("allocations per request of somebody who signed in");
    let target = somebody(&mut chain, lab)?;
    allocations(&chain, &target, SIGNED_IN, &mut figures)?;
    for (name, value) in &figures {
        eprintln!("  {name:<60} {value:>12.2}");
    }
    plausible::ensure(&figures)?;
    Ok(figures)
}

fn system_calls(chain: &Chain, target: &Target, figures: &mut Figures) -> Result<()> {
    let relay = chain.dataplane().context("the relay has a dataplane")?;
    let connector = chain.connector_process().context("the connector runs")?.pid();
    for (load, requests) in LOADS {
        for (name, pid) in [("relay", relay), ("connector", connector)] {
            // What it does by the clock is counted, too, and is more on a machine that is busy otherwise: the lower of two.
            let calls = traced(target, *requests, pid)?.min(traced(target, *requests, pid)?);
            figures.insert(format!("system calls per request/{name}/{load}"), calls as f64 / requests.count());
        }
    }
    Ok(())
}

/// System calls of a process during so many requests.
fn traced(target: &Target, requests: Requests, pid: u32) -> Result<u64> {
    let mut trace = None;
    let (begun, calls) = requests::between(target, requests, || match trace.take() {
        None => {
            trace = Some(system_calls::Trace::start(pid)?);
            Ok(0)
        }
        Some(begun) => system_calls::Trace::stop(begun),
    })?;
    begun?;
    calls
}

/// The only user there is, at an application that asks who somebody is.
fn somebody(chain: &mut Chain, lab: &Lab) -> Result<Target> {
    on_core(PROXY_CORE, || chain.world().start_identity())?;
    let world: &World = chain.world();
    people::apply(world, &people::application(world, ASKING, &format!("http://{}/", lab.origin)))?;
    people::create(world)?;
    people::apply(world, &format!("[[assignment]]\napp = \"{ASKING}\"\nuser = \"{}\"\n", people::LOGIN))?;
    people::signed_in(chain, ASKING)
}

fn allocations(chain: &Chain, target: &Target, loads: &[(&str, Requests)], figures: &mut Figures) -> Result<()> {
    for (load, requests) in loads {
        // As with system calls: what is done by the clock is more on a machine that is busy otherwise.
        for _ in 0..2 {
            for (name, before, after) in counted(chain, target, *requests)? {
                let per_request = |from: u64, to: u64| to.saturating_sub(from) as f64 / requests.count();
                let count = per_request(before.allocations, after.allocations);
                lower(figures, format!("allocations per request/{name}/{load}"), count);
                // With many connections buffers grow with the batches that happen to form: bytes would wobble.
                if requests.connections == 1 {
                    let bytes = per_request(before.requested_bytes, after.requested_bytes);
                    lower(figures, format!("bytes allocated per request/{name}/{load}"), bytes);
                }
            }
        }
    }
    Ok(())
}

/// The lower of two that were counted.
fn lower(figures: &mut Figures, name: String, value: f64) {
    figures.entry(name).and_modify(|known| *known = known.min(value)).or_insert(value);
}

fn copies(chain: &Chain, target: &Target, figures: &mut Figures) -> Result<()> {
    for (load, requests) in LOADS {
        for (name, before, after) in counted(chain, target, *requests)? {
            let calls = after.copies.saturating_sub(before.copies) as f64 / requests.count();
            figures.insert(format!("copies per request/{name}/{load}"), calls);
        }
    }
    for (name, before, after) in counted(chain, target, BULK)? {
        let copied = after.copied_bytes.saturating_sub(before.copied_bytes) as f64;
        figures.insert(format!("{COPIES_PER_BYTE}/{name}/download"), copied / (BULK.count() * BULK_BYTES));
    }
    Ok(())
}

/// What relay and connector say of themselves before and after so many requests.
fn counted(chain: &Chain, target: &Target, requests: Requests) -> Result<[(&'static str, Counts, Counts); 2]> {
    let look = || -> Result<[Counts; 2]> {
        let relay = report::latest(chain.relay_process().context("the relay runs")?, chain.dataplane())?;
        Ok([relay, report::latest(chain.connector_process().context("the connector runs")?, None)?])
    };
    let (before, after) = requests::between(target, requests, look)?;
    let ([relay_before, connector_before], [relay, connector]) = (before?, after?);
    Ok([("relay", relay_before, relay), ("connector", connector_before, connector)])
}
