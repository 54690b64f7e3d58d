//! From a request head to the application it is for. Nothing is normalised here: what is routed is what is forwarded.

use std::sync::Arc;

use postern_http::{PathRules, RequestHead, TargetForm};
use postern_model::plan::{Plan, PlannedApp};

use super::reject::Reject;

/// A request and the application it is for.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) app: Arc<PlannedApp>,
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
    head.target.admit(PathRules::default()).map_err(Reject::malformed)?;
    let Some(app) = routes.route(&head.target.routing_path()) else { return Err(Reject::path_unpublished()) };
    Ok(Routed { app: Arc::clone(app) })
}
