//! `postern guard …`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Subcommand;
use clap::builder::RangedU64ValueParser;
use postern_ebpf_loader::{Prefix, RATE_MAX};
use postern_service::duration;

#[derive(clap::Args, Debug)]
pub(crate) struct GuardArgs {
    /// The relay's instance, if several run on this host: its name, or as `show` prints it
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) instance: Option<String>,
    #[command(subcommand)]
    pub(crate) command: GuardCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum GuardCommand {
    /// Show limits, lists, and what was refused for which reason
    #[command(after_help = "Examples:
  postern guard show
  postern guard show --instance edge -o json")]
    Show,
    /// The deny list: sources that are refused until they are removed from it
    #[command(subcommand)]
    Deny(DenyCommand),
    /// Change what one source may do; an option that is not given stays as it is
    #[command(after_help = "Examples:
  postern guard set --connection-rate 100
  postern guard set --syn-rate 50 --syn-burst 200 --packet-rate 100000
  postern guard set --packet-rate 0

A source is an IPv4 address or an IPv6 /64. A rate of 0 is no limit.
A rate without a burst brings a burst of two seconds.")]
    Set(LimitArgs),
    /// Drop a source for a while
    #[command(after_help = "Examples:
  postern guard drop 192.0.2.7 --for 10m")]
    Drop {
        /// Its address; of an IPv6 address the whole /64
        source: IpAddr,
        /// For how long
        #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
        duration: Duration,
    },
    /// Let a source in again that is dropped for a while
    #[command(after_help = "Examples:
  postern guard release 192.0.2.7")]
    Release {
        /// Its address
        source: IpAddr,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum DenyCommand {
    /// Refuse new connections from addresses, and where packets are filtered drop those too
    #[command(after_help = "Examples:
  postern guard deny add 192.0.2.0/24
  postern guard deny add 198.51.100.7 2001:db8::/32")]
    Add {
        /// Addresses, or prefixes as ADDRESS/BITS
        #[arg(value_name = "CIDR", required = true)]
        prefixes: Vec<Prefix>,
    },
    /// Let addresses in again
    #[command(after_help = "Examples:
  postern guard deny remove 192.0.2.0/24")]
    Remove {
        /// Addresses or prefixes as they were added
        #[arg(value_name = "CIDR", required = true)]
        prefixes: Vec<Prefix>,
    },
    /// List what is denied
    #[command(after_help = "Examples:
  postern guard deny list")]
    List,
}

#[derive(clap::Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct LimitArgs {
    /// New connections a second
    #[arg(long, value_name = "N", value_parser = rate(), allow_negative_numbers = true)]
    pub(crate) connection_rate: Option<u64>,
    /// New connections at once
    #[arg(long, value_name = "N", value_parser = burst(), allow_negative_numbers = true)]
    pub(crate) connection_burst: Option<u64>,
    /// SYN packets a second, where packets are filtered
    #[arg(long, value_name = "N", value_parser = rate(), allow_negative_numbers = true)]
    pub(crate) syn_rate: Option<u64>,
    /// SYN packets at once
    #[arg(long, value_name = "N", value_parser = burst(), allow_negative_numbers = true)]
    pub(crate) syn_burst: Option<u64>,
    /// Packets a second, where packets are filtered
    #[arg(long, value_name = "N", value_parser = rate(), allow_negative_numbers = true)]
    pub(crate) packet_rate: Option<u64>,
    /// Packets at once
    #[arg(long, value_name = "N", value_parser = burst(), allow_negative_numbers = true)]
    pub(crate) packet_burst: Option<u64>,
}

fn rate() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(0..=RATE_MAX)
}

fn burst() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=RATE_MAX)
}
