//! What clients are told besides tokens: what there is, whose a token is, and what is wrong.

use postern_model::access_token::AccessClaims;
use postern_model::oauth::{Answer, Call, ClientType, Scope, Scopes};
use serde_json::{Value, json};

use super::conditions::find;
use super::device::DEVICE_GRANT;
use super::token::{authenticated, field};
use super::tokens::RefreshToken;
use super::{claims, known, record, signer};
use crate::clock::now_unix;
use crate::control::Control;
use crate::sign_in::issuer;
use crate::store::StoredClient;

/// Why a client gets nothing: an error of RFC 6749 §5.2 and its kin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    status: u16,
    error: &'static str,
    detail: &'static str,
    challenge: Option<String>,
}

impl Fault {
    pub(super) const fn new(error: &'static str, detail: &'static str) -> Self {
        Self { status: 400, error, detail, challenge: None }
    }

    /// The client is unknown, disabled, or its secret is wrong: which, is not told.
    pub(super) fn client() -> Self {
        let challenge = Some(r#"Basic realm="oauth""#.to_owned());
        let detail = "the client is unknown or disabled, or did not show its secret";
        Self { status: 401, challenge, ..Self::new("invalid_client", detail) }
    }

    /// A code or a refresh token that is not good, or the session behind it: which, is not told.
    pub(super) const fn grant() -> Self {
        Self::new("invalid_grant", "the code or refresh token is not good, or not any more: sign in again")
    }

    /// An access token that is not good.
    pub(super) fn token() -> Self {
        let detail = "the access token is not good, or not any more";
        let challenge = Some(r#"Bearer realm="oauth", error="invalid_token""#.to_owned());
        Self { status: 401, challenge, ..Self::new("invalid_token", detail) }
    }

    /// An access token that was not granted for this (RFC 6750 §3.1).
    pub(super) fn scope(scope: &Scope) -> Self {
        let challenge = Some(format!(r#"Bearer realm="oauth", error="insufficient_scope", scope="{scope}""#));
        Self {
            status: 403,
            challenge,
            ..Self::new("insufficient_scope", "the access token was granted for something else")
        }
    }

    pub(super) fn unavailable() -> Self {
        Self { status: 503, ..Self::new("temporarily_unavailable", "try again in a moment") }
    }

    pub(super) fn answer(self) -> Answer {
        let body = json!({"error": self.error, "error_description": self.detail});
        Answer { status: self.status, body: Some(body), challenge: self.challenge }
    }
}

pub(super) const fn ok(body: Option<Value>) -> Answer {
    Answer { status: 200, body, challenge: None }
}

/// OpenID Connect Discovery §3, RFC 8414 §2.
pub(super) fn metadata(control: &Control) -> Result<Answer, Fault> {
    let issuer = issuer(control);
    if issuer.is_empty() {
        return Err(Fault::unavailable());
    }
    let at = |path: &str| format!("{issuer}{path}");
    let authentication = ["none", "client_secret_basic", "client_secret_post"];
    Ok(ok(Some(json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "jwks_uri": at("/oauth/keys"),
        "userinfo_endpoint": at("/oauth/userinfo"),
        "device_authorization_endpoint": at("/oauth/device_authorization"),
        "revocation_endpoint": at("/oauth/revoke"),
        "introspection_endpoint": at("/oauth/introspect"),
        "end_session_endpoint": at("/sign-out"),
        "scopes_supported": ["openid", "profile", "email", "groups", "devices"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_GRANT],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_methods_supported": authentication,
        "introspection_endpoint_auth_methods_supported": &authentication[1..],
        "prompt_values_supported": ["none", "login", "consent"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "amr", "acr", "nonce", "name",
            "preferred_username", "email", "groups"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))))
}

/// RFC 7517.
pub(super) fn keys(control: &Control) -> Result<Answer, Fault> {
    let signer = signer(control);
    let keys = signer.jwks().and_then(|jwks| serde_json::from_str(jwks).ok()).ok_or_else(Fault::unavailable)?;
    Ok(ok(Some(keys)))
}

/// OpenID Connect Core §5.3.
pub(super) fn user_info(control: &Control, call: &Call) -> Result<Answer, Fault> {
    let claims = opened(control, bearer(call)?).ok_or_else(Fault::token)?;
    let scopes = claims.scope.parse::<Scopes>().ok().filter(|scopes| scopes.contains(&Scope::OpenId));
    let scopes = scopes.ok_or_else(Fault::token)?;
    // The client may have been removed since.
    known(control, &claims.client_id.to_string()).ok_or_else(Fault::token)?;
    let record = record(control, claims.sid)?.filter(|record| record.user.id == claims.sub).ok_or_else(Fault::token)?;
    Ok(ok(Some(Value::Object(claims::of_user(&record, &scopes)))))
}

/// The token that a request bears.
pub(super) fn bearer(call: &Call) -> Result<&str, Fault> {
    let header = call.authorization.as_ref().map_or("", |header| header.expose());
    let (scheme, token) = header.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(Fault::token()) }
}

/// An access token of ours, whatever it is for.
fn opened(control: &Control, token: &str) -> Option<AccessClaims> {
    AccessClaims::open(token, &signer(control), (&issuer(control), None), now_unix()).ok()
}

/// RFC 7662: for clients with a secret, of tokens that are theirs or for an application that they may ask for.
pub(super) fn introspect(control: &Control, call: &Call) -> Result<Answer, Fault> {
    let client = authenticated(control, call)?;
    if client.settings.kind != ClientType::Confidential {
        return Err(Fault::client());
    }
    let text = field(call, "token");
    let told = match RefreshToken::read(text) {
        Some(shown) => refresh_told(control, &client, &shown)?,
        None => access_told(control, &client, text)?,
    };
    Ok(ok(Some(told.unwrap_or_else(|| json!({"active": false})))))
}

fn access_told(control: &Control, client: &StoredClient, text: &str) -> Result<Option<Value>, Fault> {
    let Some(claims) = opened(control, text).filter(|claims| is_for(control, client, claims)) else { return Ok(None) };
    if known(control, &claims.client_id.to_string()).is_none() {
        return Ok(None);
    }
    let Some(record) = record(control, claims.sid)?.filter(|record| record.user.id == claims.sub) else {
        return Ok(None);
    };
    let mut told = serde_json::to_value(&claims).map_err(|_| Fault::unavailable())?;
    // Which session is between control and relays.
    if let Some(told) = told.as_object_mut() {
        told.remove("sid");
    }
    told["active"] = json!(true);
    told["token_type"] = json!("Bearer");
    told["username"] = json!(record.user.login.as_str());
    Ok(Some(told))
}

fn refresh_told(control: &Control, client: &StoredClient, shown: &RefreshToken) -> Result<Option<Value>, Fault> {
    let grant = control.clients(|store| store.grant(&shown.grant)).map_err(|_| Fault::unavailable())?;
    let Some(grant) = grant.filter(|grant| grant.client == client.id && grant.refresh == shown.key) else {
        return Ok(None);
    };
    let Some(record) = record(control, grant.session)? else { return Ok(None) };
    Ok(Some(json!({
        "active": true,
        "client_id": client.id,
        "scope": grant.scopes,
        "sub": record.user.id,
        "exp": record.expires_unix,
    })))
}

/// Whether a token is any of this client's business.
fn is_for(control: &Control, client: &StoredClient, claims: &AccessClaims) -> bool {
    if claims.client_id == client.id {
        return true;
    }
    let snapshot = control.snapshot();
    let may_ask_for = |name: &postern_model::ids::Name| {
        find(&snapshot, client.id.tenant, name)
            .and_then(|app| postern_model::app_url::ExternalUrl::parse(&app.external_url).ok())
            .is_some_and(|url| url.to_string() == claims.aud)
    };
    claims.client_id.tenant == client.id.tenant && client.settings.scopes.apps().any(may_ask_for)
}
