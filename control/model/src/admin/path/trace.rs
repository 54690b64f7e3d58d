//! Of traces of applications' requests.

use super::TENANTS;

/// `POST`: begins one.
#[must_use]
pub fn app_trace(tenant: &str, app: &str) -> String {
    format!("{TENANTS}/{tenant}/apps/{app}/trace")
}

/// `POST`: what was recorded.
#[must_use]
pub fn trace(tenant: &str, trace: &str) -> String {
    format!("{TENANTS}/{tenant}/traces/{trace}")
}
