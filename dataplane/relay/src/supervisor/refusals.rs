//! What the kernel refused, for the log: sums by reason, no addresses.

use postern_ebpf_loader::{GuardCounters, SteerCounters};

use crate::messages::KernelFigures;

/// The counters as they were last told.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    told: Counts,
    now: Counts,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    sources_dropped: u64,
    packets: [u64; 4],
    connections: [u64; 3],
}

impl Refusals {
    /// One more source is dropped for a while.
    pub(super) fn source_dropped(&mut self) {
        self.now.sources_dropped += 1;
    }

    /// Writes a line if there is anything new. Gives all that was counted so far.
    pub(super) fn report(&mut self, steer: &SteerCounters, guard: &GuardCounters) -> KernelFigures {
        if let Some(line) = self.news(steer, guard) {
            tracing::warn!("{line}");
        }
        KernelFigures {
            steered: [steer.lighter, steer.same_cpu, steer.scanned, steer.fell_through],
            connections_refused: self.now.connections,
            packets_passed: guard.passed,
            packets_dropped: self.now.packets,
            sources_dropped: self.now.sources_dropped,
        }
    }

    fn news(&mut self, steer: &SteerCounters, guard: &GuardCounters) -> Option<String> {
        self.now.packets = [guard.denied, guard.banned, guard.syn_rate, guard.packet_rate];
        self.now.connections = [steer.denied, steer.banned, steer.connection_rate];
        let (now, told) = (self.now, std::mem::replace(&mut self.told, self.now));
        let since = |now: &[u64], told: &[u64]| -> Vec<u64> { now.iter().zip(told).map(|(n, t)| n - t).collect() };
        let mut parts = Vec::new();
        if now.sources_dropped > told.sources_dropped {
            parts.push(format!("sources to be dropped for a while {}", now.sources_dropped - told.sources_dropped));
        }
        let reasons = ["on the deny list", "of sources to be dropped", "above the SYN rate", "above the packet rate"];
        parts.extend(part("packets", &since(&now.packets, &told.packets), &reasons));
        let reasons = ["on the deny list", "of sources to be dropped", "above the connection rate"];
        parts.extend(part("connections", &since(&now.connections, &told.connections), &reasons));
        (!parts.is_empty()).then(|| format!("refused in the kernel since the last report: {}", parts.join("; ")))
    }
}

fn part(what: &str, counts: &[u64], reasons: &[&str]) -> Option<String> {
    let some = counts.iter().zip(reasons).filter(|(count, _)| **count > 0);
    let some: Vec<String> = some.map(|(count, reason)| format!("{count} {reason}")).collect();
    (!some.is_empty()).then(|| format!("{what} {}", some.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let mut refusals = Refusals::default();
        let mut steer = SteerCounters { connection_rate: 3, lighter: 100, ..SteerCounters::default() };
        let mut guard = GuardCounters { passed: 9, ..GuardCounters::default() };
        let line = refusals.news(&steer, &guard);
        assert_eq!(
            line.unwrap(),
            "refused in the kernel since the last report: connections 3 above the connection rate"
        );
        assert_eq!(refusals.news(&steer, &guard), None);
        steer.denied = 1;
        guard.syn_rate = 5;
        guard.banned = 2;
        refusals.source_dropped();
        let line = refusals.news(&steer, &guard);
        assert_eq!(
            line.unwrap(),
            "refused in the kernel since the last report: sources to be dropped for a while 1; \
             packets 2 of sources to be dropped, 5 above the SYN rate; connections 1 on the deny list"
        );
    }
}
