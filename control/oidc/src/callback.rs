//! What the browser brings back: the query of the redirect address, or the form posted there. Nothing of it is trusted.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use postern_model::secret::SecretText;

use crate::discovery::Metadata;
use crate::failure::{Cause, SignInFailure, shown};
use crate::limits::{CALLBACK_BYTES_MAX, PARAMETER_BYTES_MAX, PENDING_AGE_MAX_S};
use crate::pending::Pending;

/// An answer of the provider by way of the browser (OpenID Connect Core §3.1.2.5 and §3.1.2.6, RFC 9207).
#[derive(Clone, Default)]
pub struct Callback {
    state: Option<SecretText>,
    code: Option<SecretText>,
    issuer: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Callback {
    /// Reads a query, or the body of a form. Parameters that are not known are passed over, those that are may stand there once.
    ///
    /// # Errors
    /// `sign-in-callback-invalid`: too long, or a parameter twice.
    pub fn parse(query: &str) -> Result<Self, SignInFailure> {
        let invalid = |what: &str| Cause::CallbackInvalid.because(what);
        if query.len() > CALLBACK_BYTES_MAX {
            return Err(invalid("the query is too long"));
        }
        let mut callback = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if value.len() > PARAMETER_BYTES_MAX {
                return Err(invalid("a parameter is too long"));
            }
            let value = value.into_owned();
            let twice = match &*name {
                "state" => callback.state.replace(SecretText::new(value)).is_some(),
                "code" => callback.code.replace(SecretText::new(value)).is_some(),
                "iss" => callback.issuer.replace(value).is_some(),
                "error" => callback.error.replace(value).is_some(),
                "error_description" => callback.error_description.replace(value).is_some(),
                _ => false, // Such as session_state, scope, error_uri.
            };
            if twice {
                return Err(invalid(&format!("{} stands in the query twice", shown(&name))));
            }
        }
        Ok(callback)
    }

    /// By which state to look for what was begun; `finish` compares it in constant time.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_ref().map(SecretText::expose)
    }

    /// Whether it belongs to what was begun, and names the provider that was asked. Returns the code.
    pub(crate) fn code(
        &self,
        pending: &Pending,
        metadata: &Metadata,
        now_unix: u64,
    ) -> Result<&SecretText, SignInFailure> {
        self.is_of(pending, now_unix)?;
        self.is_from(&pending.issuer, metadata)?;
        if let Some(error) = &self.error {
            return Err(refused(error, self.error_description.as_deref()));
        }
        let code = self.code.as_ref().filter(|code| !code.expose().is_empty());
        code.ok_or_else(|| Cause::CallbackInvalid.because("it has neither a code nor an error"))
    }

    fn is_of(&self, pending: &Pending, now_unix: u64) -> Result<(), SignInFailure> {
        let Some(state) = &self.state else {
            return Err(Cause::StateMismatch.because("it has no state"));
        };
        if verify_slices_are_equal(state.expose().as_bytes(), pending.state.expose().as_bytes()).is_err() {
            return Err(Cause::StateMismatch.because("its state is not that of this browser's sign-in"));
        }
        let age_s = now_unix.saturating_sub(pending.began_unix);
        if age_s > PENDING_AGE_MAX_S {
            return Err(Cause::SignInStale.because(format!("begun {age_s} s ago, at most {PENDING_AGE_MAX_S} s count")));
        }
        Ok(())
    }

    /// RFC 9207 §2.4: with several providers, a code of one must not go to another.
    fn is_from(&self, issuer: &str, metadata: &Metadata) -> Result<(), SignInFailure> {
        match &self.issuer {
            Some(found) if found == issuer => Ok(()),
            Some(found) => {
                let what = format!("{} answered, {} was asked", shown(found), shown(issuer));
                Err(Cause::IssuerMismatch.because(what))
            }
            None if metadata.names_itself => {
                Err(Cause::IssuerMismatch.because("the answer lacks iss, which the provider announces to send always"))
            }
            None => Ok(()),
        }
    }
}

/// RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, and `unmet_authentication_requirements`.
fn refused(error: &str, description: Option<&str>) -> SignInFailure {
    let cause = match error {
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            Cause::InteractionRequired
        }
        "unmet_authentication_requirements" => Cause::LoginTooWeak,
        "server_error" | "temporarily_unavailable" => Cause::ProviderFailed,
        "invalid_request" | "invalid_scope" | "unauthorized_client" | "unsupported_response_type" => {
            Cause::ProviderMisconfigured
        }
        _ => Cause::AccessDenied, // `access_denied`, and what providers made up: whatever it is, it is a no.
    };
    cause.because(format!("the provider answers {} {}", shown(error), shown(description.unwrap_or_default())))
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("issuer", &self.issuer).field("error", &self.error).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_there_once() {
        for twice in ["code=a&code=a", "state=a&state=b", "iss=a&code=b&iss=a", "error=a&error=b"] {
            assert_eq!(Callback::parse(twice).unwrap_err().cause, Cause::CallbackInvalid, "{twice}");
        }
        assert!(Callback::parse("x=1&x=2&code=a").is_ok());
    }

    #[test]
    fn sizes_are_bounded_and_bytes_harmless() {
        assert!(Callback::parse(&format!("code={}", "a".repeat(PARAMETER_BYTES_MAX + 1))).is_err());
        assert!(Callback::parse(&"a&".repeat(CALLBACK_BYTES_MAX)).is_err());
        for odd in ["", "&&&", "=", "code", "code=%ff%00%zz", "state=%F0%9F%92%A9&=x"] {
            assert!(Callback::parse(odd).is_ok(), "{odd}");
        }
        let shown = format!("{:?}", Callback::parse("code=hunter2&state=hunter3").unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn errors_of_providers_have_words() {
        for (error, cause) in [
            ("access_denied", Cause::AccessDenied),
            ("login_required", Cause::InteractionRequired),
            ("temporarily_unavailable", Cause::ProviderFailed),
            ("invalid_scope", Cause::ProviderMisconfigured),
            ("unmet_authentication_requirements", Cause::LoginTooWeak),
            ("something_else", Cause::AccessDenied),
        ] {
            assert_eq!(refused(error, Some("a\nb")).cause, cause, "{error}");
        }
        assert!(refused("x", Some("a\nb")).detail.ends_with(r#""a\nb""#));
    }
}
