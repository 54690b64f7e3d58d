//! TLS towards relays: only the control authority's certificates count, and what else answers is told apart, because each
//! needs another cure: a proxy that inspects TLS, another installation, a relay that has no certificate yet, a wrong clock.

use std::io;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use postern_io::TlsFailure;
use postern_model::handshake::{HandshakeVerifier, Judge};
use postern_service::failure::Failure;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::version::TLS13;
use rustls::{CertificateError, CipherSuite, ClientConfig, OtherError, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::args::RelayAddress;

/// ALPN of tunnels.
pub(crate) const TUNNEL_ALPN: &[u8] = b"postern-tunnel/1";

/// What a relay must prove.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// A certificate of this authority, known since enrolment.
    Authority(CertificateDer<'static>),
    /// A chain that holds the authority with this SHA-256, as the token says.
    Fingerprint(String),
}

/// A chain of certificates and its key.
pub(crate) struct OwnCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Why the other end of a connection is not taken for the relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayRefused {
    #[error("TLS inspected by {issuer}: exempt {relay}")]
    Inspected { issuer: String, relay: RelayAddress },
    #[error("the relay at {relay} belongs to another installation: its certificate is not from this control authority")]
    OtherAuthority { relay: RelayAddress },
    #[error("the relay at {relay} has no certificate yet: it waits for postern-control")]
    NotCertified { relay: RelayAddress },
    #[error("the certificate of the relay at {relay} is not valid yet or no longer: this host's clock may be wrong")]
    OutsideValidity { relay: RelayAddress },
}

impl RelayRefused {
    /// What `error` says of the relay's certificate, if that is what went wrong.
    pub(crate) fn of(error: &rustls::Error) -> Option<&Self> {
        let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return None };
        other.0.downcast_ref()
    }

    /// As [`RelayRefused::of`] for what the engine or rustls's own streams return.
    pub(crate) fn of_io(error: &io::Error) -> Option<&Self> {
        let inner = error.get_ref()?;
        let failure = match inner.downcast_ref::<TlsFailure>() {
            Some(TlsFailure::Protocol(failure)) => failure,
            Some(TlsFailure::TooLarge | TlsFailure::HandshakeEof) => return None,
            None => inner.downcast_ref::<rustls::Error>()?,
        };
        Self::of(failure)
    }

    /// Whether waiting does not help.
    pub(crate) fn is_definitive(&self) -> bool {
        match self {
            Self::Inspected { .. } | Self::OtherAuthority { .. } | Self::OutsideValidity { .. } => true,
            Self::NotCertified { .. } => false,
        }
    }

    /// The line that ends an enrolment.
    pub(crate) fn into_failure(self) -> Failure {
        let failure = Failure::new(self.to_string());
        match self {
            Self::Inspected { .. } => failure.code("tls-inspected"),
            Self::OtherAuthority { .. } => failure.code("token-wrong-ca"),
            Self::OutsideValidity { .. } => failure.code("clock-skew"),
            Self::NotCertified { .. } => failure.code("control-unavailable"),
        }
    }
}

/// The configuration for one relay: TLS 1.3 only, nothing resumed, so that the certificates count every time.
pub(crate) fn client_config(
    relay: &RelayAddress,
    expected: Expected,
    own: Option<OwnCertificate>,
    alpn: &[u8],
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(tunnel_provider());
    let judge = TheRelay { relay: relay.clone(), expected };
    let verifier = Arc::new(HandshakeVerifier { judge, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some(own) => builder.with_client_auth_cert(own.chain, own.key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The relay takes the first suite that it has, too. AES-128 is the library's second choice; against AES-256 it saves some
/// 30 % of the rounds of every byte that goes through the tunnel, and nobody breaks it sooner.
fn tunnel_provider() -> CryptoProvider {
    let mut provider = provider::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// SHA-256 of a certificate, hex.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode(digest(&SHA256, certificate))
}

/// The relay at this address, with the certificate expected of it.
#[derive(Debug)]
struct TheRelay {
    relay: RelayAddress,
    expected: Expected,
}

impl TheRelay {
    /// The authority to verify with; none when the chain does not hold the one that is expected.
    fn authority<'a>(&'a self, chain: &'a [CertificateDer<'a>]) -> Option<&'a CertificateDer<'a>> {
        match &self.expected {
            Expected::Authority(authority) => Some(authority),
            Expected::Fingerprint(wanted) => chain.iter().find(|one| fingerprint(one) == *wanted),
        }
    }

    fn refuse(&self, leaf: &CertificateDer<'_>) -> RelayRefused {
        let relay = self.relay.clone();
        match Issuer::of(leaf) {
            Issuer::Itself => RelayRefused::NotCertified { relay },
            Issuer::SomeControl => RelayRefused::OtherAuthority { relay },
            Issuer::Other(issuer) => RelayRefused::Inspected { issuer, relay },
        }
    }

    fn explain(&self, error: rustls::Error, leaf: &CertificateDer<'_>) -> rustls::Error {
        let rustls::Error::InvalidCertificate(reason) = &error else { return error };
        if is_about_issuer(reason) {
            return refused(self.refuse(leaf));
        }
        if is_about_time(reason) {
            return refused(RelayRefused::OutsideValidity { relay: self.relay.clone() });
        }
        error
    }
}

fn is_about_issuer(reason: &CertificateError) -> bool {
    matches!(reason, CertificateError::UnknownIssuer | CertificateError::BadSignature)
}

fn is_about_time(reason: &CertificateError) -> bool {
    matches!(
        reason,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

fn refused(reason: RelayRefused) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
}

impl Judge for TheRelay {
    fn judge(
        &self,
        provider: &Arc<CryptoProvider>,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let Some(authority) = self.authority(intermediates) else { return Err(refused(self.refuse(leaf))) };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(leaf, intermediates, server_name, &[], now)
            .map(drop)
            .map_err(|error| self.explain(error, leaf))
    }
}

enum Issuer {
    /// A relay's own certificate, before control certified it.
    Itself,
    /// An authority with the name that every control authority has.
    SomeControl,
    Other(String),
}

impl Issuer {
    fn of(leaf: &CertificateDer<'_>) -> Self {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else {
            return Self::Other(String::from("someone unknown"));
        };
        let issuer = parsed.issuer();
        let common_name = issuer.iter_common_name().next().and_then(|name| name.as_str().ok());
        match common_name {
            Some(CONTROL_AUTHORITY) => Self::SomeControl,
            Some(RELAY_ITSELF) if issuer == parsed.subject() => Self::Itself,
            Some(name) => Self::Other(printable(name)),
            None => Self::Other(printable(&issuer.to_string())),
        }
    }
}

/// The name comes from a stranger and goes to a terminal.
fn printable(name: &str) -> String {
    let clean: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
    if clean.is_empty() { String::from("someone unknown") } else { clean }
}

/// Common name of every control authority.
const CONTROL_AUTHORITY: &str = "Postern control CA";
/// Common name in a relay's self-signed certificate.
const RELAY_ITSELF: &str = "Postern relay";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer as Signer, KeyPair};

    /// An authority and a leaf for `name` that it signed.
    pub(crate) fn chain(authority: &str, name: &str) -> (CertificateDer<'static>, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = named(authority);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap();
        let leaf_key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, "leaf");
        let leaf = leaf.signed_by(&leaf_key, &Signer::from_params(&params, &key)).unwrap();
        (ca.der().clone(), leaf.der().clone())
    }

    fn named(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn verify(expected: Expected, chain: &[CertificateDer<'static>]) -> Result<(), rustls::Error> {
        let relay: RelayAddress = "relay.example:443".parse().unwrap();
        let provider = Arc::new(provider::default_provider());
        let name = ServerName::try_from("tunnel.postern.internal").unwrap();
        TheRelay { relay, expected }.judge(&provider, &chain[0], &chain[1..], &name, UnixTime::now())
    }

    #[test]
    fn tunnels_prefer_aes_128_and_offer_the_others() {
        let suites: Vec<_> = tunnel_provider().cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites.len(), provider::default_provider().cipher_suites.len());
    }

    #[test]
    fn the_authority_of_enrolment_or_of_the_token_is_enough() {
        let (ca, leaf) = chain("Postern control CA", "tunnel.postern.internal");
        let both = [leaf.clone(), ca.clone()];
        verify(Expected::Authority(ca.clone()), &[leaf]).unwrap();
        verify(Expected::Fingerprint(fingerprint(&ca)), &both).unwrap();
    }

    #[test]
    fn everything_else_is_named() {
        let (ca, leaf) = chain("Postern control CA", "tunnel.postern.internal");
        let (other, _) = chain("Postern control CA", "x");
        let refused = |expected, chain: &[CertificateDer<'static>]| {
            let error = verify(expected, chain).unwrap_err();
            RelayRefused::of(&error).unwrap_or_else(|| panic!("{error}")).to_string()
        };
        let both = [leaf, ca];
        let text = refused(Expected::Authority(other.clone()), &both);
        assert!(text.contains("another installation"), "{text}");
        let text = refused(Expected::Fingerprint(fingerprint(&other)), &both);
        assert!(text.contains("another installation"), "{text}");

        let (proxy, forged) = chain("Corp Inspection CA", "tunnel.postern.internal");
        let text = refused(Expected::Authority(other.clone()), &[forged, proxy]);
        assert_eq!(text, "TLS inspected by Corp Inspection CA: exempt relay.example:443");

        let own = named("Postern relay").self_signed(&KeyPair::generate().unwrap()).unwrap();
        let text = refused(Expected::Authority(other), &[own.der().clone()]);
        assert!(text.contains("waits for postern-control"), "{text}");
    }

    #[test]
    fn a_leaf_for_another_name_is_refused() {
        let (ca, leaf) = chain("Postern control CA", "enrol.tunnel.postern.internal");
        let error = verify(Expected::Authority(ca), &[leaf]).unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
}
