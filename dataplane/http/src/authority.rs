//! The host and port that a request is for, in one normal form: lower case, addresses in their canonical text.

use std::fmt::{self, Write as _};
use std::net::Ipv6Addr;

use crate::limits::AUTHORITY_BYTES_MAX;
use crate::malformed::Rule;

/// `host[:port]`. Empty only for an HTTP/1.0 request without Host.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Authority {
    text: String,
    host_bytes: u16,
    port: Option<u16>,
}

impl Authority {
    /// Takes a DNS name (letters, digits, `-`, `_`), an IPv4 address or an IPv6 address in brackets, each with an
    /// optional port from 1 to 65535. User information, percent escapes, zone ids and empty ports are refused.
    ///
    /// A final dot is kept: it names another origin to a browser, so routing decides about it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rule> {
        let mut authority = Self::default();
        authority.assign(bytes)?;
        Ok(authority)
    }

    /// As [`Authority::parse`], in the memory that is there. Empty after an error.
    pub fn assign(&mut self, bytes: &[u8]) -> Result<(), Rule> {
        self.clear();
        let result = self.fill(bytes);
        if result.is_err() {
            self.clear();
        }
        result
    }

    /// `host[:port]`, as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without the port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.text[..usize::from(self.host_bytes)]
    }

    /// The port, if one was given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.host_bytes = 0;
        self.port = None;
    }

    fn fill(&mut self, bytes: &[u8]) -> Result<(), Rule> {
        if bytes.len() > AUTHORITY_BYTES_MAX {
            return Err(Rule::HostInvalid);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Rule::HostInvalid)?;
        let (host, port) = split_port(text).ok_or(Rule::HostInvalid)?;
        if let Some(address) = host.strip_prefix('[') {
            let address = address.strip_suffix(']').ok_or(Rule::HostInvalid)?;
            let address: Ipv6Addr = address.parse().map_err(|_| Rule::HostInvalid)?;
            // Writing to a String cannot fail.
            let _ = write!(self.text, "[{address}]");
        } else {
            is_name(host.as_bytes()).then_some(()).ok_or(Rule::HostInvalid)?;
            self.text.push_str(host);
            self.text.make_ascii_lowercase();
        }
        self.host_bytes = self.text.len() as u16;
        if let Some(port) = port {
            self.port = Some(parse_port(port).ok_or(Rule::HostInvalid)?);
            self.text.push(':');
            self.text.push_str(port);
        }
        Ok(())
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    let host_end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at(host_end);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

/// Labels of letters, digits, `-` and `_`, none empty, with an optional final dot.
fn is_name(host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    // Sub-delimiters and escapes are legal in a reg-name, but no DNS name needs them.
    let is_label = |label: &[u8]| !label.is_empty() && label.iter().all(|&byte| LABEL[usize::from(byte)]);
    host.split(|&byte| byte == b'.').all(is_label)
}

fn parse_port(text: &str) -> Option<u16> {
    let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    canonical.then(|| text.parse().ok())?
}

static LABEL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_forms_are_normalised() {
        let table = [
            ("example.com", "example.com", "example.com", None),
            ("EXAMPLE.Com:443", "example.com:443", "example.com", Some(443)),
            ("a_b.example.", "a_b.example.", "a_b.example.", None),
            ("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", "[::1]", None),
            ("[2001:DB8:0::1]:8443", "[2001:db8::1]:8443", "[2001:db8::1]", Some(8443)),
            ("localhost:65535", "localhost:65535", "localhost", Some(65535)),
        ];
        for (raw, text, host, port) in table {
            let authority = Authority::parse(raw.as_bytes()).unwrap();
            assert_eq!((authority.as_str(), authority.host(), authority.port()), (text, host, port), "{raw}");
        }
    }

    #[test]
    fn odd_forms_are_refused() {
        let long = "a".repeat(300);
        let table = [
            "",
            ":80",
            "a:",
            "a:0",
            "a:080",
            "a:65536",
            "a:+80",
            "a:80:80",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "user:pw@a",
            ".a",
            "a..b",
            ".",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "[1.2.3.4]",
            "[]",
            "a%2e",
            "a\0",
            "\u{e4}.de",
            "a?b",
            "a#b",
            "a\\b",
            "http://a",
            "[::1]:",
            "a\t",
            &long,
        ];
        for raw in table {
            assert_eq!(Authority::parse(raw.as_bytes()), Err(Rule::HostInvalid), "{raw}");
        }
        let mut kept = Authority::parse(b"a:1").unwrap();
        assert!(kept.assign(b"b:x").is_err());
        assert!(kept.is_empty() && kept.host().is_empty() && kept.port().is_none());
    }
}
