//! Certificates of external hosts.

use serde::{Deserialize, Serialize};

use super::acme::RenewalView;
use crate::config::CertificateOrigin;
use crate::device::DeviceHost;
use crate::ids::{CertificateId, Name};
use crate::secret::SecretText;

/// Adds a certificate, or replaces one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddCertificate {
    /// Chain, PEM, in any order.
    pub certificate_pem: String,
    /// Key, PEM.
    pub key_pem: SecretText,
    /// An OCSP response for relays to staple: DER, as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<String>,
}

/// A certificate after it was added or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAdded {
    /// The certificate.
    #[serde(flatten)]
    pub certificate: CertificateView,
    /// Version of the log that holds the change.
    #[serde(default)]
    pub version: u64,
    /// What an operator should know: what was left out of the chain, and what is missing from it.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A certificate, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Its id.
    pub id: CertificateId,
    /// DNS names it covers.
    pub hosts: Vec<String>,
    /// Who made it.
    pub origin: CertificateOrigin,
    /// Its issuer's name.
    #[serde(default)]
    pub issuer: String,
    /// Its serial number: hex digits in pairs, with colons.
    #[serde(default)]
    pub serial: String,
    /// Begin of validity.
    #[serde(default)]
    pub not_before_unix: u64,
    /// End of validity.
    pub not_after_unix: u64,
    /// Whole days until then; 0 on the last one and after it.
    #[serde(default)]
    pub days_left: u64,
    /// SHA-256 of the leaf (DER), hex.
    pub sha256: String,
    /// Names of the applications that show it.
    pub apps: Vec<Name>,
    /// The host where browsers show their devices, if it is good for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_host: Option<DeviceHost>,
    /// Until when the stapled OCSP response counts, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp_until_unix: Option<u64>,
    /// Since when its authority says that it is revoked, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_unix: Option<u64>,
    /// How it is renewed by ACME, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalView>,
}
