//! A tenant's SCIM token in the admin API.

use serde::{Deserialize, Serialize};

use super::Validity;
use crate::ids::Name;
use crate::secret::SecretText;

/// `scim enable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnableScim {
    /// What the audit log calls the token's holder: `scim NAME`.
    pub name: Name,
    /// How long it is good.
    #[serde(default)]
    pub validity: Validity,
}

/// `scim rotate`: another secret; the one before is good no longer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateScim {
    /// How long it is good, from now; without, its end stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
}

/// A tenant's SCIM, without anything of the token's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimView {
    /// What identity providers are told; absent while no place to sign in is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The token's name.
    pub name: Name,
    /// Its end; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<u64>,
    /// Whether it has ended.
    pub expired: bool,
    /// When it was made.
    pub created_unix_ms: u64,
    /// When it was shown last, since control started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_unix_ms: Option<u64>,
}

/// A token was given out: the one time that its text is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimIssued {
    /// The token.
    pub token: SecretText,
    /// What it is for.
    pub scim: ScimView,
    /// Version of the log.
    pub version: u64,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}
