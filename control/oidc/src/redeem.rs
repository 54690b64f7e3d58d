//! The code for tokens (OpenID Connect Core §3.1.3, RFC 6749 §4.1.3, RFC 7636 §4.5), and further claims (§5.3).

use postern_model::secret::SecretText;
use serde_json::{Map, Value};
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::discovery::Metadata;
use crate::failure::{Cause, SignInFailure, shown};
use crate::fetch::{Credentials, Fetched, Fetcher};
use crate::limits::{TOKENS_BYTES_MAX, USER_INFO_BYTES_MAX};
use crate::pending::Pending;
use crate::settings::{ClientAuth, ProviderSettings};

/// What the provider gives for a code, the parts that are used.
pub(crate) struct Tokens {
    pub(crate) id: SecretText,
    pub(crate) access: SecretText,
}

pub(crate) async fn redeem(
    fetcher: &Fetcher,
    settings: &ProviderSettings,
    metadata: &Metadata,
    pending: &Pending,
    code: &SecretText,
) -> Result<Tokens, SignInFailure> {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code");
    form.append_pair("code", code.expose());
    form.append_pair("redirect_uri", &pending.redirect_uri);
    form.append_pair("code_verifier", pending.verifier.expose());
    let mut credentials = Credentials::None;
    match (metadata.client_auth, &settings.client_secret) {
        (Some(ClientAuth::ClientSecretBasic), Some(secret)) => {
            credentials = Credentials::Basic { user: &settings.client_id, password: secret.expose() };
        }
        (Some(ClientAuth::ClientSecretPost), Some(secret)) => {
            form.append_pair("client_id", &settings.client_id);
            form.append_pair("client_secret", secret.expose());
        }
        (Some(_) | None, None) | (None, Some(_)) => {
            form.append_pair("client_id", &settings.client_id);
        }
    }
    let form = Zeroizing::new(form.finish());
    let fetched = fetcher.post(&metadata.token, credentials, &form, TOKENS_BYTES_MAX).await?;
    if !fetched.status.is_success() {
        return Err(refused(&fetched, metadata));
    }
    tokens(fetched.object(&metadata.token)?)
}

fn tokens(mut answer: Map<String, Value>) -> Result<Tokens, SignInFailure> {
    let mut token = |name: &str| match answer.remove(name) {
        Some(Value::String(token)) if !token.is_empty() => Ok(SecretText::new(token)),
        Some(_) | None => Err(Cause::ProviderAnswerInvalid.because(format!("the token answer has no {name}"))),
    };
    let tokens = Tokens { id: token("id_token")?, access: token("access_token")? };
    let kind = answer.get("token_type").and_then(Value::as_str).unwrap_or_default();
    if !kind.eq_ignore_ascii_case("Bearer") {
        let what = format!("the token answer's token_type is {}, not Bearer", shown(kind));
        return Err(Cause::ProviderAnswerInvalid.because(what));
    }
    Ok(tokens)
}

/// RFC 6749 §5.2.
fn refused(fetched: &Fetched, metadata: &Metadata) -> SignInFailure {
    let answer = fetched.object(&metadata.token).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let cause = match text("error") {
        "invalid_grant" => Cause::CodeRefused,
        "invalid_client" | "unauthorized_client" => Cause::ProviderClientRefused,
        _ if fetched.status.is_server_error() => Cause::ProviderFailed,
        _ if fetched.status.as_u16() == 401 => Cause::ProviderClientRefused,
        _ => Cause::ProviderMisconfigured,
    };
    let (error, description) = (shown(text("error")), shown(text("error_description")));
    cause.because(format!("the token endpoint answers {}: {error} {description}", fetched.status))
}

/// What else the provider says about the user, of whom it must be the same `sub` (§5.3.2).
pub(crate) async fn user_info(
    fetcher: &Fetcher,
    metadata: &Metadata,
    access: &SecretText,
    subject: &str,
) -> Result<Option<Map<String, Value>>, SignInFailure> {
    let Some(url) = &metadata.user_info else {
        return Ok(None);
    };
    let fetched = fetcher.get(url, Credentials::Bearer(access.expose()), USER_INFO_BYTES_MAX).await?;
    if fetched.content_type.to_ascii_lowercase().starts_with("application/jwt") {
        let what = "userinfo comes signed or encrypted: register this client without userinfo_signed_response_alg";
        return Err(Cause::ProviderMisconfigured.because(what));
    }
    let claims = fetched.json(url)?;
    match claims.get("sub").and_then(Value::as_str) {
        Some(found) if found == subject => Ok(Some(claims)),
        Some(found) => {
            let what = format!("userinfo is about {}, the token about {}", shown(found), shown(subject));
            Err(Cause::SubjectMismatch.because(what))
        }
        None => Err(Cause::SubjectMismatch.because("userinfo has no sub")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(answer: Value) -> Result<Tokens, SignInFailure> {
        let Value::Object(answer) = answer else { panic!("{answer}") };
        tokens(answer)
    }

    #[test]
    fn a_token_answer_has_both_tokens_as_text() {
        assert!(read(json!({"id_token": "a", "access_token": "b", "token_type": "bearer"})).is_ok());
        for wrong in [
            json!({}),
            json!({"id_token": "a", "token_type": "Bearer"}),
            json!({"access_token": "b", "token_type": "Bearer"}),
            json!({"id_token": "", "access_token": "b", "token_type": "Bearer"}),
            json!({"id_token": 1, "access_token": "b", "token_type": "Bearer"}),
            json!({"id_token": "a", "access_token": "b"}),
            json!({"id_token": "a", "access_token": "b", "token_type": "DPoP"}),
        ] {
            assert_eq!(read(wrong.clone()).err().unwrap().cause, Cause::ProviderAnswerInvalid, "{wrong}");
        }
    }
}
