//! What the identity process asks control for clients.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::directory::LoginName;
use crate::identity::{BrowserGrant, ClientInfo};
use crate::secret::SecretText;

/// A client sends a browser to sign in (OpenID Connect Core §3.1.2.1). As it came: nothing is checked yet. Answered by a
/// [`crate::identity::Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorize {
    /// The parameters, each once.
    pub fields: BTreeMap<String, String>,
    /// What the browser has of an earlier sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
    /// Who asks.
    pub client: ClientInfo,
}

/// What a user is asked before a client gets anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Names this question; only its browser has it.
    pub consent: SecretText,
    /// The client, for people.
    pub client: String,
    /// Whether it is a program on a device, which anybody may have put there.
    pub on_a_device: bool,
    /// The code that the program shows: the user compares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_code: Option<String>,
    /// Who is asked.
    pub login: LoginName,
    /// What it is to get, one line each, for people.
    pub asks_for: Vec<String>,
    /// What the browser keeps of the sign-in that led here; `None`: what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<BrowserGrant>,
}

/// A user typed the code that a program without a browser shows (RFC 8628 §3.3). Answered by a [`crate::identity::Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnterCode {
    /// As it was typed.
    pub user_code: SecretText,
    /// What the browser has of an earlier sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
    /// Who asks.
    pub client: ClientInfo,
}

/// The user's answer. Answered by a [`crate::identity::Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveConsent {
    /// Which question.
    pub consent: SecretText,
    /// Whether they agree.
    pub allow: bool,
    /// What the browser has of its sign-in: it must be the one that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
}

/// A request of a client itself. Answered by an [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// What it is for.
    pub endpoint: Endpoint,
    /// The form's fields, each once.
    #[serde(default)]
    pub fields: BTreeMap<String, SecretText>,
    /// Its `Authorization` header, if there is exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<SecretText>,
    /// Who asks.
    pub client: ClientInfo,
}

/// What a client's request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// Discovery (OpenID Connect Discovery, RFC 8414).
    Metadata,
    /// Public keys (RFC 7517).
    Keys,
    /// Tokens (RFC 6749 §3.2).
    Token,
    /// Codes for a program without a browser (RFC 8628 §3.1).
    DeviceAuthorization,
    /// Revocation (RFC 7009).
    Revoke,
    /// Who the user is (OpenID Connect Core §5.3).
    UserInfo,
    /// Whether a token counts (RFC 7662).
    Introspect,
    /// A certificate for the device that a user's program runs on.
    EnrolDevice,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP's.
    pub status: u16,
    /// JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    /// `WWW-Authenticate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
}

/// Where control answers what.
pub mod path {
    /// [`super::Authorize`] to [`crate::identity::Step`].
    pub const AUTHORIZE: &str = "/v1/oauth/authorize";
    /// [`super::GiveConsent`] to [`crate::identity::Step`].
    pub const CONSENT: &str = "/v1/oauth/consent";
    /// [`super::EnterCode`] to [`crate::identity::Step`].
    pub const DEVICE: &str = "/v1/oauth/device";
    /// [`super::Call`] to [`super::Answer`].
    pub const CALL: &str = "/v1/oauth/call";
}
