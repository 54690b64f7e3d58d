//! PKCS#12 files (.p12, .pfx): taken apart here, so that control meets neither their password nor their format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use postern_model::secret::SecretText;
use zeroize::Zeroizing;

/// What such a file holds, as PEM.
#[derive(Debug)]
pub(super) struct Archive {
    /// In the file's order: control puts them in their own.
    pub(super) certificate_pem: String,
    pub(super) key_pem: SecretText,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the password is wrong, or the file is damaged")]
    Password,
    #[error("no PKCS#12 file that can be read: {0}")]
    Malformed(String),
    #[error("it holds {0} private keys: one is needed")]
    Keys(usize),
    #[error("it holds no certificate")]
    NoCertificate,
}

/// Takes a file apart.
pub(super) fn open(bytes: &[u8], password: &str) -> Result<Archive, Unusable> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| unusable(&error))?;
    let [key] = archive.keys.as_slice() else { return Err(Unusable::Keys(archive.keys.len())) };
    if archive.certs.is_empty() {
        return Err(Unusable::NoCertificate);
    }
    let certificates = archive.certs.iter().map(|bag| pem("CERTIFICATE", bag.cert.as_der()).to_string());
    let key_pem = SecretText::new(pem("PRIVATE KEY", key.key.as_der()).to_string());
    Ok(Archive { certificate_pem: certificates.collect(), key_pem })
}

fn unusable(error: &Error) -> Unusable {
    match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => Unusable::Password,
        Error::IoError(_)
        | Error::DerError(_)
        | Error::InvalidVersion
        | Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::X509Error(_)
        | Error::InvalidLength
        | Error::InvalidParameters
        | Error::InvalidData
        | Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm
        | Error::InvalidPrivateKey => Unusable::Malformed(error.to_string()),
    }
}

/// As RFC 7468 has it.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / 64 + 64 + 2 * label.len()));
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use p12_keystore::{Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};

    fn file(algorithm: EncryptionAlgorithm, names: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let mut store = KeyStore::new();
        let mut last = Vec::new();
        for name in names {
            let made = rcgen::generate_simple_self_signed(vec![(*name).to_owned()]).unwrap();
            last = made.cert.der().to_vec();
            let key = PrivateKey::from_der(&made.signing_key.serialize_der()).unwrap();
            let chain = PrivateKeyChain::new(*name, key, [Certificate::from_der(&last).unwrap()]);
            store.add_entry(name, KeyStoreEntry::PrivateKeyChain(chain));
        }
        let written = store.writer("secret").encryption_algorithm(algorithm).encryption_iterations(1_000).write();
        (written.unwrap(), last)
    }

    #[test]
    fn a_chain_and_its_key_come_out_as_pem() {
        for algorithm in
            [EncryptionAlgorithm::PbeWithHmacSha256AndAes256, EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc]
        {
            let (bytes, certificate) = file(algorithm, &["a.example.com"]);
            let archive = open(&bytes, "secret").unwrap();
            let read = CertificateDer::from_pem_slice(archive.certificate_pem.as_bytes()).unwrap();
            assert_eq!(read.as_ref(), certificate);
            assert!(PrivateKeyDer::from_pem_slice(archive.key_pem.expose().as_bytes()).is_ok());
            assert!(archive.certificate_pem.lines().all(|line| line.len() <= 64));
            assert!(matches!(open(&bytes, "wrong"), Err(Unusable::Password)));
            assert!(matches!(open(&bytes, ""), Err(Unusable::Password)));
        }
    }

    #[test]
    fn what_is_no_archive_with_one_key_is_refused() {
        assert!(matches!(open(b"hello", ""), Err(Unusable::Malformed(_))));
        let (two, _) = file(EncryptionAlgorithm::PbeWithHmacSha256AndAes256, &["a.example.com", "b.example.com"]);
        assert!(matches!(open(&two, "secret"), Err(Unusable::Keys(2))));
        for end in [0, 1, two.len() / 2, two.len() - 1] {
            assert!(open(&two[..end], "secret").is_err());
        }
    }
}
