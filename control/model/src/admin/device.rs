//! Devices in the admin API.

use serde::{Deserialize, Serialize};

use crate::device::{Compliance, DEVICE_NAME_BYTES_MAX, Device, DeviceHost};
use crate::directory::{Line, LoginName};
use crate::ids::Name;
use crate::policy::DeviceState;
use crate::secret::SecretText;

/// A device as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// The device.
    #[serde(flatten)]
    pub device: Device,
    /// Its owner's login name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_login: Option<LoginName>,
    /// What it counts as now.
    pub state: DeviceState,
}

/// Some of a tenant's devices, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesPage {
    /// These.
    pub items: Vec<DeviceView>,
    /// There are more behind this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// Changes a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDevice {
    /// Whether it complies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance>,
    /// For whom alone it counts: login name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// It counts for everybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Line<DEVICE_NAME_BYTES_MAX>>,
}

/// A device that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceChanged {
    /// As it is now.
    pub device: DeviceView,
    /// Version of the log.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// How users enrol devices from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDeviceSettings {
    /// Whether a device that its user enrolled counts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve_at_once: Option<bool>,
    /// How long certificates of the tenant's own authority are valid: days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_days: Option<u16>,
    /// Whether a device that its user enrolled signs them in by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<bool>,
}

/// Names an authority whose certificates count for devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDeviceAuthority {
    /// What it is called.
    pub name: Name,
    /// The certificate that devices' certificates are signed with, PEM.
    pub certificate_pem: String,
    /// Whether its devices comply unless an operator says otherwise; without it what it was, of a new one no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliant: Option<bool>,
}

/// An authority as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAuthorityView {
    /// What it is called.
    pub name: Name,
    /// Whose certificate it is, as that says.
    pub subject: String,
    /// SHA-256 of its certificate, hex.
    pub sha256: String,
    /// End of its certificate's validity.
    pub not_after_unix: u64,
    /// Whether its devices comply unless an operator says otherwise.
    pub compliant: bool,
}

/// `identity device-host set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDeviceHost {
    /// A host of its own.
    pub host: DeviceHost,
    /// As with an application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// As with an application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<SecretText>,
}
