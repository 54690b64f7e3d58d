//! Certificates that operators give: read, checked against their key, their time and the host they are for.

mod chain;
pub(crate) mod facts;
mod path;
mod roots;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::admin::Problem;
use postern_model::host::covers;
use postern_model::secret::SecretText;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use crate::authority::sha256_hex;
use crate::problem::problem;
use chain::Chain;

/// A certificate and key that belong together and can be served.
#[derive(Debug)]
pub(crate) struct Given {
    /// DNS names it covers, lower case, sorted.
    pub(crate) hosts: Vec<String>,
    pub(crate) not_after_unix: u64,
    /// Leaf first, without the root.
    pub(crate) chain_pem: String,
    pub(crate) key_pem: SecretText,
    /// What an operator should know.
    pub(crate) warnings: Vec<String>,
}

impl Given {
    /// Checks what an operator gave: the certificates may stand in any order.
    pub(crate) fn check(chain_pem: &str, key_pem: &SecretText, now_unix: u64) -> Result<Self, Problem> {
        Self::check_with(chain_pem, key_pem, now_unix, roots::knows)
    }

    fn check_with(
        chain_pem: &str,
        key_pem: &SecretText,
        now_unix: u64,
        is_root_known: fn(&[u8]) -> bool,
    ) -> Result<Self, Problem> {
        let given: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| invalid(format!("the certificate is not PEM: {error}")))?;
        if given.is_empty() {
            return Err(invalid("the certificate file holds no certificate".into()));
        }
        let Chain { certificates, mut warnings } = Chain::order(given, &public_key(key_pem)?, now_unix, is_root_known)?;
        certificates.iter().try_for_each(|certificate| check_strength(certificate, now_unix))?;
        let Some(leaf) = certificates.first() else {
            return Err(invalid("the certificate file holds no certificate".into()));
        };
        let (hosts, not_after_unix) = check_leaf(leaf, now_unix, &mut warnings)?;
        let chain_pem = certificates.iter().map(as_pem).collect();
        Ok(Self { hosts, not_after_unix, chain_pem, key_pem: key_pem.clone(), warnings })
    }

    /// Refuses a certificate that clients would not accept for this host or `*.` pattern.
    pub(crate) fn must_cover(&self, host: &str) -> Result<(), Problem> {
        if covers(&self.hosts, host) {
            return Ok(());
        }
        let hosts = self.hosts.join(", ");
        Err(invalid(format!("the certificate does not cover {host}: it is for {hosts}")))
    }
}

/// SHA-256 of the first certificate in a PEM text, hex.
pub(crate) fn leaf_sha256(chain_pem: &str) -> String {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes());
    leaf.map(|leaf| sha256_hex(&leaf)).unwrap_or_default()
}

/// The same of every certificate in it: files hold the leaf anywhere.
pub(crate) fn all_sha256(chain_pem: &str) -> Vec<String> {
    let certificates = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).filter_map(Result::ok);
    certificates.map(|certificate| sha256_hex(&certificate)).collect()
}

/// A certificate as RFC 7468 has it.
pub(crate) fn as_pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The public half of a private key, as certificates have it (SubjectPublicKeyInfo).
fn public_key(key_pem: &SecretText) -> Result<Vec<u8>, Problem> {
    let text = key_pem.expose();
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(invalid(
            "the key is encrypted: decrypt it with `openssl pkey -in KEY -out FILE`, or give a PKCS#12 file with its password".into(),
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| invalid("the key is not an unencrypted PEM private key (PKCS#8, SEC1 or PKCS#1)".into()))?;
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|error| invalid(format!("the key cannot be used: {error}")))?;
    let public = signer.public_key().map(|public| public.to_vec());
    public.ok_or_else(|| invalid("the key cannot be used: its public half cannot be told".into()))
}

/// Refuses what browsers would: a signature over SHA-1 or worse, a short RSA key, an end that is over.
fn check_strength(certificate: &CertificateDer<'_>, now_unix: u64) -> Result<(), Problem> {
    let parsed = parse(certificate)?;
    let subject = parsed.subject();
    let signature = parsed.signature_algorithm.algorithm.to_id_string();
    if BROKEN_SIGNATURES.contains(&signature.as_str()) {
        return Err(invalid(format!("the certificate of {subject} is signed by SHA-1 or MD5, which browsers refuse")));
    }
    if let Ok(PublicKey::RSA(key)) = parsed.public_key().parsed()
        && key.key_size() < RSA_BITS_MIN
    {
        let bits = key.key_size();
        return Err(invalid(format!("the RSA key of {subject} has {bits} bits: {RSA_BITS_MIN} at least are needed")));
    }
    let not_after = parsed.validity().not_after;
    if unix(not_after) <= now_unix {
        return Err(invalid(format!("the certificate of {subject} expired on {not_after}")));
    }
    Ok(())
}

/// The hosts it is for, and its end.
fn check_leaf(
    leaf: &CertificateDer<'_>,
    now_unix: u64,
    warnings: &mut Vec<String>,
) -> Result<(Vec<String>, u64), Problem> {
    let parsed = parse(leaf)?;
    let validity = parsed.validity();
    if unix(validity.not_before) > now_unix {
        let begins = validity.not_before;
        warnings.push(format!(
            "the certificate is not valid before {begins}, until when browsers refuse it: give it later, or check this host's clock"
        ));
    }
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.clone()).unwrap_or_default();
    let mut hosts: Vec<String> = names.iter().filter_map(dns_name).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() {
        return Err(invalid("the certificate names no host (subjectAltName): browsers refuse it".into()));
    }
    Ok((hosts, unix(validity.not_after)))
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Problem> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|error| invalid(format!("the certificate cannot be read: {error}")))
}

fn unix(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}

fn invalid(detail: String) -> Problem {
    problem("certificate-invalid", detail)
}

/// RSA with MD2, MD5 and SHA-1 (in two spellings), DSA and ECDSA with SHA-1.
const BROKEN_SIGNATURES: [&str; 6] = [
    "1.2.840.113549.1.1.2",
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.3.14.3.2.29",
    "1.2.840.10040.4.3",
    "1.2.840.10045.4.1",
];
const RSA_BITS_MIN: usize = 2048;

#[cfg(test)]
mod tests;
