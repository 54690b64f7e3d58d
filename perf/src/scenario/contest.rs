//! Sides measured in turns, and what is said of all such measurements alike.

use anyhow::Result;

use crate::lab::{Contestant, Lab};
use crate::load::paired::{PairPlan, SLICE};
use crate::load::{Run, Target};
use crate::outcome::{Figure, Outcome, POSTERN, Sample, Side, figure};
use crate::rounds;

/// CPU time of the proxies' processes per unit, and all time of their core per unit.
pub(super) const PROCESSES: &str = "CPU";
pub(super) const CORE: &str = "core";
const BUSY: &str = "core busy";
/// Of `h1-small`.
const SMALL_CONNECTIONS: usize = 64;
/// Strangers that used more of a core than this may have changed what was measured.
const OTHERS_SHARE_MAX: f64 = 0.05;

/// What CPU time is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Request,
    Mib,
}

/// Measures every side in every round and adds what was found to `outcome`.
pub(super) fn run(
    lab: &Lab,
    sides: &[Contestant],
    outcome: &mut Outcome,
    mut measure: impl FnMut(usize) -> Result<(Sample, Run)>,
) -> Result<()> {
    let rounds = lab.extent.rounds;
    let found = rounds::alternate(rounds, sides.len(), |round, index| {
        let (sample, run) = measure(index)?;
        progress(round, rounds, &sides[index].name, &sample);
        Ok((sample, run))
    })?;
    if outcome.headline == PROCESSES {
        outcome.headline = headline(found.iter().flatten().map(|(_, run)| run));
    }
    for (side, found) in sides.iter().zip(found) {
        let (samples, runs): (Vec<Sample>, Vec<Run>) = found.into_iter().unzip();
        conclude(outcome, side, samples, &runs);
    }
    outcome.remarks.extend(disturbance(outcome));
    Ok(())
}

fn conclude(outcome: &mut Outcome, side: &Contestant, samples: Vec<Sample>, runs: &[Run]) {
    outcome.remarks.extend(failures(&side.name, runs));
    outcome.failed |= side.name == POSTERN && samples.iter().any(|sample| sample.failed > 0);
    outcome.sides.push(Side { name: side.name.clone(), samples });
}

/// As `h1-small`, of two sides of one chain, of which the first is the one that the outcome is about. They take turns within
/// each round. The core is idle for a moment between turns, so that it is never full and its time is no measure: the
/// processes' time, which is read when they have nothing left to do, always is.
pub(super) fn pair(lab: &Lab, mut outcome: Outcome, [own, beside]: [(Contestant, Target); 2]) -> Result<Outcome> {
    let sides = [Contestant { name: POSTERN.into(), ..own.0 }, beside.0];
    let [first, second] = &sides;
    let plan = PairPlan {
        sides: [(own.1, first.watch.clone()), (beside.1, second.watch.clone())],
        path: "/".into(),
        connections: SMALL_CONNECTIONS,
        rounds: lab.extent.rounds,
        warmup: lab.extent.warmup,
        duration: lab.extent.duration,
    };
    let found = plan.run(|round, runs| {
        for (side, run) in sides.iter().zip(runs) {
            progress(round, plan.rounds, &side.name, &sample(run, Unit::Request));
        }
    })?;
    let (firsts, seconds): (Vec<Run>, Vec<Run>) = found.into_iter().map(|[first, second]| (first, second)).unzip();
    for (side, runs) in sides.iter().zip([firsts, seconds]) {
        let samples = runs.iter().map(|run| sample(run, Unit::Request)).collect();
        conclude(&mut outcome, side, samples, &runs);
    }
    outcome.method = format!("{} {}", outcome.method, turns());
    outcome.remarks.extend(confidence(&outcome, &second.name));
    outcome.remarks.extend(disturbance(&outcome));
    Ok(outcome)
}

/// How a pair is measured, for its method.
fn turns() -> String {
    format!(
        "Within each round the sides take turns of {} ms (ABBA); each ends when all is answered, and only then are the \
         clocks read.",
        SLICE.as_millis()
    )
}

/// How well the rounds agree on the ratio to that side.
fn confidence(outcome: &Outcome, beside: &str) -> Option<String> {
    let side = outcome.sides.iter().find(|side| side.name == beside)?;
    let (low, high) = outcome.ratio(side)?.interval?;
    let rounds = side.samples.len();
    Some(format!(
        "postern/{beside}, by {}: the median ratio lies in {low:.3}–{high:.3} with 95 % confidence (sign test, \
         {rounds} rounds)",
        outcome.headline
    ))
}

/// The processes' own time counts where every run filled the core with it, else whatever the core did; but a core that
/// strangers used says nothing.
fn headline<'run>(runs: impl Iterator<Item = &'run Run>) -> &'static str {
    let mut saturated = true;
    let mut disturbed = false;
    for run in runs {
        saturated &= run.usage.is_saturated();
        disturbed |= run.usage.others_share() > OTHERS_SHARE_MAX;
    }
    if saturated || disturbed { PROCESSES } else { CORE }
}

fn failures(side: &str, runs: &[Run]) -> Option<String> {
    let failed: u64 = runs.iter().map(|run| run.failed).sum();
    let first = runs.iter().find_map(|run| run.failures.first())?;
    Some(format!("{side}: {failed} requests failed: {first}"))
}

/// What a reader must know of strangers on the machine.
pub(super) fn disturbance(outcome: &Outcome) -> Option<String> {
    let share = outcome.disturbance();
    (share > OTHERS_SHARE_MAX).then(|| {
        format!("disturbed: other programs used up to {:.0} % of a core meanwhile; do not quote", share * 100.0)
    })
}

/// One line on stderr.
pub(super) fn progress(round: usize, rounds: usize, side: &str, sample: &Sample) {
    let figures = sample.figures.iter().map(|figure| format!("{} {:.2} {}", figure.name, figure.value, figure.unit));
    let figures = figures.collect::<Vec<_>>().join("  ");
    let failed = if sample.failed > 0 { format!("  {} FAILED", sample.failed) } else { String::new() };
    eprintln!("  round {}/{rounds} {side:<16} {figures}{failed}", round + 1);
}

/// What a run cost, how much was done, and how long it took for those who waited.
pub(super) fn sample(run: &Run, unit: Unit) -> Sample {
    let units = match unit {
        Unit::Request => run.requests as f64,
        Unit::Mib => run.bytes as f64 / f64::from(1 << 20),
    };
    let (name, rate) = match unit {
        Unit::Request => ("µs/req", figure("rate", "req/s", run.per_second())),
        Unit::Mib => ("µs/MiB", figure("rate", "MiB/s", units / run.usage.elapsed.as_secs_f64().max(1e-9))),
    };
    let us = |time: std::time::Duration| time.as_secs_f64() * 1e6 / units.max(1e-9);
    let mut figures = vec![
        figure(PROCESSES, name, us(run.usage.processes())),
        figure(CORE, name, us(run.usage.core)),
        figure(BUSY, "%", run.usage.core_share() * 100.0),
        rate,
    ];
    figures.extend(latencies(run));
    Sample {
        figures,
        parts: run.usage.parts.iter().map(|(name, time)| (name.clone(), us(*time))).collect(),
        others_share: run.usage.others_share(),
        failed: run.failed,
        latency: Some(run.latency.clone()),
    }
}

/// Percentiles, in milliseconds.
pub(super) fn latencies(run: &Run) -> [Figure; 4] {
    [
        figure("p50", "ms", run.latency_ms(0.5)),
        figure("p99", "ms", run.latency_ms(0.99)),
        figure("p99.9", "ms", run.latency_ms(0.999)),
        figure("max", "ms", run.latency.max() as f64 / 1e6),
    ]
}
