//! The password vault in the admin API. Control is given what is sealed already, and gives nothing that could be opened.

use serde::{Deserialize, Serialize};

use crate::directory::LoginName;
use crate::ids::Name;
use crate::vault::{Fingerprint, Purpose, Sealed, SetBy, VaultPublicKey};

/// Asks what is needed to seal a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskSealing {
    /// The application: name or id.
    pub app: String,
    /// Whose: login name or id; without, of all who have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What is needed to seal a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealing {
    /// What it is for.
    pub purpose: Purpose,
    /// What it is sealed to.
    pub key: VaultPublicKey,
    /// The application's name.
    pub app: Name,
    /// Whose key that is.
    pub group: Name,
    /// The user's login name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginName>,
    /// Whether HTTP Basic carries it.
    pub basic: bool,
}

/// Stores a credential; one that was there is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutCredential {
    /// What it is for, as [`Sealing`] said.
    pub purpose: Purpose,
    /// What it is sealed to.
    pub key: Fingerprint,
    /// The credential.
    pub sealed: Sealed,
}

/// A credential, without what is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    /// The application's name.
    pub app: Name,
    /// `user/LOGIN` or `shared`.
    pub owner: String,
    /// Whom it is shown to.
    pub origin: String,
    /// What it is sealed to.
    pub key: Fingerprint,
    /// When it was set.
    pub set_unix_ms: u64,
    /// Who entered it.
    #[serde(default)]
    pub by: SetBy,
    /// Why connectors cannot use it, if they cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Makes this the key of a connector group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetVaultKey {
    /// The public half.
    pub key: VaultPublicKey,
    /// Also when another key is there, to which credentials are sealed.
    #[serde(default)]
    pub replace: bool,
}

/// The key of a connector group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultKeyView {
    /// The group's name.
    pub group: Name,
    /// The public half.
    pub key: VaultPublicKey,
    /// What people compare.
    pub fingerprint: Fingerprint,
}
