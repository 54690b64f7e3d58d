//! What `postern guard show` prints.

use std::net::IpAddr;

use postern_ebpf_loader::{BpfError, GuardCounters, Pinned, Rate, SourceLimits, SteerCounters};
use serde::Serialize;

use crate::output::{Output, details};

#[derive(Serialize)]
pub(super) struct GuardView {
    instance: String,
    interfaces: Vec<InterfaceView>,
    limits: LimitsView,
    denied: Vec<String>,
    dropped_for_a_while: Vec<DroppedView>,
    /// Null where no interface is filtered.
    packets: Option<PacketsView>,
    connections: ConnectionsView,
}

#[derive(Serialize)]
struct InterfaceView {
    name: String,
    mode: &'static str,
}

/// By what one source may do.
#[derive(Serialize)]
pub(super) struct LimitsView {
    connection: RateView,
    syn: RateView,
    packet: RateView,
}

/// A rate of 0 is no limit.
#[derive(Serialize)]
struct RateView {
    rate: u64,
    burst: u64,
}

#[derive(Serialize)]
struct DroppedView {
    source: IpAddr,
    remaining_s: f64,
}

/// Packets since the relay started.
#[derive(Serialize)]
struct PacketsView {
    passed: u64,
    passed_not_ours: u64,
    passed_fragments: u64,
    passed_malformed: u64,
    dropped_denied: u64,
    dropped_for_a_while: u64,
    dropped_syn_rate: u64,
    dropped_packet_rate: u64,
    untracked: u64,
}

/// New connections since the relay started.
#[derive(Serialize)]
struct ConnectionsView {
    passed: u64,
    refused_denied: u64,
    refused_for_a_while: u64,
    refused_connection_rate: u64,
    untracked: u64,
}

impl GuardView {
    pub(super) fn read(instance: String, pinned: &mut Pinned) -> Result<Self, BpfError> {
        let interfaces = pinned.interfaces()?.into_iter();
        let mode = |native| if native { "native" } else { "generic" };
        let dropped = pinned.sources().banned()?.into_iter();
        Ok(Self {
            instance,
            interfaces: interfaces.map(|(name, native)| InterfaceView { name, mode: mode(native) }).collect(),
            limits: LimitsView::from(&pinned.limits()?),
            denied: super::texts(&pinned.sources().denied()?),
            dropped_for_a_while: dropped
                .map(|(source, rest)| DroppedView { source, remaining_s: (rest.as_secs_f64() * 10.0).round() / 10.0 })
                .collect(),
            packets: pinned.guard_counters()?.map(|counters| PacketsView::from(&counters)),
            connections: ConnectionsView::from(&pinned.steer_counters()?),
        })
    }

    pub(super) fn text(&self, output: Output) -> String {
        let interfaces: Vec<String> =
            self.interfaces.iter().map(|interface| format!("{} ({})", interface.name, interface.mode)).collect();
        let dropped = self
            .dropped_for_a_while
            .iter()
            .map(|dropped| format!("{}, {} s more", dropped.source, dropped.remaining_s));
        let dropped: Vec<String> = dropped.collect();
        let mut fields = vec![("instance", self.instance.clone()), ("filtered interfaces", interfaces.join("\n"))];
        fields.extend(self.limits.lines());
        fields.push(("denied", shortened(&self.denied)));
        fields.push(("dropped for a while", shortened(&dropped)));
        format!("{}\n{}", details(&fields), self.counters(output))
    }

    fn counters(&self, output: Output) -> String {
        let packets = |of: fn(&PacketsView) -> u64| {
            self.packets.as_ref().map_or(String::new(), |packets| of(packets).to_string())
        };
        let connections = &self.connections;
        let none = String::new;
        let rows: [(&str, String, String); 9] = [
            ("passed", packets(|packets| packets.passed), connections.passed.to_string()),
            ("refused: deny list", packets(|packets| packets.dropped_denied), connections.refused_denied.to_string()),
            (
                "refused: dropped for a while",
                packets(|packets| packets.dropped_for_a_while),
                connections.refused_for_a_while.to_string(),
            ),
            ("refused: connection rate", none(), connections.refused_connection_rate.to_string()),
            ("refused: SYN rate", packets(|packets| packets.dropped_syn_rate), none()),
            ("refused: packet rate", packets(|packets| packets.dropped_packet_rate), none()),
            (
                "passed: fragments, malformed",
                packets(|packets| packets.passed_fragments + packets.passed_malformed),
                none(),
            ),
            ("passed: not to the relay", packets(|packets| packets.passed_not_ours), none()),
            ("passed: no room for the source", packets(|packets| packets.untracked), connections.untracked.to_string()),
        ];
        let table = rows.into_iter().fold(output.table(["SINCE THE START", "PACKETS", "CONNECTIONS"]), |table, row| {
            table.row([row.0.to_owned(), row.1, row.2])
        });
        table.render("")
    }
}

impl LimitsView {
    pub(super) fn lines(&self) -> [(&'static str, String); 3] {
        [
            ("connections of one source", self.connection.text()),
            ("SYN packets of one source", self.syn.text()),
            ("packets of one source", self.packet.text()),
        ]
    }
}

impl From<&SourceLimits> for LimitsView {
    fn from(limits: &SourceLimits) -> Self {
        Self {
            connection: RateView::from(&limits.connections),
            syn: RateView::from(&limits.syns),
            packet: RateView::from(&limits.packets),
        }
    }
}

impl RateView {
    fn text(&self) -> String {
        match self.rate {
            0 => "no limit".to_owned(),
            rate => format!("{rate} a second, {} at once", self.burst),
        }
    }
}

impl From<&Rate> for RateView {
    fn from(rate: &Rate) -> Self {
        Self { rate: rate.per_s, burst: rate.burst }
    }
}

impl From<&GuardCounters> for PacketsView {
    fn from(counters: &GuardCounters) -> Self {
        Self {
            passed: counters.passed,
            passed_not_ours: counters.not_ours,
            passed_fragments: counters.fragments,
            passed_malformed: counters.malformed,
            dropped_denied: counters.denied,
            dropped_for_a_while: counters.banned,
            dropped_syn_rate: counters.syn_rate,
            dropped_packet_rate: counters.packet_rate,
            untracked: counters.untracked,
        }
    }
}

impl From<&SteerCounters> for ConnectionsView {
    fn from(counters: &SteerCounters) -> Self {
        let steered = counters.lighter + counters.same_cpu + counters.scanned + counters.fell_through;
        Self {
            // Those that are no new connections are counted above as well.
            passed: steered.saturating_sub(counters.migrated).saturating_sub(counters.not_syn),
            refused_denied: counters.denied,
            refused_for_a_while: counters.banned,
            refused_connection_rate: counters.connection_rate,
            untracked: counters.untracked,
        }
    }
}

/// The first ones, and how many there are more.
fn shortened(items: &[String]) -> String {
    let mut lines: Vec<String> = items.iter().take(LINES_MAX).cloned().collect();
    if items.len() > LINES_MAX {
        lines.push(format!("and {} more", items.len() - LINES_MAX));
    }
    lines.join("\n")
}

const LINES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;

    #[test]
    fn everything_is_shown_and_gaps_are_gaps() {
        let mut view = GuardView {
            instance: "edge-1a2b3c4d".into(),
            interfaces: Vec::new(),
            limits: LimitsView::from(&SourceLimits::default()),
            denied: (0..12).map(|nth| format!("10.{nth}.0.0/16")).collect(),
            dropped_for_a_while: vec![DroppedView { source: "192.0.2.7".parse().unwrap(), remaining_s: 1.5 }],
            packets: None,
            connections: ConnectionsView::from(&SteerCounters {
                lighter: 5,
                scanned: 4,
                not_syn: 1,
                migrated: 2,
                connection_rate: 9,
                ..SteerCounters::default()
            }),
        };
        let text = view.text(Output::new(Format::Table));
        for part in [
            "filtered interfaces:       -\n",
            "connections of one source: 10000 a second, 20000 at once\n",
            "packets of one source:     no limit\n",
            "10.9.0.0/16\n                           and 2 more\n",
            "192.0.2.7, 1.5 s more\n",
            "passed                          -        6\n",
            "refused: connection rate        -        9\n",
        ] {
            assert!(text.contains(part), "{part:?} in:\n{text}");
        }
        let counters = GuardCounters { passed: 7, syn_rate: 3, ..GuardCounters::default() };
        view.packets = Some(PacketsView::from(&counters));
        view.interfaces.push(InterfaceView { name: "eth0".into(), mode: "native" });
        let text = view.text(Output::new(Format::Table));
        assert!(
            text.contains("eth0 (native)\n") && text.contains("refused: SYN rate               3        -\n"),
            "{text}"
        );
    }
}
