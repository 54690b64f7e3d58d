//! Full load in a closed loop: CPU time per request or per MiB.

use std::time::Duration;

use anyhow::Result;

use super::contest::{self, PROCESSES, Unit};
use crate::lab::{Contestant, Lab};
use crate::load::{Plan, Shape};
use crate::outcome::{Outcome, POSTERN};
use crate::tls::{self, Protocol};

/// What the load generator says of a server without HTTP/2.
const MISSING: &str = "was not negotiated";
/// How long a side is tried before it counts as unable.
const PROBE_TIMES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(5)];

pub(super) struct Throughput {
    name: &'static str,
    title: &'static str,
    path: &'static str,
    connections: usize,
    streams: Option<usize>,
    unit: Unit,
}

pub(super) const H1_SMALL: Throughput = Throughput {
    name: "h1-small",
    title: "100-byte answers, 64 connections",
    path: "/",
    connections: 64,
    streams: None,
    unit: Unit::Request,
};
pub(super) const H1_TWO_CONNECTIONS: Throughput =
    Throughput { name: "h1-2conns", title: "100-byte answers, 2 connections", connections: 2, ..H1_SMALL };
pub(super) const H2_SMALL: Throughput = Throughput {
    name: "h2-small",
    title: "100-byte answers over HTTP/2, 8 connections × 32 streams",
    connections: 8,
    streams: Some(32),
    ..H1_SMALL
};
pub(super) const BODY_64K: Throughput =
    Throughput { name: "64k", title: "64 KiB answers, 16 connections", path: "/64k", connections: 16, ..H1_SMALL };
pub(super) const BIG: Throughput = Throughput {
    name: "big",
    title: "10 MiB answers, 4 connections",
    path: "/10m",
    connections: 4,
    unit: Unit::Mib,
    ..H1_SMALL
};

impl Throughput {
    pub(super) fn run(&self, lab: &mut Lab) -> Result<Vec<Outcome>> {
        let mut outcome = self.outcome();
        let sides = self.able(lab, &mut outcome)?;
        contest::run(lab, &sides, &mut outcome, |index| {
            let run = self.plan(lab, &sides[index])?.run(&sides[index].watch)?;
            Ok((contest::sample(&run, self.unit), run))
        })?;
        Ok(vec![outcome])
    }

    /// Those that do it at all, found out by a short run that also warms them up, or a longer one on a busy machine.
    fn able(&self, lab: &mut Lab, outcome: &mut Outcome) -> Result<Vec<Contestant>> {
        let mut able = Vec::new();
        for side in lab.contestants()? {
            let plan = self.plan(lab, &side)?;
            let tried = PROBE_TIMES.iter().map(|time| Plan { duration: *time, ..plan.clone() }.run(&side.watch));
            let mut error = None;
            for run in tried {
                error = run.err();
                if error.as_ref().is_none_or(|error| error.to_string().contains(MISSING)) {
                    break;
                }
            }
            match error {
                None => able.push(side),
                Some(error) => {
                    outcome.failed |= side.name == POSTERN && !error.to_string().contains(MISSING);
                    outcome.remarks.push(format!("{}: {error:#}", side.name));
                }
            }
        }
        Ok(able)
    }

    fn plan(&self, lab: &Lab, side: &Contestant) -> Result<Plan> {
        let protocol = if self.streams.is_some() { Protocol::Http2 } else { Protocol::Http1 };
        Ok(Plan {
            target: side.target(Some(lab.tls(protocol, false)?)),
            path: self.path.into(),
            connections: self.connections,
            shape: self.streams.map_or(Shape::Closed, Shape::Streams),
            warmup: lab.extent.warmup,
            duration: lab.extent.duration,
        })
    }

    fn outcome(&self) -> Outcome {
        let loops = "Closed loop: each connection or stream sends when it was answered.";
        let method = format!("{loops} {}; plain HTTP/1.1 to the origin.", tls::DESCRIPTION);
        Outcome::new(self.name, self.title, &method, PROCESSES)
    }
}
