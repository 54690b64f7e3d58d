//! Figures that are counted, not timed, and so hardly wobble: system calls and allocations per request, instructions of the
//! pure crates. Compared with `perf/baselines.json`, they find a regression on a busy machine too.

pub mod allocator;
pub mod baselines;
pub mod instructions;
mod requests;
mod system_calls;

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::chain::{Chain, Variant};
use crate::lab::{Lab, contestant};
use crate::load::Target;
use crate::tls::Protocol;

/// Figures by name, `what/whose/how`.
pub type Figures = BTreeMap<String, f64>;

/// Connections and requests on each, by how they are called.
const LOADS: &[(&str, usize, usize)] = &[("1 connection", 1, 2000), ("64 connections", 64, 400)];

/// All of them.
pub fn measure(lab: &mut Lab) -> Result<Figures> {
    let mut figures = Figures::new();
    let chain = lab.other_chain(&Variant {
        relay: Some(allocator::program("postern-relay")?),
        connector: Some(allocator::program("postern-connector")?),
        ..Variant::default()
    })?;
    let target = contestant(&chain).target(Some(lab.tls(Protocol::Http1, false)?));
    eprintln!("instructions of the pure crates");
    instructions::measure(&mut figures)?;
    eprintln!("system calls per request");
    system_calls(&chain, &target, &mut figures)?;
    eprintln!("allocations per request");
    allocations(&chain, &target, &mut figures)?;
    for (name, value) in &figures {
        eprintln!("  {name:<60} {value:>12.2}");
    }
    Ok(figures)
}

fn system_calls(chain: &Chain, target: &Target, figures: &mut Figures) -> Result<()> {
    let relay = chain.dataplane().context("the relay has a dataplane")?;
    let connector = chain.connector_process().context("the connector runs")?.pid();
    for (load, connections, each) in LOADS {
        for (name, pid) in [("relay", relay), ("connector", connector)] {
            let calls = traced(target, *connections, *each, pid)?;
            let requests = (connections * each) as f64;
            figures.insert(format!("system calls per request/{name}/{load}"), calls as f64 / requests);
        }
    }
    Ok(())
}

/// System calls of a process during so many requests.
fn traced(target: &Target, connections: usize, each: usize, pid: u32) -> Result<u64> {
    let mut trace = None;
    let (begun, calls) = requests::between(target, connections, each, || match trace.take() {
        None => {
            trace = Some(system_calls::Trace::start(pid)?);
            Ok(0)
        }
        Some(begun) => system_calls::Trace::stop(begun),
    })?;
    begun?;
    calls
}

fn allocations(chain: &Chain, target: &Target, figures: &mut Figures) -> Result<()> {
    let now = || -> Result<[(&str, allocator::Counts); 2]> {
        let relay = allocator::latest(chain.relay_process().context("the relay runs")?, chain.dataplane())?;
        let connector = allocator::latest(chain.connector_process().context("the connector runs")?, None)?;
        Ok([("relay", relay), ("connector", connector)])
    };
    for (load, connections, each) in LOADS {
        let (before, after) = requests::between(target, *connections, *each, now)?;
        for ((name, before), (_, after)) in before?.into_iter().zip(after?) {
            let per_request = |from: u64, to: u64| to.saturating_sub(from) as f64 / (connections * each) as f64;
            let count = per_request(before.allocations, after.allocations);
            figures.insert(format!("allocations per request/{name}/{load}"), count);
            // With many connections buffers grow with the batches that happen to form: bytes would wobble.
            if *connections == 1 {
                let bytes = per_request(before.requested_bytes, after.requested_bytes);
                figures.insert(format!("bytes allocated per request/{name}/{load}"), bytes);
            }
        }
    }
    Ok(())
}
