//! The certificates that applications ask this connector for. They are files of one folder on its host, `NAME.pem` with the chain and
//! its private key; an application's settings say the name. Control never has the keys, and nobody is shown them.
//!
//! A file that changes is read again: on SIGHUP, and every now and then.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::thread;
use std::time::SystemTime;

use postern_service::secret;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs as provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::limits::CLIENT_CERTIFICATES_REREAD;

/// The folder and what of it is in use. One for the process: connections of all workers show the same.
#[derive(Debug)]
struct Store {
    folder: PathBuf,
    used: Mutex<BTreeMap<Box<str>, Weak<ClientCertificate>>>,
}

static STORE: OnceLock<Store> = OnceLock::new();

/// A certificate by its name.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    held: RwLock<Held>,
}

#[derive(Debug)]
struct Held {
    /// The certificate, or why there is none.
    key: Result<Arc<CertifiedKey>, String>,
    /// What the file was like when it was read.
    stamp: Option<Stamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

/// Says where certificates are, once, and looks after those that are used.
pub(crate) fn open(folder: &Path) -> std::io::Result<()> {
    let store = Store { folder: folder.to_owned(), used: Mutex::default() };
    if STORE.set(store).is_ok() {
        thread::Builder::new().name("certificates".into()).spawn(|| {
            loop {
                thread::sleep(CLIENT_CERTIFICATES_REREAD);
                reread();
            }
        })?;
    }
    Ok(())
}

/// Reads what has changed.
pub(crate) fn reread() {
    if let Some(store) = STORE.get() {
        store.reread();
    }
}

/// The certificate of that name; where there is none its use says why.
pub(crate) fn named(name: &str) -> Arc<ClientCertificate> {
    match STORE.get() {
        Some(store) => store.named(name),
        None => {
            let why = "this connector was started without --client-certificates".to_owned();
            Arc::new(ClientCertificate { held: RwLock::new(Held { key: Err(why), stamp: None }) })
        }
    }
}

impl Store {
    fn named(&self, name: &str) -> Arc<ClientCertificate> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = used.get(name).and_then(Weak::upgrade) {
            return certificate;
        }
        let held = Held::read(&self.file(name));
        held.tell(name);
        let certificate = Arc::new(ClientCertificate { held: RwLock::new(held) });
        used.retain(|_, other| other.strong_count() > 0);
        used.insert(name.into(), Arc::downgrade(&certificate));
        certificate
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    fn reread(&self) {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, certificate) in used {
            let Some(certificate) = certificate.upgrade() else { continue };
            let file = self.file(&name);
            let is_same = certificate.held.read().unwrap_or_else(PoisonError::into_inner).stamp == Stamp::of(&file);
            if !is_same {
                certificate.reread(&name, Held::read(&file));
            }
        }
    }
}

impl Held {
    fn read(file: &Path) -> Self {
        // Before the content: what changes meanwhile is read once more.
        let stamp = Stamp::of(file);
        Self { key: certified(file).map(Arc::new), stamp }
    }

    fn tell(&self, name: &str) {
        match &self.key {
            Ok(_) => tracing::info!(name, "client certificate: read"),
            Err(reason) => tracing::error!(name, reason, "client certificate: applications that need it fail"),
        }
    }
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self { modified: metadata.modified().ok(), bytes: metadata.len() })
    }
}

fn certified(file: &Path) -> Result<CertifiedKey, String> {
    let shown = file.display();
    let text = secret::read(file).map_err(|failure| failure.to_string())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| format!("{shown}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("{shown}: it has no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| format!("{shown}: its private key: {error}"))?;
    CertifiedKey::from_der(chain, key, &provider::default_provider()).map_err(|error| format!("{shown}: {error}"))
}

impl ClientCertificate {
    /// Takes what was read anew. A file that is bad may be half written: what was good before is shown meanwhile, and the file is
    /// read again for as long as it is bad. Where there is none any more, none is shown.
    fn reread(&self, name: &str, next: Held) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let (Ok(_), Err(reason), Some(_)) = (&held.key, &next.key, next.stamp) {
            tracing::error!(name, reason, "client certificate: a bad file; what was read of it before is used");
            return;
        }
        next.tell(name);
        *held = next;
    }

    /// Why there is none to show, if that is so.
    pub(crate) fn missing(&self) -> Option<String> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).key.as_ref().err().cloned()
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).key.as_ref().ok().map(Arc::clone)
    }

    fn has_certs(&self) -> bool {
        self.missing().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn pem(name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn leaf(certificate: &ClientCertificate) -> Vec<u8> {
        certificate.resolve(&[], &[]).unwrap().cert[0].to_vec()
    }

    #[test]
    fn files_are_read_and_read_again_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().to_owned(), used: Mutex::default() };
        let file = folder.path().join("crm.pem");
        let crm = store.named("crm");
        assert!(!crm.has_certs() && crm.resolve(&[], &[]).is_none());
        assert!(crm.missing().unwrap().contains("crm.pem"), "{:?}", crm.missing());

        let ((first, first_key), (second, second_key)) = (pem("a"), pem("longer.example"));
        fs::write(&file, format!("{first}{first_key}")).unwrap();
        store.reread();
        let shown = leaf(&crm);
        assert!(crm.has_certs() && Arc::ptr_eq(&store.named("crm"), &crm));
        fs::write(&file, format!("{second_key}{second}{first}")).unwrap();
        store.reread();
        assert_ne!(leaf(&crm), shown);
        assert_eq!(crm.resolve(&[], &[]).unwrap().cert.len(), 2);

        let shown = leaf(&crm);
        for (text, says) in [
            (first.clone(), "private key"),
            (first_key.clone(), "no certificate"),
            (first.clone() + &second_key, "rm.pem"),
        ] {
            fs::write(&file, format!("{text}\n")).unwrap();
            store.reread();
            assert_eq!(leaf(&crm), shown, "it may be half written");
            let other = Store { folder: folder.path().to_owned(), used: Mutex::default() }.named("crm");
            assert!(other.missing().unwrap().contains(says), "{:?}", other.missing());
        }
        fs::write(&file, format!("{first}{first_key}")).unwrap();
        store.reread();
        assert_ne!(leaf(&crm), shown);
        fs::remove_file(&file).unwrap();
        store.reread();
        assert!(!crm.has_certs() && crm.missing().unwrap().contains("crm.pem"));
    }
}
