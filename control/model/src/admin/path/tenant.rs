//! Of tenants themselves.

use super::TENANTS;

/// `GET`, `DELETE`.
#[must_use]
pub fn tenant(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}")
}

/// `PUT`, `DELETE`.
#[must_use]
pub fn tenant_app_suffix(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/app-suffix")
}
