//! The two URLs of an application: what users open and what the connector opens. Parsed strictly, kept in one spelling.

use std::fmt;

use crate::host::is_below;

/// `https://HOST[:PORT][/PATH/]` or `http://…`, where an application is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    /// Whether its users come by TLS alone; otherwise in plain text, too.
    pub tls: bool,
    /// DNS name in lower case, without the `*.` of a wildcard.
    pub host: Box<str>,
    /// `*.host`: every name below `host`, at any depth, but not `host` itself.
    pub wildcard: bool,
    /// For links and redirects; routing does not look at it. 443 or 80 unless given.
    pub port: u16,
    /// Empty, or `/a/b` without a slash at its end. Matches whole segments.
    pub path: Box<str>,
}

/// `http://HOST[:PORT][/PATH/]` or `https://…`, what the connector opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalUrl {
    /// Whether the backend speaks TLS.
    pub tls: bool,
    /// DNS name in lower case or IP address; IPv6 without brackets. Or `*.` and a name: see [`InternalUrl::at`].
    pub host: Box<str>,
    /// 80 or 443 unless given.
    pub port: u16,
    /// Empty, or `/a/b` without a slash at its end. Replaces the external path in what is forwarded.
    pub path: Box<str>,
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlInvalid {
    /// Understood, but this version cannot do it.
    #[error("{what} is not available yet: {instead}")]
    NotYetAvailable {
        /// What was asked for.
        what: String,
        /// What to use today.
        instead: &'static str,
    },
    /// Not a URL of the expected form.
    #[error("{url:?}: {reason}")]
    Malformed {
        /// What was read, cut to 200 characters.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl UrlInvalid {
    /// A URL that is not what it is to be.
    pub(crate) fn malformed(url: &str, reason: &'static str) -> Self {
        malformed(url, reason)
    }
}

impl ExternalUrl {
    /// Parses an external URL.
    ///
    /// # Errors
    /// Says which part is wrong, or what is not available yet.
    pub fn parse(url: &str) -> Result<Self, UrlInvalid> {
        let malformed = |reason| malformed(url, reason);
        let (scheme, rest) = scheme(url).ok_or_else(|| malformed("write it as https://HOST/"))?;
        let tls = match scheme.as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(malformed("an external URL begins with https:// or http://")),
        };
        let parts = Parts::split(rest).map_err(malformed)?;
        let (wildcard, name) = match parts.host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, parts.host),
        };
        let host = dns_name(name, false).map_err(malformed)?;
        external_host(&host, wildcard).map_err(malformed)?;
        let port = parts.port.unwrap_or(default_port(tls));
        Ok(Self { tls, host, wildcard, port, path: parts.path.into() })
    }

    /// `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        scheme_of(self.tls)
    }

    /// The same with `https`, on its own port. `None` where another port was named: which one speaks TLS is not known then.
    #[must_use]
    pub fn secured(&self) -> Option<Self> {
        let port = if self.tls { self.port } else { default_port(true) };
        (self.tls || self.port == default_port(false)).then(|| Self { tls: true, port, ..self.clone() })
    }

    /// `HOST[:PORT]` as links have it; of a wildcard the host that was asked for.
    #[must_use]
    pub fn authority(&self, asked_host: &str) -> String {
        let host = if self.wildcard { asked_host.to_ascii_lowercase() } else { self.host.to_string() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }

    /// The host as certificates and people write it: with `*.` when it is a wildcard.
    #[must_use]
    pub fn host_pattern(&self) -> String {
        format!("{}{}", if self.wildcard { "*." } else { "" }, self.host)
    }

    /// Whether it is where a host (lower case) leads.
    #[must_use]
    pub fn is_at(&self, host: &str) -> bool {
        if self.wildcard { is_below(host, &self.host) } else { *self.host == *host }
    }

    /// What stands for `*` in a host below a wildcard.
    #[must_use]
    pub fn labels<'h>(&self, asked_host: &'h str) -> Option<&'h str> {
        let ends = asked_host.len().checked_sub(self.host.len() + 1).filter(|_| self.wildcard)?;
        let (labels, below) = asked_host.split_at_checked(ends)?;
        let is_below = below.strip_prefix('.').is_some_and(|name| name.eq_ignore_ascii_case(&self.host));
        (is_below && !labels.is_empty()).then_some(labels)
    }
}

impl InternalUrl {
    /// Parses an internal URL.
    ///
    /// # Errors
    /// Says which part is wrong, or what is not available yet.
    pub fn parse(url: &str) -> Result<Self, UrlInvalid> {
        let malformed = |reason| malformed(url, reason);
        let expected = "write it as http://HOST:PORT/ or https://HOST:PORT/";
        let (scheme, rest) = scheme(url).ok_or_else(|| malformed(expected))?;
        let tls = match scheme.as_str() {
            "http" => false,
            "https" => true,
            "tls" => return Err(not_yet("tls:// (TLS passthrough)", "use https://")),
            "tcp" => {
                return Err(not_yet("tcp:// (TCP applications)", "use http:// or https://"));
            }
            _ => return Err(malformed("an internal URL begins with http:// or https://")),
        };
        let parts = Parts::split(rest).map_err(malformed)?;
        let host = internal_host(parts.host).map_err(malformed)?;
        Ok(Self { tls, host, port: parts.port.unwrap_or(default_port(tls)), path: parts.path.into() })
    }

    /// Whether scheme, host and port are the same.
    #[must_use]
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// Whether it is on the connector's own host: what goes there leaves no host.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        *self.host == *"localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// Of a wildcard the name that all its hosts are below.
    #[must_use]
    pub fn wildcard(&self) -> Option<&str> {
        self.host.strip_prefix("*.")
    }

    /// Of a wildcard the URL of one host: what stands for `*` in the host that users asked for stands for it inside, too. `None`
    /// where that is nothing that a host is made of: nothing is repaired. Others have the same one for every host.
    #[must_use]
    pub fn at(&self, external: &ExternalUrl, asked_host: &str) -> Option<Self> {
        let Some(below) = self.wildcard() else { return Some(self.clone()) };
        let labels = dns_name(external.labels(asked_host)?, false).ok()?;
        let host = format!("{labels}.{below}");
        let is_good = host.len() <= HOST_BYTES_MAX && !host.ends_with(RESERVED_SUFFIX) && host != RESERVED;
        is_good.then(|| Self { host: host.into(), ..self.clone() })
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), if self.wildcard { "*." } else { "" }, self.host)?;
        if self.port != default_port(self.tls) {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}/", self.path)
    }
}

impl fmt::Display for InternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}", scheme_of(self.tls), self.host)?;
        if self.port != default_port(self.tls) {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}/", self.path)
    }
}

/// What follows `scheme://`, taken apart.
struct Parts<'a> {
    host: &'a str,
    port: Option<u16>,
    path: &'a str,
}

impl<'a> Parts<'a> {
    fn split(rest: &'a str) -> Result<Self, &'static str> {
        if rest.contains(['?', '#']) {
            return Err("leave out query and fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("leave out user name and password");
        }
        let (host, port) = host_and_port(authority)?;
        Ok(Self { host, port, path: path_prefix(path)? })
    }
}

const fn scheme_of(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

pub(crate) fn scheme(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    Some((scheme.to_ascii_lowercase(), rest))
}

pub(crate) fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the IPv6 address lacks its ]")?;
            (host, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("") }))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else {
        return Ok((host, None));
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = digits.then(|| port.parse().ok()).flatten().filter(|port| *port != 0);
    port.map(|port| (host, Some(port))).ok_or("the port is not a number from 1 to 65535")
}

/// Checks a path prefix and takes the slashes off its end. The same strictness as for requests, so that each prefix can match.
fn path_prefix(path: &str) -> Result<&str, &'static str> {
    let path = path.trim_end_matches('/');
    if path.len() > PATH_BYTES_MAX {
        return Err("the path is longer than 1024 bytes");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b);
    if !path.bytes().all(allowed) {
        return Err("the path has characters other than letters, digits and -._~!$&'()*+,;=:@/");
    }
    if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err("the path has empty or dot segments");
    }
    Ok(path)
}

/// A DNS name in lower case. Backends may have underscores in theirs.
fn dns_name(name: &str, underscore: bool) -> Result<Box<str>, &'static str> {
    if name.is_empty() {
        return Err("the host is missing");
    }
    if !name.is_ascii() {
        return Err("write the host in its xn-- form");
    }
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || (underscore && b == b'_');
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > HOST_BYTES_MAX || !name.split('.').all(label) {
        return Err("the host is not a DNS name");
    }
    Ok(name.to_ascii_lowercase().into())
}

fn external_host(host: &str, wildcard: bool) -> Result<(), &'static str> {
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("the external host must be a name, not an IP address: browsers send no name (SNI) for addresses");
    }
    if wildcard && !host.contains('.') {
        return Err("a wildcard needs at least two labels after *.");
    }
    if host == RESERVED || host.ends_with(RESERVED_SUFFIX) {
        return Err("names in postern.internal are reserved for Postern itself");
    }
    Ok(())
}

fn internal_host(host: &str) -> Result<Box<str>, &'static str> {
    let Some(below) = host.strip_prefix("*.") else { return one_host(host) };
    let below = dns_name(below, true)?;
    let is_address = below.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if is_address { Err("what follows *. is not a DNS name") } else { Ok(format!("*.{below}").into()) }
}

/// The host of a private network by name or address, in one spelling; no wildcard.
pub(crate) fn one_host(host: &str) -> Result<Box<str>, &'static str> {
    if host.contains(':') {
        let address: std::net::Ipv6Addr = host.parse().map_err(|_| "the host is not an IPv6 address")?;
        return Ok(address.to_string().into());
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        let address: std::net::Ipv4Addr = host.parse().map_err(|_| "the host is not an IPv4 address")?;
        return Ok(address.to_string().into());
    }
    dns_name(host, true)
}

fn malformed(url: &str, reason: &'static str) -> UrlInvalid {
    UrlInvalid::Malformed { url: url.chars().take(200).collect(), reason }
}

fn not_yet(what: &str, instead: &'static str) -> UrlInvalid {
    UrlInvalid::NotYetAvailable { what: what.into(), instead }
}

/// RFC 1035 §2.3.4 less the final dot.
pub const HOST_BYTES_MAX: usize = 253;
const PATH_BYTES_MAX: usize = 1024;
const RESERVED: &str = "postern.internal";
const RESERVED_SUFFIX: &str = ".postern.internal";

#[cfg(test)]
mod tests;
