//! Second factors between the identity process and control: what is asked for, what browsers answer, and the page on which
//! people see to their own.

use serde::{Deserialize, Serialize};

use super::{ClientInfo, Refused, Step};
use crate::directory::{Line, LoginName};
use crate::ids::Name;
use crate::secret::SecretText;

/// What a user can prove, besides a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// A one-time password of an app.
    pub totp: bool,
    /// A recovery code.
    pub recovery: bool,
    /// One of the user's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRequest>,
}

/// A proof by a key (WebAuthn §5.5). All bytes in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {
    /// Good for one answer.
    pub challenge: String,
    /// The identity's host.
    pub rp_id: String,
    /// The user's credentials.
    pub credentials: Vec<String>,
}

/// A second factor that can be set up: either of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// An app that shows one-time passwords; `None`: the user has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<TotpOffer>,
    /// A key.
    pub key: KeyOffer,
}

/// A secret for one-time passwords that becomes the user's once a code of it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotpOffer {
    /// Base32, for typing.
    pub secret: SecretText,
    /// `otpauth://totp/…`, for a QR code.
    pub uri: SecretText,
}

/// A key that becomes the user's (WebAuthn §5.4). All bytes in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOffer {
    /// Good for one answer.
    pub challenge: String,
    /// The identity's host.
    pub rp_id: String,
    /// The user's handle.
    pub user: String,
    /// The user's login name.
    pub login: String,
    /// What people call the user.
    pub display_name: String,
    /// Keys the user has already.
    pub exclude: Vec<String>,
}

/// An answer to a [`super::Factor`] other than the password. Answered by a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveFactor {
    /// Which sign-in.
    pub flow: SecretText,
    /// What was given.
    pub answer: FactorAnswer,
    /// Of an answer to terms of use: which. `None`: an older identity process, which does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<TermsShown>,
    /// Who asks.
    pub client: ClientInfo,
}

/// Which terms of use somebody read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsShown {
    /// What operators call them.
    pub name: Name,
    /// Which version.
    pub version: u32,
}

/// What a browser gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorAnswer {
    /// A one-time password or a recovery code, as typed.
    Code(SecretText),
    /// A key's proof.
    Key(KeyAssertion),
    /// The first one-time password of the secret that was shown.
    EnrolCode(SecretText),
    /// A new key.
    EnrolKey(KeyCreated),
    /// The recovery codes were seen.
    Seen,
    /// The terms that were shown are accepted, or are not.
    Terms(bool),
}

/// A key's proof (WebAuthn §5.2.2), in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAssertion {
    /// Which credential.
    pub credential: String,
    /// `clientDataJSON`.
    pub client_data: String,
    /// `authenticatorData`.
    pub authenticator_data: String,
    /// `signature`.
    pub signature: String,
}

/// A new key (WebAuthn §5.2.1), in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCreated {
    /// `clientDataJSON`.
    pub client_data: String,
    /// `attestationObject`.
    pub attestation: String,
    /// What the user calls it, as typed.
    #[serde(default)]
    pub name: String,
}

/// A user's own page. Answered by an [`AccountAnswer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRequest {
    /// What the browser has of its sign-in.
    pub browser: SecretText,
    /// What is wanted.
    pub action: AccountAction,
    /// Who asks.
    pub client: ClientInfo,
}

/// What people do on their own page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountAction {
    /// Look.
    Show,
    /// Set another factor up.
    Add,
    /// Remove the factor with this id.
    Remove(String),
    /// New recovery codes in place of the old.
    RenewCodes,
}

/// What a user's own page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountAnswer {
    /// Nobody is signed in with this browser.
    Nobody,
    /// First this.
    Step(Box<Step>),
    /// What the user has.
    Account(Account),
}

/// A user's factors, for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Whose.
    pub login: LoginName,
    /// All of them.
    pub factors: Vec<FactorView>,
    /// Recovery codes that were not used.
    pub recovery_codes: u32,
    /// What could not be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Refused>,
}

/// A factor, without what is secret of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorView {
    /// `totp`, or a key's digest: `key-0123456789abcdef`.
    pub id: String,
    /// What it is.
    pub kind: FactorKind,
    /// What the user calls it.
    #[serde(default)]
    pub name: Line<FACTOR_NAME_BYTES_MAX>,
    /// When it was set up.
    pub created_unix: u64,
    /// When it was used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_unix: Option<u64>,
}

/// What a factor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// An app that shows one-time passwords.
    Totp,
    /// A key or passkey.
    Key,
}

/// Longest name of a key.
pub const FACTOR_NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TermsPage;

    #[test]
    fn what_older_ones_say_about_terms_is_understood() {
        let old = r#"{"flow": "f", "answer": {"terms": true}, "client": {"address": "192.0.2.1"}}"#;
        let given: GiveFactor = serde_json::from_str(old).unwrap();
        assert_eq!((given.answer, given.terms), (FactorAnswer::Terms(true), None));
        let old = r#"{"title": "T", "version": 1, "format": "plain", "text": "x", "again": false}"#;
        let page: TermsPage = serde_json::from_str(old).unwrap();
        assert_eq!(page.name, None);
    }
}
