//! Where a relay is dialled, as operators write it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::app_url::HOST_BYTES_MAX;
use crate::proxy::authority;

/// Where a relay listens: `HOST:PORT`, IPv6 addresses in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// A DNS name, or an IP address without brackets.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
}

/// Text that is no `HOST:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as HOST:PORT, an IPv6 address in brackets: [2001:db8::1]:443")]
pub struct NotARelayAddress;

impl FromStr for RelayAddress {
    type Err = NotARelayAddress;

    fn from_str(text: &str) -> Result<Self, NotARelayAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(NotARelayAddress)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(NotARelayAddress)?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(inner) => {
                let inner = inner.ok_or(NotARelayAddress)?;
                inner.parse::<Ipv6Addr>().map_err(|_| NotARelayAddress)?;
                inner
            }
            None => host,
        };
        let named = |host: &str| {
            (1..=HOST_BYTES_MAX).contains(&host.len())
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        if host.parse::<IpAddr>().is_err() && !named(host) {
            return Err(NotARelayAddress);
        }
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&authority(&self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_addresses_are_parsed_strictly() {
        for good in ["a:1", "10.0.0.1:443", "[2001:db8::1]:443", "a-b.example.com:65535"] {
            assert_eq!(good.parse::<RelayAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "a",
            "a:",
            "a:0",
            "a:65536",
            ":1",
            "a b:1",
            "[::1:1",
            "[a]:1",
            "https://a:1",
            "https://a:1/",
            "a/b:1",
            "2001:db8::zz:443",
        ] {
            assert!(bad.parse::<RelayAddress>().is_err(), "{bad}");
        }
    }
}
