//! The two certificate authorities. The control CA certifies relays, connectors and control itself and signs group
//! configurations; the web CA certifies external hosts published without a certificate. Their keys never leave this process.

pub(crate) mod devices;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use aws_lc_rs::{digest, hmac};
use postern_model::enrol::connector_uri;
use postern_model::group_config::{GroupConfig, SignedGroupConfig};
use postern_model::ids::{AppId, ConnectorId, GroupId, RelayId};
use postern_model::link::CONTROL_NAME;
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret;
use postern_service::state::StateDir;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// Both authorities.
pub(crate) struct Authority {
    control: Ca,
    web: Ca,
    signer: EcdsaKeyPair,
    members: hmac::Key,
}

/// A public key that came in a certificate request whose signature was good.
pub(crate) struct RequestedKey {
    key: rcgen::PublicKey,
    /// SHA-256 of its SubjectPublicKeyInfo, hex.
    pub(crate) sha256: String,
}

/// A certificate with its own new key.
pub(crate) struct Issued {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: SecretText,
    pub(crate) not_after_unix: u64,
}

impl Authority {
    /// Loads both authorities from the state folder, making what is missing. `existing` says that the store knows them already:
    /// then a missing key is an error, because new ones would cut off every relay and connector.
    pub(crate) fn open(state: &StateDir, existing: bool) -> anyhow::Result<Self> {
        let control = Ca::open(state, &CONTROL_CA, existing)?;
        let web = Ca::open(state, &WEB_CA, existing)?;
        let der = Zeroizing::new(control.issuer.key().serialize_der());
        let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der)
            .map_err(|error| damaged(&state.file(CONTROL_CA.key_file), &error.to_string()))?;
        // As long as the authority is the same, so are the cookies of farms: nothing else has to be kept.
        let members = hmac::Key::new(hmac::HMAC_SHA256, &der);
        Ok(Self { control, web, signer, members })
    }

    /// The control CA's certificate, PEM.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.control.certificate_pem
    }

    /// SHA-256 of the control CA's certificate (DER), hex.
    pub(crate) fn ca_sha256(&self) -> String {
        sha256_hex(&self.control.certificate)
    }

    /// SHA-256 of the web CA's certificate (DER), hex.
    pub(crate) fn web_ca_sha256(&self) -> String {
        sha256_hex(&self.web.certificate)
    }

    /// The control CA's certificate.
    pub(crate) fn ca(&self) -> &CertificateDer<'static> {
        &self.control.certificate
    }

    /// What an application's connectors make the cookies with that name a member of its farm.
    pub(crate) fn member_key(&self, app: AppId) -> SecretText {
        let tag = hmac::sign(&self.members, format!("postern-member-cookies/1\0{app}").as_bytes());
        SecretText::new(hex::encode(tag.as_ref()))
    }

    /// Signs what a connector group may reach.
    pub(crate) fn sign(&self, config: &GroupConfig) -> anyhow::Result<SignedGroupConfig> {
        Ok(SignedGroupConfig::sign(config, &self.signer)?)
    }

    /// A relay's tunnel certificate with the CA's behind it.
    pub(crate) fn issue_relay(&self, relay: RelayId, key: &RequestedKey) -> anyhow::Result<String> {
        let own = format!("{relay}.{TUNNEL_NAME}");
        let names = [
            TUNNEL_NAME.to_owned(),
            format!("enrol.{TUNNEL_NAME}"),
            format!("control.{TUNNEL_NAME}"),
            format!("*.{own}"),
            own,
        ];
        let mut params = leaf(&format!("Postern relay {relay}"), RELAY_DAYS)?;
        params.subject_alt_names = dns_names(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key.key, &self.control.issuer)?.pem();
        Ok(leaf + &self.control.certificate_pem)
    }

    /// A connector's client certificate.
    pub(crate) fn issue_connector(
        &self,
        connector: ConnectorId,
        group: GroupId,
        key: &RequestedKey,
    ) -> anyhow::Result<String> {
        let mut params = leaf(&format!("Postern connector {connector}"), CONNECTOR_DAYS)?;
        params.subject_alt_names = vec![SanType::URI(connector_uri(connector, group).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        #[cfg(debug_assertions)]
        crate::fault::shorten_if_told(&mut params);
        Ok(params.signed_by(&key.key, &self.control.issuer)?.pem())
    }

    /// Control's own client certificate for one connection to a relay.
    pub(crate) fn issue_control(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let mut params = leaf("Postern control", CONTROL_DAYS)?;
        params.subject_alt_names = dns_names([CONTROL_NAME.to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.control.issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![certificate, self.control.certificate.clone()], key))
    }

    /// For identity processes that come through a relay: control shows that it is control, they that they are enrolled. TLS 1.3,
    /// nothing resumed.
    pub(crate) fn identity_tls(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let key = KeyPair::generate()?;
        let mut params = leaf("Postern control", CONTROL_DAYS)?;
        params.subject_alt_names = dns_names([CONTROL_NAME.to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.control.issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(self.control.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// A certificate for an external host (or `*.` pattern) from the web CA, with a new key.
    pub(crate) fn issue_web(&self, host: &str) -> anyhow::Result<Issued> {
        let key = KeyPair::generate()?;
        // A common name holds 64 characters only; clients look at the alternative name.
        let mut params = leaf(host.get(..64).unwrap_or(host), WEB_DAYS)?;
        params.subject_alt_names = dns_names([host.to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let not_after_unix = u64::try_from(params.not_after.unix_timestamp()).unwrap_or(0);
        let leaf = params.signed_by(&key, &self.web.issuer)?.pem();
        Ok(Issued {
            chain_pem: leaf + &self.web.certificate_pem,
            key_pem: SecretText::new(key.serialize_pem()),
            not_after_unix,
        })
    }
}

impl RequestedKey {
    /// Reads a certificate request; only its key counts. `None` unless it is P-256 and signed by itself.
    pub(crate) fn parse(csr_pem: &str) -> Option<Self> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem).ok()?;
        let key = request.public_key;
        if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return None;
        }
        let sha256 = sha256_hex(&key.subject_public_key_info());
        Some(Self { key, sha256 })
    }
}

/// SHA-256 in hex, as fingerprints are written.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

struct CaFiles {
    name: &'static str,
    certificate_file: &'static str,
    key_file: &'static str,
}

impl Ca {
    fn open(state: &StateDir, files: &CaFiles, existing: bool) -> anyhow::Result<Self> {
        let key_path = state.file(files.key_file);
        let certificate_path = state.file(files.certificate_file);
        if !key_path.exists() {
            if existing || certificate_path.exists() {
                return Err(damaged(&key_path, "the authority's key is missing").into());
            }
            let key = KeyPair::generate()?;
            secret::write_new(&key_path, Zeroizing::new(key.serialize_pem()).as_bytes())
                .with_context(|| format!("cannot write {}", key_path.display()))?;
        }
        let pem = secret::read_text(&key_path)?;
        let key = KeyPair::from_pem(&pem).map_err(|error| damaged(&key_path, &error.to_string()))?;
        if !certificate_path.exists() {
            if existing {
                return Err(damaged(&certificate_path, "the authority's certificate is missing").into());
            }
            let certificate = ca_params(files.name)?.self_signed(&key)?;
            secret::write_with_mode(&certificate_path, certificate.pem().as_bytes(), 0o644)
                .with_context(|| format!("cannot write {}", certificate_path.display()))?;
        }
        Self::load(&certificate_path, key)
    }

    fn load(path: &Path, key: KeyPair) -> anyhow::Result<Self> {
        let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| damaged(path, &error.to_string()))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|error| damaged(path, &error.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(damaged(path, "the authority's certificate and key do not belong together").into());
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { issuer, certificate, certificate_pem: pem })
    }
}

fn ca_params(name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = leaf(name, CA_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

fn leaf(common_name: &str, days: i64) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
    params.serial_number = Some(random_serial()?);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn random_serial() -> anyhow::Result<SerialNumber> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)?;
    // Positive, and of one length: RFC 5280 §4.1.2.2.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn dns_names(names: impl IntoIterator<Item = String>) -> anyhow::Result<Vec<SanType>> {
    names.into_iter().map(|name| Ok(SanType::DnsName(name.try_into()?))).collect()
}

fn damaged(path: &Path, what: &str) -> Failure {
    Failure::new(format!("{}: {what}", path.display())).code("state-damaged")
}

/// The control CA's certificate: relays' trust anchor.
pub(crate) const CA_FILE: &str = "ca.pem";
/// The web CA's certificate.
pub(crate) const WEB_CA_FILE: &str = "web-ca.pem";
const CONTROL_CA: CaFiles = CaFiles { name: "Postern control CA", certificate_file: CA_FILE, key_file: "ca-key.pem" };
const WEB_CA: CaFiles = CaFiles { name: "Postern web CA", certificate_file: WEB_CA_FILE, key_file: "web-ca-key.pem" };
const TUNNEL_NAME: &str = "tunnel.postern.internal";
/// So that a relay or connector whose clock is a little behind can use its new certificate.
const BACKDATED: Duration = Duration::hours(1);
const CA_DAYS: i64 = 20 * 365;
const RELAY_DAYS: i64 = 30;
const CONNECTOR_DAYS: i64 = 7;
const CONTROL_DAYS: i64 = 30;
const WEB_DAYS: i64 = 90;
/// Half of a relay's certificate: then a new one goes over the link.
pub(crate) const RELAY_RENEWAL: std::time::Duration = std::time::Duration::from_secs(15 * 86_400);
/// A third of an issued web certificate: less left than this, and it is renewed.
pub(crate) const WEB_RENEWAL_LEFT_S: u64 = 30 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_survive_a_restart_and_are_never_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let first = Authority::open(&state, false).unwrap();
        let again = Authority::open(&state, true).unwrap();
        assert_eq!(again.ca_sha256(), first.ca_sha256());
        let app = |seq| AppId::new(postern_model::ids::TenantId::DEFAULT, seq);
        assert!(
            again.member_key(app(1)) == first.member_key(app(1))
                && first.member_key(app(1)) != first.member_key(app(2))
        );

        std::fs::remove_file(state.file("ca-key.pem")).unwrap();
        let lost = Authority::open(&state, false).err().unwrap().to_string();
        assert!(lost.contains("ca-key.pem: the authority's key is missing"), "{lost}");
    }

    #[test]
    fn a_foreign_key_beside_the_certificate_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        Authority::open(&state, false).unwrap();
        std::fs::copy(state.file("web-ca-key.pem"), state.file("ca-key.pem")).unwrap();
        let text = Authority::open(&state, true).err().unwrap().to_string();
        assert!(text.contains("do not belong together"), "{text}");
    }

    #[test]
    fn only_p256_requests_with_a_good_signature_count() {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let parsed = RequestedKey::parse(&request).unwrap();
        assert_eq!(parsed.sha256, sha256_hex(&key.subject_public_key_info()));
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let request = CertificateParams::default().serialize_request(&other).unwrap().pem().unwrap();
        assert!(RequestedKey::parse(&request).is_none());
        assert!(RequestedKey::parse("hello").is_none());
    }
}
