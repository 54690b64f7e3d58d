//! TLS servers for tests, each with an authority of its own.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls_pki_types::PrivateKeyDer;

/// A server whose certificate is for `names` and ends with the beginning of `year`, and the PEM of its authority.
pub(crate) fn server(names: &[&str], year: i32) -> (ServerConfig, String) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&key).unwrap().pem();
    let leaf_key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.not_before = date_time_ymd(2000, 1, 1);
    leaf.not_after = date_time_ymd(year, 1, 1);
    let leaf = leaf.signed_by(&leaf_key, &Issuer::from_params(&authority, &key)).unwrap();
    let key: PrivateKeyDer<'static> = leaf_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (config, pem)
}
