//! The keys that sign for service providers: one that signs and, while it is being replaced, the next one. Each is a file of
//! its own in the state folder, with its certificate, so that one rename makes the next key the one that signs.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use anyhow::Context as _;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::admin::{Problem, SamlKeyView};
use postern_service::failure::Failure;
use postern_service::secret;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::authority::sha256_hex;
use crate::pem::as_pem;
use crate::problem::problem;

/// What there is of them.
#[derive(Default)]
pub(crate) struct SamlKeys {
    signs: RefCell<Option<Rc<SigningKey>>>,
    next: RefCell<Option<Rc<SigningKey>>>,
    /// The metadata that was signed last, and for which address.
    metadata: RefCell<Option<(String, String)>>,
}

/// A key with its certificate.
pub(super) struct SigningKey {
    pair: RsaKeyPair,
    certificate_pem: String,
    pub(super) certificate_base64: String,
    sha256: String,
    sha1: String,
    not_after_unix: u64,
}

/// A key and its certificate as they are kept.
pub(super) struct Made(Zeroizing<String>);

/// Makes a key. It takes a moment, beside the thread that serves.
pub(super) async fn make() -> Result<Made, Problem> {
    let made = tokio::task::spawn_blocking(make_now).await.map_err(anyhow::Error::from).and_then(|made| made);
    made.map_err(|error| problem("internal", format!("no key can be made: {error:#}")))
}

fn make_now() -> anyhow::Result<Made> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Postern SAML signing");
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(CERTIFICATE_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    let key = Zeroizing::new(key.serialize_pem());
    Ok(Made(Zeroizing::new(format!("{}{}", *key, certificate.pem()))))
}

impl SamlKeys {
    /// Those that were made before.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| -> anyhow::Result<Option<Rc<SigningKey>>> {
            let path = folder.join(name);
            if !path.try_exists().with_context(|| format!("cannot look at {}", path.display()))? {
                return Ok(None);
            }
            let pem = secret::read_text(&path)?;
            let damaged =
                |error: anyhow::Error| Failure::new(format!("{}: {error:#}", path.display())).code("state-damaged");
            Ok(Some(Rc::new(SigningKey::read(&pem).map_err(damaged)?)))
        };
        let (signs, next) = (read(FILE)?, read(NEXT_FILE)?);
        Ok(Self { signs: RefCell::new(signs), next: RefCell::new(next), metadata: RefCell::default() })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.signs.borrow().is_some()
    }

    pub(super) fn has_next(&self) -> bool {
        self.next.borrow().is_some()
    }

    /// The first key; gives its certificate's fingerprint.
    pub(super) fn begin(&self, folder: &Path, made: Made) -> Result<String, Problem> {
        let key = keep(folder, FILE, &made)?;
        let sha256 = key.sha256.clone();
        self.signs.replace(Some(Rc::new(key)));
        Ok(sha256)
    }

    pub(super) fn put_next(&self, folder: &Path, made: Made) -> Result<(), Problem> {
        let key = keep(folder, NEXT_FILE, &made)?;
        self.next.replace(Some(Rc::new(key)));
        self.metadata.replace(None);
        Ok(())
    }

    /// The next key signs, and the one before is gone.
    pub(super) fn activate(&self, folder: &Path) -> Result<(), Problem> {
        if !self.has_next() {
            let detail = "there is no next key: postern identity saml rotate makes one";
            return Err(problem("saml-key-missing", detail));
        }
        std::fs::rename(folder.join(NEXT_FILE), folder.join(FILE))
            .and_then(|()| std::fs::File::open(folder)?.sync_all())
            .map_err(|error| problem("store-failed", format!("the next key cannot take its place: {error}")))?;
        self.signs.replace(self.next.take());
        self.metadata.replace(None);
        Ok(())
    }

    pub(super) fn signing(&self) -> Option<Rc<SigningKey>> {
        self.signs.borrow().clone()
    }

    /// All, the one that signs first.
    pub(super) fn all(&self) -> Vec<Rc<SigningKey>> {
        [self.signs.borrow().clone(), self.next.borrow().clone()].into_iter().flatten().collect()
    }

    pub(super) fn views(&self) -> Vec<SamlKeyView> {
        let view = |(nth, key): (usize, Rc<SigningKey>)| SamlKeyView {
            signs: nth == 0,
            certificate_pem: key.certificate_pem.clone(),
            sha256: key.sha256.clone(),
            sha1: key.sha1.clone(),
            not_after_unix: key.not_after_unix,
        };
        self.all().into_iter().enumerate().map(view).collect()
    }

    /// For the audit log.
    pub(crate) fn fingerprints(&self) -> String {
        let all: Vec<_> = self.all().iter().map(|key| key.sha256.clone()).collect();
        format!("certificates {}", all.join(", "))
    }

    /// What was signed for an address, made once.
    pub(super) fn metadata(&self, entity_id: &str, make: impl FnOnce() -> Option<String>) -> Option<String> {
        let kept = self.metadata.borrow().as_ref().filter(|(of, _)| of == entity_id).map(|(_, xml)| xml.clone());
        if kept.is_some() {
            return kept;
        }
        let xml = make()?;
        self.metadata.replace(Some((entity_id.to_owned(), xml.clone())));
        Some(xml)
    }
}

fn keep(folder: &Path, name: &str, made: &Made) -> Result<SigningKey, Problem> {
    let failed = |error: String| problem("store-failed", format!("the key cannot be kept: {error}"));
    let key = SigningKey::read(&made.0).map_err(|error| failed(format!("{error:#}")))?;
    secret::write_new(&folder.join(name), made.0.as_bytes()).map_err(|error| failed(error.to_string()))?;
    Ok(key)
}

impl SigningKey {
    fn read(pem: &str) -> anyhow::Result<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).context("it holds no private key")?;
        let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).context("its key is no RSA key")?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).context("it holds no certificate")?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).context("its certificate")?;
        let public = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_RSA_SHA256)?;
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&public) {
            anyhow::bail!("its certificate and its key do not belong together");
        }
        let certificate_base64 = STANDARD.encode(&certificate);
        Ok(Self {
            pair,
            certificate_pem: as_pem(&certificate),
            sha256: sha256_hex(&certificate),
            sha1: hex::encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate)),
            not_after_unix: u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0),
            certificate_base64,
        })
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, which every service provider knows.
    pub(super) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
        Some(signature)
    }
}

/// Key and certificate.
const FILE: &str = "saml.pem";
const NEXT_FILE: &str = "saml-next.pem";
/// Service providers hold the certificate by itself, and some look at its end.
const CERTIFICATE_DAYS: i64 = 10 * 365;

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(folder: &Path) -> SamlKeys {
        SamlKeys::open(folder).unwrap()
    }

    #[test]
    fn keys_survive_a_restart_and_the_next_takes_over_in_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let keys = opened(folder.path());
        assert!(!keys.is_ready());
        let first = keys.begin(folder.path(), make_now().unwrap()).unwrap();
        assert!(keys.activate(folder.path()).is_err(), "there is no next one");
        keys.put_next(folder.path(), make_now().unwrap()).unwrap();
        assert!(keys.put_next(folder.path(), make_now().unwrap()).is_err(), "a key is never written over");
        let both = opened(folder.path()).views();
        assert_eq!((both.len(), both[0].sha256 == first, both[0].signs, both[1].signs), (2, true, true, false));
        keys.activate(folder.path()).unwrap();
        let now = opened(folder.path()).views();
        assert_eq!((now.len(), &now[0].sha256), (1, &both[1].sha256));
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(folder.path().join(FILE)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [make_now().unwrap(), make_now().unwrap()];
        let key = one.0.split_once("-----BEGIN CERTIFICATE").unwrap().0;
        let certificate = &other.0[other.0.find("-----BEGIN CERTIFICATE").unwrap()..];
        for (text, message) in [
            ("hello".to_owned(), "no private key"),
            (key.to_owned(), "no certificate"),
            (format!("{key}{certificate}"), "do not belong together"),
        ] {
            let _ = std::fs::remove_file(folder.path().join(FILE));
            secret::write_new(&folder.path().join(FILE), text.as_bytes()).unwrap();
            let error = format!("{:#}", SamlKeys::open(folder.path()).err().unwrap());
            assert!(error.contains("saml.pem") && error.contains(message), "{error}");
        }
    }
}
