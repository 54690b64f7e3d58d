//! Who asks, as the application is told: by us alone.

use postern_http::{Headers, Known, add_service, strip_identity, strip_told};
use postern_model::config::Preauth;
use postern_model::plan::Plan;

use crate::worker::authorise::{Permit, Subject};
use crate::worker::bearer;
use crate::worker::sign_in::issuer_of;

/// Where nobody passes unknown, the application is told by us alone who asks. No application gets a token: it would let whoever
/// reads it there in elsewhere.
pub(super) fn identify(headers: &mut Headers, permit: &Permit, plan: &Plan) {
    match permit.app().preauth {
        Preauth::Passthrough => {}
        Preauth::Oidc => {
            strip_identity(headers);
            strip_told(headers, permit.app().settings.told_headers());
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
