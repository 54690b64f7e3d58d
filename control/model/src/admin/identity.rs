//! Where people sign in, and their sessions.

use serde::{Deserialize, Serialize};

use crate::device::SessionDevice;
use crate::directory::LoginName;
use crate::identity::FactorView;
use crate::ids::{AppId, Name, SessionId};
use crate::policy::{DeviceState, Risk};
use crate::secret::SecretText;

/// `identity publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishIdentity {
    /// `https://HOST[:PORT]/`, a host of its own.
    pub external_url: String,
    /// As with an application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// As with an application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<SecretText>,
}

/// Where people sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityView {
    /// The application.
    pub app: AppId,
    /// Its place.
    pub external_url: String,
    /// The connector group whose tokens identity processes enrol with.
    pub group: String,
    /// Identity processes online.
    pub online: u32,
    /// Sessions, all tenants.
    pub sessions: u64,
    /// Where browsers show their device's certificate, if that is set: `https://HOST[:PORT]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_url: Option<String>,
}

/// The place to sign in was published or moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityPublished {
    /// As it is now.
    pub identity: IdentityView,
    /// Version of the log that holds the change.
    pub version: u64,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// The user's login name.
    pub user: String,
    /// When it began.
    pub created_unix: u64,
    /// When the user proved who they are, last.
    pub authenticated_unix: u64,
    /// When it was used last, to some minutes.
    pub seen_unix: u64,
    /// When it ends at the latest.
    pub expires_unix: u64,
    /// How the user proved who they are (RFC 8176).
    pub methods: Vec<String>,
    /// The identity provider, if it was not the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Name>,
    /// The address it began at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How likely it was then that it was somebody else.
    #[serde(default, skip_serializing_if = "Risk::is_low")]
    pub risk: Risk,
    /// The device that was shown, if it counts still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<SessionDevice>,
    /// What the identity provider said of the device.
    #[serde(default, skip_serializing_if = "DeviceState::is_unknown")]
    pub claimed_device: DeviceState,
    /// What the browser called itself.
    pub user_agent: String,
}

/// `session revoke`: exactly one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeSessions {
    /// One session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// All of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All of the tenant.
    #[serde(default)]
    pub all: bool,
}

/// Sessions were ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsEnded {
    /// How many.
    pub ended: u64,
    /// Version of the log.
    pub version: u64,
    /// Relays that go on by what they know, among others.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// `user factor list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorsView {
    /// Whose.
    pub login: LoginName,
    /// Second factors, without what is secret of them.
    pub factors: Vec<FactorView>,
    /// Recovery codes that were not used.
    pub recovery_codes: u32,
}
