//! Of devices.

use super::TENANTS;

/// `PUT`, `DELETE`.
pub const IDENTITY_DEVICE_HOST: &str = "/v1/identity/device-host";

/// `GET` (`?owner=U&approval=A&after=N`).
#[must_use]
pub fn devices(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/devices")
}

/// `GET`, `PATCH`, `DELETE`.
#[must_use]
pub fn device(tenant: &str, device: &str) -> String {
    format!("{TENANTS}/{tenant}/devices/{device}")
}

/// What is done with one, `POST`: `approve` or `block`.
#[must_use]
pub fn device_step(tenant: &str, device: &str, step: &str) -> String {
    format!("{TENANTS}/{tenant}/devices/{device}/{step}")
}

/// `GET`, `PATCH`.
#[must_use]
pub fn device_settings(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/device-settings")
}

/// `GET`, `POST`.
#[must_use]
pub fn device_authorities(tenant: &str) -> String {
    format!("{TENANTS}/{tenant}/device-authorities")
}

/// `DELETE`.
#[must_use]
pub fn device_authority(tenant: &str, authority: &str) -> String {
    format!("{TENANTS}/{tenant}/device-authorities/{authority}")
}
