//! `postern doctor …`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;
pub(crate) use postern_model::relay_address::RelayAddress;

pub(super) const DOCTOR_HELP: &str =
    "Ends with 1 when a check fails. Nothing is changed, control is not needed; as root it sees more.

Examples:
  postern doctor --role relay
  postern doctor --role relay --listen 192.0.2.7:443,192.0.2.7:80
  postern doctor --role connector --relay relay.example.com:443
  postern doctor --relay relay.example.com:443 --proxy http://proxy.corp:3128 -o json
  postern doctor --relay relay.example.com:443 --proxy http://a@proxy:3128 --proxy-password-file F";

#[derive(clap::Args, Debug, Clone)]
pub(crate) struct DoctorArgs {
    /// What runs or is to run here; without it, all is looked at that any program needs
    #[arg(long, value_enum, value_name = "ROLE")]
    pub(crate) role: Option<Role>,
    /// A relay that is dialled from here: name, way, TLS, who answers, clock
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) relay: Vec<RelayAddress>,
    /// Addresses that a relay is to listen on here [default with --role relay: ports 443 and 80]
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) listen: Vec<SocketAddr>,
    /// Look at relays through this proxy: `http://[USER@]HOST:PORT` or https://, none for none
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Hosts that are looked at without it: example.com,10.0.0.0/8
    #[arg(long, value_name = "HOSTS")]
    pub(crate) no_proxy: Option<String>,
    /// A file with the password of the proxy's USER
    #[arg(long, value_name = "FILE")]
    pub(crate) proxy_password_file: Option<PathBuf>,
    /// Certificates of the only authorities that those of https:// proxies may come from, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) proxy_ca: Option<PathBuf>,
    /// The connector's settings, which name its proxy [default: of the package, with --role connector]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The program's state folder [default: of the packages, where --role is given]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// A program of Postern's, as a host has it.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// postern-relay: the public edge
    Relay,
    /// postern-connector: dials out from the private network
    Connector,
    /// postern-control
    Control,
}

impl Role {
    /// As the packages name its folder and its unit: `postern-NAME.service`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Connector => "connector",
            Self::Control => "control",
        }
    }
}
