//! Answers that the relay gives itself: one type, rendered at one place.

mod answers;
mod limits;
mod render;
mod sign_in;
mod sso;

use std::borrow::Cow;

use postern_http::{Known, Malformed};
use postern_tunnel::{Cancel, CancelCode, Culprit};

use crate::limit::{Limited, Refused};
use render::{Beside, Content};

/// Why a request gets no answer from its application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    detail: Cow<'static, str>,
    /// What the answer's head says of the case: when to try again, where to go, how to be let in.
    field: Option<(Known, Cow<'static, str>)>,
    /// What few answers have.
    beside: Option<Box<Beside>>,
    content: Content,
    /// No refusal at all: what was asked for.
    answer: bool,
    /// The connection cannot serve another request.
    pub(crate) close: bool,
    /// The client floods: what it has open ends with this.
    pub(crate) floods: bool,
}

impl Reject {
    fn new(status: u16, code: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            code,
            detail: Cow::Borrowed(detail),
            field: None,
            beside: None,
            content: Content::Page,
            answer: false,
            close: false,
            floods: false,
        }
    }

    /// Where the next message begins is unknown: the connection is closed.
    pub(crate) fn malformed(malformed: Malformed) -> Self {
        Self { close: true, ..Self::new(malformed.status(), malformed.code(), malformed.detail()) }
    }

    pub(crate) fn host_unknown() -> Self {
        Self::new(421, "host-unknown", "No application is published under this host on this connection.")
    }

    pub(crate) fn path_unpublished() -> Self {
        Self::new(404, "path-unpublished", "No application is published under this path.")
    }

    pub(crate) fn plain_http() -> Self {
        let detail = "This port speaks HTTPS: use https:// instead of http://.";
        Self { close: true, ..Self::new(400, "plain-http-on-tls-port", detail) }
    }

    /// Nobody said who asks, or not in a way that counts. `metadata` is where this is explained to programs, here and below.
    pub(crate) fn sign_in_required(metadata: &str) -> Self {
        let detail = "This application asks who you are: open it in a browser to sign in, or send a token in the header Authorization: Bearer.";
        Self { field: Some(challenge(metadata, None)), ..Self::new(401, "sign-in-required", detail) }
    }

    pub(crate) fn access_token_invalid(metadata: &str) -> Self {
        let detail = "The access token is not valid here.";
        Self::invalid_token(metadata, "access-token-invalid", detail)
    }

    pub(crate) fn access_token_expired(metadata: &str) -> Self {
        Self::invalid_token(metadata, "access-token-expired", "The access token has expired.")
    }

    /// What let the request in does so no longer.
    pub(crate) fn access_revoked(metadata: &str) -> Self {
        let detail = "The permission was taken back while the request was in progress.";
        Self::invalid_token(metadata, "access-revoked", detail)
    }

    pub(crate) fn access_token_not_for_app(metadata: &str) -> Self {
        let detail = "The access token is good, but not for this application.";
        let field = Some(challenge(metadata, Some("insufficient_scope")));
        Self { field, ..Self::new(403, "access-token-not-for-app", detail) }
    }

    fn invalid_token(metadata: &str, code: &'static str, detail: &'static str) -> Self {
        Self { field: Some(challenge(metadata, Some("invalid_token"))), ..Self::new(401, code, detail) }
    }

    /// No refusal: what was asked for is the relay's own.
    pub(crate) fn metadata(json: String) -> Self {
        Self { content: Content::Json(json), answer: true, ..Self::new(200, "", "") }
    }

    pub(crate) fn metadata_method() -> Self {
        let detail = "This is where the relay says how to be let in: it can be read, and nothing else.";
        Self { field: Some((Known::Allow, "GET, HEAD".into())), ..Self::new(405, "metadata-method", detail) }
    }

    /// Backends would show what the relay and the connector add to a request, and what signs its user on.
    pub(crate) fn method_echoes() -> Self {
        let detail = "TRACE shows a request as the application gets it, which is nobody's to see: it is not passed on.";
        Self { field: Some((Known::Allow, ALLOWED.into())), ..Self::new(405, "method-refused", detail) }
    }

    /// Whether its page leads on to a URL, with all that stands in it.
    pub(crate) fn is_landing(&self) -> bool {
        matches!(self.content, Content::Landing(_))
    }

    /// Whether it is what was asked for.
    pub(crate) fn is_answer(&self) -> bool {
        self.answer
    }

    pub(crate) fn overloaded() -> Self {
        let detail = "The relay has as many requests in progress as it may. Try again in a moment.";
        Self { field: Some(retry_after(1)), ..Self::new(503, "overloaded", detail) }
    }

    /// A limit is used up.
    pub(crate) fn limited(limited: &Limited) -> Self {
        let limit = &limited.limit;
        let (code, detail, retry_after_s) = match limited.refused {
            Refused::Rate { rps, wait_ns } => {
                let seconds = u32::try_from(wait_ns.div_ceil(1_000_000_000)).unwrap_or(u32::MAX).max(1);
                let detail = format!(
                    "The limit {limit} ({}) is used up. Try again in {}.",
                    per_second(rps),
                    in_seconds(seconds)
                );
                ("rate-limited", detail, seconds)
            }
            Refused::Concurrency { conns } => {
                let detail =
                    format!("The limit {limit} ({conns} requests at a time) is used up. Try again in a moment.");
                ("concurrency-limited", detail, 1)
            }
        };
        let field = Some(retry_after(retry_after_s));
        // What a flooding source has open would go on beside what the kernel drops.
        let (close, floods) = (limited.floods, limited.floods);
        Self { detail: Cow::Owned(detail), field, close, floods, ..Self::new(429, code, "") }
    }

    /// The client is where the application can be reached without Postern. For the moment: it may be elsewhere tomorrow.
    pub(crate) fn corporate_redirect(location: String) -> Self {
        let detail = format!("From this network the application is reached directly, at {location}");
        let field = Some((Known::Location, Cow::Owned(location)));
        Self { detail: Cow::Owned(detail), field, ..Self::new(307, "corporate-network", "") }
    }

    pub(crate) fn connector_unavailable() -> Self {
        let detail = "No connector of this application is online. Try again in a few seconds.";
        Self { field: Some(retry_after(RETRY_AFTER_S)), ..Self::new(503, "connector-unavailable", detail) }
    }

    pub(crate) fn connector_lost() -> Self {
        let detail =
            "The connector was lost before the application answered; whether it acted on the request is unknown.";
        Self::new(502, "connector-lost", detail)
    }

    pub(crate) fn backend_timeout() -> Self {
        Self::new(504, "backend-timeout", "The application did not answer in time.")
    }

    pub(crate) fn request_timeout() -> Self {
        Self { close: true, ..Self::new(408, "request-timeout", "The request did not arrive in time.") }
    }

    /// The application's answer came through the tunnel broken.
    pub(crate) fn backend_broken() -> Self {
        Self::new(502, "backend-broken", "The application's answer was not valid HTTP.")
    }

    /// What a connector's CANCEL means to the client. Its detail may name internal hosts: it goes to the log only.
    pub(crate) fn cancelled(cancel: &Cancel) -> Self {
        match (cancel.culprit, cancel.code) {
            (_, CancelCode::TIMEOUT) => Self::backend_timeout(),
            (_, CancelCode::UNREACHABLE) => {
                Self::new(502, "backend-unreachable", "The connector could not reach the application.")
            }
            (_, CancelCode::REFUSED) => Self::new(502, "backend-refused", "The application refused the connection."),
            (_, CancelCode::TLS) => {
                Self::new(502, "backend-tls", "The application's TLS certificate or protocol was not accepted.")
            }
            (_, CancelCode::APP_UNKNOWN) => {
                Self::new(502, "backend-config-missing", "The connector does not know this application yet.")
            }
            (_, CancelCode::OVERLOADED) => Self::overloaded(),
            (_, CancelCode::SSO_REFUSED) => {
                Self::new(403, "sso-refused", "You cannot be signed on to this application. Ask its operator.")
            }
            (_, CancelCode::SSO_UNAVAILABLE) => {
                Self::new(502, "connector-sso-unavailable", "The connector cannot sign users on to this application.")
            }
            (_, CancelCode::SSO_CREDENTIAL_MISSING) => Self::sso_credential_missing(),
            (_, CancelCode::SSO_CREDENTIAL_REFUSED) => Self::sso_credential_refused(),
            (Culprit::Backend, CancelCode::SSO_FAILED) => {
                let detail = "The application did not accept the sign-on that it was given.";
                Self::new(502, "backend-sso-rejected", detail)
            }
            (_, CancelCode::SSO_FAILED) => {
                Self::new(502, "connector-sso-failed", "Signing on to the application failed.")
            }
            (Culprit::Backend, _) => Self::backend_broken(),
            (Culprit::Client | Culprit::Relay | Culprit::Connector, _) => Self::connector_lost(),
        }
    }

    /// Whose fault it is, as the access log names it.
    pub(crate) fn culprit(&self) -> &'static str {
        match self.code {
            code if code.starts_with("connector-") || code == "backend-config-missing" => "connector",
            code if code.starts_with("backend-") => "backend",
            // Here, in the directory or at the KDC.
            "sso-refused" | "sso-login-missing" | "total-timeout" => "configuration",
            "sign-in-unavailable" => "sign-in",
            "maintenance" => "configuration",
            _ if self.status >= 500 => "relay",
            _ => "client", // it asked for what it may not have, or asked in a way that is refused
        }
    }
}

/// RFC 6750 §3, with where the metadata is (RFC 9728 §5.1).
fn challenge(metadata: &str, error: Option<&str>) -> (Known, Cow<'static, str>) {
    let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
    let challenge = format!("Bearer realm=\"postern\", resource_metadata=\"{metadata}\"{error}");
    (Known::WwwAuthenticate, Cow::Owned(challenge))
}

fn retry_after(seconds: u32) -> (Known, Cow<'static, str>) {
    (Known::RetryAfter, Cow::Owned(seconds.to_string()))
}

fn per_second(rps: u64) -> String {
    if rps == 1 { String::from("1 request a second") } else { format!("{rps} requests a second") }
}

fn in_seconds(seconds: u32) -> String {
    if seconds == 1 { String::from("1 second") } else { format!("{seconds} seconds") }
}

/// Applications may allow others, and fewer.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// How long a connector typically takes to come back.
const RETRY_AFTER_S: u32 = 5;
const SIGN_IN_RETRY_S: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::in_the_simulator;
    use postern_http::Rule;
    use postern_model::codes;
    use postern_model::ids::RequestId;
    use postern_model::settings::{Maintenance, PreflightRefused};

    fn in_catalogue(code: &str, status: u16) {
        let entry = codes::lookup(code).unwrap_or_else(|| panic!("{code} is not in the catalogue"));
        assert_eq!(entry.status, Some(status), "{code}");
    }

    #[test]
    fn every_rule_of_http_is_in_the_catalogue_with_its_status() {
        for rule in Rule::ALL {
            in_catalogue(rule.code(), rule.status());
        }
    }

    #[test]
    fn a_challenge_says_where_to_read_on_and_what_was_wrong() {
        let of = |reject: Reject| {
            let (head, _) = reject.answer(RequestId(1), None);
            head.headers.get_str(Known::WwwAuthenticate).unwrap().to_owned()
        };
        in_the_simulator(1, async move {
            let start = "Bearer realm=\"postern\", resource_metadata=\"https://a/m\"";
            assert_eq!(of(Reject::sign_in_required("https://a/m")), start);
            assert_eq!(of(Reject::access_token_invalid("https://a/m")), format!("{start}, error=\"invalid_token\""));
            assert_eq!(
                of(Reject::access_token_not_for_app("https://a/m")),
                format!("{start}, error=\"insufficient_scope\"")
            );
        });
    }

    #[test]
    fn every_refusal_is_in_the_catalogue_with_its_status() {
        let own = [
            Reject::host_unknown(),
            Reject::sso_too_long("x"),
            Reject::sso_unavailable(),
            Reject::path_unpublished(),
            Reject::plain_http(),
            Reject::sign_in_required(""),
            Reject::access_token_invalid(""),
            Reject::access_token_expired(""),
            Reject::access_token_not_for_app(""),
            Reject::access_revoked(""),
            Reject::metadata_method(),
            Reject::method_echoes(),
            Reject::sign_in_failed(),
            Reject::sign_in_unavailable(),
            Reject::not_assigned(),
            Reject::session_ended(),
            Reject::policy_blocked(),
            Reject::policy_step_up(),
            Reject::sso_needs_user(),
            Reject::sso_login_missing(),
            Reject::overloaded(),
            Reject::connector_unavailable(),
            Reject::connector_lost(),
            Reject::backend_timeout(),
            Reject::request_timeout(),
            Reject::backend_broken(),
            Reject::maintenance(&Maintenance::default()),
            Reject::cors_refused(PreflightRefused::Origin),
        ];
        let culprits = [Culprit::Client, Culprit::Relay, Culprit::Connector, Culprit::Backend];
        let cancels = culprits.iter().flat_map(|culprit| {
            (0..=u16::from(u8::MAX)).map(|code| Reject::cancelled(&Cancel::new(*culprit, CancelCode(code))))
        });
        for reject in own.into_iter().chain(cancels) {
            in_catalogue(reject.code, reject.status);
        }
    }
}
