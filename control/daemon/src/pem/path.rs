//! Which certificates of a file lead from a leaf to a root: several may have an issuer's name, and only signatures tell which is
//! it. Roots are also cross-signed, and authorities renew a certificate with the key that it has, so that there can be several ways.

use std::cmp::Reverse;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::public_key::PublicKey;

use super::chain::is_self_issued;
use super::{RSA_BITS_MIN, unix};
use crate::der::{SEQUENCE, only};
use crate::signed::Signed;

/// The ways up, and what was found out about them: signatures are verified once.
pub(super) struct Paths<'a> {
    given: &'a [CertificateDer<'static>],
    parsed: &'a [X509Certificate<'a>],
    now_unix: u64,
    is_root_known: fn(&[u8]) -> bool,
    /// Whether the first issued the second, for each pair that was asked for.
    issued: Vec<Option<Issued>>,
    below_root: Vec<Option<bool>>,
    steps_left: usize,
    best: Option<(Rank, Vec<usize>)>,
}

/// Whether a certificate was issued by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Issued {
    No,
    /// By its names; its signature is of a kind that is not verified, as those that are refused for that.
    Perhaps,
    Yes,
}

/// What is better comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_in_time: bool,
    is_verified: bool,
    is_below_root: bool,
    /// Longer: not all clients know the roots that came last.
    length: usize,
    /// The first end of an issuer.
    until_unix: u64,
}

impl<'a> Paths<'a> {
    /// Of these certificates, as they were given and parsed. `is_root_known` says of an issuer's name (DER) whether clients are
    /// likely to know it by themselves.
    pub(super) fn new(
        given: &'a [CertificateDer<'static>],
        parsed: &'a [X509Certificate<'a>],
        now_unix: u64,
        is_root_known: fn(&[u8]) -> bool,
    ) -> Self {
        let count = parsed.len();
        Self {
            given,
            parsed,
            now_unix,
            is_root_known,
            issued: vec![None; count * count],
            below_root: vec![None; count],
            steps_left: STEPS_MAX,
            best: None,
        }
    }

    /// The best way from the leaf up, without a root above it.
    pub(super) fn best(&mut self, leaf: usize) -> Vec<usize> {
        self.steps_left = STEPS_MAX;
        self.best = None;
        self.extend(&mut vec![leaf]);
        self.best.take().map_or_else(|| vec![leaf], |(_, path)| path)
    }

    /// Whether a root issued it that is given, or known to clients.
    pub(super) fn is_below_root(&mut self, at: usize) -> bool {
        if let Some(known) = self.below_root[at] {
            return known;
        }
        let parsed = self.parsed;
        let mut roots = (0..parsed.len()).filter(|root| is_self_issued(&parsed[*root]));
        let is_given = roots.any(|root| self.issued(root, at) != Issued::No);
        let is_below = is_given || (self.is_root_known)(parsed[at].issuer().as_raw());
        self.below_root[at] = Some(is_below);
        is_below
    }

    fn extend(&mut self, path: &mut Vec<usize>) {
        let Some(last) = path.last().copied().filter(|_| self.steps_left > 0) else { return };
        self.steps_left -= 1;
        let next = self.issuers(last, path);
        let is_below_root = self.is_below_root(last);
        if next.is_empty() || is_below_root {
            let rank = self.rank(path, is_below_root);
            if self.best.as_ref().is_none_or(|(best, _)| *best < rank) {
                self.best = Some((rank, path.clone()));
            }
        }
        for issuer in next {
            path.push(issuer);
            self.extend(path);
            path.pop();
        }
    }

    /// Those that can come next, the best first. Roots are left out: clients have them, or do not trust them.
    fn issuers(&mut self, last: usize, path: &[usize]) -> Vec<usize> {
        let parsed = self.parsed;
        if is_self_issued(&parsed[last]) {
            return Vec::new();
        }
        let mut issuers: Vec<usize> = (0..parsed.len())
            .filter(|at| !path.contains(at) && !is_self_issued(&parsed[*at]))
            .filter(|at| self.issued(*at, last) != Issued::No)
            .collect();
        issuers.sort_by_key(|at| {
            let is_verified = self.issued(*at, last) == Issued::Yes;
            Reverse((self.is_in_time(*at), is_verified, self.until_unix(*at)))
        });
        issuers
    }

    fn rank(&mut self, path: &[usize], is_below_root: bool) -> Rank {
        let issuers = path.get(1..).unwrap_or_default();
        Rank {
            is_in_time: issuers.iter().all(|at| self.is_in_time(*at)),
            is_verified: path.windows(2).all(|pair| self.issued(pair[1], pair[0]) == Issued::Yes),
            is_below_root,
            length: path.len(),
            until_unix: issuers.iter().map(|at| self.until_unix(*at)).min().unwrap_or(u64::MAX),
        }
    }

    fn is_in_time(&self, at: usize) -> bool {
        let validity = self.parsed[at].validity();
        unix(validity.not_before) <= self.now_unix && self.now_unix < unix(validity.not_after)
    }

    fn until_unix(&self, at: usize) -> u64 {
        unix(self.parsed[at].validity().not_after)
    }

    fn issued(&mut self, issuer: usize, issued: usize) -> Issued {
        let known = issuer * self.parsed.len() + issued;
        if let Some(known) = self.issued[known] {
            return known;
        }
        let (by, of) = (&self.parsed[issuer], &self.parsed[issued]);
        let said = if is_named(by, of) { signature(by, &self.given[issued]) } else { Issued::No };
        self.issued[known] = Some(said);
        said
    }
}

/// By name, and by key where both say which.
fn is_named(issuer: &X509Certificate<'_>, issued: &X509Certificate<'_>) -> bool {
    let by_name = issuer.subject().as_raw() == issued.issuer().as_raw();
    by_name && own_key_id(issuer).zip(issuers_key_id(issued)).is_none_or(|(own, named)| own == named)
}

fn signature(issuer: &X509Certificate<'_>, issued: &CertificateDer<'_>) -> Issued {
    let key = issuer.public_key();
    if matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if rsa.key_size() < RSA_BITS_MIN) {
        return Issued::Perhaps;
    }
    let Some(signed) = only(issued, SEQUENCE).and_then(Signed::read) else { return Issued::No };
    match signed.verdict(key.raw) {
        Some(true) => Issued::Yes,
        Some(false) => Issued::No,
        None => Issued::Perhaps,
    }
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

/// Ways that are looked at: there are one or two, unless someone makes them on purpose.
const STEPS_MAX: usize = 1_000;
