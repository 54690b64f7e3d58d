//! A user's own password in an application that takes passwords only, where users enter it themselves (`vault_by=users`). Control
//! says what it is sealed for and to which key, and gets nothing but what is sealed.

use serde::{Deserialize, Serialize};

use super::Visitor;
use crate::identity::{ClientInfo, Refused, Step};
use crate::ids::AppId;
use crate::secret::SecretText;
use crate::vault::{Fingerprint, Purpose, Sealed, VaultPublicKey};

/// Something about a user's password in an application. Whose it is the browser's session says, and nothing else. Answered by a
/// [`PasswordAnswer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRequest {
    /// What the browser has of its sign-in.
    pub browser: SecretText,
    /// Which application's.
    pub app: AppId,
    /// What it is.
    pub action: PasswordAction,
    /// Who asks.
    pub client: ClientInfo,
}

/// What a user sees or does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum PasswordAction {
    /// What is stored, without what is sealed in it.
    Show {},
    /// What is needed to seal one.
    Seal {},
    /// Stores one; another one that was there is replaced.
    Put(Box<PutOwn>),
    /// Removes it.
    Remove {},
}

/// A password that was sealed as [`OwnSealing`] said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOwn {
    /// Whom it is shown to.
    pub origin: String,
    /// Which key it is sealed to.
    pub key: Fingerprint,
    /// User name and password.
    pub sealed: Sealed,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum PasswordAnswer {
    /// The browser is not signed in, or not any more.
    Nobody {},
    /// There is no such application, its operators alone enter passwords, or it is not for this user.
    Absent {},
    /// They are to prove first who they are: it is too long ago.
    Step(Box<Step>),
    /// What was to be done is done.
    Done {},
    /// It cannot be.
    Refused(Refused),
    /// The page.
    Page(Box<PasswordPage>),
    /// What is needed to seal one.
    Sealing(Box<OwnSealing>),
}

/// What a user sees of their password in an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordPage {
    /// Who.
    pub visitor: Visitor,
    /// Which application.
    pub app: AppId,
    /// What it is called.
    pub label: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is stored.
    pub state: PasswordState,
    /// When their own was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_unix: Option<u64>,
    /// The time of all this, for people to compare.
    pub now_unix: u64,
}

/// What is stored of a user's password in an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordState {
    /// Nothing.
    Missing,
    /// One of their own.
    Own,
    /// One of their own that cannot be opened any more: it is to be entered anew.
    Stale,
    /// None of their own, but one that all share.
    Shared,
}

/// What a user's password is sealed for, and to which key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSealing {
    /// What it is for.
    pub purpose: Purpose,
    /// What it is sealed to.
    pub key: VaultPublicKey,
    /// Whether HTTP Basic carries it.
    pub basic: bool,
}

/// Where users enter it, below the identity's external URL; behind it stands the application's id.
pub const PASSWORDS_PATH: &str = "/passwords/";
