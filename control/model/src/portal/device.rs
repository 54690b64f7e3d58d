//! A user's devices, as their page in the portal shows them.

use serde::{Deserialize, Serialize};

use super::Visitor;
use crate::device::{Approval, DEVICE_NAME_BYTES_MAX};
use crate::directory::Line;
use crate::ids::{ClientId, DeviceId};
use crate::policy::{DeviceState, Platform};

/// The devices that are a user's alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnDevices {
    /// Whose.
    pub visitor: Visitor,
    /// In the order in which they came.
    pub devices: Vec<OwnDevice>,
    /// What adds one: the place to sign in, and the client that its program asks as, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrol: Option<EnrolBy>,
    /// The time of all this, for people to compare.
    pub now_unix: u64,
}

/// How a user adds a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolBy {
    /// The place to sign in.
    pub url: String,
    /// The client.
    pub client: ClientId,
}

/// One of a user's devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnDevice {
    /// Its id.
    pub id: DeviceId,
    /// What they call it.
    pub name: Line<DEVICE_NAME_BYTES_MAX>,
    /// What it runs, as it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whether an operator lets it count.
    pub approval: Approval,
    /// What it counts as now.
    pub state: DeviceState,
    /// Since when it is there.
    pub created_unix: u64,
    /// When it was shown last, to some minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_unix: Option<u64>,
    /// End of its certificate.
    pub expires_unix: u64,
    /// Whether its owner may remove it.
    #[serde(default)]
    pub removable: bool,
}
