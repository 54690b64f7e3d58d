//! Who a client certificate of the control CA says the peer is. The chain has been verified when this is asked.

use postern_model::enrol::parse_connector_uri;
use postern_model::ids::{ConnectorId, GroupId};
use postern_model::link::CONTROL_NAME;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The connector that a certificate names: exactly one URI of the documented form, and nothing else.
#[must_use]
pub fn connector(certificate: &CertificateDer<'_>) -> Option<(ConnectorId, GroupId)> {
    only_name(certificate, |name| {
        let GeneralName::URI(uri) = name else { return None };
        parse_connector_uri(uri)
    })
}

/// Whether a certificate is control's own.
#[must_use]
pub(crate) fn is_control(certificate: &CertificateDer<'_>) -> bool {
    let named =
        only_name(certificate, |name| Some(matches!(name, GeneralName::DNSName(name) if *name == CONTROL_NAME)));
    named == Some(true)
}

/// What `read` makes of the certificate's only subject alternative name.
fn only_name<T>(certificate: &CertificateDer<'_>, read: impl Fn(&GeneralName<'_>) -> Option<T>) -> Option<T> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [only] => read(only),
        _ => None, // none, or a certificate that wants to be several
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::Authority;

    #[test]
    fn certificates_name_a_connector_or_control_never_both() {
        let authority = Authority::new();
        let (id, group) = ("c1-9".parse().unwrap(), GroupId::DEFAULT);
        let connector_cert = authority.issue_connector(id, group);
        assert_eq!(connector(&connector_cert.chain[0]), Some((id, group)));
        assert!(!is_control(&connector_cert.chain[0]));
        let control_cert = authority.issue_control();
        assert!(is_control(&control_cert.chain[0]));
        assert_eq!(connector(&control_cert.chain[0]), None);
        assert_eq!(connector(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
