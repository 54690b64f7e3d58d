//! The OpenID provider's endpoints for programs: what goes there and what comes back.

use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use serde::Deserialize;
use url::Url;

use super::kept::Login;
use crate::https::{Answer, Https};

/// What the token endpoint gives.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: SecretText,
    pub(super) refresh_token: SecretText,
    pub(super) expires_in: u64,
}

/// RFC 6749 §5.2.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    pub(super) error: String,
    #[serde(default)]
    error_description: String,
}

/// Another access token, and another refresh token.
pub(super) fn refresh(https: &Https, login: &Login) -> Result<Tokens, Failure> {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &*login.client),
        ("refresh_token", login.refresh_token.expose()),
    ];
    let answer = https.post(&login.token_endpoint, &form)?;
    tokens(&answer, &login.token_endpoint)?.map_err(|refused| {
        let again = format!("postern access login {} --client {}", login.app, login.client);
        refused.failure(&login.token_endpoint).cure(again)
    })
}

/// The refresh token is good no longer.
pub(super) fn revoke(https: &Https, login: &Login) -> Result<(), Failure> {
    give_back(https, &login.revocation_endpoint, &login.client, &login.refresh_token)
}

/// The same, of a login that is not kept.
pub(super) fn give_back(
    https: &Https,
    endpoint: &Url,
    client: &str,
    refresh_token: &SecretText,
) -> Result<(), Failure> {
    let answer = https.post(endpoint, &[("client_id", client), ("token", refresh_token.expose())])?;
    // Of a client that is disabled or gone, all tokens have ended.
    if answer.status.is_success() || answer.status.as_u16() == 401 {
        return Ok(());
    }
    Err(answer.json::<Refused>(endpoint)?.failure(endpoint))
}

/// The inner error: the provider says no.
pub(super) fn tokens(answer: &Answer, url: &Url) -> Result<Result<Tokens, Refused>, Failure> {
    if answer.status.is_success() { answer.json(url).map(Ok) } else { answer.json(url).map(Err) }
}

impl Refused {
    pub(super) fn failure(&self, url: &Url) -> Failure {
        let Self { error, error_description } = self;
        Failure::new(format!("{url} says {error}: {error_description}"))
    }
}
