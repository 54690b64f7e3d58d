//! What `postern status` and `/metrics` show of this relay, put together from what workers report.

use std::collections::BTreeMap;

use postern_model::ids::ConnectorId;
use postern_model::link::{ConnectorStatus, RelayStatus};

use super::sender::WorkerState;

/// Adds the workers' reports up. Remembers since when a connector is online or offline.
#[derive(Debug, Default)]
pub(crate) struct StatusBook {
    connectors: BTreeMap<ConnectorId, ConnectorStatus>,
}

/// What does not change while the process lives.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) generation: u32,
    pub(crate) workers: u16,
    pub(crate) ebpf: String,
    pub(crate) warnings: Vec<String>,
}

impl StatusBook {
    /// The status now. Connectors that control no longer knows (`known` says no) and that have no tunnel are forgotten.
    pub(crate) fn status(
        &mut self,
        constant: &Constant,
        workers: &[WorkerState],
        applied_version: u64,
        known: impl Fn(ConnectorId) -> bool,
        now_unix_ms: u64,
    ) -> RelayStatus {
        self.update(workers, now_unix_ms);
        self.connectors.retain(|id, status| status.tunnels > 0 || known(*id));
        let warnings = workers.iter().flat_map(|worker| worker.warnings.values());
        let mut warnings: Vec<String> = constant.warnings.iter().chain(warnings).cloned().collect();
        warnings.dedup();
        RelayStatus {
            generation: constant.generation,
            workers: u32::from(constant.workers),
            io_backend: workers.iter().find_map(|worker| worker.io_backend).unwrap_or("starting").to_owned(),
            ebpf: constant.ebpf.clone(),
            applied_version,
            connectors: self.connectors.values().cloned().collect(),
            warnings,
            time_unix_ms: now_unix_ms,
            corporate: Vec::new(),
        }
    }

    fn update(&mut self, workers: &[WorkerState], now_unix_ms: u64) {
        let mut seen = sum_up(workers);
        for (id, known) in &mut self.connectors {
            match seen.remove(id) {
                Some(mut now) => {
                    if now.online == known.online {
                        now.since_unix_ms = known.since_unix_ms;
                    } else if !now.online {
                        now.since_unix_ms = now_unix_ms;
                    }
                    *known = now;
                }
                None if known.online => {
                    *known = ConnectorStatus { online: false, tunnels: 0, since_unix_ms: now_unix_ms, ..known.clone() };
                }
                None => known.tunnels = 0,
            }
        }
        self.connectors.append(&mut seen);
    }
}

/// Online when one of its tunnels is; the quickest round trip; since the oldest tunnel.
fn sum_up(workers: &[WorkerState]) -> BTreeMap<ConnectorId, ConnectorStatus> {
    let mut sums: BTreeMap<ConnectorId, ConnectorStatus> = BTreeMap::new();
    for (id, tunnel) in workers.iter().flat_map(|worker| &worker.tunnels) {
        let sum = sums.entry(*id).or_insert_with(|| ConnectorStatus {
            id: *id,
            online: false,
            tunnels: 0,
            software: tunnel.software.clone(),
            has_keytab: tunnel.has_keytab,
            since_unix_ms: tunnel.since_unix_ms,
            rtt_us: tunnel.rtt_us,
        });
        sum.online |= tunnel.online;
        sum.tunnels += 1;
        sum.since_unix_ms = sum.since_unix_ms.min(tunnel.since_unix_ms);
        sum.rtt_us = sum.rtt_us.min(tunnel.rtt_us);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::sender::TunnelState;

    fn worker(online: Option<bool>) -> WorkerState {
        let (software, has_keytab) = (String::from("x"), Some(true));
        let tunnel = |online| TunnelState { online, software, has_keytab, since_unix_ms: 5, rtt_us: 9 };
        let tunnels = online.map(|online| ("c1-1".parse().unwrap(), tunnel(online)));
        WorkerState { io_backend: Some("uring"), tunnels: tunnels.into_iter().collect(), warnings: BTreeMap::new() }
    }

    fn constant() -> Constant {
        Constant { generation: 1, workers: 2, ebpf: String::from("off"), warnings: vec![String::from("w")] }
    }

    #[test]
    fn a_connector_is_online_while_one_of_its_tunnels_is() {
        let mut book = StatusBook::default();
        let mut see = |workers: [Option<bool>; 2], now| {
            let status = book.status(&constant(), &workers.map(worker), 3, |_| true, now);
            let connector = &status.connectors[0];
            assert_eq!(connector.has_keytab, Some(true));
            (connector.online, connector.tunnels, connector.since_unix_ms)
        };
        assert_eq!(see([Some(true), Some(false)], 10), (true, 2, 5));
        assert_eq!(see([None, Some(true)], 20), (true, 1, 5));
        assert_eq!(see([None, Some(false)], 30), (false, 1, 30));
        assert_eq!(see([None, None], 40), (false, 0, 30));
        assert_eq!(see([Some(true), None], 50), (true, 1, 5));
        assert_eq!(see([None, None], 60), (false, 0, 60));
    }

    #[test]
    fn a_removed_connector_is_forgotten_with_its_last_tunnel() {
        let mut book = StatusBook::default();
        assert_eq!(book.status(&constant(), &[worker(Some(true))], 1, |_| false, 1).connectors.len(), 1);
        assert!(book.status(&constant(), &[worker(None)], 1, |_| false, 2).connectors.is_empty());
    }
}
