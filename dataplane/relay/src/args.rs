//! The relay's command line: what people write ([`Args`]) and what it means once checked ([`Options`]).

mod log;
mod sources;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use postern_ebpf_loader::{INTERFACES_MAX, Prefix, SourceLimits};
use postern_io::backend::Wanted;
use postern_service::ServiceArgs;
use postern_service::failure::Failure;
use serde::{Deserialize, Serialize};

use crate::limits::{ADDRESSES_MAX, WORKERS_MAX};
use crate::worker::context::ListenProtocol;
pub use log::{LogArgs, LogOptions, LogTarget};
pub(crate) use log::{LogFile, open_in_state_dir};
pub use sources::{GeoipArgs, SourceArgs};
pub use tls::TlsPreset;

/// Postern's relay: the public edge. Accepts clients and connectors' tunnels, and forwards requests from one to the other.
#[derive(Debug, Clone, Parser)]
#[command(name = "postern-relay", version, after_help = EXAMPLES)]
pub struct Args {
    /// What every daemon has.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Where the relay keeps its key, its certificate and the last good state (made if missing, mode 0700)
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Reach control on this machine at its admin socket: unix:PATH
    #[arg(long, value_name = "unix:PATH", required_unless_present = "trust_anchor")]
    pub control: Option<String>,
    /// Wait for control to dial this relay; FILE is the control CA's certificate, written by `postern init`
    #[arg(long, value_name = "FILE", conflicts_with = "control")]
    pub trust_anchor: Option<PathBuf>,
    /// Addresses to listen at for TLS: clients, connectors, control
    #[arg(long, value_name = "ADDR", value_delimiter = ',', required = true)]
    pub listen: Vec<SocketAddr>,
    /// Addresses for plain HTTP: applications published as http://; others are sent on to https://
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub listen_http: Vec<SocketAddr>,
    /// The versions of TLS that clients may speak
    #[arg(long, value_enum, default_value_t = TlsPreset::Intermediate)]
    pub tls: TlsPreset,
    /// Worker threads; default: one per CPU this process may run on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: Option<u16>,
    /// The I/O engine
    #[arg(long, value_enum, default_value_t = IoBackend::Auto)]
    pub io: IoBackend,
    /// BPF, which steers new connections to workers and watches over sources: required, or where possible, or not at all
    #[arg(long, value_enum, default_value_t = EbpfMode::Auto)]
    pub ebpf: EbpfMode,
    /// Filter packets to the listening ports on these interfaces, before the kernel spends anything on them
    #[arg(long, value_name = "IFACE", value_delimiter = ',')]
    pub xdp: Vec<String>,
    /// Serve /healthz, /readyz and /metrics here; a loopback address
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// The name this relay gives to control on a Unix link; default: the host's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Started as root, the dataplane runs as this user; default: postern-relay if it exists, else nobody
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The access log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What one source may do.
    #[command(flatten)]
    pub sources: SourceArgs,
}

const EXAMPLES: &str = "Examples:
  Control on the same machine:
    postern-relay --state-dir /var/lib/postern/relay --control unix:/run/postern/control/admin.sock --listen 0.0.0.0:443,[::]:443
  Control elsewhere, dialling in (then: postern relay add edge1 edge1.example.com:443):
    postern-relay --state-dir /var/lib/postern/relay --trust-anchor /etc/postern/ca.pem --listen 0.0.0.0:443
  With a packet filter on the interface that faces the Internet:
    postern-relay --state-dir /var/lib/postern/relay --control unix:/run/postern/control/admin.sock --listen 0.0.0.0:443 \\
        --xdp eth0 --syn-rate 200 --connection-rate 100 --deny 192.0.2.0/24";

/// The I/O engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IoBackend {
    /// io_uring where the kernel allows it, else epoll.
    Auto,
    /// io_uring.
    Uring,
    /// epoll: at more CPU time per request.
    Epoll,
}

impl From<IoBackend> for Wanted {
    fn from(asked: IoBackend) -> Self {
        match asked {
            IoBackend::Auto => Self::Auto,
            IoBackend::Uring => Self::Uring,
            IoBackend::Epoll => Self::Epoll,
        }
    }
}

/// Whether BPF is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EbpfMode {
    /// Where possible; otherwise say why not, and go on without.
    Auto,
    /// Not at all.
    Off,
    /// Refuse to start without.
    Require,
}

/// How control and this relay find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlLink {
    /// The relay connects to control's admin socket.
    Unix(PathBuf),
    /// Control dials the relay; the file holds the CA that signs control's client certificate.
    TrustAnchor(PathBuf),
}

/// The command line, checked. What it names may still be missing or unreadable.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--state-dir`
    pub state_dir: PathBuf,
    /// `--control` or `--trust-anchor`
    pub control: ControlLink,
    /// `--listen`; without duplicates, here and in `listen_http`
    pub listen: Vec<SocketAddr>,
    /// `--listen-http`
    pub listen_http: Vec<SocketAddr>,
    /// `--tls`
    pub tls: TlsPreset,
    /// `--workers`, or one per CPU of the inherited affinity mask
    pub workers: u16,
    /// `--io`
    pub io: IoBackend,
    /// `--ebpf`
    pub ebpf: EbpfMode,
    /// `--xdp`; without duplicates
    pub xdp: Vec<String>,
    /// `--deny`
    pub deny: Vec<Prefix>,
    /// `--connection-rate` and the like
    pub source_limits: SourceLimits,
    /// `--access-log` and the like
    pub log: LogOptions,
    /// `--geoip` and `--geoip-asn`
    pub geoip: GeoipArgs,
    /// `--admin-listen`
    pub admin_listen: Option<SocketAddr>,
    /// `--grace-period`
    pub grace_period: Duration,
    /// `--name`, or the host's
    pub name: String,
    /// `--user`
    pub user: Option<String>,
}

/// A command line that asks for what cannot be done. One line that says what and what to do; exit 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refused {
    #[error(
        "--control {value:?} is not a Unix socket: write unix:PATH, or use --trust-anchor and let control dial this relay"
    )]
    ControlNotUnix { value: String },
    #[error("{address} is given twice, in --listen and --listen-http together")]
    ListenTwice { address: SocketAddr },
    #[error("--listen and --listen-http name {count} addresses, at most {ADDRESSES_MAX} are possible")]
    ListenTooMany { count: usize },
    #[error(
        "--admin-listen {address} is not a loopback address: metrics are not for the public; use 127.0.0.1 or [::1]"
    )]
    AdminNotLoopback { address: SocketAddr },
    #[error("--name {name:?} is not a name of 1 to 63 of a-z, 0-9 and '-'")]
    NameInvalid { name: String },
    #[error("--xdp names {count} interfaces, at most {INTERFACES_MAX} are possible")]
    XdpTooMany { count: usize },
    #[error("{flag} is BPF's to do, but --ebpf is off: leave one of the two out")]
    NeedsEbpf { flag: &'static str },
    #[error("--{flag}-burst without a limit: give --{flag}-rate as well, above 0")]
    BurstAlone { flag: &'static str },
}

impl Options {
    /// Every address with what is spoken there.
    pub(crate) fn addresses(&self) -> Vec<(ListenProtocol, SocketAddr)> {
        let tls = self.listen.iter().map(|address| (ListenProtocol::Tls, *address));
        tls.chain(self.listen_http.iter().map(|address| (ListenProtocol::Http, *address))).collect()
    }
}

impl Refused {
    /// The line that ends the program.
    pub(crate) fn into_failure(self) -> Failure {
        let failure = Failure::new(self.to_string());
        match self {
            Self::ControlNotUnix { .. }
            | Self::ListenTwice { .. }
            | Self::ListenTooMany { .. }
            | Self::AdminNotLoopback { .. }
            | Self::NameInvalid { .. }
            | Self::XdpTooMany { .. }
            | Self::NeedsEbpf { .. }
            | Self::BurstAlone { .. } => failure,
        }
    }
}

impl Args {
    /// Checks what needs no look at the machine.
    ///
    /// `cpus` is how many CPUs this process may run on, `hostname` what `--name` defaults to.
    ///
    /// # Errors
    /// The first thing that cannot be done.
    pub fn check(self, cpus: u16, hostname: &str) -> Result<Options, Refused> {
        self.check_addresses()?;
        self.check_ebpf()?;
        let source_limits = self.sources.limits()?;
        let name = match self.name {
            Some(name) => {
                name.parse::<postern_model::ids::Name>().map_err(|_| Refused::NameInvalid { name })?.to_string()
            }
            None => name_from(hostname),
        };
        let control = match (self.trust_anchor, self.control) {
            (Some(file), _) => ControlLink::TrustAnchor(file),
            (None, control) => unix_control(control.unwrap_or_default())?,
        };
        Ok(Options {
            state_dir: self.state_dir,
            control,
            listen: self.listen,
            listen_http: self.listen_http,
            tls: self.tls,
            workers: self.workers.unwrap_or(cpus).clamp(1, WORKERS_MAX),
            io: self.io,
            ebpf: self.ebpf,
            xdp: self.xdp.into_iter().collect::<BTreeSet<_>>().into_iter().collect(),
            deny: self.sources.deny,
            source_limits,
            log: self.log.options(),
            geoip: self.sources.geoip,
            admin_listen: self.admin_listen,
            grace_period: self.service.grace_period,
            name,
            user: self.user,
        })
    }

    fn check_ebpf(&self) -> Result<(), Refused> {
        if self.xdp.len() > INTERFACES_MAX as usize {
            return Err(Refused::XdpTooMany { count: self.xdp.len() });
        }
        let flag = if self.xdp.is_empty() { self.sources.first_given() } else { Some("--xdp") };
        match (self.ebpf, flag) {
            (EbpfMode::Off, Some(flag)) => Err(Refused::NeedsEbpf { flag }),
            (EbpfMode::Off | EbpfMode::Auto | EbpfMode::Require, _) => Ok(()),
        }
    }

    fn check_addresses(&self) -> Result<(), Refused> {
        let count = self.listen.len() + self.listen_http.len();
        if count > ADDRESSES_MAX {
            return Err(Refused::ListenTooMany { count });
        }
        let mut seen = BTreeSet::new();
        let mut all = self.listen.iter().chain(&self.listen_http);
        if let Some(address) = all.find(|address| address.port() != 0 && !seen.insert(**address)) {
            return Err(Refused::ListenTwice { address: *address });
        }
        match self.admin_listen {
            Some(address) if !address.ip().is_loopback() => Err(Refused::AdminNotLoopback { address }),
            Some(_) | None => Ok(()),
        }
    }
}

fn unix_control(value: String) -> Result<ControlLink, Refused> {
    match value.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => Ok(ControlLink::Unix(PathBuf::from(path))),
        Some(_) | None => Err(Refused::ControlNotUnix { value }),
    }
}

/// A host's name as a relay's: the first label, with what names may not hold replaced.
fn name_from(hostname: &str) -> String {
    let label = hostname.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let name: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { String::from("relay") } else { String::from(name) }
}

#[cfg(test)]
mod tests;
