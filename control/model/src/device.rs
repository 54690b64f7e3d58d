//! Devices: machines that a tenant knows. Relays hold nothing of them but what sessions' records say.

use serde::{Deserialize, Serialize};

use crate::directory::Line;
use crate::ids::DeviceId;
use crate::policy::DeviceState;

/// What a session's record says of the device that was shown when its user signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDevice {
    /// Which.
    pub id: DeviceId,
    /// What people call it.
    pub name: Line<DEVICE_NAME_BYTES_MAX>,
    /// What it counts as now: of one that waits for approval, unknown.
    pub state: DeviceState,
}

/// Longest name of a device.
pub const DEVICE_NAME_BYTES_MAX: usize = 64;
