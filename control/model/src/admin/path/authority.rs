//! Of certificates, of the authority that is asked for them, and of domains.

use super::TENANTS;

/// `GET`, `POST`.
#[must_use]
pub fn certificates(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/certificates")
}

/// `DELETE`.
#[must_use]
pub fn certificate(tenant: &str, certificate: &str) -> String {
    format!("{TENANTS}/{tenant}/certificates/{certificate}")
}

/// `POST`.
#[must_use]
pub fn certificates_ordered(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/certificates/order")
}

/// `POST`.
#[must_use]
pub fn certificate_renew(tenant: &str, certificate: &str) -> String {
    format!("{TENANTS}/{tenant}/certificates/{certificate}/renew")
}

/// `GET`, `PUT`, `DELETE`.
#[must_use]
pub fn acme(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/acme")
}

/// `GET`, `POST`.
#[must_use]
pub fn domains(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/domains")
}

/// `DELETE`.
#[must_use]
pub fn domain(tenant: &str, domain: &str) -> String {
    format!("{TENANTS}/{tenant}/domains/{domain}")
}

/// `POST`.
#[must_use]
pub fn domain_verify(tenant: &str, domain: &str) -> String {
    format!("{TENANTS}/{tenant}/domains/{domain}/verify")
}
