//! The password vault: what signs users on to applications that know passwords only, sealed to the key of the connectors'
//! group (HPKE, RFC 9180). Whoever carries or keeps it, relays and control among them, cannot read it; and it opens only for the
//! application, the user and the backend that it was sealed for.

mod key;
mod login;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::directory::as_text;
use crate::ids::{AppId, IdInvalid, UserId};

pub use key::{Fingerprint, KeyInvalid, VaultKeyPair, VaultPublicKey, VaultSecretKey};
pub use login::{Login, LoginInvalid, PASSWORD_BYTES_MAX, USER_BYTES_MAX};

/// Whose password it is. As text: `u1-7`, `shared`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// One user's.
    User(UserId),
    /// Of all who have none of their own.
    Shared,
}

/// A credential's place among all: one for each application and owner. As text: `a1-7/u1-3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialKey {
    /// The application.
    pub app: AppId,
    /// Whose.
    pub owner: Owner,
}

/// What a credential is sealed for. It opens for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// The application, and with it the tenant.
    pub app: AppId,
    /// Whose it is.
    pub owner: Owner,
    /// Whom it is shown to: scheme, host and port of the internal URL, `https://crm.internal:8443`. Whoever could change the
    /// URL alone would else be sent the passwords.
    pub origin: String,
}

/// A sealed credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// What for.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// Which key it is sealed to.
    pub key: Fingerprint,
    /// User name and password.
    pub sealed: Sealed,
    /// When it was stored.
    pub set_unix_ms: u64,
    /// Who entered it.
    #[serde(default, skip_serializing_if = "SetBy::is_operator")]
    pub by: SetBy,
}

/// Who entered a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetBy {
    /// An operator.
    #[default]
    Operator,
    /// The user whose it is.
    User,
}

/// A [`Login`] that only the key's holder can read: the encapsulated key, then the ciphertext, in base64. At most
/// [`SEALED_BYTES_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// Why a credential did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// Another key's.
    #[error("the credential is sealed to the key {wanted}, and this connector has {held}: set it again")]
    OtherKey {
        /// The key it is sealed to.
        wanted: Fingerprint,
        /// The keys there are.
        held: String,
    },
    /// Of another application, user or backend, or damaged.
    #[error("the credential was not sealed for this application, user and backend")]
    OtherPurpose,
    /// It opened, and is none.
    #[error("the credential cannot be used: {0}")]
    Unusable(LoginInvalid),
}

impl Credential {
    /// Its place among all.
    #[must_use]
    pub const fn key(&self) -> CredentialKey {
        CredentialKey { app: self.purpose.app, owner: self.purpose.owner }
    }
}

impl SetBy {
    /// Whether an operator did.
    #[must_use]
    pub const fn is_operator(&self) -> bool {
        matches!(self, Self::Operator)
    }

    /// As lists show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::User => "user",
        }
    }
}

impl Purpose {
    /// What the ciphertext is bound to; every purpose has bytes of its own.
    pub(crate) fn bound(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend(self.app.tenant.0.to_be_bytes());
        bytes.extend(self.app.seq.to_be_bytes());
        match self.owner {
            Owner::Shared => bytes.push(0),
            Owner::User(user) => {
                bytes.push(1);
                bytes.extend(user.tenant.0.to_be_bytes());
                bytes.extend(user.seq.to_be_bytes());
            }
        }
        bytes.extend(self.origin.as_bytes());
        bytes
    }
}

impl Sealed {
    /// Of its bytes; none when there are too many or too few.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        (ENCAPSULATED_BYTES..=SEALED_BYTES_MAX).contains(&bytes.len()).then_some(Self(bytes))
    }

    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        self.0.split_at(ENCAPSULATED_BYTES)
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64::Engine as _;
        f.write_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl FromStr for Sealed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok().and_then(Self::new);
        bytes.ok_or("a sealed credential is base64 of 32 to 2048 bytes")
    }
}

as_text!(Sealed);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Shared => f.write_str(SHARED),
        }
    }
}

impl FromStr for Owner {
    type Err = IdInvalid;

    fn from_str(text: &str) -> Result<Self, IdInvalid> {
        if text == SHARED { Ok(Self::Shared) } else { text.parse().map(Self::User) }
    }
}

as_text!(Owner);

impl fmt::Display for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.owner)
    }
}

impl FromStr for CredentialKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let parsed = text
            .split_once('/')
            .and_then(|(app, owner)| Some(Self { app: app.parse().ok()?, owner: owner.parse().ok()? }));
        parsed.ok_or("a credential's place is written a1-7/u1-3 or a1-7/shared")
    }
}

as_text!(CredentialKey);

/// Of one application's origin: scheme, host and port as it stands in an internal URL that was checked.
#[must_use]
pub fn origin(internal: &crate::app_url::InternalUrl) -> String {
    let whole = crate::app_url::InternalUrl { path: "".into(), ..internal.clone() }.to_string();
    whole.trim_end_matches('/').to_owned()
}

/// X25519's public key, which is what is encapsulated.
const ENCAPSULATED_BYTES: usize = 32;
/// A user name, a password, their lengths, padding, tag and the encapsulated key: 1,492 at most.
pub const SEALED_BYTES_MAX: usize = 2_048;
/// What every use of the vault is bound to.
const CONTEXT: &[u8] = b"postern-vault/1\0";
const SHARED: &str = "shared";

#[cfg(test)]
mod tests;
