//! Clients of the embedded OpenID provider, as operators make and change them. A secret leaves control once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, Name};
use crate::oauth::{ClientSettings, ConsentBy, RedirectUri, Scopes};
use crate::secret::SecretText;

/// `client add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddClient {
    /// What operators, and users who are asked, call it.
    pub name: Name,
    /// Everything else.
    pub settings: ClientSettings,
}

/// `client set`, `enable` and `disable`: what is not given stays; whether it has a secret always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetClient {
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uris: Option<BTreeSet<RedirectUri>>,
    /// Whether it may use the device flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<bool>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// Who agrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentBy>,
    /// Whether it gets nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A client, without anything of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientView {
    /// Its `client_id`.
    pub id: ClientId,
    /// Its name.
    pub name: Name,
    /// Everything else.
    pub settings: ClientSettings,
    /// What it is configured with; absent while people sign in nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Grants that it holds: of each there is one refresh token.
    pub grants: u32,
}

/// A client was added or changed, or has a new secret, whose text is seen this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientChanged {
    /// As it is now.
    pub client: ClientView,
    /// Of a confidential client that is new, or was given another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretText>,
    /// Version of the log.
    pub version: u64,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}
