//! Who this relay is: one key for life, made at the first start and never sent; a certificate that control issues for it; and
//! until then one that it signs itself.

use std::io;
use std::sync::Arc;

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::disk::Folder;

/// The relay's key and certificates.
#[derive(Debug)]
pub(crate) struct Identity {
    folder: Folder,
    key: KeyPair,
    self_signed: Arc<CertifiedKey>,
    issued: Option<Arc<CertifiedKey>>,
}

/// A certificate from control that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuedRefused {
    #[error("the certificate from control cannot be read")]
    Unreadable,
    #[error("the certificate from control is for another key")]
    OtherKey,
    #[error("the certificate from control cannot be kept: {0}")]
    Disk(#[from] io::Error),
}

impl Identity {
    /// The folder's identity; a key is made when there is none.
    pub(crate) fn load_or_make(folder: &Folder) -> io::Result<Self> {
        let key = load_or_make_key(folder)?;
        let self_signed = certified(self_sign(&key)?, &key).map_err(io::Error::other)?;
        let issued = match folder.read(CERTIFICATE_FILE, CERTIFICATE_BYTES_MAX)? {
            Some(pem) => read_chain(&pem).and_then(|chain| certified(chain, &key)).ok(),
            None => None,
        };
        Ok(Self { folder: folder.clone(), key, self_signed: Arc::new(self_signed), issued: issued.map(Arc::new) })
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo), 64 hex digits: what control pins.
    pub(crate) fn fingerprint(&self) -> String {
        hex::encode(digest::digest(&digest::SHA256, &self.key.subject_public_key_info()))
    }

    /// A certificate request (PEM). The names in it mean nothing.
    pub(crate) fn request_pem(&self) -> io::Result<String> {
        let request = params().serialize_request(&self.key).and_then(|request| request.pem());
        request.map_err(io::Error::other)
    }

    /// The certificate from control, if there is one.
    pub(crate) fn issued(&self) -> Option<&Arc<CertifiedKey>> {
        self.issued.as_ref()
    }

    /// What to present where any certificate with this key will do.
    pub(crate) fn self_signed(&self) -> &Arc<CertifiedKey> {
        &self.self_signed
    }

    /// Takes a certificate chain from control into use and keeps it.
    pub(crate) fn take_issued(&mut self, chain_pem: &str) -> Result<(), IssuedRefused> {
        let issued = certified(read_chain(chain_pem.as_bytes())?, &self.key)?;
        if self.issued.as_ref().is_none_or(|held| held.cert != issued.cert) {
            self.folder.replace(CERTIFICATE_FILE, chain_pem.as_bytes())?;
        }
        self.issued = Some(Arc::new(issued));
        Ok(())
    }
}

fn load_or_make_key(folder: &Folder) -> io::Result<KeyPair> {
    if let Some(pem) = folder.read(KEY_FILE, CERTIFICATE_BYTES_MAX)? {
        let pem = Zeroizing::new(pem);
        let text = std::str::from_utf8(&pem).map_err(|_| damaged(folder))?;
        return KeyPair::from_pem(text).map_err(|_| damaged(folder));
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    folder.replace(KEY_FILE, Zeroizing::new(key.serialize_pem()).as_bytes())?;
    Ok(key)
}

fn damaged(folder: &Folder) -> io::Error {
    let path = folder.path_of(KEY_FILE);
    io::Error::other(format!("the key {} is damaged: restore it, or remove it and add the relay anew", path.display()))
}

fn self_sign(key: &KeyPair) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificate = params().self_signed(key).map_err(io::Error::other)?;
    Ok(vec![certificate.der().clone()])
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Postern relay");
    params
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IssuedRefused> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or(IssuedRefused::Unreadable)
}

/// The chain with this key, if the leaf is for it.
fn certified(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<CertifiedKey, IssuedRefused> {
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| IssuedRefused::Unreadable)?;
    let signer = any_supported_type(&der).map_err(|_| IssuedRefused::Unreadable)?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err(IssuedRefused::OtherKey),
        Err(_) => Err(IssuedRefused::Unreadable),
    }
}

const KEY_FILE: &str = "relay.key";
const CERTIFICATE_FILE: &str = "relay.crt";
const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::Authority;

    #[test]
    fn the_key_is_for_life_and_the_certificate_is_kept() {
        let held = tempfile::tempdir().unwrap();
        let folder = Folder::new(held.path());
        let mut first = Identity::load_or_make(&folder).unwrap();
        assert!(first.issued().is_none());
        let authority = Authority::new();
        first.take_issued(&authority.issue_relay(&first.request_pem().unwrap())).unwrap();
        let second = Identity::load_or_make(&folder).unwrap();
        assert_eq!(second.fingerprint(), first.fingerprint());
        assert_eq!(second.issued().unwrap().cert, first.issued().unwrap().cert);
    }

    #[test]
    fn a_certificate_for_another_key_is_refused() {
        let (held, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut identity = Identity::load_or_make(&Folder::new(held.path())).unwrap();
        let stranger = Identity::load_or_make(&Folder::new(other.path())).unwrap();
        let foreign = Authority::new().issue_relay(&stranger.request_pem().unwrap());
        assert!(matches!(identity.take_issued(&foreign), Err(IssuedRefused::OtherKey)));
        assert!(matches!(identity.take_issued("no PEM"), Err(IssuedRefused::Unreadable)));
        assert!(identity.issued().is_none());
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let held = tempfile::tempdir().unwrap();
        let folder = Folder::new(held.path());
        folder.replace(KEY_FILE, b"garbage").unwrap();
        assert!(Identity::load_or_make(&folder).unwrap_err().to_string().contains("relay.key"));
        assert_eq!(folder.read(KEY_FILE, 100).unwrap().unwrap(), b"garbage");
    }
}
