//! Memory of connections that had one exchange and then wait: resident memory of all proxy processes, and for Postern what
//! they asked of the heap, by a build that counts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::contest;
use crate::chain::Variant;
use crate::counted::{self, report};
use crate::lab::{Contestant, Lab, contestant};
use crate::load::hold::hold;
use crate::load::{Plan, Shape};
use crate::outcome::{Outcome, POSTERN, Sample, Side, figure};
use crate::tls::Protocol;

/// Below the 20,000 descriptors that a process may have, HAProxy's 9,000 connections included.
const CONNECTIONS: usize = 4000;
const CONNECTIONS_QUICK: usize = 500;
/// Sessions, tickets and timers settle.
const QUIET: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);
const RSS: &str = "RSS";

pub(super) fn run(lab: &mut Lab) -> Result<Vec<Outcome>> {
    let count = if lab.extent.is_quick { CONNECTIONS_QUICK } else { CONNECTIONS };
    let mut resident = outcome(count);
    for index in 0..=lab.extent.peers.len() {
        // Each from a fresh start: memory that was used before hides what is used now.
        lab.restart();
        let side = lab.contestant(index)?;
        let sample = resident_sample(lab, &side, count)?;
        contest::progress(0, 1, &side.name, &sample);
        resident.sides.push(Side { name: side.name, samples: vec![sample] });
    }
    Ok(vec![resident, heap(lab, count)?])
}

fn warm_up(lab: &Lab, side: &Contestant) -> Result<()> {
    let plan = Plan {
        target: side.target(Some(lab.tls(Protocol::Http1, false)?)),
        path: "/".into(),
        connections: 64,
        shape: Shape::Closed,
        warmup: Duration::ZERO,
        duration: WARM_UP,
    };
    plan.run(&side.watch)?;
    std::thread::sleep(QUIET);
    Ok(())
}

fn resident_sample(lab: &Lab, side: &Contestant, count: usize) -> Result<Sample> {
    warm_up(lab, side)?;
    let target = side.target(Some(lab.tls(Protocol::Http1, false)?));
    let now = || side.watch.parts.iter().map(|part| (part.name.clone(), rss_kib(&part.pids))).collect::<Vec<_>>();
    let before = now();
    let after = hold(&target, "/", count, QUIET, now)?;
    let parts: Vec<(String, f64)> = after
        .into_iter()
        .zip(before)
        .map(|((name, after), (_, before))| (name, after.saturating_sub(before) as f64 / count as f64))
        .collect();
    let sum = parts.iter().map(|(_, kib)| kib).sum();
    let front = parts.first().map_or(0.0, |(_, kib)| *kib);
    Ok(Sample {
        figures: vec![figure(RSS, "KiB/conn", sum), figure("front", "KiB/conn", front)],
        parts,
        ..Sample::default()
    })
}

/// Resident memory of processes.
fn rss_kib(pids: &[u32]) -> u64 {
    let of = |pid: &u32| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
    };
    pids.iter().filter_map(of).sum()
}

/// Bytes asked for and not given back, per connection, in relay and connector.
fn heap(lab: &mut Lab, count: usize) -> Result<Outcome> {
    let variant = Variant {
        relay: Some(counted::program("postern-relay")?),
        connector: Some(counted::program("postern-connector")?),
        ..Variant::default()
    };
    let chain = lab.other_chain(&variant)?;
    let side = contestant(&chain);
    warm_up(lab, &side)?;
    let target = side.target(Some(lab.tls(Protocol::Http1, false)?));
    let now = || -> Result<Vec<(String, report::Counts)>> {
        let relay = report::latest(chain.relay_process().context("the relay runs")?, chain.dataplane())?;
        let connector = report::latest(chain.connector_process().context("the connector runs")?, None)?;
        Ok(vec![("relay".into(), relay), ("connector".into(), connector)])
    };
    let before = now()?;
    let after = hold(&target, "/", count, QUIET, now)??;
    let mut parts = Vec::new();
    for ((name, after), (_, before)) in after.into_iter().zip(before) {
        ensure!(after.live_bytes > 0, "{name} reports no memory");
        parts.push((name, (after.live_bytes - before.live_bytes) as f64 / count as f64));
    }
    let figures = vec![
        figure("heap", "B/conn", parts.iter().map(|(_, bytes)| bytes).sum()),
        figure("front", "B/conn", parts.first().map_or(0.0, |(_, bytes)| *bytes)),
    ];
    let sample = Sample { figures, parts, ..Sample::default() };
    contest::progress(0, 1, POSTERN, &sample);
    let method =
        "The same with builds of relay and connector whose allocator counts: bytes requested and not yet freed.";
    let mut outcome = Outcome::new("idle-heap", &format!("Requested heap of {count} idle connections"), method, "heap");
    outcome.sides.push(Side { name: POSTERN.into(), samples: vec![sample] });
    Ok(outcome)
}

fn outcome(count: usize) -> Outcome {
    let title = format!("Resident memory of {count} idle keep-alive TLS connections");
    let method = "Each connection has one exchange and then waits; memory of all proxy processes beyond that before them, \
                  on freshly started and warmed-up processes. Kernel memory (about 10 KB per socket pair) is not in it.";
    Outcome::new("idle", &title, method, RSS)
}
