//! What a certificate says of itself, for people.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::unix;
use crate::authority::sha256_hex;

/// A leaf, read.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Its issuer's name, as RFC 4514 has it or nearly so.
    pub(crate) issuer: String,
    /// Its serial number, hex digits in pairs with colons.
    pub(crate) serial: String,
    pub(crate) not_before_unix: u64,
    /// SHA-256 of it (DER), hex.
    pub(crate) sha256: String,
}

impl Facts {
    /// Of the first certificate in a PEM text.
    pub(crate) fn of(chain_pem: &str) -> Self {
        let Ok(leaf) = CertificateDer::from_pem_slice(chain_pem.as_bytes()) else { return Self::default() };
        let sha256 = sha256_hex(&leaf);
        match x509_parser::parse_x509_certificate(&leaf) {
            Ok((_, parsed)) => Self {
                issuer: parsed.issuer().to_string(),
                serial: parsed.raw_serial_as_string(),
                not_before_unix: unix(parsed.validity().not_before),
                sha256,
            },
            Err(_) => Self { sha256, ..Self::default() },
        }
    }
}
