//! What one source may do, as far as the kernel watches over it: limits and deny list that hold from the start. The command
//! line of `postern guard` changes them while the relay runs.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use postern_ebpf_loader::{Prefix, RATE_MAX, Rate, SourceLimits};

use super::Refused;

/// Limits and deny list.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Sources (watched over in the kernel; change them live with `postern guard`)")]
pub struct SourceArgs {
    /// Refuse connections from these addresses, and drop their packets where --xdp filters
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub deny: Vec<Prefix>,
    /// New connections a second that one source may open; 0: no limit [default: 10000]
    #[arg(long, value_name = "N", value_parser = rate(), allow_negative_numbers = true)]
    pub connection_rate: Option<u64>,
    /// New connections at once [default: twice the rate]
    #[arg(long, value_name = "N", value_parser = burst(), allow_negative_numbers = true)]
    pub connection_burst: Option<u64>,
    /// SYN packets a second from one source that --xdp lets through; 0: no limit [default: 10000]
    #[arg(long, value_name = "N", value_parser = rate(), allow_negative_numbers = true)]
    pub syn_rate: Option<u64>,
    /// SYN packets at once [default: twice the rate]
    #[arg(long, value_name = "N", value_parser = burst(), allow_negative_numbers = true)]
    pub syn_burst: Option<u64>,
    /// Packets a second from one source that --xdp lets through; 0: no limit [default: 0]
    #[arg(long, value_name = "N", value_parser = rate(), allow_negative_numbers = true)]
    pub packet_rate: Option<u64>,
    /// Packets at once [default: twice the rate]
    #[arg(long, value_name = "N", value_parser = burst(), allow_negative_numbers = true)]
    pub packet_burst: Option<u64>,
    #[command(flatten)]
    pub geoip: GeoipArgs,
}

/// Databases of addresses.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Where sources are")]
pub struct GeoipArgs {
    /// Countries of addresses, for policies: a database in MaxMind's format, read again when the file is another
    #[arg(long, value_name = "FILE")]
    pub geoip: Option<PathBuf>,
    /// Autonomous systems of addresses, for policies: such a database, read again likewise
    #[arg(long, value_name = "FILE")]
    pub geoip_asn: Option<PathBuf>,
}

impl SourceArgs {
    /// The limits, with defaults where nothing is said.
    pub(super) fn limits(&self) -> Result<SourceLimits, Refused> {
        let default = SourceLimits::default();
        let changed = |rate: Rate, (per_s, burst), flag| rate.changed(per_s, burst).ok_or(Refused::BurstAlone { flag });
        Ok(SourceLimits {
            syns: changed(default.syns, (self.syn_rate, self.syn_burst), "syn")?,
            packets: changed(default.packets, (self.packet_rate, self.packet_burst), "packet")?,
            connections: changed(default.connections, (self.connection_rate, self.connection_burst), "connection")?,
        })
    }

    /// The first flag that asks for something BPF has to do.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        let given = [
            (!self.deny.is_empty(), "--deny"),
            (self.connection_rate.or(self.connection_burst).is_some(), "--connection-rate"),
            (self.syn_rate.or(self.syn_burst).is_some(), "--syn-rate"),
            (self.packet_rate.or(self.packet_burst).is_some(), "--packet-rate"),
        ];
        given.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }
}

fn rate() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(0..=RATE_MAX)
}

fn burst() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=RATE_MAX)
}
