//! `postern doctor …`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;

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
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', value_parser = relay)]
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

/// Where a relay is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelayAddress {
    /// A name or an address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
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

impl std::fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&postern_model::proxy::authority(&self.host, self.port))
    }
}

pub(super) fn relay(text: &str) -> Result<RelayAddress, String> {
    let wrong = || String::from("write HOST:PORT, such as relay.example.com:443");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    let is_name = !host.is_empty() && !host.contains(['/', '@', '?', '#']) && !host.contains(char::is_whitespace);
    let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
    if !is_name || (host.contains(':') && !is_address) {
        return Err(wrong());
    }
    Ok(RelayAddress { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_named_as_connectors_name_them() {
        let good = |text: &str| relay(text).unwrap().to_string();
        assert_eq!(good("relay.example.com:443"), "relay.example.com:443");
        assert_eq!(good("[2001:db8::1]:8443"), "[2001:db8::1]:8443");
        for text in
            ["relay", "relay:0", ":443", "https://relay:443/", "2001:db8::zz:443", "a b:1", "[::1:443", "relay:65536"]
        {
            assert!(relay(text).is_err(), "{text}");
        }
    }
}
