//! Hosts that are dialled without a proxy, as `NO_PROXY` lists them.

use std::net::IpAddr;

use crate::app_url::{host_and_port, one_host};
use crate::prefix::IpPrefix;

/// A list of hosts, by commas or spaces: `*` (all), `example.com` (it and what is below), `.example.com` or `*.example.com` (what is
/// below alone), `10.0.0.7`, `10.0.0.0/8`, `2001:db8::/32`; each but the ranges also with `:PORT`. Names are not looked up: a range
/// covers what is dialled by address alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Entry>);

/// An entry that is understood by nobody, or not by all alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entry:?} is no host: write example.com, .example.com, 10.0.0.7, 10.0.0.0/8 or *, with or without :PORT, by commas, at most \
     {ENTRIES_MAX}"
)]
pub struct NoProxyInvalid {
    /// It, cut to 64 characters.
    pub entry: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Range(IpPrefix),
    /// And what is below it.
    Name(Box<str>),
    /// What is below it alone.
    Below(Box<str>),
}

impl NoProxy {
    /// Parses a list.
    ///
    /// # Errors
    /// The first entry that is not understood.
    pub fn parse(text: &str) -> Result<Self, NoProxyInvalid> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        let invalid = |entry: &str| NoProxyInvalid { entry: entry.chars().take(64).collect() };
        let mut parsed = Vec::new();
        for entry in entries {
            let read = Entry::parse(entry).filter(|_| parsed.len() < ENTRIES_MAX);
            parsed.push(read.ok_or_else(|| invalid(entry))?);
        }
        Ok(Self(parsed))
    }

    /// Whether `host` is dialled without a proxy. It is as it was written: a name or an address without brackets.
    #[must_use]
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        self.0.iter().any(|entry| entry.port.is_none_or(|own| own == port) && entry.host.matches(&host, address))
    }

    /// The same, and what is on the host itself.
    #[must_use]
    pub(super) fn and_loopback(mut self) -> Self {
        let loopback = ["localhost", "127.0.0.0/8", "::1"].into_iter().filter_map(Entry::parse);
        self.0.extend(loopback);
        self
    }
}

impl Entry {
    fn parse(entry: &str) -> Option<Self> {
        if let Ok(range) = entry.parse() {
            return Some(Self { host: Host::Range(range), port: None });
        }
        let (host, port) = host_and_port(entry).ok()?;
        Some(Self { host: Host::parse(host)?, port })
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        if host == "*" {
            return Some(Self::Any);
        }
        let name = host.trim_end_matches('.');
        let below = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
        let known = one_host(below.unwrap_or(name)).ok()?;
        match (below, known.parse::<IpAddr>()) {
            (None, Ok(address)) => IpPrefix::new(address, if address.is_ipv4() { 32 } else { 128 }).map(Self::Range),
            (Some(_), Ok(_)) => None,
            (None, Err(_)) => Some(Self::Name(known)),
            (Some(_), Err(_)) => Some(Self::Below(known)),
        }
    }

    fn matches(&self, host: &str, address: Option<IpAddr>) -> bool {
        let below = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
        match self {
            Self::Any => true,
            Self::Range(range) => address.is_some_and(|address| range.contains(address)),
            Self::Name(name) => address.is_none() && (host == &**name || below(name)),
            Self::Below(name) => address.is_none() && below(name),
        }
    }
}

/// More is no list that a person keeps.
const ENTRIES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_matched_as_they_are_written() {
        for (list, host, port, direct) in [
            ("", "relay.example.com", 443, false),
            ("*", "relay.example.com", 443, true),
            ("example.com", "example.com", 443, true),
            ("example.com", "relay.EXAMPLE.com", 443, true),
            ("example.com", "notexample.com", 443, false),
            ("example.com", "example.com.evil.test", 443, false),
            (".example.com", "example.com", 443, false),
            (".example.com", "relay.example.com", 443, true),
            ("*.example.com", "a.b.example.com.", 443, true),
            ("*.example.com", ".example.com", 443, false),
            ("example.com:8443", "example.com", 443, false),
            ("example.com:8443", "example.com", 8443, true),
            ("localhost, 127.0.0.1 ,::1", "127.0.0.1", 1, true),
            ("localhost,127.0.0.1,::1", "::1", 1, true),
            ("localhost,127.0.0.1", "127.0.0.2", 1, false),
            ("10.0.0.0/8", "10.1.2.3", 1, true),
            ("10.0.0.0/8", "11.1.2.3", 1, false),
            ("10.0.0.0/8", "ten.example.com", 1, false),
            ("2001:db8::/32", "2001:db8::7", 1, true),
            ("[2001:db8::7]:443", "2001:db8::7", 443, true),
            ("[2001:db8::7]:443", "2001:db8::7", 80, false),
            ("1.2.3.4:80", "1.2.3.4", 80, true),
        ] {
            assert_eq!(NoProxy::parse(list).unwrap().matches(host, port), direct, "{list} {host}:{port}");
        }
    }

    #[test]
    fn what_is_no_host_is_named() {
        for list in
            ["a,b c/d", "10.0.0.*", "*.10.0.0.1", "http://a", "a:0", "a:x", "10.0.0.1/8", "exa*mple", "-a", "a@b"]
        {
            assert!(NoProxy::parse(list).is_err(), "{list}");
        }
        let error = NoProxy::parse("good.example,b@d").unwrap_err();
        assert_eq!(error.entry, "b@d");
        assert!(
            NoProxy::parse(&"a,".repeat(ENTRIES_MAX)).is_ok() && NoProxy::parse(&"a,".repeat(ENTRIES_MAX + 1)).is_err()
        );
    }

    #[test]
    fn what_is_on_the_host_itself_needs_no_proxy() {
        let list = NoProxy::default().and_loopback();
        for host in ["localhost", "app.localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(list.matches(host, 443), "{host}");
        }
        assert!(!list.matches("10.0.0.1", 443) && !list.matches("localhost.example", 443));
    }

    proptest! {
        #[test]
        fn no_text_panics(list in "\\PC{0,60}", host in "\\PC{0,30}", port: u16) {
            if let Ok(list) = NoProxy::parse(&list) {
                let _ = list.matches(&host, port);
            }
        }
    }
}
