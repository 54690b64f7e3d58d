//! Certificates of an authority that is asked by ACME (RFC 8555): what relays answer while it looks whose a host is, and which
//! certificates control renews that way.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::app_url::{ExternalUrl, HOST_BYTES_MAX};
use crate::ids::{CertificateId, TenantId};

/// How the authority finds out whose a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// By a request without TLS, to port 80 (RFC 8555 §8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// By a handshake, to port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// Text that names no challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("http-01 or tls-alpn-01")]
pub struct ChallengeKindInvalid;

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

impl FromStr for ChallengeKind {
    type Err = ChallengeKindInvalid;

    fn from_str(text: &str) -> Result<Self, ChallengeKindInvalid> {
        match text {
            "http-01" => Ok(Self::Http01),
            "tls-alpn-01" => Ok(Self::TlsAlpn01),
            _ => Err(ChallengeKindInvalid),
        }
    }
}

/// What relays answer the authority, for as long as it looks. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeChallenge {
    /// Whose certificate it is for.
    pub tenant: TenantId,
    /// The host that is looked at, lower case.
    pub host: String,
    /// How.
    pub challenge: ChallengeKind,
    /// The authority's token, unique: base64url.
    pub token: String,
    /// The token and the account key's thumbprint (RFC 8555 §8.1).
    pub key_authorization: String,
}

impl AcmeChallenge {
    /// Whether it can be answered: the authority sends the token, and it becomes part of a path and of a log line.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let is_base64url = |text: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !text.is_empty() && text.len() <= TOKEN_BYTES_MAX && text.bytes().all(fits)
        };
        let thumbprint =
            self.key_authorization.strip_prefix(self.token.as_str()).and_then(|rest| rest.strip_prefix('.'));
        is_base64url(&self.token) && thumbprint.is_some_and(is_base64url)
    }

    /// Whether it is for a host: the authority names that, too, and relays look it up and make a certificate for it.
    #[must_use]
    pub fn names_host(&self) -> bool {
        let url = (self.host.len() <= HOST_BYTES_MAX).then(|| ExternalUrl::parse(&format!("https://{}/", self.host)));
        // What is read as more than a host is spelled differently than the host that was read.
        url.and_then(Result::ok).is_some_and(|url| !url.wildcard && *url.host == *self.host)
    }
}

/// A certificate that control renews by ACME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeRenewal {
    /// Which.
    pub certificate: CertificateId,
    /// How its hosts are looked at.
    pub challenge: ChallengeKind,
}

/// Where the authority asks for a token without TLS: this, and the token.
pub const HTTP_PATH: &str = "/.well-known/acme-challenge/";
/// What its handshake offers, and nothing else.
pub const TLS_ALPN: &[u8] = b"acme-tls/1";
/// Challenges at a time, of all tenants: a host each.
pub const CHALLENGES_MAX: usize = 256;
/// Hosts of one certificate.
pub const HOSTS_MAX: usize = 100;
/// Tokens have 22 bytes at least, and in practice 43.
const TOKEN_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_read() {
        for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert!("dns-01".parse::<ChallengeKind>().is_err());
    }

    #[test]
    fn a_token_is_base64url_and_begins_its_key_authorization() {
        let challenge = |token: &str, key_authorization: &str| AcmeChallenge {
            tenant: TenantId::DEFAULT,
            host: "a.example.com".into(),
            challenge: ChallengeKind::Http01,
            token: token.into(),
            key_authorization: key_authorization.into(),
        };
        assert!(challenge("a-B_9", "a-B_9.thumb").is_well_formed());
        for (token, key_authorization) in [
            ("", ".thumb"),
            ("a/b", "a/b.thumb"),
            ("a\r\n", "a\r\n.thumb"),
            ("a", "b.thumb"),
            ("a", "a."),
            ("a", "a.b c"),
        ] {
            assert!(!challenge(token, key_authorization).is_well_formed(), "{token:?} {key_authorization:?}");
        }
        for (host, is_named) in [
            ("a.example.com", true),
            ("A.example.com", false),
            ("*.example.com", false),
            ("a.example.com:443", false),
            ("a.example.com/x", false),
            ("a\nb.example.com", false),
            ("", false),
            (format!("{}com", "a.".repeat(200)).as_str(), false),
        ] {
            assert_eq!(AcmeChallenge { host: host.into(), ..challenge("a", "a.b") }.names_host(), is_named, "{host:?}");
        }
        assert!(!challenge(&"a".repeat(300), &format!("{}.t", "a".repeat(300))).is_well_formed());
    }
}
