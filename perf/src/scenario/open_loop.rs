//! Open loop at a share of each side's own peak: what users would see, stalls included.

use anyhow::{Context, Result};

use super::contest::{self, PROCESSES, Unit};
use crate::lab::{Contestant, Lab};
use crate::load::{Plan, Run, Shape};
use crate::outcome::{Outcome, Sample, figure};
use crate::tls::{self, Protocol};

const CONNECTIONS: usize = 64;
const HEADLINE: &str = "p99";

/// `share` of the peak, 0 to 1.
pub(super) fn run(lab: &mut Lab, share: f64) -> Result<Vec<Outcome>> {
    let sides = lab.contestants()?;
    let peaks = sides.iter().map(|side| peak(lab, side)).collect::<Result<Vec<_>>>()?;
    let mut outcome = outcome(share);
    contest::run(lab, &sides, &mut outcome, |index| {
        let rate = peaks[index] * share;
        let run = plan(lab, &sides[index], Shape::Open(rate))?.run(&sides[index].watch)?;
        Ok((sample(&run, rate), run))
    })?;
    Ok(vec![outcome])
}

fn outcome(share: f64) -> Outcome {
    let percent = (share * 100.0).round();
    let method = format!(
        "Open loop: requests are due evenly at that rate on {CONNECTIONS} connections, latency counts from when one was due \
         (coordinated omission corrected). The peak is that of a closed loop just before. {}.",
        tls::DESCRIPTION
    );
    let title = format!("100-byte answers at {percent} % of each side's own peak");
    Outcome::new(&format!("open-{percent}"), &title, &method, HEADLINE)
}

/// Requests per second in a closed loop; the middle of three runs, since the rates that follow depend on it.
fn peak(lab: &Lab, side: &Contestant) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        rates.push(plan(lab, side, Shape::Closed)?.run(&side.watch)?.per_second());
    }
    rates.sort_by(f64::total_cmp);
    let peak = *rates.get(1).context("three runs have a middle")?;
    eprintln!("  peak {:<16} {peak:.0} req/s", side.name);
    Ok(peak)
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

fn sample(run: &Run, rate: f64) -> Sample {
    let all = contest::sample(run, Unit::Request);
    let mut figures = vec![figure("due", "req/s", rate)];
    figures.extend(all.figures.iter().filter(|figure| figure.name != PROCESSES).cloned());
    Sample { figures, ..all }
}
