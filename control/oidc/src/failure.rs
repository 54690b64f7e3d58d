//! Why a sign-in failed: a code that stays, words for the user's page, and details for the log. Never a token, code or secret.

use std::fmt;

use crate::limits::SHOWN_CHARS_MAX;

/// A sign-in that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInFailure {
    /// What kind of failure.
    pub cause: Cause,
    /// Details for the log, with what peers said in quotes and cut. They name no secret, but may name the user.
    pub detail: String,
}

/// The kinds of failure. Each has an entry in the catalogue of error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No connection: name, network or TLS.
    ProviderUnreachable,
    /// No whole answer in time.
    ProviderSlow,
    /// The provider says that something is wrong with itself.
    ProviderFailed,
    /// An answer that is too large, no JSON, or lacks what it must have.
    ProviderAnswerInvalid,
    /// Provider and settings do not fit: wrong issuer, missing endpoint, a request that it does not take.
    ProviderMisconfigured,
    /// The provider does not take our client id and secret.
    ProviderClientRefused,
    /// Its clock differs from ours by more than is tolerated.
    ProviderClockSkew {
        /// By how many seconds its clock is ahead of ours; negative: behind.
        ahead_s: i64,
    },
    /// What came back to us is no answer of a provider.
    CallbackInvalid,
    /// The code is used up, too old or of somebody else.
    CodeRefused,
    /// The ID token is none, or lacks what it must have.
    IdTokenMalformed,
    /// Signed by none of the provider's keys.
    IdTokenSignature,
    /// Signed by an algorithm that is not allowed, or not at all.
    IdTokenAlgorithm,
    /// Past its end.
    IdTokenExpired,
    /// For somebody else.
    IdTokenAudience,
    /// It does not belong to the access token that it came with.
    IdTokenHash,
    /// Made for another sign-in.
    NonceMismatch,
    /// This browser did not begin this sign-in.
    StateMismatch,
    /// Another provider answered than was asked.
    IssuerMismatch,
    /// The claims that were fetched are another user's.
    SubjectMismatch,
    /// Begun too long ago.
    SignInStale,
    /// The user, or the provider on a rule of its own, said no.
    AccessDenied,
    /// The provider would have to ask the user something, and was told not to.
    InteractionRequired,
    /// The user proved who they are longer ago than was asked for.
    LoginTooOld,
    /// The user proved who they are less strongly than was asked for.
    LoginTooWeak,
    /// No claim names the user.
    LoginClaimMissing,
    /// A claim is no name, address or group.
    ClaimInvalid,
}

impl SignInFailure {
    /// The code in the catalogue.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.cause.as_code()
    }

    /// The words for the user's page; `provider` is what users call the provider.
    #[must_use]
    pub fn words(&self, provider: &str) -> String {
        let again = "Try again; if it happens again, tell your administrator.";
        let administrator = "Your administrator has to repair this.";
        match self.cause {
            Cause::ProviderUnreachable => format!("{provider} cannot be reached. Try again in a minute."),
            Cause::ProviderSlow => format!("{provider} did not answer in time. Try again in a minute."),
            Cause::ProviderFailed => format!("{provider} reports a fault of its own. Try again in a minute."),
            Cause::ProviderAnswerInvalid => format!("{provider} gave an answer that makes no sense. {again}"),
            Cause::ProviderMisconfigured => format!("{provider} is not set up for this sign-in. {administrator}"),
            Cause::ProviderClientRefused => format!("{provider} does not know this service. {administrator}"),
            Cause::ProviderClockSkew { ahead_s } => {
                let direction = if ahead_s < 0 { "behind" } else { "ahead of" };
                format!("The clock of {provider} is {} s {direction} ours. {administrator}", ahead_s.unsigned_abs())
            }
            Cause::CallbackInvalid => "This address is no answer to a sign-in. Open the application again.".to_owned(),
            Cause::CodeRefused => {
                format!("{provider} does not accept this sign-in any more. Open the application again.")
            }
            Cause::IdTokenMalformed
            | Cause::IdTokenSignature
            | Cause::IdTokenAlgorithm
            | Cause::IdTokenAudience
            | Cause::IdTokenHash
            | Cause::NonceMismatch
            | Cause::IssuerMismatch
            | Cause::SubjectMismatch => {
                format!("What {provider} says about you could not be verified, so you are not signed in. {again}")
            }
            Cause::IdTokenExpired | Cause::SignInStale => {
                "This sign-in took too long. Open the application again.".to_owned()
            }
            Cause::StateMismatch => {
                "This sign-in was not begun in this browser. Open the application again.".to_owned()
            }
            Cause::AccessDenied => format!("{provider} did not let you in, or you cancelled the sign-in."),
            Cause::InteractionRequired => format!("{provider} wants to ask you something first."),
            Cause::LoginTooOld => format!("{provider} did not ask you to sign in anew. {again}"),
            Cause::LoginTooWeak => format!("{provider} did not ask you for a stronger sign-in. {administrator}"),
            Cause::LoginClaimMissing => format!("{provider} does not say who you are. {administrator}"),
            Cause::ClaimInvalid => format!("{provider} says something about you that cannot be used. {administrator}"),
        }
    }
}

impl fmt::Display for SignInFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.detail)
    }
}

impl std::error::Error for SignInFailure {}

impl Cause {
    /// The code in the catalogue.
    #[must_use]
    pub const fn as_code(self) -> &'static str {
        match self {
            Self::ProviderUnreachable => "provider-unreachable",
            Self::ProviderSlow => "provider-slow",
            Self::ProviderFailed => "provider-failed",
            Self::ProviderAnswerInvalid => "provider-answer-invalid",
            Self::ProviderMisconfigured => "provider-misconfigured",
            Self::ProviderClientRefused => "provider-client-refused",
            Self::ProviderClockSkew { .. } => "provider-clock-skew",
            Self::CallbackInvalid => "sign-in-callback-invalid",
            Self::CodeRefused => "sign-in-code-refused",
            Self::IdTokenMalformed => "id-token-malformed",
            Self::IdTokenSignature => "id-token-signature-wrong",
            Self::IdTokenAlgorithm => "id-token-algorithm-refused",
            Self::IdTokenExpired => "id-token-expired",
            Self::IdTokenAudience => "id-token-audience-wrong",
            Self::IdTokenHash => "id-token-hash-wrong",
            Self::NonceMismatch => "nonce-mismatch",
            Self::StateMismatch => "state-mismatch",
            Self::IssuerMismatch => "issuer-mismatch",
            Self::SubjectMismatch => "subject-mismatch",
            Self::SignInStale => "sign-in-stale",
            Self::AccessDenied => "provider-access-denied",
            Self::InteractionRequired => "provider-interaction-required",
            Self::LoginTooOld => "login-too-old",
            Self::LoginTooWeak => "login-too-weak",
            Self::LoginClaimMissing => "login-claim-missing",
            Self::ClaimInvalid => "login-claim-invalid",
        }
    }

    /// The failure, with details for the log.
    pub(crate) fn because(self, detail: impl Into<String>) -> SignInFailure {
        SignInFailure { cause: self, detail: detail.into() }
    }
}

/// A peer's words as they stand in a log line: quoted, escaped and cut.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

#[cfg(test)]
pub(crate) const CAUSES: [Cause; 26] = [
    Cause::ProviderUnreachable,
    Cause::ProviderSlow,
    Cause::ProviderFailed,
    Cause::ProviderAnswerInvalid,
    Cause::ProviderMisconfigured,
    Cause::ProviderClientRefused,
    Cause::ProviderClockSkew { ahead_s: -90 },
    Cause::CallbackInvalid,
    Cause::CodeRefused,
    Cause::IdTokenMalformed,
    Cause::IdTokenSignature,
    Cause::IdTokenAlgorithm,
    Cause::IdTokenExpired,
    Cause::IdTokenAudience,
    Cause::IdTokenHash,
    Cause::NonceMismatch,
    Cause::StateMismatch,
    Cause::IssuerMismatch,
    Cause::SubjectMismatch,
    Cause::SignInStale,
    Cause::AccessDenied,
    Cause::InteractionRequired,
    Cause::LoginTooOld,
    Cause::LoginTooWeak,
    Cause::LoginClaimMissing,
    Cause::ClaimInvalid,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_in_the_catalogue_and_has_words() {
        for cause in CAUSES {
            let failure = cause.because("x");
            assert!(postern_model::codes::lookup(failure.code()).is_some(), "{}", failure.code());
            assert!(failure.words("Example").ends_with('.'), "{}", failure.words("Example"));
        }
        let words = Cause::ProviderClockSkew { ahead_s: -90 }.because("").words("Example");
        assert!(words.starts_with("The clock of Example is 90 s behind ours."), "{words}");
    }

    #[test]
    fn words_of_peers_are_quoted_and_cut() {
        assert_eq!(shown("a\n\u{1b}[m"), r#""a\n\u{1b}[m""#);
        assert!(shown(&"x".repeat(1_000)).len() < 200);
    }
}
