//! Certificates that operators give: read, checked against their key, their time and the host they are for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::admin::Problem;
use postern_model::secret::SecretText;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;

use crate::authority::sha256_hex;
use crate::problem::problem;

/// A certificate and key that belong together and are valid now.
#[derive(Debug)]
pub(crate) struct Given {
    /// DNS names it covers, lower case, sorted.
    pub(crate) hosts: Vec<String>,
    pub(crate) not_after_unix: u64,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: SecretText,
}

impl Given {
    /// Checks what an operator gave.
    pub(crate) fn check(chain_pem: &str, key_pem: &SecretText, now_unix: u64) -> Result<Self, Problem> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| invalid(format!("the certificate is not PEM: {error}")))?;
        let Some(leaf) = chain.first() else {
            return Err(invalid("the certificate file holds no certificate".into()));
        };
        let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes());
        let key = key.map_err(|_| {
            problem("certificate-invalid", "the key is not an unencrypted PEM private key (PKCS#8, SEC1 or PKCS#1)")
        })?;
        check_key(leaf, &key)?;
        let (hosts, not_after_unix) = check_leaf(leaf, now_unix)?;
        Ok(Self { hosts, not_after_unix, chain_pem: chain_pem.to_owned(), key_pem: key_pem.clone() })
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

/// Whether a certificate for `hosts` is good for `host` (or the pattern `*.host`). A wildcard covers one label.
pub(crate) fn covers(hosts: &[String], host: &str) -> bool {
    let below = host.split_once('.').map(|(_, below)| below);
    hosts.iter().any(|covered| {
        covered == host || covered.strip_prefix("*.").is_some_and(|c| Some(c) == below && !host.starts_with("*."))
    })
}

/// SHA-256 of the first certificate in a PEM text, hex.
pub(crate) fn leaf_sha256(chain_pem: &str) -> String {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes());
    leaf.map(|leaf| sha256_hex(&leaf)).unwrap_or_default()
}

/// A certificate as RFC 7468 has it.
pub(crate) fn as_pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn check_key(leaf: &CertificateDer<'_>, key: &PrivateKeyDer<'static>) -> Result<(), Problem> {
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(key)
        .map_err(|error| invalid(format!("the key cannot be used: {error}")))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| invalid(format!("the certificate cannot be read: {error}")))?;
    let Some(public) = signer.public_key() else { return Ok(()) };
    if public.as_ref() != parsed.public_key().raw {
        return Err(invalid(
            "the key does not belong to the certificate: --cert needs the leaf first, --key its own key".into(),
        ));
    }
    Ok(())
}

fn check_leaf(leaf: &CertificateDer<'_>, now_unix: u64) -> Result<(Vec<String>, u64), Problem> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| invalid(format!("the certificate cannot be read: {error}")))?;
    let validity = parsed.validity();
    let unix = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
    let (not_before, not_after) = (unix(validity.not_before), unix(validity.not_after));
    if not_after <= now_unix {
        return Err(invalid(format!("the certificate expired on {}", validity.not_after)));
    }
    if not_before > now_unix {
        return Err(invalid(format!(
            "the certificate is not valid before {}: check this host's clock",
            validity.not_before
        )));
    }
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.clone()).unwrap_or_default();
    let mut hosts: Vec<String> = names.iter().filter_map(dns_name).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() {
        return Err(invalid("the certificate names no host (subjectAltName): browsers refuse it".into()));
    }
    Ok((hosts, not_after))
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

fn invalid(detail: String) -> Problem {
    problem("certificate-invalid", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn make(hosts: &[&str], days: std::ops::Range<i64>) -> (String, SecretText) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now + time::Duration::days(days.start);
        params.not_after = now + time::Duration::days(days.end);
        (params.self_signed(&key).unwrap().pem(), SecretText::new(key.serialize_pem()))
    }

    fn refused(chain: &str, key: &SecretText) -> String {
        Given::check(chain, key, crate::clock::now_unix()).unwrap_err().detail
    }

    #[test]
    fn a_good_pair_is_taken_with_its_names() {
        let (chain, key) = make(&["App.example.com", "*.example.org"], -1..30);
        let given = Given::check(&chain, &key, crate::clock::now_unix()).unwrap();
        assert_eq!(given.hosts, ["*.example.org", "app.example.com"]);
        given.must_cover("app.example.com").unwrap();
        given.must_cover("x.example.org").unwrap();
        given.must_cover("*.example.org").unwrap();
        let text = given.must_cover("y.x.example.org").unwrap_err().detail;
        assert!(text.contains("does not cover y.x.example.org: it is for"), "{text}");
        assert!(!covers(&given.hosts, "*.app.example.com"));
    }

    #[test]
    fn what_clients_would_refuse_is_refused() {
        let (chain, key) = make(&["a.example.com"], -1..30);
        let (_, other) = make(&["a.example.com"], -1..30);
        assert!(refused(&chain, &other).contains("does not belong"));
        assert!(refused("hello", &key).contains("no certificate"));
        assert!(refused(&chain, &SecretText::new("hello".into())).contains("not an unencrypted PEM"));
        let (expired, key) = make(&["a.example.com"], -9..-2);
        assert!(refused(&expired, &key).contains("expired on"));
        let (future, key) = make(&["a.example.com"], 2..9);
        assert!(refused(&future, &key).contains("not valid before"));
        let (nameless, key) = make(&[], -1..9);
        assert!(refused(&nameless, &key).contains("names no host"));
    }
}
