//! SAML towards browsers: what service providers ask by them is read here, decided and signed by control, and posted on by a
//! page. No key is here, and nothing that was asked is believed.

mod authn_request;
mod encoding;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use postern_model::identity::Refused;
use postern_model::saml::{SSO_PATH, SamlEnd, SamlMetadata, SamlWish, StartSaml, path};

use crate::control::Control;
use crate::cookies;
use crate::pages;
use crate::request::{Fields, client};
use crate::server::Page;
use crate::sign_in::{redirect, step, unanswered};
use authn_request::RequestInvalid;

/// `GET /saml/metadata`.
pub(crate) async fn metadata(control: &Control) -> Response<Page> {
    let answer: Result<SamlMetadata, _> = control.ask(path::METADATA, &()).await;
    let xml = match answer {
        Ok(SamlMetadata { xml: Some(xml) }) => xml,
        Ok(SamlMetadata { xml: None }) => return pages::not_found(),
        Err(error) => return unanswered(&error),
    };
    let mut response = pages::empty(StatusCode::OK);
    *response.body_mut() = Full::new(Bytes::from(xml));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/samlmetadata+xml"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// `GET /saml/sso`: a request by HTTP-Redirect (Bindings §3.4). Its signature is not looked at: nothing in it is believed.
pub(crate) async fn by_redirect(control: &Control, headers: &HeaderMap, query: &str) -> Response<Page> {
    let Some(mut fields) = Fields::parse(query.as_bytes()) else { return invalid("a field of it comes twice") };
    if !matches!(fields.get("SAMLEncoding"), "" | DEFLATE) {
        return invalid("its SAMLEncoding is not DEFLATE");
    }
    let request = encoding::inflated(fields.get("SAMLRequest")).and_then(|xml| authn_request::read(&xml));
    let request = match request {
        Ok(request) => request,
        Err(error) => return not_read(&error),
    };
    start(control, headers, SamlWish::Request(Box::new(request)), relay_state(&mut fields)).await
}

/// `POST /saml/sso`: a request by HTTP-POST (Bindings §3.5). It comes from another site, so that browsers keep the cookie of
/// the sign-in back: it is asked for once more, as a navigation.
pub(crate) fn by_post(body: &[u8]) -> Response<Page> {
    let Some(mut fields) = Fields::parse(body) else { return invalid("a field of it comes twice") };
    let request = encoding::decoded(fields.get("SAMLRequest"));
    let request = request.and_then(|xml| authn_request::read(&xml).map(|_| xml));
    let xml = match request {
        Ok(xml) => xml,
        Err(error) => return not_read(&error),
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("SAMLRequest", &encoding::deflated(&xml));
    if let Some(state) = relay_state(&mut fields) {
        query.append_pair("RelayState", &state);
    }
    let location = format!("{SSO_PATH}?{}", query.finish());
    if location.len() > LOCATION_BYTES_MAX {
        return invalid("it is too long: leave its signature and its certificate out, they are not looked at");
    }
    redirect(&location).unwrap_or_else(|| invalid("it cannot be passed on"))
}

/// `GET /saml/start?app=NAME`: nobody asked, the browser was led here.
pub(crate) async fn by_link(control: &Control, headers: &HeaderMap, query: &str) -> Response<Page> {
    let Some(mut fields) = Fields::parse(query.as_bytes()) else { return invalid("a field of it comes twice") };
    let tenant = match fields.get("tenant") {
        "" => "default".to_owned(),
        tenant => tenant.to_owned(),
    };
    let wish = SamlWish::App { tenant, app: fields.take("app") };
    start(control, headers, wish, relay_state(&mut fields)).await
}

async fn start(control: &Control, headers: &HeaderMap, wish: SamlWish, relay_state: Option<String>) -> Response<Page> {
    let Some(client) = client(headers) else { return invalid("it does not say from where it comes") };
    let asked = StartSaml { wish, relay_state, browser: cookies::browser(headers), client };
    step(control.ask(path::START, &asked).await, redirect)
}

/// The page at the end of a sign-in for a service provider.
pub(crate) fn ended(end: &SamlEnd) -> Response<Page> {
    match end {
        SamlEnd::Post(post) => pages::post(post),
        SamlEnd::Refused(refused) => pages::refused(refused),
    }
}

/// Empty ones are none.
fn relay_state(fields: &mut Fields) -> Option<String> {
    Some(fields.take("RelayState")).filter(|state| !state.is_empty())
}

fn not_read(error: &RequestInvalid) -> Response<Page> {
    invalid(&error.to_string())
}

fn invalid(why: &str) -> Response<Page> {
    let detail = format!("An application sent a SAML request that cannot be used: {why}.");
    let refused = Refused { code: "sign-in-request-invalid".into(), detail, retry_after_s: None };
    pages::refused(&refused)
}

const DEFLATE: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE";
/// Relays take heads of 16 KiB.
const LOCATION_BYTES_MAX: usize = 8 << 10;
