//! Certificates by ACME, and domains, in the admin API.

use serde::{Deserialize, Serialize};

use crate::acme::ChallengeKind;
use crate::domain::DomainName;
use crate::secret::SecretText;

/// Makes an account with an authority of certificates. It stands for the tenant's agreement to the authority's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAcme {
    /// Where the authority says what it offers (RFC 8555 §7.1.1): `https://`.
    pub directory: String,
    /// Mail addresses that the authority writes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<String>,
    /// For External Account Binding (RFC 8555 §7.3.4): the key's id, and …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eab_kid: Option<String>,
    /// … the key, base64url. Used once and not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eab_key: Option<SecretText>,
    /// PEM to verify the authority's own certificate with; without it control's host decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// An account, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeView {
    /// The authority.
    pub directory: String,
    /// Mail addresses that it writes to.
    #[serde(default)]
    pub contact: Vec<String>,
    /// The account's URL there.
    pub account: String,
    /// The key's id of External Account Binding, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eab_kid: Option<String>,
    /// Whether its own certificate is verified by what was given rather than by control's host.
    #[serde(default)]
    pub own_ca: bool,
}

/// Orders a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCertificate {
    /// Its hosts.
    pub hosts: Vec<String>,
    /// How the authority looks whose they are.
    pub challenge: ChallengeKind,
}

/// How a certificate is renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalView {
    /// How the authority looks whose its hosts are.
    pub challenge: ChallengeKind,
    /// When it is ordered next.
    #[serde(default)]
    pub next_unix: u64,
    /// How often that failed since it went well.
    #[serde(default)]
    pub failures: u32,
    /// Why, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Adds a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDomain {
    /// Its name.
    pub name: String,
}

/// A domain, and the record that shows whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// Its name.
    pub name: DomainName,
    /// The name of the TXT record.
    pub record_name: String,
    /// What that says.
    pub record_value: String,
    /// When it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_unix: Option<u64>,
}

/// A domain after it was added or verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainChanged {
    /// The domain.
    #[serde(flatten)]
    pub domain: DomainView,
    /// Version of the log that holds the change.
    #[serde(default)]
    pub version: u64,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}
