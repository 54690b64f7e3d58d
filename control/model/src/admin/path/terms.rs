//! Of terms of use.

use super::TENANTS;

/// `GET`, `POST`.
#[must_use]
pub fn terms(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/terms")
}

/// `GET` (`?version=N`), `PATCH`, `DELETE`.
#[must_use]
pub fn terms_named(tenant: &str, name: &str) -> String {
    format!("{TENANTS}/{tenant}/terms/{name}")
}

/// `GET` (`?after=N`).
#[must_use]
pub fn terms_acceptances(tenant: &str, name: &str) -> String {
    format!("{TENANTS}/{tenant}/terms/{name}/acceptances")
}
