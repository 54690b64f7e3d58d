//! 40 ms between connector and relay: what one stream carries, and what small requests take beyond the round trip.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::contest;
use crate::chain::Variant;
use crate::delay;
use crate::lab::{Contestant, LOAD_CORE, Lab, contestant};
use crate::load::answer::Answer;
use crate::load::link::Link;
use crate::load::{Plan, Shape, request, start};
use crate::outcome::{Outcome, Sample, Side, figure};
use crate::peers::Kind;
use crate::tls::Protocol;

const ROUND_TRIP: Duration = Duration::from_millis(40);
const STREAM_PATH: &str = "/256m";
const STREAM_BYTES: u64 = 256 << 20;
const STREAM_LIMIT: Duration = Duration::from_secs(60);
/// Few enough to load nothing.
const CONNECTIONS: usize = 2;
const WIRE: &str = "the wire alone";

pub(super) fn run(lab: &mut Lab) -> Result<Vec<Outcome>> {
    // The relay's address must be known before the wire is, and the wire's before the connector starts.
    let relay = postern_tests::world::free_address(std::net::Ipv4Addr::LOCALHOST)?;
    let wire = delay::start(LOAD_CORE, relay, ROUND_TRIP)?;
    let chain = lab.other_chain(&Variant { listen: Some(relay), dial: Some(wire), ..Variant::default() })?;
    let postern = contestant(&chain);
    let direct =
        Contestant { name: WIRE.into(), address: delay::start(LOAD_CORE, lab.origin, ROUND_TRIP)?, ..lab.direct() };
    let tunnel = Kind::HaproxyRathole;
    let peer = if lab.extent.peers.contains(&tunnel) { Some(lab.distant_peer(tunnel, ROUND_TRIP)?) } else { None };
    let (mut stream, mut small) = (stream_outcome(), small_outcome());
    for side in [Some(&postern), peer.as_ref().map(|(_, side)| side), Some(&direct)].into_iter().flatten() {
        let (streams, smalls) = side_rounds(lab, side)?;
        stream.sides.push(Side { name: side.name.clone(), samples: streams });
        small.sides.push(Side { name: side.name.clone(), samples: smalls });
    }
    for outcome in [&mut stream, &mut small] {
        outcome.compares = false;
        outcome.remarks.extend(contest::disturbance(outcome));
    }
    Ok(vec![stream, small])
}

fn side_rounds(lab: &Lab, side: &Contestant) -> Result<(Vec<Sample>, Vec<Sample>)> {
    let (mut streams, mut smalls) = (Vec::new(), Vec::new());
    for round in 0..lab.extent.rounds {
        let (stream, small) = (stream_sample(lab, side)?, small_sample(lab, side)?);
        for sample in [&stream, &small] {
            contest::progress(round, lab.extent.rounds, &side.name, sample);
        }
        streams.push(stream);
        smalls.push(small);
    }
    Ok((streams, smalls))
}

fn plan(lab: &Lab, side: &Contestant) -> Result<Plan> {
    let tls = if side.name != WIRE { Some(lab.tls(Protocol::Http1, false)?) } else { None };
    Ok(Plan {
        target: side.target(tls),
        path: "/".into(),
        connections: CONNECTIONS,
        shape: Shape::Closed,
        warmup: lab.extent.warmup,
        duration: lab.extent.duration,
    })
}

fn small_sample(lab: &Lab, side: &Contestant) -> Result<Sample> {
    let run = plan(lab, side)?.run(&side.watch)?;
    let beyond = |quantile| run.latency_ms(quantile) - ROUND_TRIP.as_secs_f64() * 1e3;
    let mut figures =
        vec![figure("p50 beyond 40 ms", "ms", beyond(0.5)), figure("p99 beyond 40 ms", "ms", beyond(0.99))];
    figures.extend(contest::latencies(&run));
    let others_share = run.usage.others_share();
    Ok(Sample { figures, others_share, failed: run.failed, latency: Some(run.latency), ..Sample::default() })
}

fn stream_sample(lab: &Lab, side: &Contestant) -> Result<Sample> {
    let target = plan(lab, side)?.target;
    let before = side.watch.read();
    let (first_mib, half, all) = start(async {
        let mut link = Link::open(&target).await?;
        let begun = Instant::now();
        link.send(&request(&target, STREAM_PATH)).await?;
        let mut answer = Answer::default();
        let (mut first_mib, mut half) = (None, None);
        while !answer.is_done() {
            link.receive(&mut |piece| answer.take(piece)).await?;
            let now = begun.elapsed();
            anyhow::ensure!(now < STREAM_LIMIT, "256 MiB did not come within {} s", STREAM_LIMIT.as_secs());
            if answer.content() >= 1 << 20 {
                first_mib.get_or_insert(now);
            }
            if answer.content() >= STREAM_BYTES / 2 {
                half.get_or_insert(now);
            }
        }
        let all = begun.elapsed();
        Ok((first_mib.context("the answer was short")?, half.context("the answer was short")?, all))
    })?;
    let usage = side.watch.usage(&before, &side.watch.read());
    let mbits = |bytes: u64, time: Duration| bytes as f64 * 8.0 / 1e6 / time.as_secs_f64().max(1e-9);
    let figures = vec![
        figure("whole stream", "Mbit/s", mbits(STREAM_BYTES, all)),
        figure("second half", "Mbit/s", mbits(STREAM_BYTES / 2, all - half)),
        figure("first MiB", "ms", first_mib.as_secs_f64() * 1e3),
    ];
    Ok(Sample { figures, others_share: usage.others_share(), ..Sample::default() })
}

fn stream_outcome() -> Outcome {
    let method = "A user-space wire on loopback that delivers every byte 20 ms after it came; the time includes the start. \
                  The wire alone: plain HTTP through such a wire to the origin.";
    let mut outcome =
        Outcome::new("wan-stream", "One 256 MiB answer, 40 ms between connector and relay", method, "whole stream");
    outcome.remarks =
        vec!["TCP itself ends at the wire, on loopback: what is measured is the tunnel's own flow control".into()];
    outcome
}

fn small_outcome() -> Outcome {
    let method = format!("{CONNECTIONS} connections, closed loop, the same wire.");
    Outcome::new("wan-small", "100-byte answers, 40 ms between connector and relay", &method, "p50 beyond 40 ms")
}
