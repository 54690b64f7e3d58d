//! Request methods: any token, the common ones without an allocation.

use std::fmt;

use crate::limits::METHOD_BYTES_MAX;
use crate::malformed::Rule;
use crate::scan;

/// A request method. Methods are case-sensitive (RFC 9110 §9.1).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "each variant is the method of its name")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token, for instance `PROPFIND` or `RDG_IN_DATA`.
    Other(Box<str>),
}

impl Method {
    /// Takes a token of at most 32 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rule> {
        let found = COMMON.iter().find(|(_, text)| text.as_bytes() == bytes);
        if let Some((method, _)) = found {
            return Ok(method.clone());
        }
        if !scan::is_token(bytes) || bytes.len() > METHOD_BYTES_MAX {
            return Err(Rule::Method);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Rule::Method)?;
        Ok(Self::Other(text.into()))
    }

    /// As it stands in a request line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other(text) => text,
        }
    }

    /// Whether a request may be sent again after it may have been processed (RFC 9110 §9.2.2). Unknown methods may not.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace => true,
            Self::Post | Self::Connect | Self::Patch | Self::Other(_) => false,
        }
    }

    /// Whether the answer shows the request as it came (RFC 9110 §9.3.8): some servers take other cases of TRACE for it, and TRACK.
    pub fn echoes(&self) -> bool {
        ["TRACE", "TRACK"].iter().any(|method| self.as_str().eq_ignore_ascii_case(method))
    }

    /// Number of a common method on the wire, from 1.
    pub(crate) fn number(&self) -> Option<u8> {
        let at = COMMON.iter().position(|(method, _)| method == self)?;
        Some(at as u8 + 1)
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let (method, _) = COMMON.get(usize::from(number.checked_sub(1)?))?;
        Some(method.clone())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Their order gives the numbers of the tunnel's contract: only add at the end.
static COMMON: [(Method, &str); 9] = [
    (Method::Get, "GET"),
    (Method::Post, "POST"),
    (Method::Head, "HEAD"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Options, "OPTIONS"),
    (Method::Patch, "PATCH"),
    (Method::Connect, "CONNECT"),
    (Method::Trace, "TRACE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_the_request_is_known_however_it_is_written() {
        for text in ["TRACE", "trace", "Track"] {
            assert!(Method::parse(text.as_bytes()).unwrap().echoes(), "{text}");
        }
        for text in ["GET", "OPTIONS", "TRACER", "TRAC"] {
            assert!(!Method::parse(text.as_bytes()).unwrap().echoes(), "{text}");
        }
    }

    #[test]
    fn common_and_other_methods_round_trip() {
        for text in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] {
            let method = Method::parse(text.as_bytes()).unwrap();
            assert!(!matches!(method, Method::Other(_)));
            assert_eq!(method.as_str(), text);
            assert_eq!(Method::from_number(method.number().unwrap()), Some(method));
        }
        for text in ["get", "PROPFIND", "RDG_IN_DATA", "RDG_OUT_DATA", "M-SEARCH", "!#$%&'*+-.^_`|~"] {
            let method = Method::parse(text.as_bytes()).unwrap();
            assert_eq!((method.as_str(), method.number(), method.is_idempotent()), (text, None, false));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "GE T", "GET\t", "G(T", "G\u{e4}T", "\0", &"A".repeat(33)] {
            assert_eq!(Method::parse(text.as_bytes()), Err(Rule::Method), "{text}");
        }
    }
}
