//! The two URLs of an application: what users open and what the connector opens. Parsed strictly, kept in one spelling.

use std::fmt;

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
    /// DNS name in lower case or IP address; IPv6 without brackets.
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

pub(crate) fn internal_host(host: &str) -> Result<Box<str>, &'static str> {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn external_urls_are_normalised() {
        for (given, kept) in [
            ("https://App.Example.com", "https://app.example.com/"),
            ("HTTPS://app.example.com:443/crm/", "https://app.example.com/crm/"),
            ("https://*.example.com:8443/a/b", "https://*.example.com:8443/a/b/"),
            ("https://app.localhost:8443", "https://app.localhost:8443/"),
            ("http://app.example.com:80", "http://app.example.com/"),
            ("http://app.example.com:443", "http://app.example.com:443/"),
            ("https://app.example.com:80", "https://app.example.com:80/"),
        ] {
            assert_eq!(ExternalUrl::parse(given).unwrap().to_string(), kept);
        }
    }

    #[test]
    fn plain_urls_have_a_secured_one_where_the_port_says_which() {
        for (plain, secured) in [
            ("http://app.example.com/a/", Some("https://app.example.com/a/")),
            ("http://*.example.com/", Some("https://*.example.com/")),
            ("http://app.example.com:8080/", None),
            ("http://app.example.com:443/", None),
            ("https://app.example.com:8443/", Some("https://app.example.com:8443/")),
        ] {
            let found = ExternalUrl::parse(plain).unwrap().secured().map(|url| url.to_string());
            assert_eq!(found.as_deref(), secured, "{plain}");
        }
    }

    #[test]
    fn links_name_the_host_that_was_asked_for_and_a_port_that_is_not_the_schemes() {
        for (url, authority) in [
            ("https://app.example.com/", "app.example.com"),
            ("https://app.example.com:8443/", "app.example.com:8443"),
            ("http://app.example.com/", "app.example.com"),
            ("http://app.example.com:443/", "app.example.com:443"),
            ("https://*.example.com:8443/", "a.example.com:8443"),
        ] {
            assert_eq!(ExternalUrl::parse(url).unwrap().authority("A.Example.com"), authority, "{url}");
        }
    }

    #[test]
    fn internal_urls_are_normalised() {
        for (given, kept) in [
            ("http://10.0.0.7:8080", "http://10.0.0.7:8080/"),
            ("https://[2001:DB8::1]:8443/x/", "https://[2001:db8::1]:8443/x/"),
            ("http://my_host", "http://my_host/"),
        ] {
            assert_eq!(InternalUrl::parse(given).unwrap().to_string(), kept);
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_reason() {
        for (url, says) in [
            ("app.example.com", "write it as https://"),
            ("ftp://app.example.com", "begins with https://"),
            ("https://", "host is missing"),
            ("https://10.0.0.1/", "not an IP address"),
            ("https://[::1]/", "not a DNS name"),
            ("https://u:p@app.example.com/", "user name"),
            ("https://app.example.com/?a", "query"),
            ("https://app.example.com:0/", "port"),
            ("https://app.example.com:/", "port"),
            ("https://app.example.com:+1/", "port"),
            ("https://app.example.com/a/../b", "dot segments"),
            ("https://app.example.com/a%2fb", "characters"),
            ("https://*.com/", "two labels"),
            ("https://a.*.example.com/", "not a DNS name"),
            ("https://tunnel.postern.internal/", "reserved"),
            ("https://*.postern.internal/", "reserved"),
            ("https://ä.example.com/", "xn--"),
            ("https://app.example.com./", "not a DNS name"),
        ] {
            let error = ExternalUrl::parse(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
        }
        for (url, says) in [
            ("tls://h:443", "not available yet"),
            ("tcp://h:22", "not available yet"),
            ("ldap://h", "begins with http://"),
            ("http://1.2.3.400/", "IPv4"),
            ("http://[::1/", "lacks"),
            ("http://[::1]x/", "port"),
        ] {
            let error = InternalUrl::parse(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_reads_back(text in "(https?|tls)://[a-zA-Z0-9*.:_\\[\\]-]{0,24}(/[a-z./]{0,10})?") {
            if let Ok(url) = ExternalUrl::parse(&text) {
                prop_assert_eq!(ExternalUrl::parse(&url.to_string()).unwrap(), url);
            }
            if let Ok(url) = InternalUrl::parse(&text) {
                prop_assert_eq!(InternalUrl::parse(&url.to_string()).unwrap(), url);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            let _ = (ExternalUrl::parse(&text), InternalUrl::parse(&text));
        }
    }
}
