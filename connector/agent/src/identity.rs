//! Who this connector is: its key, its certificate, and the control authority it trusts; kept in one file, so that they
//! always belong together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_model::enrol::Enrolled;
use postern_model::ids::{ConnectorId, GroupId};
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret;
use postern_service::state::StateDir;
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::tls::OwnCertificate;

/// An enrolled connector.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) connector: ConnectorId,
    pub(crate) group: GroupId,
    pub(crate) authority: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key: KeyPair,
    chain: Vec<CertificateDer<'static>>,
    not_before_unix: u64,
    not_after_unix: u64,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    connector_id: ConnectorId,
    group_id: GroupId,
    certificate_pem: String,
    ca_pem: String,
    key_pem: SecretText,
}

/// What a reply or a file says does not make an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("certificate, authority and key cannot be read or do not belong together")]
pub(crate) struct Inconsistent;

impl Identity {
    /// The identity in the state folder; none before enrolment.
    pub(crate) fn load(state: &StateDir) -> Result<Option<Self>, Failure> {
        let path = state.file(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let damaged = || Failure::new(format!("{} is damaged", path.display())).code("state-damaged");
        let stored: Stored = serde_json::from_slice(&secret::read(&path)?).map_err(|_| damaged())?;
        Self::from_stored(&stored).map(Some).map_err(|_| damaged())
    }

    /// What control answered, with the key that was asked for.
    pub(crate) fn from_enrolled(enrolled: &Enrolled, key: &KeyPair) -> Result<Self, Inconsistent> {
        Self::from_stored(&Stored {
            connector_id: enrolled.connector_id,
            group_id: enrolled.group_id,
            certificate_pem: enrolled.certificate_pem.clone(),
            ca_pem: enrolled.ca_pem.clone(),
            key_pem: SecretText::new(key.serialize_pem()),
        })
    }

    fn from_stored(stored: &Stored) -> Result<Self, Inconsistent> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(stored.certificate_pem.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(Inconsistent)?;
        let authority = CertificateDer::from_pem_slice(stored.ca_pem.as_bytes()).map_err(|_| Inconsistent)?;
        let key = KeyPair::from_pem(stored.key_pem.expose()).map_err(|_| Inconsistent)?;
        let (not_before_unix, not_after_unix) = validity_of_key(&chain[0], &key).ok_or(Inconsistent)?;
        Ok(Self {
            connector: stored.connector_id,
            group: stored.group_id,
            authority,
            certificate_pem: stored.certificate_pem.clone(),
            key,
            chain,
            not_before_unix,
            not_after_unix,
        })
    }

    /// Keeps it, in place of the one before.
    pub(crate) fn save(&self, state: &StateDir) -> Result<(), Failure> {
        let path = state.file(FILE);
        let stored = Stored {
            connector_id: self.connector,
            group_id: self.group,
            certificate_pem: self.certificate_pem.clone(),
            ca_pem: pem(&self.authority),
            key_pem: SecretText::new(self.key.serialize_pem()),
        };
        let json = zeroize::Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        secret::write(&path, &json).map_err(|error| {
            Failure::new(format!("cannot write {}: {error}", path.display())).code("state-dir-unusable")
        })
    }

    /// For TLS.
    pub(crate) fn own_certificate(&self) -> OwnCertificate {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("rcgen writes PKCS#8");
        OwnCertificate { chain: self.chain.clone(), key }
    }

    /// Whether relays refuse it by now.
    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        unix(now) >= self.not_after_unix
    }

    /// How long until it should be renewed: half of its life.
    pub(crate) fn renewal_in(&self, now: SystemTime) -> Duration {
        let half = self.not_before_unix + (self.not_after_unix - self.not_before_unix) / 2;
        Duration::from_secs(half.saturating_sub(unix(now)))
    }

    /// How long it is still good.
    pub(crate) fn left(&self, now: SystemTime) -> Duration {
        Duration::from_secs(self.not_after_unix.saturating_sub(unix(now)))
    }
}

/// The key to enrol with: kept from the first attempt on, because a token that was used is accepted again only for it.
pub(crate) fn enrolment_key(state: &StateDir) -> Result<KeyPair, Failure> {
    let path = state.file(ENROLMENT_KEY_FILE);
    if path.exists()
        && let Ok(key) = KeyPair::from_pem(&secret::read_text(&path)?)
    {
        return Ok(key);
    }
    let key = KeyPair::generate().map_err(|error| Failure::new(format!("no key could be made: {error}")))?;
    let pem = zeroize::Zeroizing::new(key.serialize_pem());
    secret::write(&path, pem.as_bytes()).map_err(|error| {
        Failure::new(format!("cannot write {}: {error}", path.display())).code("state-dir-unusable")
    })?;
    Ok(key)
}

/// The identity holds the key now.
pub(crate) fn forget_enrolment_key(state: &StateDir) {
    // A key that stays behind is the one in use: harmless, and overwritten by nothing.
    let _ = std::fs::remove_file(state.file(ENROLMENT_KEY_FILE));
}

/// From and until when the certificate is valid, if it is for `key`.
fn validity_of_key(certificate: &CertificateDer<'_>, key: &KeyPair) -> Option<(u64, u64)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    if parsed.public_key().subject_public_key.data != key.public_key_raw() {
        return None;
    }
    let validity = parsed.validity();
    let from = u64::try_from(validity.not_before.timestamp()).ok()?;
    let until = u64::try_from(validity.not_after.timestamp()).ok()?;
    (from < until).then_some((from, until))
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

const FILE: &str = "identity.json";
const ENROLMENT_KEY_FILE: &str = "enrolment.key";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rcgen::{CertificateParams, date_time_ymd};

    /// An enrolled answer for `key`, valid from 2020 to 2040.
    pub(crate) fn enrolled(key: &KeyPair) -> Enrolled {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
        Enrolled {
            connector_id: "c1-9".parse().unwrap(),
            group_id: GroupId::DEFAULT,
            certificate_pem: params.self_signed(key).unwrap().pem(),
            ca_pem: params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem(),
            relay_time_unix_ms: 0,
        }
    }

    fn at(year: i32) -> SystemTime {
        SystemTime::from(date_time_ymd(year, 1, 1))
    }

    #[test]
    fn it_reads_back_and_knows_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert!(Identity::load(&state).unwrap().is_none());
        let key = enrolment_key(&state).unwrap();
        assert_eq!(enrolment_key(&state).unwrap().serialize_der(), key.serialize_der(), "the same key again");
        let made = Identity::from_enrolled(&enrolled(&key), &key).unwrap();
        made.save(&state).unwrap();
        forget_enrolment_key(&state);
        let read = Identity::load(&state).unwrap().unwrap();
        assert_eq!((read.connector, &read.authority, &read.chain), (made.connector, &made.authority, &made.chain));
        assert!(!read.is_expired(at(2039)) && read.is_expired(at(2040)));
        let days = read.renewal_in(at(2025)).as_secs() / 86_400;
        assert!((5 * 365..5 * 366 + 2).contains(&days), "{days} days until 2030");
        assert_eq!(read.renewal_in(at(2035)), Duration::ZERO);
    }

    #[test]
    fn a_certificate_for_another_key_is_no_identity() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        assert_eq!(Identity::from_enrolled(&enrolled(&key), &other).unwrap_err(), Inconsistent);
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        secret::write(&state.file(FILE), b"{").unwrap();
        let failure = Identity::load(&state).unwrap_err();
        assert_eq!(failure.stable_code(), Some("state-damaged"));
    }
}
