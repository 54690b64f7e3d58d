//! What a certificate says of itself.

use rustls_pki_types::CertificateDer;
use url::{Position, Url};

use super::super::columns::Column;
use super::Seen;
use crate::time_text::utc;

/// Tells of the certificate that a server showed, and whether this host trusts it; `None`: it trusts nobody.
pub(super) fn tell(url: &Url, leaf: &CertificateDer<'_>, verdict: Option<Result<(), String>>, seen: &mut Seen) {
    let (_, parsed) = match x509_parser::parse_x509_certificate(leaf) {
        Ok(parsed) => parsed,
        Err(error) => return seen.missed(format!("certificate: it cannot be read: {error}")),
    };
    let until = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    let text = format!("{}, issued by {}, until {}", parsed.subject(), parsed.issuer(), utc(until));
    let trusted = match verdict {
        Some(Ok(())) => "this host trusts it".into(),
        Some(Err(why)) => format!("this host does not trust it: {why}"),
        None => "this host has no authorities to verify it with".into(),
    };
    seen.found(format!("tls: certificate {text}; {trusted}"));
    seen.fills(Column::Certificate, &text);
    seen.fills(Column::CertificateSerial, &parsed.raw_serial_as_string());
    seen.fills(Column::CertificateLocation, &format!("shown by {}", &url[Position::BeforeHost..Position::AfterPort]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_end_and_serial_are_filled_in() {
        let made = rcgen::generate_simple_self_signed(vec!["wiki.test".to_owned()]).unwrap();
        let url = Url::parse("https://wiki.test:8443/").unwrap();
        let mut seen = Seen::default();
        tell(&url, made.cert.der(), Some(Err("unknown issuer".into())), &mut seen);
        let of = |column| seen.fills.iter().find(|(filled, _)| *filled == column).map(|(_, text)| text.as_str());
        assert!(of(Column::Certificate).unwrap().contains(", until 4096-"), "{seen:?}");
        assert!(of(Column::CertificateSerial).unwrap().bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'));
        assert_eq!(of(Column::CertificateLocation), Some("shown by wiki.test:8443"));
        assert!(seen.found[0].ends_with("this host does not trust it: unknown issuer"), "{seen:?}");

        let mut seen = Seen::default();
        tell(&url, &CertificateDer::from(vec![1, 2, 3]), None, &mut seen);
        assert!(seen.missed[0].starts_with("certificate: it cannot be read"), "{seen:?}");
    }
}
