//! Of the password vault.

use super::TENANTS;

/// `GET`, `PUT`.
#[must_use]
pub fn vault(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/vault")
}

/// `POST`.
#[must_use]
pub fn vault_sealing(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/vault/sealing")
}

/// `DELETE`.
#[must_use]
pub fn vault_shared(tenant: &str, app: &str) -> String {
    format!("{TENANTS}/{tenant}/vault/shared/{app}")
}

/// `DELETE`.
#[must_use]
pub fn vault_of_user(tenant: &str, app: &str, user: &str) -> String {
    format!("{TENANTS}/{tenant}/vault/users/{app}/{user}")
}

/// `GET`, `PUT`.
#[must_use]
pub fn vault_key(tenant: &str, group: &str) -> String {
    format!("{TENANTS}/{tenant}/vault/keys/{group}")
}
