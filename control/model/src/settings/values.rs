//! Values, as they are written.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{
    BACKEND_CA, BACKEND_CONNECTIONS_MAX, BACKEND_HTTP, BackendHttp, CA_BYTES_MAX, CORPORATE_NETWORK, CorporateNetwork,
    MFA, Mfa, SettingInvalid, unfit,
};

pub(super) fn boolean(name: &'static str, value: &str) -> Result<bool, SettingInvalid> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(unfit(name, value, "must be true or false")),
    }
}

pub(super) fn seconds(name: &'static str, value: &str) -> Result<u32, SettingInvalid> {
    let parsed = value.parse().ok().filter(|s| (1..=2_592_000).contains(s));
    parsed.ok_or_else(|| unfit(name, value, "must be seconds from 1 to 2592000"))
}

pub(super) fn backend_http(value: &str) -> Result<BackendHttp, SettingInvalid> {
    match value {
        "auto" => Ok(BackendHttp::Auto),
        "1.1" => Ok(BackendHttp::Http1),
        "2" => Ok(BackendHttp::Http2),
        "h2c" => Ok(BackendHttp::H2c),
        _ => Err(unfit(BACKEND_HTTP, value, "must be auto, 1.1, 2 or h2c")),
    }
}

pub(super) fn connections(value: &str) -> Result<u32, SettingInvalid> {
    let parsed = value.parse().ok().filter(|n| (1..=10_000).contains(n));
    parsed.ok_or_else(|| unfit(BACKEND_CONNECTIONS_MAX, value, "must be from 1 to 10000"))
}

pub(super) fn corporate_network(value: &str) -> Result<CorporateNetwork, SettingInvalid> {
    match value {
        "allow" => Ok(CorporateNetwork::Allow),
        "warn" => Ok(CorporateNetwork::Warn),
        "redirect" => Ok(CorporateNetwork::Redirect),
        _ => Err(unfit(CORPORATE_NETWORK, value, "must be allow, warn or redirect")),
    }
}

pub(super) fn mfa(value: &str) -> Result<Mfa, SettingInvalid> {
    match value {
        "off" => Ok(Mfa::Off),
        "required" => Ok(Mfa::Required),
        _ => Err(unfit(MFA, value, "must be required or off")),
    }
}

pub(super) fn ca_certificates(value: &str) -> Result<String, SettingInvalid> {
    let expected = "must be PEM with at least one certificate";
    let fits = value.len() <= CA_BYTES_MAX;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(value.as_bytes()).collect();
    match certificates {
        Ok(certificates) if fits && !certificates.is_empty() => Ok(value.to_owned()),
        Ok(_) | Err(_) => Err(unfit(BACKEND_CA, value, expected)),
    }
}
