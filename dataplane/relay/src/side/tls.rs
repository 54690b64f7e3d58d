//! The TLS server configurations. Those that ask for a client certificate share nothing with the clients': a ticket of one must
//! mean nothing to the other, since resuming a session skips the certificate.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use postern_model::acme::TLS_ALPN;
use postern_model::ids::CertificateId;
use postern_model::plan::Plan;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::args::TlsPreset;

/// Makes server configurations; holds what they have in common for the life of the process.
pub(crate) struct TlsConfigs {
    provider: Arc<CryptoProvider>,
    /// Shared by all workers and all versions of the clients' configuration, and by nothing else. Keys rotate inside.
    client_tickets: Arc<dyn ProducesTickets>,
    /// What clients may speak.
    client_versions: &'static [&'static SupportedProtocolVersion],
}

impl TlsConfigs {
    pub(crate) fn new(preset: TlsPreset) -> io::Result<Self> {
        let client_tickets = Ticketer::new().map_err(io::Error::other)?;
        let client_versions = match preset {
            TlsPreset::Modern => ONLY_TLS13,
            TlsPreset::Intermediate => rustls::ALL_VERSIONS,
        };
        Ok(Self { provider: Arc::new(aws_lc_rs::default_provider()), client_tickets, client_versions })
    }

    /// For clients: what the preset lets them speak, resumption by ticket, no early data.
    pub(crate) fn clients(&self, certificates: Arc<ClientCertificates>) -> Arc<ServerConfig> {
        self.clients_with(self.client_versions, certificates)
    }

    /// For clients of hosts that are for TLS 1.3 alone. Tickets are those of other clients: a server name is part of each.
    pub(crate) fn clients_tls13(&self, certificates: Arc<ClientCertificates>) -> Arc<ServerConfig> {
        self.clients_with(ONLY_TLS13, certificates)
    }

    fn clients_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificates: Arc<ClientCertificates>,
    ) -> Arc<ServerConfig> {
        let builder = self.builder(versions).with_no_client_auth();
        let mut config = builder.with_cert_resolver(certificates);
        config.alpn_protocols = client_alpn();
        config.ticketer = Arc::clone(&self.client_tickets);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Arc::new(config)
    }

    /// For clients that show a device: as for clients, and they are asked for a certificate of one of the authorities. None is fine,
    /// and so is where nobody has named an authority. One that is expired, or that no authority vouches for, ends the handshake:
    /// browsers offer none but those that the server names. No resumption of any kind, for it would skip the certificate.
    pub(crate) fn devices(
        &self,
        certificates: Arc<ClientCertificates>,
        authorities: &[CertificateDer<'static>],
    ) -> Arc<ServerConfig> {
        let builder = self.builder(self.client_versions).with_client_cert_verifier(self.devices_verifier(authorities));
        Arc::new(without_resumption(builder.with_cert_resolver(certificates), client_alpn()))
    }

    fn devices_verifier(&self, authorities: &[CertificateDer<'static>]) -> Arc<dyn ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        // One that cannot be read vouches for nobody.
        let (_, unread) = roots.add_parsable_certificates(authorities.iter().cloned());
        if unread > 0 {
            tracing::warn!(unread, "certificates of devices' authorities cannot be read");
        }
        let named: usize = roots.subjects().iter().map(|subject| subject.as_ref().len() + 2).sum();
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider));
        let builder = if named > AUTHORITY_NAMES_BYTES_MAX { builder.clear_root_hint_subjects() } else { builder };
        // Without a single authority nobody is asked.
        builder.allow_unauthenticated().build().unwrap_or_else(|_| WebPkiClientVerifier::no_client_auth())
    }

    /// For tunnels: a client certificate of `authority`, TLS 1.3, no resumption of any kind.
    pub(crate) fn tunnels(
        &self,
        own: &Arc<CertifiedKey>,
        authority: &Authority,
    ) -> Result<Arc<ServerConfig>, VerifierBuilderError> {
        self.authenticated(own, authority, TUNNEL_ALPN)
    }

    /// For control, dialling in: as for tunnels.
    pub(crate) fn control(
        &self,
        own: &Arc<CertifiedKey>,
        authority: &Authority,
    ) -> Result<Arc<ServerConfig>, VerifierBuilderError> {
        self.authenticated(own, authority, postern_model::link::ALPN)
    }

    /// For identity processes on their way to control: as for tunnels.
    pub(crate) fn identity(
        &self,
        own: &Arc<CertifiedKey>,
        authority: &Authority,
    ) -> Result<Arc<ServerConfig>, VerifierBuilderError> {
        self.authenticated(own, authority, postern_model::identity::ALPN)
    }

    /// For enrolment: no client certificate, since that is what is asked for; nothing to resume.
    pub(crate) fn enrolment(&self, own: &Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let builder = self.builder(&[&TLS13]).with_no_client_auth();
        Arc::new(without_resumption(builder.with_cert_resolver(single(own)), vec![postern_model::enrol::ALPN.to_vec()]))
    }

    /// For an authority of certificates that looks whose a host is (RFC 8737): no other protocol, nothing to resume.
    pub(crate) fn challenge(&self, own: &Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let builder = self.builder(self.client_versions).with_no_client_auth();
        Arc::new(without_resumption(builder.with_cert_resolver(single(own)), vec![TLS_ALPN.to_vec()]))
    }

    fn authenticated(
        &self,
        own: &Arc<CertifiedKey>,
        authority: &Authority,
        alpn: &[u8],
    ) -> Result<Arc<ServerConfig>, VerifierBuilderError> {
        let roots = Arc::clone(&authority.roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&self.provider)).build()?;
        let builder = self.builder(&[&TLS13]).with_client_cert_verifier(verifier);
        Ok(Arc::new(without_resumption(builder.with_cert_resolver(single(own)), vec![alpn.to_vec()])))
    }

    fn builder(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        builder.with_protocol_versions(versions).expect("the provider has cipher suites for every TLS version")
    }
}

impl fmt::Debug for TlsConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfigs(…)")
    }
}

fn single(own: &Arc<CertifiedKey>) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(CertifiedKey::clone(own)))
}

/// No ticketer of its own, no session storage, no tickets offered: three locks on one door.
fn without_resumption(mut config: ServerConfig, alpn: Vec<Vec<u8>>) -> ServerConfig {
    config.alpn_protocols = alpn;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

fn client_alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// The control CA.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    pub(crate) pem: String,
    certificate: CertificateDer<'static>,
    roots: Arc<RootCertStore>,
}

/// Text that is not one CA certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trust anchor is not a certificate in PEM form")]
pub(crate) struct NotAnAuthority;

impl Authority {
    pub(crate) fn read(pem: &str) -> Result<Self, NotAnAuthority> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| NotAnAuthority)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).map_err(|_| NotAnAuthority)?;
        Ok(Self { pem: pem.to_owned(), certificate, roots: Arc::new(roots) })
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

/// Which certificate a client sees: by its SNI out of the plan.
#[derive(Debug)]
pub(crate) struct ClientCertificates {
    pub(crate) plan: Arc<Plan>,
    pub(crate) keys: BTreeMap<CertificateId, Arc<CertifiedKey>>,
    /// For clients that name none, and for names that are not published: a client of those gets its 421 if it wants to go on.
    pub(crate) fallback: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ClientCertificates {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let planned = client.server_name().and_then(|name| self.plan.certificate(name));
        let key = planned.and_then(|planned| self.keys.get(&planned.id)).unwrap_or(&self.fallback);
        let staple_until = planned.and_then(|planned| planned.staple_until_unix);
        if staple_until.is_some_and(|until| until <= UnixTime::now().as_secs()) {
            // Control takes it out, unless it is away: browsers refuse one that is over, and take none at all.
            return Some(Arc::new(CertifiedKey { ocsp: None, ..CertifiedKey::clone(key) }));
        }
        Some(Arc::clone(key))
    }
}

/// Names of devices' authorities in one handshake: beyond that none is named, and browsers offer any certificate that they have.
const AUTHORITY_NAMES_BYTES_MAX: usize = 16 << 10;
const ONLY_TLS13: &[&SupportedProtocolVersion] = &[&TLS13];
/// ALPN of tunnels.
const TUNNEL_ALPN: &[u8] = b"postern-tunnel/1";

#[cfg(test)]
mod tests;
