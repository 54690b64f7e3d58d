//! Whose certificates count for a tenant's devices.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::directory::as_text;
use crate::ids::{Name, TenantId, name_in_tenant};

/// An authority whose certificates count for a tenant's devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAuthority {
    /// Whose devices.
    pub tenant: TenantId,
    /// [`OWN_AUTHORITY`] for the one whose key control holds; else what an operator called it.
    pub name: Name,
    /// Its certificate: browsers are asked for certificates that lead to it.
    pub certificate: AuthorityCertificate,
    /// Whether its devices comply, unless an operator says otherwise of one: an authority that issues to those only, and takes
    /// back from others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compliant: bool,
}

name_in_tenant!(
    /// A tenant's authority by name. As text: `t1/own`.
    DeviceAuthorityKey
);

/// An authority's certificate, DER. As text: Base64. Whoever puts it into the state has looked at it; whoever reads it checks
/// it once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityCertificate(Box<[u8]>);

/// Text or bytes that are no authority's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an authority's certificate is 1 to {AUTHORITY_CERTIFICATE_BYTES_MAX} bytes, in Base64")]
pub struct AuthorityCertificateInvalid;

impl DeviceAuthority {
    /// Its place among all authorities.
    #[must_use]
    pub fn key(&self) -> DeviceAuthorityKey {
        DeviceAuthorityKey { tenant: self.tenant, name: self.name.clone() }
    }
}

impl AuthorityCertificate {
    /// Takes a certificate's DER.
    ///
    /// # Errors
    /// Nothing, or too much.
    pub fn new(der: &[u8]) -> Result<Self, AuthorityCertificateInvalid> {
        let fits = !der.is_empty() && der.len() <= AUTHORITY_CERTIFICATE_BYTES_MAX;
        fits.then(|| Self(der.into())).ok_or(AuthorityCertificateInvalid)
    }

    /// The certificate.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'_> {
        CertificateDer::from_slice(&self.0)
    }
}

impl fmt::Display for AuthorityCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl FromStr for AuthorityCertificate {
    type Err = AuthorityCertificateInvalid;

    fn from_str(text: &str) -> Result<Self, AuthorityCertificateInvalid> {
        Self::new(&STANDARD.decode(text).map_err(|_| AuthorityCertificateInvalid)?)
    }
}

as_text!(AuthorityCertificate);

/// The name of the authority whose key control holds, of each tenant.
pub const OWN_AUTHORITY: &str = "own";
/// Authorities of one tenant, its own among them: relays name each in every handshake at the device host.
pub const DEVICE_AUTHORITIES_MAX: usize = 8;
/// Largest certificate of an authority: those of the web are below 3 KiB.
pub const AUTHORITY_CERTIFICATE_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_written_with_its_certificate_in_base64() {
        let json = r#"{"tenant":"t1","name":"mdm","certificate":"AAEC","compliant":true}"#;
        let authority: DeviceAuthority = serde_json::from_str(json).unwrap();
        assert_eq!(authority.certificate.der().as_ref(), [0, 1, 2]);
        assert_eq!(authority.key().to_string(), "t1/mdm");
        assert_eq!(serde_json::to_string(&authority).unwrap(), json);
    }

    #[test]
    fn a_certificate_is_bounded_on_both_sides() {
        assert!("".parse::<AuthorityCertificate>().is_err() && "?".parse::<AuthorityCertificate>().is_err());
        assert!(AuthorityCertificate::new(&[0; AUTHORITY_CERTIFICATE_BYTES_MAX]).is_ok());
        assert!(AuthorityCertificate::new(&[0; AUTHORITY_CERTIFICATE_BYTES_MAX + 1]).is_err());
    }
}
