//! External OpenID providers, as operators make and change them. Their secrets go in and never come out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::external::ProviderSettings;
use crate::ids::Name;
use crate::secret::SecretText;

/// `idp add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddProvider {
    /// What operators call it.
    pub name: Name,
    /// Everything else.
    pub settings: ProviderSettings,
    /// Without one we are a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretText>,
    /// By the provider's name for it, the group that its claim fills.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Name>,
}

/// `idp set`, `enable` and `disable`: what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetProvider {
    /// A merge patch (RFC 7396) of the settings: `null` takes one away.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// A new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretText>,
    /// Groups that its claim fills, or, with `null`, no longer does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Option<Name>>,
}

/// A provider as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// What operators call it.
    pub name: Name,
    /// Everything else, but the secret.
    pub settings: ProviderSettings,
    /// Whether it has one.
    pub has_secret: bool,
    /// By the provider's name for it, the group that its claim fills; an id where the group is gone.
    pub groups: BTreeMap<String, String>,
    /// Users linked with it.
    pub users: u32,
    /// What to register there: the only address that it may send browsers back to. Absent while people sign in nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// Where it may send browsers that signed out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_logout_redirect_uri: Option<String>,
    /// Where it may tell of logouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
}

/// A provider was added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderChanged {
    /// As it is now.
    pub provider: ProviderView,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Whether users could sign in by a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderProbe {
    /// Which provider.
    pub name: Name,
    /// Whether its description and keys could be fetched, and fit its settings.
    pub usable: bool,
    /// If not, a code of `docs/errors.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// If not, what exactly happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `user link` and `user unlink`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkUser {
    /// Which provider.
    pub provider: Name,
    /// Whom it means: its `sub`.
    pub subject: String,
    /// No longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove: bool,
}
