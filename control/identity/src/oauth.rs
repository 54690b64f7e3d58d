//! The OpenID provider towards clients and browsers: what HTTP carries becomes a question to control, and its answer HTTP again.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use postern_model::identity::ENROL_DEVICE_PATH;
use postern_model::oauth::{Answer, Authorize, Call, Endpoint, EnterCode, GiveConsent, path};
use postern_model::secret::SecretText;
use serde_json::json;

use crate::control::Control;
use crate::request::{Fields, client, is_own_form};
use crate::server::Page;
use crate::sign_in::{bad_request, foreign_form, redirect, step};
use crate::{cookies, pages};

/// What of the provider a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Authorize,
    Consent,
    /// Where a user enters the code of a program without a browser.
    Device,
    /// Where they are led then.
    DeviceDone,
    Endpoint(Endpoint),
}

impl Place {
    /// Which place a path is, if it is one.
    pub(crate) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/oauth/authorize" => Self::Authorize,
            "/oauth/consent" => Self::Consent,
            "/device" => Self::Device,
            "/device/done" => Self::DeviceDone,
            "/oauth/device_authorization" => Self::Endpoint(Endpoint::DeviceAuthorization),
            "/oauth/token" => Self::Endpoint(Endpoint::Token),
            "/oauth/revoke" => Self::Endpoint(Endpoint::Revoke),
            "/oauth/userinfo" => Self::Endpoint(Endpoint::UserInfo),
            "/oauth/introspect" => Self::Endpoint(Endpoint::Introspect),
            ENROL_DEVICE_PATH => Self::Endpoint(Endpoint::EnrolDevice),
            "/oauth/keys" => Self::Endpoint(Endpoint::Keys),
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                Self::Endpoint(Endpoint::Metadata)
            }
            _ => return None,
        })
    }
}

/// Answers one request.
pub(crate) async fn answer(control: &Control, place: Place, head: &Parts, body: &[u8]) -> Response<Page> {
    let is_get = matches!(head.method, Method::GET | Method::HEAD);
    let is_post = head.method == Method::POST;
    match place {
        Place::Authorize if is_get => {
            authorize(control, &head.headers, head.uri.query().unwrap_or_default().as_bytes()).await
        }
        // OpenID Connect Core §3.1.2.1 allows both.
        Place::Authorize if is_post => authorize(control, &head.headers, body).await,
        Place::Consent if is_post => consent(control, &head.headers, body).await,
        Place::Device if is_get => {
            // Only shown: the user sends it (RFC 8628 §3.3.1).
            let code = Fields::parse(head.uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
            pages::device(code.get("user_code"))
        }
        Place::Device if is_post => enter_code(control, &head.headers, body).await,
        Place::DeviceDone if is_get => pages::device_done(),
        Place::Endpoint(endpoint @ (Endpoint::Metadata | Endpoint::Keys)) if is_get => {
            call(control, endpoint, &head.headers, b"").await
        }
        Place::Endpoint(Endpoint::UserInfo) if is_get => call(control, Endpoint::UserInfo, &head.headers, b"").await,
        // A token in the form instead of the header is not looked at (RFC 6750 §2.2 asks for more than it is worth).
        Place::Endpoint(Endpoint::UserInfo) if is_post => call(control, Endpoint::UserInfo, &head.headers, b"").await,
        Place::Endpoint(
            endpoint @ (Endpoint::Token
            | Endpoint::DeviceAuthorization
            | Endpoint::Revoke
            | Endpoint::Introspect
            | Endpoint::EnrolDevice),
        ) if is_post => {
            if !is_form(&head.headers) {
                return told(problem(400, "invalid_request", "send a form: application/x-www-form-urlencoded"), None);
            }
            call(control, endpoint, &head.headers, body).await
        }
        Place::Authorize | Place::Consent | Place::Device | Place::DeviceDone | Place::Endpoint(_) => {
            pages::empty(StatusCode::METHOD_NOT_ALLOWED)
        }
    }
}

async fn authorize(control: &Control, headers: &HeaderMap, fields: &[u8]) -> Response<Page> {
    let asked = Fields::parse(fields).zip(client(headers));
    let Some((fields, client)) = asked else { return bad_request() };
    let request = Authorize { fields: fields.into_all(), browser: cookies::browser(headers), client };
    step(control.ask(path::AUTHORIZE, &request).await, redirect)
}

/// `POST /oauth/consent`: a user's answer.
async fn consent(control: &Control, headers: &HeaderMap, body: &[u8]) -> Response<Page> {
    if !is_own_form(headers) {
        return pages::refused(&foreign_form());
    }
    let Some(mut fields) = Fields::parse(body) else { return bad_request() };
    let allow = match fields.get("answer") {
        "allow" => true,
        "refuse" => false,
        _ => return bad_request(),
    };
    let consent = SecretText::new(fields.take("consent"));
    let given = GiveConsent { consent, allow, browser: cookies::browser(headers) };
    step(control.ask(path::CONSENT, &given).await, |location| Some(pages::goes_back(location)))
}

/// `POST /device`: the code was entered.
async fn enter_code(control: &Control, headers: &HeaderMap, body: &[u8]) -> Response<Page> {
    if !is_own_form(headers) {
        return pages::refused(&foreign_form());
    }
    let asked = Fields::parse(body).zip(client(headers));
    let Some((mut fields, client)) = asked else { return bad_request() };
    let user_code = SecretText::new(fields.take("user_code"));
    let entered = EnterCode { user_code, browser: cookies::browser(headers), client };
    step(control.ask(path::DEVICE, &entered).await, |location| Some(pages::goes_back(location)))
}

async fn call(control: &Control, endpoint: Endpoint, headers: &HeaderMap, body: &[u8]) -> Response<Page> {
    let Some(client) = client(headers) else { return pages::empty(StatusCode::BAD_REQUEST) };
    let asked = Fields::parse(body).zip(authorization(headers));
    let Some((fields, authorization)) = asked else {
        return told(problem(400, "invalid_request", "a field, or the header Authorization, comes twice"), None);
    };
    let fields = fields.into_all().into_iter().map(|(name, value)| (name, SecretText::new(value))).collect();
    let asked = Call { endpoint, fields, authorization, client };
    let kept = match endpoint {
        Endpoint::Metadata | Endpoint::Keys => Some(PUBLIC_CACHE),
        Endpoint::Token
        | Endpoint::DeviceAuthorization
        | Endpoint::Revoke
        | Endpoint::UserInfo
        | Endpoint::Introspect
        | Endpoint::EnrolDevice => None,
    };
    match control.ask(path::CALL, &asked).await {
        Ok(answer) => told(answer, kept),
        Err(error) => {
            tracing::warn!(%error, "a client gets no answer");
            told(problem(503, "temporarily_unavailable", "control does not answer: try again"), None)
        }
    }
}

/// The outer `None`: there are two, or one that is no text.
fn authorization(headers: &HeaderMap) -> Option<Option<SecretText>> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = all.next() else { return Some(None) };
    if all.next().is_some() {
        return None;
    }
    Some(Some(SecretText::new(first.to_str().ok()?.to_owned())))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn problem(status: u16, error: &str, detail: &str) -> Answer {
    let body = json!({"error": error, "error_description": detail});
    Answer { status, body: Some(body), challenge: None }
}

/// `kept`: how long anybody may keep a good answer.
fn told(answer: Answer, kept: Option<&'static str>) -> Response<Page> {
    let Answer { status, body, challenge } = answer;
    let body = body.and_then(|body| serde_json::to_vec(&body).ok());
    let has_body = body.is_some();
    let mut response = Response::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let cache = kept.filter(|_| status == 200).unwrap_or("no-store");
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(challenge) = challenge.and_then(|challenge| HeaderValue::try_from(challenge).ok()) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// As long as verifiers of assertions keep keys.
const PUBLIC_CACHE: &str = "public, max-age=300";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_by_nobody() {
        let answer = Answer { status: 200, body: Some(json!({"access_token": "x"})), challenge: None };
        assert_eq!(told(answer.clone(), None).headers()[CACHE_CONTROL], "no-store");
        assert_eq!(told(answer, Some(PUBLIC_CACHE)).headers()[CACHE_CONTROL], PUBLIC_CACHE);
        let refused = told(problem(503, "x", "y"), Some(PUBLIC_CACHE));
        assert_eq!(refused.headers()[CACHE_CONTROL], "no-store");
    }

    #[test]
    fn one_authorization_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(authorization(&headers), Some(None));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
        assert_eq!(authorization(&headers).flatten().map(|one| one.expose().to_owned()).as_deref(), Some("Basic eDp5"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        assert_eq!(authorization(&headers), None);
    }
}
