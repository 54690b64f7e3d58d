//! From a request head to the application it is for. Nothing is normalised here: what is routed is what is forwarded.

use std::sync::Arc;

use postern_http::{Method, PathRules, RequestHead, TargetForm};
use postern_model::assertion::JWKS_PATH;
use postern_model::config::Preauth;
use postern_model::identity::{CALLBACK_PATH, DEVICE_HOST_PATH, SIGN_OUT_PATH};
use postern_model::plan::{HostRoutes, Plan, PlannedApp};
use postern_model::settings::Robots;

use super::reject::Reject;
use super::resource;
use super::session::OpenedFor;

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
    /// What crawlers may look at, which the relay answers.
    Robots,
    /// It is published with TLS, and was asked for without.
    Secured,
}

/// Finds the application.
///
/// The TLS server name and Host must agree: a connection that was opened for one host must not reach another behind the
/// back of whatever inspected the server name (RFC 9110 §7.4, RFC 9112 §3.2). Between applications and the host where devices
/// are shown that holds also where the client named none: one of their handshakes asked for a certificate, the other did not.
pub(crate) fn route(plan: &Plan, head: &RequestHead, opened_for: &OpenedFor) -> Result<Routed, Reject> {
    let host = head.authority.host();
    match opened_for {
        OpenedFor::Applications(Some(name)) if !name.eq_ignore_ascii_case(host) => return Err(Reject::host_unknown()),
        OpenedFor::Applications(_) | OpenedFor::Plain => {}
        OpenedFor::Devices(name) => return device(plan, head, name),
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
    if matches!(opened_for, OpenedFor::Plain) {
        let app = routes.route(&path).ok_or_else(|| nothing_there(plan, head, &path))?;
        check_backend(app, head)?;
        let wanted = if app.external.tls { Wanted::Secured } else { or_robots(app, head, &path) };
        return Ok(Routed { app: Arc::clone(app), wanted });
    }
    if let Some(app) = described(routes, head, &path) {
        return Ok(Routed { app: Arc::clone(app), wanted: Wanted::Metadata });
    }
    let Some(app) = routes.route(&path) else { return Err(nothing_there(plan, head, &path)) };
    check_backend(app, head)?;
    let wanted = if app.preauth == Preauth::Oidc { wanted(app, head, &path) } else { or_robots(app, head, &path) };
    Ok(Routed { app: Arc::clone(app), wanted })
}

/// Below a wildcard inside, nothing is behind a host whose labels no host there can have.
fn check_backend(app: &PlannedApp, head: &RequestHead) -> Result<(), Reject> {
    let is_one = app.internal.wildcard().is_none();
    let has_one = || app.internal.at(&app.external, head.authority.host()).is_some();
    if is_one || has_one() { Ok(()) } else { Err(Reject::host_unknown()) }
}

/// Where browsers show their device: one page of the place to sign in, and nothing that has cookies.
fn device(plan: &Plan, head: &RequestHead, name: &str) -> Result<Routed, Reject> {
    let host = head.authority.host();
    let identity = plan.identity().filter(|_| name.eq_ignore_ascii_case(host) && plan.is_device_host(host));
    let identity = identity.ok_or_else(Reject::host_unknown)?;
    // In this spelling alone: what is compared is what is forwarded.
    if head.target.path() != DEVICE_HOST_PATH || head.method != Method::Get || head.upgrade {
        return Err(Reject::path_unpublished());
    }
    Ok(Routed { app: Arc::clone(&identity.app), wanted: Wanted::Application })
}

/// Where what was asked for without TLS is. The method stays (RFC 9110 §15.4.9), and so does what was asked for.
pub(crate) fn secured(app: &PlannedApp, head: &RequestHead) -> Reject {
    let authority = app.external.authority(head.authority.host());
    Reject::redirect(308, format!("https://{authority}{}", head.target.as_str()), Vec::new())
}

/// No application has this path. At the host where devices are shown none has any: it needs a connection of its own.
fn nothing_there(plan: &Plan, head: &RequestHead, path: &str) -> Reject {
    if plan.is_device_host(head.authority.host()) {
        Reject::host_unknown()
    } else if is_robots(head, path) {
        // Nobody's: the applications of this host are below.
        Reject::robots()
    } else {
        Reject::path_unpublished()
    }
}

/// Crawlers look at the root of a host alone (RFC 9309 §2.3).
fn is_robots(head: &RequestHead, path: &str) -> bool {
    path == ROBOTS_PATH && matches!(head.method, Method::Get | Method::Head) && !head.upgrade
}

fn or_robots(app: &PlannedApp, head: &RequestHead, path: &str) -> Wanted {
    // One that is published at this very path is meant to answer.
    let denies = app.settings.answers.robots == Robots::Deny && app.external.path.is_empty();
    if denies && is_robots(head, path) { Wanted::Robots } else { Wanted::Application }
}

/// Some paths of an application that asks are the relay's own.
fn wanted(app: &PlannedApp, head: &RequestHead, path: &str) -> Wanted {
    let is_get = matches!(head.method, Method::Get | Method::Head) && !head.upgrade;
    // An empty string may be at no address at all, and comparing with that is slow: no bytes are read, but the processor tries.
    let prefix = &*app.external.path;
    let inside = if prefix.is_empty() { Some(path) } else { path.strip_prefix(prefix) };
    match inside {
        Some(CALLBACK_PATH) if is_get => Wanted::Callback,
        Some(SIGN_OUT_PATH) if is_get => Wanted::SignOut,
        Some(JWKS_PATH) if is_get && app.settings.sso_assertion.is_some() => Wanted::Keys,
        Some(_) | None => or_robots(app, head, path),
    }
}

/// The application whose metadata is asked for, if it has any. Others may have a page of their own there.
fn described<'a>(routes: &'a HostRoutes, head: &RequestHead, path: &str) -> Option<&'a Arc<PlannedApp>> {
    let about = resource::described(path).filter(|_| !head.upgrade)?;
    routes.route(about).filter(|app| app.preauth == Preauth::Oidc)
}

const ROBOTS_PATH: &str = "/robots.txt";

#[cfg(test)]
mod tests {
    use postern_http::h1::RequestParser;
    use postern_model::Snapshot;

    use super::*;
    use crate::limits::HTTP;
    use crate::side::testing::snapshot;

    fn state(external: &str, internal: &str, settings: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = snapshot(1);
        let app = snapshot.apps.values_mut().next().unwrap();
        (app.external_url, app.internal_url) = (external.into(), internal.into());
        app.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        snapshot
    }

    fn at(plan: &Plan, host: &str, path: &str) -> Result<(String, Wanted), u16> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (head, _) = RequestParser::new(HTTP).parse(request.as_bytes()).unwrap().unwrap();
        let routed = route(plan, &head, &OpenedFor::Applications(None)).map_err(|reject| reject.status)?;
        Ok((routed.app.external.to_string(), routed.wanted))
    }

    #[test]
    fn nothing_is_behind_a_host_whose_labels_are_none_inside() {
        let plan = Plan::build(&state("https://*.apps.example.com/", "http://*.internal/", &[])).unwrap();
        assert!(at(&plan, "crm.apps.example.com", "/").is_ok());
        for host in ["a_b.apps.example.com", "identity.postern.apps.example.com", "apps.example.com"] {
            assert_eq!(at(&plan, host, "/").unwrap_err(), 421, "{host}");
        }
        let one = Plan::build(&state("https://*.apps.example.com/", "http://internal/", &[])).unwrap();
        assert!(at(&one, "a_b.apps.example.com", "/").is_ok(), "one backend for all hosts takes every name");
    }

    #[test]
    fn each_place_has_the_relays_own_paths_below_its_own() {
        let segments = "https://crm.example.com/api/=http://api/";
        let settings = [("segments", segments), ("external_aliases", "https://crm.example.org")];
        let mut snapshot = state("https://crm.example.com/app/", "http://crm/", &settings);
        snapshot.apps.values_mut().next().unwrap().preauth = Preauth::Oidc;
        let plan = Plan::build(&snapshot).unwrap();
        for (host, path, external) in [
            ("crm.example.com", "/app", "https://crm.example.com/app/"),
            ("crm.example.org", "/app", "https://crm.example.org/app/"),
            ("crm.example.com", "/api", "https://crm.example.com/api/"),
        ] {
            let (found, wanted) = at(&plan, host, &format!("{path}{CALLBACK_PATH}")).unwrap();
            assert_eq!((found.as_str(), wanted), (external, Wanted::Callback), "{host}{path}");
            assert_eq!(at(&plan, host, &format!("{path}{SIGN_OUT_PATH}")).unwrap().1, Wanted::SignOut);
        }
        assert_eq!(
            at(&plan, "crm.example.org", "/api/").unwrap_err(),
            404,
            "an alias is one of the external URL alone"
        );
    }
}
