//! What a handshake goes by before anything is routed: certificates, and the versions of TLS that a host is for.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{ConfigInvalid, Plan};
use crate::config::Certificate;
use crate::ids::CertificateId;

/// A certificate chain and key, decoded.
#[derive(Debug)]
pub struct PlannedCertificate {
    /// Its id.
    pub id: CertificateId,
    /// Leaf first, DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// DER.
    pub key: PrivateKeyDer<'static>,
    /// The first of its hosts.
    pub host: Box<str>,
    /// End of the leaf's validity.
    pub not_after_unix: u64,
    /// Until when what is stapled to it counts, if something is.
    pub staple_until_unix: Option<u64>,
}

impl Plan {
    /// All certificates, by id.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<PlannedCertificate>> {
        self.certificates_by_id.values()
    }

    /// Whether any host is for TLS 1.3 alone.
    #[must_use]
    pub const fn asks_tls13(&self) -> bool {
        self.asks_tls13
    }

    /// Whether a client that names this host (no port, any case) has to speak TLS 1.3. One that names none has to wherever any
    /// host asks for it: nobody knows yet which one it wants.
    #[must_use]
    pub fn needs_tls13(&self, host: Option<&str>) -> bool {
        let of_host = |host| self.host(host).is_some_and(|routes| routes.asks_tls13);
        self.asks_tls13 && host.is_none_or(of_host)
    }
}

impl PlannedCertificate {
    pub(super) fn decode(certificate: &Certificate) -> Result<Self, ConfigInvalid> {
        let invalid = |reason| ConfigInvalid::Certificate { id: certificate.id, reason };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect();
        let chain = chain.map_err(|_| invalid("its chain is not PEM"))?;
        if chain.is_empty() {
            return Err(invalid("its chain has no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.expose().as_bytes())
            .map_err(|_| invalid("its key is not a PEM private key"))?;
        let host = certificate.hosts.first().map_or("", String::as_str).into();
        let staple_until_unix = certificate.staple.as_ref().map(|staple| staple.until_unix);
        let not_after_unix = certificate.not_after_unix;
        Ok(Self { id: certificate.id, chain, key, host, not_after_unix, staple_until_unix })
    }
}
