//! The chain of a certificate that an operator gives: files hold it in any order, and more than belongs to it.

use postern_model::admin::Problem;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use super::{invalid, parse};

/// A chain as it is shown.
#[derive(Debug)]
pub(super) struct Chain {
    /// Leaf first, each issued by the next, without the root: clients have it, or do not trust it.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// What was left out, and what is missing.
    pub(super) warnings: Vec<String>,
}

impl Chain {
    /// Puts certificates in order: the leaf is the one with this public key. `is_root_known` says of an issuer's name (DER)
    /// whether clients are likely to know it by themselves.
    pub(super) fn order(
        given: Vec<CertificateDer<'static>>,
        public_key: &[u8],
        is_root_known: fn(&[u8]) -> bool,
    ) -> Result<Self, Problem> {
        if given.len() > CERTIFICATES_MAX {
            let count = given.len();
            return Err(invalid(format!(
                "the certificate file holds {count} certificates, {CERTIFICATES_MAX} at most"
            )));
        }
        let mut unique = Vec::with_capacity(given.len());
        for certificate in given {
            if !unique.contains(&certificate) {
                unique.push(certificate);
            }
        }
        let parsed = unique.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        // Of two with the same key, as after a renewal that kept it, the one that lasts longer.
        let own = parsed.iter().enumerate().filter(|(_, certificate)| certificate.public_key().raw == public_key);
        let leaf = own.max_by_key(|(_, certificate)| certificate.validity().not_after.timestamp());
        let Some((leaf, _)) = leaf else {
            return Err(invalid("the key does not belong to the certificate: --key needs the leaf's own key".into()));
        };
        let path = path(&parsed, leaf);
        let mut warnings = left_out(&parsed, &path);
        warnings.extend(unfinished(&parsed, &path, is_root_known));
        let certificates = path.iter().filter_map(|at| unique.get(*at).cloned()).collect();
        Ok(Self { certificates, warnings })
    }
}

/// From the leaf up, without a root above it. An issuer that is no root itself comes first: roots are also cross-signed.
fn path(parsed: &[X509Certificate<'_>], leaf: usize) -> Vec<usize> {
    let mut path = vec![leaf];
    while let Some(last) = path.last().and_then(|at| parsed.get(*at)).filter(|last| !is_self_issued(last)) {
        let is_next = |(at, issuer): &(usize, &X509Certificate<'_>)| {
            !path.contains(at) && !is_self_issued(issuer) && issues(issuer, last)
        };
        let Some((next, _)) = parsed.iter().enumerate().find(is_next) else { break };
        path.push(next);
    }
    path
}

fn left_out(parsed: &[X509Certificate<'_>], path: &[usize]) -> Vec<String> {
    let rest = parsed.iter().enumerate().filter(|(at, _)| !path.contains(at));
    let line = |(_, certificate): (usize, &X509Certificate<'_>)| {
        let subject = certificate.subject();
        if is_self_issued(certificate) {
            format!("the root certificate of {subject} is left out: clients have it already, or do not trust it")
        } else {
            format!("the certificate of {subject} is left out: it does not belong to the chain")
        }
    };
    rest.map(line).collect()
}

/// What clients will miss.
fn unfinished(parsed: &[X509Certificate<'_>], path: &[usize], is_root_known: fn(&[u8]) -> bool) -> Option<String> {
    let last = parsed.get(*path.last()?)?;
    if is_self_issued(last) {
        return Some(
            "the certificate is self-signed: browsers refuse it wherever it was not made known to them by itself"
                .into(),
        );
    }
    let is_given = parsed.iter().any(|issuer| is_self_issued(issuer) && issues(issuer, last));
    if is_given || is_root_known(last.issuer().as_raw()) {
        return None;
    }
    let issuer = last.issuer();
    Some(format!(
        "the certificate's issuer {issuer} is neither in the file nor among this host's roots: if it is an intermediate, add its certificate, for clients do not have it"
    ))
}

/// By name, and by key where both say which.
fn issues(issuer: &X509Certificate<'_>, issued: &X509Certificate<'_>) -> bool {
    let by_name = issuer.subject().as_raw() == issued.issuer().as_raw();
    by_name && own_key_id(issuer).zip(issuers_key_id(issued)).is_none_or(|(own, named)| own == named)
}

fn own_key_id<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| {
        let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() else { return None };
        Some(id.0)
    })
}

fn issuers_key_id<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() else { return None };
        id.key_identifier.as_ref().map(|id| id.0)
    })
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// Longer ones do not exist; browsers look at ten or so.
const CERTIFICATES_MAX: usize = 32;
