//! One source floods the relay with handshakes it never finishes, another behaves: what is left for the other, without a
//! limit per source and with one.

use std::time::Duration;

use anyhow::{Context, Result};

use super::contest;
use crate::chain::{HOST, Variant};
use crate::flood::{Flood, SOURCE};
use crate::lab::{Contestant, LOAD_CORE, Lab, contestant};
use crate::load::{Plan, Run, Shape};
use crate::outcome::{Outcome, Sample, Side, figure};
use crate::tls::Protocol;

const CONNECTIONS: usize = 64;
/// Handshakes a second: more than a core can answer.
const FLOOD_PER_SECOND: u64 = 5000;
/// What those who behave send, of the undisturbed peak.
const SHARE: f64 = 0.5;
/// An answer that comes later is of no use any more.
const USEFUL: Duration = Duration::from_millis(250);
const LIMIT: &str = "50";
/// Room for the connections of those who behave, opened at once.
const LIMIT_BURST: &str = "200";
const GOODPUT: &str = "goodput";

pub(super) fn run(lab: &mut Lab) -> Result<Vec<Outcome>> {
    let mut outcome = outcome();
    let variants = [
        ("no limit", vec!["--connection-rate".to_owned(), "0".into()]),
        (
            "50/s per source",
            vec!["--connection-rate".into(), LIMIT.into(), "--connection-burst".into(), LIMIT_BURST.into()],
        ),
    ];
    for (name, relay_arguments) in variants {
        let chain = lab.other_chain(&Variant { relay_arguments, ..Variant::default() })?;
        let side = contestant(&chain);
        let rate = plan(lab, &side, Shape::Closed)?.run(&side.watch)?.per_second() * SHARE;
        let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
        for round in 0..lab.extent.rounds {
            let undisturbed = one(lab, &side, rate, None)?;
            let disturbed = one(lab, &side, rate, Some(undisturbed.1))?;
            for (what, sample) in [("undisturbed", &undisturbed.0), ("flooded", &disturbed.0)] {
                contest::progress(round, lab.extent.rounds, &format!("{what}, {name}"), sample);
            }
            quiet.push(undisturbed.0);
            flooded.push(disturbed.0);
        }
        outcome.sides.push(Side { name: format!("undisturbed, {name}"), samples: quiet });
        outcome.sides.push(Side { name: format!("flooded, {name}"), samples: flooded });
    }
    outcome.compares = false;
    outcome.remarks.extend(contest::disturbance(&outcome));
    Ok(vec![outcome])
}

fn outcome() -> Outcome {
    let method = format!(
        "127.0.0.1 sends half of what the chain can answer, evenly due on {CONNECTIONS} connections; meanwhile {SOURCE} opens \
         {FLOOD_PER_SECOND} connections a second, each with a ClientHello. Goodput: answers within {} ms of being due, beside \
         those of the same round without the flood. The limit is the relay's --connection-rate {LIMIT}.",
        USEFUL.as_millis()
    );
    Outcome::new("flood", "Goodput of those who behave while one source floods", &method, GOODPUT)
}

fn plan(lab: &Lab, side: &Contestant, shape: Shape) -> Result<Plan> {
    Ok(Plan {
        target: side.target(Some(lab.tls(Protocol::Http1, false)?)),
        path: "/".into(),
        connections: CONNECTIONS,
        shape,
        warmup: lab.extent.warmup,
        duration: lab.extent.duration,
    })
}

/// A sample, and the useful answers per second in it. With those of the undisturbed round it is flooded meanwhile.
fn one(lab: &Lab, side: &Contestant, rate: f64, undisturbed: Option<f64>) -> Result<(Sample, f64)> {
    let tls = lab.tls(Protocol::Http1, false)?;
    let flood = match undisturbed {
        None => None,
        Some(_) => Some(Flood::start(LOAD_CORE, side.address, HOST, &tls, FLOOD_PER_SECOND)?),
    };
    let run = plan(lab, side, Shape::Open(rate))?.run(&side.watch).context("those who behave")?;
    let (tried, answered) = flood.as_ref().map_or((0, 0), Flood::counts);
    drop(flood);
    let useful = useful_per_second(&run);
    let figures = vec![
        figure(GOODPUT, "%", useful / undisturbed.unwrap_or(useful).max(1e-9) * 100.0),
        figure("useful", "req/s", useful),
        figure("p50", "ms", run.latency_ms(0.5)),
        figure("p99", "ms", run.latency_ms(0.99)),
        figure("flood tried", "conn", tried as f64),
        figure("flood answered", "conn", answered as f64),
    ];
    let sample =
        Sample { figures, others_share: run.usage.others_share(), latency: Some(run.latency), ..Sample::default() };
    Ok((sample, useful))
}

fn useful_per_second(run: &Run) -> f64 {
    let within = run.latency.count_between(0, u64::try_from(USEFUL.as_nanos()).unwrap_or(u64::MAX));
    within as f64 / run.usage.elapsed.as_secs_f64().max(1e-9)
}
