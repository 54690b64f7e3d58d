//! Who asks, as the application is told: by us alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_http::{Headers, Known, add_service, strip_identity, strip_told};
use postern_model::config::Preauth;
use postern_model::identity::{CLIENT_CERT_FIELD, REQUEST_FIELD, SIGN_IN_COOKIE};
use postern_model::ids::RequestId;
use postern_model::plan::Plan;

use crate::worker::authorise::{Permit, Subject};
use crate::worker::bearer;
use crate::worker::preflight;
use crate::worker::session::{OpenedFor, Session};
use crate::worker::sign_in::issuer_of;

/// Where nobody passes unknown, the application is told by us alone who asks. No application gets a token: it would let whoever
/// reads it there in elsewhere.
pub(super) fn identify(headers: &mut Headers, permit: &Permit, plan: &Plan) {
    match permit.app().preauth {
        Preauth::Passthrough => {}
        Preauth::Oidc => {
            strip_identity(headers);
            strip_told(headers, permit.app().settings.told_headers());
            // Nobody at all is let in with a preflight alone.
            if permit.subject().is_none() {
                preflight::strip(headers);
            }
        }
    }
    match permit.subject() {
        None => {
            bearer::take_out(headers);
            // Where people sign in, userinfo is asked with one.
            let elsewhere = plan.identity().filter(|identity| identity.app.id != permit.app().id);
            bearer::take_out_access(headers, || elsewhere.map(issuer_of));
        }
        Some(Subject::Service(token)) => {
            headers.remove(Known::Authorization);
            add_service(headers, token.name.as_str());
        }
        // An access token is all that this header shows then.
        Some(Subject::Person(person)) if person.by_token => {
            headers.remove(Known::Authorization);
        }
        Some(Subject::Person(_)) => {}
    }
    if let Some(told) = permit.told() {
        told.tell(headers);
    }
}

/// What the place to sign in has alone: the request's id, for its log, and one cookie of ours, whose name this gives; where devices are shown no cookie, but the
/// device's certificate, as RFC 9440 §2.2 writes it. What a client says there itself was removed before.
pub(super) fn tell_identity(headers: &mut Headers, session: &Session, request: RequestId) -> Option<&'static str> {
    let appended = headers.append(REQUEST_FIELD, request.to_string());
    debug_assert!(appended.is_ok(), "hex digits are a field value");
    match &session.opened_for {
        OpenedFor::Applications(_) | OpenedFor::Plain => Some(SIGN_IN_COOKIE),
        OpenedFor::Devices(_) => {
            if let Some(certificate) = session.peer_certificate() {
                let appended = headers.append(CLIENT_CERT_FIELD, format!(":{}:", STANDARD.encode(certificate)));
                debug_assert!(appended.is_ok(), "base64 between colons is a field value");
            }
            None
        }
    }
}
