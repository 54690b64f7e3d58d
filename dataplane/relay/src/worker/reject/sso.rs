//! When an application cannot be told who asks, and what it verifies with what it is told.

use std::borrow::Cow;

use postern_http::Known;
use postern_model::assertion::JWKS_CACHE_S;
use postern_tunnel::Culprit;

use super::{Beside, Reject, SIGN_IN_RETRY_S, retry_after};

impl Reject {
    /// No refusal: the public keys that anyone may have.
    pub(crate) fn keys(jwks: &str) -> Self {
        let kept = format!("public, max-age={JWKS_CACHE_S}");
        Self { field: Some((Known::CacheControl, Cow::Owned(kept))), ..Self::metadata(jwks.to_owned()) }
    }

    /// What the application is to be told of the user does not fit; a part of it would say something else.
    pub(crate) fn sso_too_long(what: &str) -> Self {
        let detail = format!("The application cannot be told who you are: {what} is too long. Ask your administrator.");
        Self { detail: Cow::Owned(detail), ..Self::new(500, "sso-too-long", "") }
    }

    /// The application wants a signed assertion, and there is nothing to sign it with or nobody to sign it for.
    pub(crate) fn sso_unavailable() -> Self {
        let detail = "The application cannot be told who you are at the moment. Try again in a minute.";
        Self { field: Some(retry_after(SIGN_IN_RETRY_S)), ..Self::new(503, "sso-unavailable", detail) }
    }

    /// The application signs users on, and none asks.
    pub(crate) fn sso_needs_user() -> Self {
        let detail = "This application signs users on by itself: a service token is of no user.";
        Self::new(403, "sso-needs-user", detail)
    }

    /// The vault has no password of the user.
    pub(super) fn sso_credential_missing() -> Self {
        let detail = "No password is kept for you in this application. Ask its operator.";
        Self::new(403, "sso-credential-missing", detail)
    }

    /// The application did not take the user's password.
    pub(super) fn sso_credential_refused() -> Self {
        let detail = "The application does not take the password that is kept for you. Ask its operator.";
        Self::new(403, "sso-credential-refused", detail)
    }

    /// Where users enter their passwords themselves, they are led there: `page`. Other refusals stay what they are; `culprit`:
    /// whose fault the connector says that it is.
    pub(crate) fn leading_to_password(self, page: String, culprit: Culprit) -> Self {
        let (detail, text) = match (self.code, culprit) {
            ("sso-credential-missing", _) => (
                "No password is kept for you in this application yet. Enter the one that you have there, and you are signed on with it.",
                "Enter your password",
            ),
            ("connector-sso-unavailable", Culprit::Client) => (
                "The password that is kept for you cannot be used any more. Enter it anew, and you are signed on with it.",
                "Enter the password anew",
            ),
            ("sso-credential-refused", _) => (
                "The application does not take the password that is kept for you. Enter the one that it takes now: it is tried at once.",
                "Enter the password anew",
            ),
            _ => return self, // nothing that a password would change
        };
        let beside = Some(Box::new(Beside { link: Some((page, text)), ..Beside::default() }));
        Self { detail: Cow::Borrowed(detail), beside, ..self }
    }

    /// The user has none of the names that the application asks for.
    pub(crate) fn sso_login_missing() -> Self {
        let detail = "You have no name in this application that you could be signed on with. Ask its operator.";
        Self::new(403, "sso-login-missing", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_tunnel::{Cancel, CancelCode};

    #[test]
    fn a_user_is_not_to_blame_for_what_operators_set() {
        assert_eq!(Reject::sso_login_missing().culprit(), "configuration");
        let refused = Cancel::new(Culprit::Client, CancelCode::SSO_REFUSED);
        assert_eq!(Reject::cancelled(&refused).culprit(), "configuration");
        assert_eq!(Reject::sign_in_unavailable().culprit(), "sign-in");
    }
}
