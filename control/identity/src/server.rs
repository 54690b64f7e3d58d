//! HTTP towards the relays: from method and path to a page. Every answer says that nothing may frame, sniff or keep it.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_model::identity::{DEVICE_HOST_PATH, DEVICE_RETURN_PATH};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control::Control;
use crate::oauth::{self, Place};
use crate::{device, external, negotiate, pages, passwords, portal, saml, scim, sign_in};

/// A page's bytes.
pub(crate) type Page = Full<Bytes>;

/// Serves one connection of the connector's.
pub(crate) async fn serve(stream: UnixStream, control: Rc<Control>) {
    let service = service_fn(move |request| {
        let control = Rc::clone(&control);
        async move { Ok::<_, Infallible>(answer(&control, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection from a relay ended");
    }
}

async fn answer(control: &Control, request: Request<Incoming>) -> Response<Page> {
    if scim::is_for(request.uri().path()) {
        return scim::answer(control, request).await;
    }
    let (head, body) = request.into_parts();
    let page = page(control, &head, body).await;
    let page = negotiate::answer(control, &head, page).await;
    device::noted(&head.headers, page)
}

async fn page(control: &Control, head: &Parts, body: Incoming) -> Response<Page> {
    let body = timeout(BODY_TIMEOUT, Limited::new(body, FORM_BYTES_MAX).collect()).await;
    let Some(body) = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes) else {
        return pages::empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    if let Some(place) = Place::of(head.uri.path()) {
        return oauth::answer(control, place, head, &body).await;
    }
    let (headers, query) = (&head.headers, head.uri.query().unwrap_or_default());
    let is_get = matches!(head.method, Method::GET | Method::HEAD);
    if let Some(app) = passwords::app_of(head.uri.path()) {
        return passwords::answer(control, head, app, &body).await;
    }
    if portal::is_for(head.uri.path()) {
        return portal::answer(control, head, &body).await;
    }
    match (head.uri.path(), &head.method) {
        ("/authorize", _) if is_get => sign_in::begin(control, headers, query).await,
        ("/sign-in", &Method::POST) => sign_in::password(control, headers, &body).await,
        ("/sign-in/factor", &Method::POST) => sign_in::factor(control, headers, &body).await,
        ("/account", _) if is_get => sign_in::account(control, headers).await,
        ("/account", &Method::POST) => sign_in::change_account(control, headers, &body).await,
        (DEVICE_HOST_PATH, &Method::GET) => device::show(control, headers, query).await,
        (DEVICE_RETURN_PATH, &Method::GET) => device::back(control, headers, query).await,
        ("/sign-out", _) if is_get => sign_in::ask_sign_out(control, headers).await,
        ("/sign-out", &Method::POST) => sign_in::sign_out(control, headers).await,
        ("/sign-in/name", &Method::POST) => external::login(control, headers, &body).await,
        ("/external", _) if is_get => external::begin(control, headers, query).await,
        ("/external/backchannel-logout", &Method::POST) => external::backchannel_logout(control, &body).await,
        ("/signed-out", _) if is_get => pages::signed_out(None, &[]),
        ("/style.css", _) if is_get => pages::style(),
        ("/webauthn.js", _) if is_get => pages::script(),
        ("/saml/metadata", _) if is_get => saml::metadata(control).await,
        ("/saml/sso", _) if is_get => saml::by_redirect(control, headers, query).await,
        ("/saml/sso", &Method::POST) => saml::by_post(&body),
        ("/saml/start", _) if is_get => saml::by_link(control, headers, query).await,
        ("/saml.js", _) if is_get => pages::saml_script(),
        (
            "/authorize" | "/sign-in" | "/sign-in/name" | "/sign-in/factor" | "/account" | "/sign-out" | "/signed-out",
            _,
        )
        | (DEVICE_HOST_PATH | DEVICE_RETURN_PATH, _)
        | ("/external" | "/style.css" | "/webauthn.js" | "/saml.js", _)
        | ("/saml/metadata" | "/saml/sso" | "/saml/start", _) => pages::empty(StatusCode::METHOD_NOT_ALLOWED),
        (path, _) => match path.strip_prefix("/external/callback/") {
            Some(place) if is_get => external::callback(control, headers, place, query).await,
            Some(_) | None => pages::not_found(),
        },
    }
}

/// A form of ours has some hundred bytes and a password.
const FORM_BYTES_MAX: usize = 16 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The connector closes what it keeps after a shorter time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
