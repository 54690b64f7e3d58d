//! Configuration as stored and sent: raw, well-formed but not yet checked as a whole. `plan` turns it into what can be served.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{AppId, CertificateId, ConnectorId, GroupId, Name, RelayId, TenantId};
use crate::secret::SecretText;

/// A customer or department: everything but relays belongs to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique.
    pub name: Name,
    /// Each of its applications is at `NAME.SUFFIX`, too. Nowhere else by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_suffix: Option<String>,
}

/// Connectors that can reach the same private network and serve the same applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name, unique in the tenant.
    pub name: Name,
    /// Its connectors tell control about users and groups of a directory, and reach no applications.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub directory_sync: bool,
}

/// A published application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// Its name, unique in the tenant.
    pub name: Name,
    /// Whose connectors reach it.
    pub group: GroupId,
    /// What remote users open: `https://HOST[:PORT][/PATH/]`.
    pub external_url: String,
    /// What the connector opens: `http://` or `https://`.
    pub internal_url: String,
    /// What is asked before a request may pass. There is no default.
    pub preauth: Preauth,
    /// The certificate shown for its external host.
    pub certificate: CertificateId,
    /// `--set k=v`: see [`crate::settings::AppSettings`] for names and defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// What a relay asks before it lets a request pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preauth {
    /// Nothing: the application authenticates its users itself.
    Passthrough,
    /// Who it is: nobody passes but people who signed in and are assigned to the application, and machines with a service
    /// token that names it.
    Oidc,
}

/// An enrolled connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    /// Its id, which its certificate names.
    pub id: ConnectorId,
    /// The group its token was made for.
    pub group: GroupId,
    /// SHA-256 of the SubjectPublicKeyInfo of its current key, 64 hex digits.
    pub key_sha256: String,
    /// When it enrolled.
    pub enrolled_unix_ms: u64,
}

/// A relay that control knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Its id, which its tunnel names carry.
    pub id: RelayId,
    /// Its name, unique.
    pub name: Name,
    /// `HOST:PORT` that control dials; `None` for a relay that comes to control's Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A certificate chain and its key for external hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its id.
    pub id: CertificateId,
    /// The DNS names it covers, lower case, wildcards as `*.example.com`.
    pub hosts: Vec<String>,
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// PKCS#8, PKCS#1 or SEC1, PEM.
    pub key_pem: SecretText,
    /// End of the leaf's validity.
    pub not_after_unix: u64,
    /// Who made it.
    pub origin: CertificateOrigin,
    /// What relays show beside it, if there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staple: Option<Staple>,
    /// Since when its authority says that it is revoked (thisUpdate of the OCSP response), if it does. Nothing is stapled then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_unix: Option<u64>,
}

/// What the certificate's authority says of it, for relays to staple: an OCSP response (RFC 6960). Clients verify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staple {
    /// DER, as base64.
    pub response: String,
    /// Since when it counts.
    pub from_unix: u64,
    /// Until when it counts: relays leave it out from then on.
    pub until_unix: u64,
}

/// Who made a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateOrigin {
    /// Postern's own web CA; renewed by control.
    Issued,
    /// An operator gave it; the operator renews it.
    Given,
}
