//! A connection for each request: what TCP, TLS, one exchange and the close cost together; with a full and a resumed handshake.

use anyhow::Result;

use super::contest::{self, PROCESSES, Unit};
use crate::lab::{Contestant, Lab};
use crate::load::{Plan, Run, Shape};
use crate::outcome::{Outcome, Sample, figure};
use crate::tls::{self, Protocol};

/// Handshakes under way at the same time.
const AT_A_TIME: usize = 32;

pub(super) fn run(lab: &mut Lab) -> Result<Vec<Outcome>> {
    Ok(vec![kind(lab, false)?, kind(lab, true)?])
}

fn kind(lab: &mut Lab, resume: bool) -> Result<Outcome> {
    let sides = lab.contestants()?;
    let mut outcome = outcome(resume);
    contest::run(lab, &sides, &mut outcome, |index| {
        let run = plan(lab, &sides[index], resume)?.run(&sides[index].watch)?;
        Ok((sample(&run), run))
    })?;
    Ok(outcome)
}

fn outcome(resume: bool) -> Outcome {
    let (name, title, which) = if resume {
        ("handshake-resumed", "Connection, resumed handshake, one request, close", "each handshake resumes a session")
    } else {
        ("handshake-full", "Connection, full handshake, one request, close", "no session is resumed")
    };
    let front = "The front is where the client's TLS ends: the relay, HAProxy, nginx";
    let method = format!("{AT_A_TIME} at a time, {which}. {}. {front}.", tls::DESCRIPTION);
    Outcome::new(name, title, &method, PROCESSES)
}

fn plan(lab: &Lab, side: &Contestant, resume: bool) -> Result<Plan> {
    Ok(Plan {
        target: side.target(Some(lab.tls(Protocol::Http1, resume)?)),
        path: "/".into(),
        connections: AT_A_TIME,
        shape: Shape::Reconnect,
        warmup: lab.extent.warmup,
        duration: lab.extent.duration,
    })
}

fn sample(run: &Run) -> Sample {
    let mut sample = contest::sample(run, Unit::Request);
    let front = sample.parts.first().map_or(0.0, |(_, us)| *us);
    let figures = [
        figure("front", "µs/conn", front),
        figure("per front CPU-s", "conn", 1e6 / front.max(1e-9)),
        figure("resumed", "%", run.resumed as f64 / run.requests.max(1) as f64 * 100.0),
    ];
    // Behind the figures that all such scenarios share, before the rate and the latencies.
    sample.figures.splice(3..3, figures);
    sample
}
