//! From a request head to the application it is for. Nothing is normalised here: what is routed is what is forwarded.

use std::sync::Arc;

use postern_http::{Method, PathRules, RequestHead, TargetForm};
use postern_model::assertion::JWKS_PATH;
use postern_model::config::Preauth;
use postern_model::identity::{CALLBACK_PATH, SIGN_OUT_PATH};
use postern_model::plan::{HostRoutes, Plan, PlannedApp};

use super::reject::Reject;
use super::resource;

/// A request and the application it is for.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) app: Arc<PlannedApp>,
    pub(crate) wanted: Wanted,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Something of the application.
    Application,
    /// How it takes credentials, which the relay answers.
    Metadata,
    /// A browser comes back from signing in.
    Callback,
    /// Someone signs out.
    SignOut,
    /// What assertions for it are verified with.
    Keys,
}

/// Finds the application.
///
/// The TLS server name and Host must agree: a connection that was opened for one host must not reach another behind the
/// back of whatever inspected the server name (RFC 9110 §7.4, RFC 9112 §3.2).
pub(crate) fn route(plan: &Plan, head: &RequestHead, server_name: Option<&str>) -> Result<Routed, Reject> {
    let host = head.authority.host();
    if server_name.is_some_and(|name| !name.eq_ignore_ascii_case(host)) {
        return Err(Reject::host_unknown());
    }
    let Some(routes) = plan.host(host) else { return Err(Reject::host_unknown()) };
    if matches!(head.target.form(), TargetForm::Authority | TargetForm::Asterisk) {
        return Err(Reject::path_unpublished());
    }
    if head.method.echoes() {
        return Err(Reject::method_echoes());
    }
    head.target.admit(PathRules::default()).map_err(Reject::malformed)?;
    let path = head.target.routing_path();
    if let Some(app) = described(routes, head, &path) {
        return Ok(Routed { app: Arc::clone(app), wanted: Wanted::Metadata });
    }
    let Some(app) = routes.route(&path) else { return Err(Reject::path_unpublished()) };
    let wanted = if app.preauth == Preauth::Oidc { wanted(app, head, &path) } else { Wanted::Application };
    Ok(Routed { app: Arc::clone(app), wanted })
}

/// Some paths of an application that asks are the relay's own.
fn wanted(app: &PlannedApp, head: &RequestHead, path: &str) -> Wanted {
    let is_get = matches!(head.method, Method::Get | Method::Head) && !head.upgrade;
    match path.strip_prefix(&*app.external.path) {
        Some(CALLBACK_PATH) if is_get => Wanted::Callback,
        Some(SIGN_OUT_PATH) if is_get => Wanted::SignOut,
        Some(JWKS_PATH) if is_get && app.settings.sso_assertion.is_some() => Wanted::Keys,
        Some(_) | None => Wanted::Application,
    }
}

/// The application whose metadata is asked for, if it has any. Others may have a page of their own there.
fn described<'a>(routes: &'a HostRoutes, head: &RequestHead, path: &str) -> Option<&'a Arc<PlannedApp>> {
    let about = resource::described(path).filter(|_| !head.upgrade)?;
    routes.route(about).filter(|app| app.preauth == Preauth::Oidc)
}
