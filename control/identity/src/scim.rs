//! SCIM towards the relays: what HTTP carries becomes one question to control, and its answer HTTP again. Nothing is decided
//! here but whether the request is one at all.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use postern_model::identity::path;
use postern_model::scim::{Answer, BODY_BYTES_MAX, Call, PREFIX, ScimError, ScimType, Verb};
use postern_model::secret::SecretText;
use serde_json::Value;
use tokio::time::timeout;

use crate::control::Control;
use crate::request;
use crate::server::Page;

/// Whether a path is for SCIM clients.
pub(crate) fn is_for(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers one request.
pub(crate) async fn answer(control: &Control, request: Request<Incoming>) -> Response<Page> {
    let (head, body) = request.into_parts();
    let asked = async {
        let body = timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).ok_or_else(|| {
            ScimError::status(413, format!("a body has at most {BODY_BYTES_MAX} bytes, and is sent within 10 s"))
        })?;
        let call = call(&head, &body)?;
        control.ask::<Answer>(path::SCIM, &call).await.map_err(|error| {
            tracing::warn!(%error, "a SCIM client gets no answer");
            ScimError::status(503, "control does not answer: try again")
        })
    };
    let answer = asked.await.unwrap_or_else(|error: ScimError| Answer {
        status: error.status,
        body: Some(error.to_json()),
        retry_after_s: (error.status == 503).then_some(RETRY_S),
        ..Answer::default()
    });
    response(answer)
}

fn call(head: &Parts, body: &[u8]) -> Result<Call, ScimError> {
    let verb = match head.method {
        Method::GET => Verb::Get,
        Method::POST => Verb::Post,
        Method::PUT => Verb::Put,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => return Err(ScimError::status(405, "methods are GET, POST, PUT, PATCH and DELETE")),
    };
    let source = request::client(&head.headers).ok_or_else(|| ScimError::status(400, "nobody says who asks"))?.address;
    // Whether there must be one is said where it is known what is asked.
    let has_body = matches!(verb, Verb::Post | Verb::Put | Verb::Patch) && !body.is_empty();
    let body = has_body.then(|| json(&head.headers, body)).transpose()?;
    Ok(Call {
        verb,
        path: head.uri.path().strip_prefix(PREFIX).unwrap_or_default().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body,
        token: SecretText::new(bearer(&head.headers).unwrap_or_default().to_owned()),
        if_match: text(&head.headers, &IF_MATCH)?,
        if_none_match: text(&head.headers, &IF_NONE_MATCH)?,
        source,
    })
}

fn json(headers: &HeaderMap, body: &[u8]) -> Result<Value, ScimError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Err(ScimError::status(415, "a body is of the type application/scim+json"));
    }
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| ScimError::bad(ScimType::InvalidSyntax, format!("the body is not JSON: {error}")))?;
    if is_deeper(&body, DEPTH_MAX) {
        return Err(ScimError::bad(ScimType::InvalidSyntax, format!("the body is nested deeper than {DEPTH_MAX}")));
    }
    Ok(body)
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(less) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, less)),
        Value::Object(parts) => parts.values().any(|part| is_deeper(part, less)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// One `Authorization` of the scheme Bearer.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let text = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, ScimError> {
    let mut all = headers.get_all(name).iter();
    let Some(first) = all.next() else { return Ok(None) };
    let text = first.to_str().ok().filter(|text| text.len() <= TAGS_BYTES_MAX && all.next().is_none());
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(|| ScimError::status(400, format!("{name} is not a list of ETags")))
}

fn response(answer: Answer) -> Response<Page> {
    let Answer { status, body, etag, location, retry_after_s, challenge } = answer;
    let body = body.and_then(|body| serde_json::to_vec(&body).ok());
    let has_body = body.is_some();
    let mut response = Response::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/scim+json"));
    }
    let challenge = challenge.map(|error| match error.as_str() {
        "" => r#"Bearer realm="scim""#.to_owned(),
        error => format!(r#"Bearer realm="scim", error="{error}""#),
    });
    let retry = retry_after_s.map(|wait_s| wait_s.to_string());
    for (name, value) in [(ETAG, etag), (LOCATION, location), (RETRY_AFTER, retry), (WWW_AUTHENTICATE, challenge)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_S: u64 = 5;
/// A patch of members has five. Control reads what is within a question of its own.
const DEPTH_MAX: usize = 32;
const TAGS_BYTES_MAX: usize = 1_024;
const KINDS: &[&str] = &["application/scim+json", "application/json"];

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: Method, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri).header("x-forwarded-for", "192.0.2.7");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_becomes_a_question() {
        let headers = [("authorization", "bearer psc_x"), ("content-type", "application/SCIM+json; charset=utf-8")];
        let call = call(&parts(Method::PATCH, "/scim/v2/Users/u1-1?attributes=id", &headers), b"{}").unwrap();
        assert_eq!((call.path.as_str(), call.query.as_str(), call.verb), ("/Users/u1-1", "attributes=id", Verb::Patch));
        assert_eq!((call.token.expose(), call.source.to_string().as_str()), ("psc_x", "192.0.2.7"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let json = ("content-type", "application/json");
        let deep = "[".repeat(64) + &"]".repeat(64);
        for (method, headers, body, status) in [
            (Method::POST, vec![("content-type", "text/plain")], "{}", 415),
            (Method::POST, vec![], "{}", 415),
            (Method::POST, vec![json], "{", 400),
            (Method::POST, vec![json], deep.as_str(), 400),
            (Method::OPTIONS, vec![], "", 405),
            (Method::GET, vec![("if-none-match", "a"), ("if-none-match", "b")], "", 400),
            (Method::GET, vec![("x-forwarded-for", "192.0.2.8")], "", 400),
        ] {
            let found = call(&parts(method, "/scim/v2/Users", &headers), body.as_bytes()).unwrap_err();
            assert_eq!(found.status, status, "{headers:?}");
        }
        assert_eq!(call(&parts(Method::PUT, "/scim/v2/Schemas", &[]), b"").unwrap().body, None);
        let two = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(call(&parts(Method::GET, "/scim/v2/Users", &two), b"").unwrap().token.expose(), "", "which one?");
        assert!(is_for("/scim/v2") && is_for("/scim/v2/Users") && !is_for("/scim/v20") && !is_for("/scim"));
    }

    #[test]
    fn a_refusal_asks_for_a_token() {
        let answer = Answer { status: 401, challenge: Some("invalid_token".into()), ..Answer::default() };
        let response = response(answer);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], r#"Bearer realm="scim", error="invalid_token""#);
    }
}
