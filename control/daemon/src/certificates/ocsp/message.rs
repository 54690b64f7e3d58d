//! OCSP (RFC 6960): what a responder is asked, and what its answer says. A response counts when the certificate's issuer signed
//! it, or a responder that the issuer has certified for it.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::config::Staple;
use time::{Date, Month};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::der::{ENUMERATED, EXPLICIT, INTEGER, OBJECT_ID, OCTET_STRING, Reader, SEQUENCE, TIME, only, write};
use crate::signed::{Signed, subject_public_key};

/// What a response says of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It is good: something to staple.
    Good(Staple),
    /// It is revoked, and since when this counts (thisUpdate).
    Revoked {
        /// Of an answer that says otherwise, only a later one is news.
        from_unix: u64,
    },
}

/// Why a response is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it is no OCSP response (DER)")]
    Malformed,
    #[error("the responder refuses to answer (status {0})")]
    Refused(u8),
    #[error("it says nothing of this certificate")]
    OtherCertificate,
    #[error("it says that the certificate is not known to its authority")]
    Unknown,
    #[error("it is signed neither by the certificate's issuer nor by a responder that the issuer certified")]
    Untrusted,
    #[error("it does not say until when it counts (nextUpdate)")]
    Endless,
    #[error("it does not count now: its time is over, or has not come")]
    Untimely,
}

/// Reads a response and checks it: of this certificate, by its issuer, and valid now.
pub(super) fn read(
    response: &[u8],
    leaf: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
    now_unix: u64,
) -> Result<Said, Unusable> {
    let basic = basic(response)?;
    let signed = Signed::read(basic).ok_or(Unusable::Malformed)?;
    let mut rest = signed.rest;
    let _certificates = rest.optional(EXPLICIT[0]);
    rest.end().ok_or(Unusable::Malformed)?;
    if !is_signed_for(&signed, issuer, now_unix) {
        return Err(Unusable::Untrusted);
    }
    let single = single(signed.data.content, leaf, issuer).ok_or(Unusable::Malformed)?;
    let mut single = single.ok_or(Unusable::OtherCertificate)?;
    let status = single.element().ok_or(Unusable::Malformed)?.tag;
    let from_unix = single.expect(TIME).and_then(unix).ok_or(Unusable::Malformed)?;
    let until_unix = single.optional(EXPLICIT[0]);
    let _extensions = single.optional(EXPLICIT[1]);
    single.end().ok_or(Unusable::Malformed)?;
    let until_unix = only(until_unix.ok_or(Unusable::Endless)?, TIME).and_then(unix).ok_or(Unusable::Malformed)?;
    if until_unix <= now_unix || from_unix > now_unix + CLOCK_DIFFERENCE_S {
        return Err(Unusable::Untimely);
    }
    match status {
        GOOD => Ok(Said::Good(Staple { response: STANDARD.encode(response), from_unix, until_unix })),
        REVOKED => Ok(Said::Revoked { from_unix }),
        _ => Err(Unusable::Unknown), // what else there may be: nothing that says it is good
    }
}

/// What to ask of a certificate's responder.
pub(super) fn request(leaf: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Option<Vec<u8>> {
    let key = subject_public_key(issuer.public_key().raw)?.1;
    let hash = |bytes: &[u8]| write(OCTET_STRING, &[digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()]);
    let (name_hash, key_hash) = (hash(issuer.subject().as_raw()), hash(key));
    let serial = write(INTEGER, &[leaf.raw_serial()]);
    let id = write(SEQUENCE, &[&SHA1, &name_hash, &key_hash, &serial]);
    // CertID in Request in a list of them in TBSRequest in OCSPRequest.
    Some((0..4).fold(id, |inner, _| write(SEQUENCE, &[&inner])))
}

/// Where a certificate's responder is.
pub(super) fn responder(leaf: &X509Certificate<'_>) -> Option<String> {
    leaf.iter_extensions().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        let ocsp = access.accessdescs.iter().filter(|access| access.access_method.to_id_string() == OCSP_METHOD);
        ocsp.map(|access| &access.access_location).find_map(|location| {
            let GeneralName::URI(uri) = location else { return None };
            Some((*uri).to_owned())
        })
    })
}

/// The content of the BasicOCSPResponse.
fn basic(response: &[u8]) -> Result<&[u8], Unusable> {
    let content = only(response, SEQUENCE).ok_or(Unusable::Malformed)?;
    let mut outer = Reader::new(content);
    match outer.expect(ENUMERATED) {
        Some([0]) => {}
        Some([status]) => return Err(Unusable::Refused(*status)),
        Some(_) | None => return Err(Unusable::Malformed),
    }
    response_bytes(outer).ok_or(Unusable::Malformed)
}

fn response_bytes(mut outer: Reader<'_>) -> Option<&[u8]> {
    let explicit = outer.optional(EXPLICIT[0])?;
    outer.end()?;
    let mut bytes = Reader::new(only(explicit, SEQUENCE)?);
    bytes.expect(OBJECT_ID).filter(|kind| *kind == BASIC)?;
    let basic = bytes.expect(OCTET_STRING)?;
    bytes.end()?;
    only(basic, SEQUENCE)
}

/// The statement about this certificate, from its status on; within, `None` where there is none.
fn single<'a>(data: &'a [u8], leaf: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Option<Option<Reader<'a>>> {
    let mut reader = Reader::new(data);
    let _version = reader.optional(EXPLICIT[0]);
    let _responder = reader.element()?;
    let _produced = reader.expect(TIME)?;
    let mut responses = Reader::new(reader.expect(SEQUENCE)?);
    let _extensions = reader.optional(EXPLICIT[1]);
    reader.end()?;
    while let Some(response) = responses.element() {
        let mut single = Reader::new(only(response.whole, SEQUENCE)?);
        if is_of(single.expect(SEQUENCE)?, leaf, issuer)? {
            return Some(Some(single));
        }
    }
    responses.end()?;
    Some(None)
}

/// Whether a CertID names this certificate: by the issuer's name, the issuer's key, and the serial number. `None` where it is none.
fn is_of(id: &[u8], leaf: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Option<bool> {
    let mut id = Reader::new(id);
    let algorithm = Reader::new(id.expect(SEQUENCE)?).expect(OBJECT_ID)?;
    let (name, key) = (id.expect(OCTET_STRING)?, id.expect(OCTET_STRING)?);
    let serial = id.expect(INTEGER)?;
    id.end()?;
    // Of what is hashed otherwise nothing can be told: it was not asked for.
    let Some((_, algorithm)) = HASHES.into_iter().find(|(oid, _)| *oid == algorithm) else { return Some(false) };
    let hashed = |bytes: &[u8], hash: &[u8]| digest(algorithm, bytes).as_ref() == hash;
    let issuers_key = subject_public_key(issuer.public_key().raw)?.1;
    let is_issuers = leaf.issuer().as_raw() == issuer.subject().as_raw();
    Some(
        is_issuers
            && serial == leaf.raw_serial()
            && hashed(issuer.subject().as_raw(), name)
            && hashed(issuers_key, key),
    )
}

fn is_signed_for(response: &Signed<'_>, issuer: &X509Certificate<'_>, now_unix: u64) -> bool {
    if response.is_signed_by(issuer.public_key().raw) {
        return true;
    }
    let mut rest = response.rest;
    let Some(certificates) = rest.optional(EXPLICIT[0]) else { return false };
    let Some(certificates) = only(certificates, SEQUENCE) else { return false };
    let mut certificates = Reader::new(certificates);
    while let Some(certificate) = certificates.element() {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate.whole) else { continue };
        let is_signed = |signed: Signed<'_>| signed.is_signed_by(issuer.public_key().raw);
        let is_vouched_for = parsed.issuer().as_raw() == issuer.subject().as_raw()
            && Signed::read(certificate.content).is_some_and(is_signed);
        if is_vouched_for && is_responder(&parsed, now_unix) && response.is_signed_by(parsed.public_key().raw) {
            return true;
        }
    }
    false
}

/// Whether a certificate is for signing responses, and valid.
fn is_responder(certificate: &X509Certificate<'_>, now_unix: u64) -> bool {
    let usage = certificate.extended_key_usage().ok().flatten();
    let now = i64::try_from(now_unix).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    let is_valid = (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now);
    is_valid && usage.is_some_and(|usage| usage.value.ocsp_signing)
}

/// Seconds since 1970 of a GeneralizedTime as DER has it: `20300131235959Z`.
fn unix(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = Some(text).filter(|text| text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number = |at: std::ops::Range<usize>| digits.get(at)?.parse::<u8>().ok();
    let year = digits.get(..4)?.parse().ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(number(4..6)?).ok()?, number(6..8)?).ok()?;
    let time = date.with_hms(number(8..10)?, number(10..12)?, number(12..14)?).ok()?;
    u64::try_from(time.assume_utc().unix_timestamp()).ok()
}

/// The AlgorithmIdentifier of SHA-1, which all responders know certificates by.
const SHA1: [u8; 11] = [0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00];
/// What CertIDs may be hashed by: the content of the OBJECT IDENTIFIER, and the algorithm.
const HASHES: [(&[u8], &Algorithm); 2] = [
    (&[0x2b, 0x0e, 0x03, 0x02, 0x1a], &SHA1_FOR_LEGACY_USE_ONLY),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], &SHA256),
];
/// id-pkix-ocsp-basic: the kind of response that there is.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const OCSP_METHOD: &str = "1.3.6.1.5.5.7.48.1";
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;
/// A responder's clock may be so much ahead.
const CLOCK_DIFFERENCE_S: u64 = 300;

#[cfg(test)]
mod tests;
