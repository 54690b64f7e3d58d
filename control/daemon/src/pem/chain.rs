//! The chain of a certificate that an operator gives: files hold it in any order, and more than belongs to it.

use postern_model::admin::Problem;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;

use super::path::Paths;
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
        now_unix: u64,
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
        let mut paths = Paths::new(&unique, &parsed, now_unix, is_root_known);
        let path = paths.best(leaf);
        let mut warnings = left_out(&parsed, &path);
        warnings.extend(unfinished(&mut paths, &parsed, &path));
        let certificates = path.iter().filter_map(|at| unique.get(*at).cloned()).collect();
        Ok(Self { certificates, warnings })
    }
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
fn unfinished(paths: &mut Paths<'_>, parsed: &[X509Certificate<'_>], path: &[usize]) -> Option<String> {
    let at = *path.last()?;
    let last = parsed.get(at)?;
    if is_self_issued(last) {
        return Some(
            "the certificate is self-signed: browsers refuse it wherever it was not made known to them by itself"
                .into(),
        );
    }
    if paths.is_below_root(at) {
        return None;
    }
    let issuer = last.issuer();
    Some(format!(
        "the certificate's issuer {issuer} is neither in the file nor among this host's roots: if it is an intermediate, add its certificate, for clients do not have it"
    ))
}

pub(super) fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// Longer ones do not exist; browsers look at ten or so.
const CERTIFICATES_MAX: usize = 32;
