//! A sign-in under way: what was sent to the provider, and what has to come back.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_model::secret::SecretText;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::discovery::Metadata;
use crate::settings::ProviderSettings;

/// What a sign-in is to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignInWish {
    /// Where the provider sends the browser back to, exactly as it is registered there.
    pub redirect_uri: String,
    /// Who is about to sign in, if that is known.
    pub login_hint: Option<String>,
    /// Of which organisation they are.
    pub domain_hint: Option<String>,
    /// So many seconds ago, at most, the user must have proved who they are; 0: anew.
    pub max_age_s: Option<u32>,
    /// One of these classes of strength, the first one preferred.
    pub acr_values: Vec<String>,
    /// Whether a sign-in of another class fails. By the standard the provider may give what it wants.
    pub acr_required: bool,
    /// What the provider may, or must, ask the user.
    pub prompt: Option<Prompt>,
}

/// Values of `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Nothing: signed in already, or a failure.
    None,
    /// To sign in, whether signed in already or not.
    Login,
    /// For consent.
    Consent,
    /// Which account.
    SelectAccount,
}

/// A sign-in that was begun. It belongs to one browser: kept where only that browser brings it back, sealed or by a random
/// name in a cookie of `HttpOnly`, `Secure` and `SameSite=Lax`. It serialises with its secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub(crate) state: SecretText,
    pub(crate) nonce: SecretText,
    pub(crate) verifier: SecretText,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) began_unix: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_age_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) acr: Vec<String>,
}

impl Pending {
    pub(crate) fn new(settings: &ProviderSettings, wish: &SignInWish, now_unix: u64) -> Self {
        Self {
            state: random(),
            nonce: random(),
            verifier: random(),
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            redirect_uri: wish.redirect_uri.clone(),
            began_unix: now_unix,
            max_age_s: wish.max_age_s,
            acr: if wish.acr_required { wish.acr_values.clone() } else { Vec::new() },
        }
    }

    /// The state, by which the browser's answer is told from others: to look up what belongs to it. `finish` compares it.
    #[must_use]
    pub fn state(&self) -> &str {
        self.state.expose()
    }

    /// When it was begun, in seconds since 1970.
    #[must_use]
    pub fn began_unix(&self) -> u64 {
        self.began_unix
    }

    /// Where the browser goes (OpenID Connect Core §3.1.2.1, RFC 7636 §4.3).
    pub(crate) fn url(&self, metadata: &Metadata, settings: &ProviderSettings, wish: &SignInWish) -> Url {
        let mut url = metadata.authorization.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code");
        query.append_pair("client_id", &settings.client_id);
        query.append_pair("redirect_uri", &self.redirect_uri);
        query.append_pair("scope", &scope(settings));
        query.append_pair("state", self.state.expose());
        query.append_pair("nonce", self.nonce.expose());
        query.append_pair("code_challenge", &challenge(&self.verifier));
        query.append_pair("code_challenge_method", "S256");
        if let Some(hint) = &wish.login_hint {
            query.append_pair("login_hint", hint);
        }
        if let Some(hint) = &wish.domain_hint {
            query.append_pair(&settings.domain_hint_parameter, hint);
        }
        if let Some(max_age_s) = wish.max_age_s {
            query.append_pair("max_age", &max_age_s.to_string());
        }
        if !wish.acr_values.is_empty() {
            query.append_pair("acr_values", &wish.acr_values.join(" "));
        }
        if let Some(prompt) = wish.prompt {
            query.append_pair("prompt", prompt.as_str());
        }
        drop(query);
        url
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("issuer", &self.issuer)
            .field("began_unix", &self.began_unix)
            .finish_non_exhaustive()
    }
}

impl Prompt {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
        }
    }
}

fn scope(settings: &ProviderSettings) -> String {
    let mut scopes: Vec<_> = settings.scopes.iter().map(String::as_str).collect();
    if !scopes.contains(&"openid") {
        scopes.insert(0, "openid");
    }
    scopes.join(" ")
}

/// 256 random bits, as 43 characters.
///
/// # Panics
/// If the system has no random numbers: nothing here would be safe then.
pub(crate) fn random() -> SecretText {
    let mut bytes = [0; 32];
    #[expect(clippy::expect_used, reason = "without random numbers no sign-in is safe")]
    rand::fill(&mut bytes).expect("the system's random numbers");
    SecretText::new(URL_SAFE_NO_PAD.encode(bytes))
}

fn challenge(verifier: &SecretText) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let verifier = SecretText::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn nothing_secret_is_in_debug_and_everything_survives_json() {
        let settings = ProviderSettings::new("x".parse().unwrap(), "https://a.example", "postern", None);
        let wish = SignInWish { redirect_uri: "https://us.example/cb".into(), ..SignInWish::default() };
        let pending = Pending::new(&settings, &wish, 1_000);
        let shown = format!("{pending:?}");
        for secret in [&pending.state, &pending.nonce, &pending.verifier] {
            assert_eq!(secret.expose().len(), 43);
            assert!(!shown.contains(secret.expose()));
        }
        assert!(pending.state != pending.nonce && pending.nonce != pending.verifier);
        let json = serde_json::to_string(&pending).unwrap();
        assert_eq!(serde_json::from_str::<Pending>(&json).unwrap(), pending);
    }
}
