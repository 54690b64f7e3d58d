//! Enrolment of a device by its user: a key that is made there and never leaves it, and a certificate of the tenant's own
//! authority.

use serde::{Deserialize, Serialize};

use super::DEVICE_NAME_BYTES_MAX;
use crate::directory::Line;
use crate::ids::DeviceId;
use crate::policy::{DeviceState, Platform};

/// A request for a device's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolDevice {
    /// Certificate request (PEM), P-256, at most [`CSR_BYTES_MAX`]; the names in it are ignored, only the key counts.
    pub csr_pem: String,
    /// What its user calls it; not empty.
    pub name: Line<DEVICE_NAME_BYTES_MAX>,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// A certificate for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledDevice {
    /// Its id from now on.
    pub id: DeviceId,
    /// The device's certificate, and the authority's behind it.
    pub certificate_pem: String,
    /// End of the certificate's validity.
    pub expires_unix: u64,
    /// What it counts as now: unknown until an operator approved it, where that is asked for.
    pub state: DeviceState,
    /// Where browsers show it, once there is such a place: `https://HOST/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_url: Option<String>,
}

/// Longest certificate request: one for P-256 is below 1 KiB.
pub const CSR_BYTES_MAX: usize = 8 << 10;
