//! Preflights (Fetch §4.8): what browsers ask on their own before they send what a page of another origin wants. They carry nothing
//! that says who asks, so rules answer them, or let them through, before anybody is asked.

use postern_http::{FieldRef, Headers, Known, Method, RequestHead};
use postern_model::plan::PlannedApp;
use postern_model::settings::CorsRule;

use super::additions::only;
use super::reject::Reject;

/// Whether it is a preflight that the application answers itself. What a rule answers ends with that answer; everything else is
/// decided on as any request.
pub(super) fn passes(head: &RequestHead, app: &PlannedApp) -> Result<bool, Reject> {
    let Some(cors) = &app.settings.answers.cors else { return Ok(false) };
    if head.method != Method::Options || head.upgrade {
        return Ok(false);
    }
    let (origin, method) = (only(head, Known::Origin), only(head, Known::AccessControlRequestMethod));
    let (Some(origin), Some(method)) = (origin, method) else { return Ok(false) };
    match cors.rule(&head.target.routing_path()) {
        None => Ok(false),
        Some(CorsRule::Pass) => Ok(is_bare(head)),
        Some(CorsRule::Allow(allow)) => {
            let asked = head.headers.get_all(Known::AccessControlRequestHeaders);
            let names: Vec<&str> = asked.map(|names| std::str::from_utf8(names).unwrap_or(UNREADABLE)).collect();
            let headers = names.join(", ");
            match allow.check(origin, method, &headers) {
                Ok(()) => Err(Reject::preflight_allowed(allow, origin, headers)),
                Err(refused) => Err(Reject::cors_refused(refused)),
            }
        }
    }
}

/// Browsers send nothing with it that could be anybody's (Fetch §4.8: no credentials, no content).
fn is_bare(head: &RequestHead) -> bool {
    head.body.is_empty() && !head.headers.contains(Known::Cookie) && !head.headers.contains(Known::Authorization)
}

/// What goes with one that the application answers: nobody knows who sends it, and what browsers do not send says something else than
/// a preflight (`X-HTTP-Method-Override`), or that somebody who is let in said it.
pub(super) fn strip(headers: &mut Headers) {
    let others = headers.iter().map(FieldRef::name).filter(|name| !is_browsers(name));
    let others: Vec<String> = others.map(str::to_owned).collect();
    for name in others {
        headers.remove(name.as_str());
    }
}

/// Whether browsers send it with preflights, or may; `name` is in lower case.
fn is_browsers(name: &str) -> bool {
    BROWSERS.contains(&name) || name.starts_with("sec-fetch-") || name.starts_with("sec-ch-")
}

const BROWSERS: [&str; 16] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-local-network",
    "access-control-request-method",
    "access-control-request-private-network",
    "cache-control",
    "content-length",
    "dnt",
    "host",
    "origin",
    "pragma",
    "referer",
    "sec-gpc",
    "user-agent",
];

/// No name of a field.
const UNREADABLE: &str = "?:";
