//! Service tokens in the admin API.

use serde::{Deserialize, Serialize};

use crate::ids::{Name, ServiceTokenId};
use crate::secret::SecretText;

/// Makes a service token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateServiceToken {
    /// Its name, unique in the tenant.
    pub name: Name,
    /// Where it lets in: names or ids, at least one.
    pub apps: Vec<String>,
    /// How long it is good.
    #[serde(default)]
    pub validity: Validity,
}

/// Changes a service token; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetServiceToken {
    /// All the applications it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apps: Option<Vec<String>>,
    /// Applications to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_apps: Vec<String>,
    /// Applications to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_apps: Vec<String>,
    /// How long it is good, from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// Whether it is good at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Gives a service token a new secret; the old one is good no longer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateServiceToken {
    /// How long it is good, from now; without, its end stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
}

/// How long a service token is good, from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// [`SERVICE_TOKEN_TTL_S_DEFAULT`].
    #[default]
    Default,
    /// So many seconds, at most [`SERVICE_TOKEN_TTL_S_MAX`].
    TtlS(u64),
    /// Until it is revoked.
    NoExpiry,
}

/// A service token, without anything of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTokenView {
    /// Its id.
    pub id: ServiceTokenId,
    /// Its name.
    pub name: Name,
    /// Names of the applications it lets in to.
    pub apps: Vec<Name>,
    /// End of validity, seconds; `None`: it has none.
    pub expires_unix: Option<u64>,
    /// Whether that is over.
    pub expired: bool,
    /// Whether it is good at all.
    pub enabled: bool,
    /// When it was made.
    pub created_unix_ms: u64,
}

/// A service token and its text. Shown once, never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTokenIssued {
    /// The text for `Authorization: Bearer`.
    pub token: SecretText,
    /// Everything else.
    pub service_token: ServiceTokenView,
    /// Version of the log that holds it.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A service token after it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTokenChanged {
    /// As it is now.
    pub service_token: ServiceTokenView,
    /// Version of the log that holds the change.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Ninety days.
pub const SERVICE_TOKEN_TTL_S_DEFAULT: u64 = 90 * 86_400;
/// A year, and the day that a leap year has more.
pub const SERVICE_TOKEN_TTL_S_MAX: u64 = 366 * 86_400;
