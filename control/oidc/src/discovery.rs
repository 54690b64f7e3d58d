//! What a provider says about itself (OpenID Connect Discovery 1.0, RFC 8414, RFC 9207).

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use url::Url;

use crate::failure::{Cause, SignInFailure, shown};
use crate::fetch::{Credentials, Fetcher};
use crate::limits::DISCOVERY_BYTES_MAX;
use crate::settings::{self, ClientAuth, ProviderSettings};

/// The parts of it that are used, checked.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) keys: Url,
    pub(crate) user_info: Option<Url>,
    pub(crate) end_session: Option<Url>,
    /// RFC 9207: each answer names its issuer.
    pub(crate) names_itself: bool,
    /// How our secret is sent; `None`: there is none.
    pub(crate) client_auth: Option<ClientAuth>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    response_types_supported: Option<Vec<String>>,
}

/// Fetches and checks it.
pub(crate) async fn fetch(fetcher: &Fetcher, settings: &ProviderSettings) -> Result<Metadata, SignInFailure> {
    let text = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
    let url = settings::endpoint("discovery", &text, settings.insecure_loopback)
        .map_err(|error| Cause::ProviderMisconfigured.because(error.to_string()))?;
    let fetched = fetcher.get(&url, Credentials::None, DISCOVERY_BYTES_MAX).await?;
    let object = fetched.json(&url)?;
    let document = serde_json::from_value(serde_json::Value::Object(object))
        .map_err(|error| Cause::ProviderAnswerInvalid.because(format!("discovery: {error}")))?;
    check(document, settings)
}

fn check(document: Document, settings: &ProviderSettings) -> Result<Metadata, SignInFailure> {
    let wrong = |what: String| Cause::ProviderMisconfigured.because(format!("discovery: {what}"));
    // §4.3, character by character: a provider that speaks for another issuer could sign its users in here.
    if document.issuer != settings.issuer {
        let (found, wanted) = (shown(&document.issuer), shown(&settings.issuer));
        return Err(wrong(format!(
            "its issuer is {found}, the settings say {wanted}: they must be equal, slashes too"
        )));
    }
    let endpoint = |what, text: &str| {
        settings::endpoint(what, text, settings.insecure_loopback).map_err(|error| wrong(error.to_string()))
    };
    let has =
        |list: &Option<Vec<String>>, value: &str| list.as_ref().is_none_or(|list| list.iter().any(|v| v == value));
    if !has(&document.response_types_supported, "code") {
        return Err(wrong("it does not offer the code flow".into()));
    }
    if document.code_challenge_methods_supported.is_some() && !has(&document.code_challenge_methods_supported, "S256") {
        return Err(wrong("it does not offer PKCE with S256".into()));
    }
    let allowed = |name: &String| name.parse().is_ok_and(|algorithm| settings.allows(algorithm));
    if let Some(offered) = &document.id_token_signing_alg_values_supported
        && !offered.iter().any(allowed)
    {
        return Err(wrong(format!("it signs by {}, none of which is allowed here", shown(&offered.join(" ")))));
    }
    Ok(Metadata {
        authorization: endpoint("authorization_endpoint", &document.authorization_endpoint)?,
        token: endpoint("token_endpoint", &document.token_endpoint)?,
        keys: endpoint("jwks_uri", &document.jwks_uri)?,
        user_info: document.userinfo_endpoint.map(|text| endpoint("userinfo_endpoint", &text)).transpose()?,
        end_session: document.end_session_endpoint.map(|text| endpoint("end_session_endpoint", &text)).transpose()?,
        names_itself: document.authorization_response_iss_parameter_supported,
        client_auth: client_auth(document.token_endpoint_auth_methods_supported.as_deref(), settings)?,
    })
}

/// The first of ours that the provider takes. One that announces nothing takes the header (Discovery §3).
fn client_auth(offered: Option<&[String]>, settings: &ProviderSettings) -> Result<Option<ClientAuth>, SignInFailure> {
    if settings.client_secret.is_none() {
        return Ok(None);
    }
    if settings.client_auth.is_some() {
        return Ok(settings.client_auth);
    }
    let Some(offered) = offered else {
        return Ok(Some(ClientAuth::ClientSecretBasic));
    };
    let ours =
        [("client_secret_basic", ClientAuth::ClientSecretBasic), ("client_secret_post", ClientAuth::ClientSecretPost)];
    let found = ours.into_iter().find(|(name, _)| offered.iter().any(|other| other == name));
    let Some((_, auth)) = found else {
        let what = format!("discovery: it takes a client's proof by {} only", shown(&offered.join(" ")));
        return Err(Cause::ProviderMisconfigured.because(what));
    };
    Ok(Some(auth))
}

impl ProviderSettings {
    /// Whether tokens may be signed by it.
    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.iter().any(|allowed| allowed.as_jose() == algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::secret::SecretText;
    use serde_json::{Value, json};

    fn settings() -> ProviderSettings {
        let secret = SecretText::new("s".into());
        ProviderSettings::new("example".parse().unwrap(), "https://a.example", "postern", Some(secret))
    }

    fn checked(change: impl FnOnce(&mut Value)) -> Result<Metadata, SignInFailure> {
        let mut document = json!({
            "issuer": "https://a.example",
            "authorization_endpoint": "https://a.example/auth",
            "token_endpoint": "https://tokens.a.example/token",
            "jwks_uri": "https://a.example/jwks",
        });
        change(&mut document);
        check(serde_json::from_value(document).unwrap(), &settings())
    }

    #[test]
    fn little_is_needed_and_endpoints_may_be_on_other_hosts() {
        let metadata = checked(|_| {}).unwrap();
        assert_eq!(metadata.token.as_str(), "https://tokens.a.example/token");
        assert!(!metadata.names_itself && metadata.user_info.is_none());
        assert_eq!(metadata.client_auth, Some(ClientAuth::ClientSecretBasic));
    }

    #[test]
    fn another_issuer_is_refused_to_the_last_slash() {
        for wrong in ["https://a.example/", "https://A.example", "https://b.example", "https://a.example:443"] {
            let failure = checked(|document| document["issuer"] = wrong.into()).unwrap_err();
            assert_eq!(failure.cause, Cause::ProviderMisconfigured, "{wrong}");
            assert!(failure.detail.contains(wrong), "{}", failure.detail);
        }
    }

    #[test]
    fn endpoints_without_tls_are_refused() {
        for key in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"]
        {
            for wrong in ["http://a.example/x", "http://127.0.0.1/x", "javascript:alert(1)", "https://u@a.example/x"] {
                let failure = checked(|document| document[key] = wrong.into()).unwrap_err();
                assert_eq!(failure.cause, Cause::ProviderMisconfigured, "{key} {wrong}");
                assert!(failure.detail.contains(key), "{}", failure.detail);
            }
        }
    }

    #[test]
    fn a_provider_that_cannot_do_what_is_needed_is_refused() {
        for (key, wrong, words) in [
            ("response_types_supported", json!(["id_token"]), "code flow"),
            ("code_challenge_methods_supported", json!(["plain"]), "S256"),
            ("id_token_signing_alg_values_supported", json!(["HS256", "none"]), "HS256 none"),
            ("token_endpoint_auth_methods_supported", json!(["private_key_jwt"]), "private_key_jwt"),
        ] {
            let failure = checked(|document| document[key] = wrong).unwrap_err();
            assert!(failure.detail.contains(words), "{}", failure.detail);
        }
        let post =
            checked(|document| document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
        assert_eq!(post.unwrap().client_auth, Some(ClientAuth::ClientSecretPost));
    }
}
