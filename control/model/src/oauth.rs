//! The embedded OpenID provider: its clients, what they may ask for, and what the identity process asks control on their behalf.
//! The identity process turns HTTP into one question and decides nothing.

mod message;
mod redirect;
mod scope;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use message::{Answer, Authorize, Call, Consent, Endpoint, EnterCode, GiveConsent, path};
pub use redirect::{RedirectUri, RedirectUriInvalid};
pub use scope::{Scope, ScopeInvalid, Scopes};

/// An application or program that may ask for tokens, as operators describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Where browsers are sent back to.
    #[serde(default)]
    pub redirect_uris: BTreeSet<RedirectUri>,
    /// Whether it may show a code that its user enters in a browser elsewhere (RFC 8628).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub device: bool,
    /// Whether it can keep a secret.
    pub kind: ClientType,
    /// What it may ask for. `app:*` stands for every application.
    pub scopes: Scopes,
    /// Who agrees that it gets what it asks for.
    pub consent: ConsentBy,
    /// Whether it gets nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// Whether a client can keep a secret (RFC 6749 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientType {
    /// On a user's device, or in their browser: it has none.
    Public,
    /// On a server.
    Confidential,
}

/// Who agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentBy {
    /// The operator did, by writing it down: users are not asked.
    Admin,
    /// Each user is asked.
    User,
}

impl ClientSettings {
    /// Whether browsers may be sent to this address.
    #[must_use]
    pub fn leads_back_to(&self, asked: &str) -> bool {
        self.redirect_uris.iter().any(|registered| registered.admits(asked))
    }

    /// What is wrong with it as a whole.
    ///
    /// # Errors
    /// Says what, and what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.redirect_uris.len() > REDIRECT_URIS_MAX {
            return Err(format!("a client has at most {REDIRECT_URIS_MAX} redirect URIs"));
        }
        if self.redirect_uris.is_empty() && !self.device {
            return Err("name at least one redirect URI, or allow the device flow: --redirect-uri, --device".into());
        }
        if self.scopes.is_empty() {
            return Err("name at least one scope: --scope openid".into());
        }
        let local = self.redirect_uris.iter().find(|uri| uri.is_of_a_device());
        match (self.kind, local) {
            (ClientType::Confidential, Some(uri)) => {
                Err(format!("{uri} leads to a user's device, where no secret can be kept: make the client public"))
            }
            (ClientType::Confidential, None) | (ClientType::Public, _) => Ok(()),
        }
    }
}

/// Redirect URIs of a client.
pub const REDIRECT_URIS_MAX: usize = 32;
/// Clients of a tenant.
pub const CLIENTS_MAX: usize = 1_000;
/// How refresh tokens begin: what looks for leaked secrets finds them by it.
pub const REFRESH_TOKEN_PREFIX: &str = "prt_";
/// How client secrets begin.
pub const CLIENT_SECRET_PREFIX: &str = "pcs_";
