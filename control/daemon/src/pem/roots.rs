//! The roots that this host trusts, as a stand-in for those of users' browsers: asked only when a chain ends without one.

/// Whether a root of this name (DER) is known. Where none is known at all there is nothing to compare with.
pub(super) fn knows(name: &[u8]) -> bool {
    let roots = rustls_native_certs::load_native_certs().certs;
    let has_name = |root: &rustls_pki_types::CertificateDer<'_>| {
        x509_parser::parse_x509_certificate(root).is_ok_and(|(_, root)| root.subject().as_raw() == name)
    };
    roots.is_empty() || roots.iter().any(has_name)
}
