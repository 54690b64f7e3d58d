//! A user's program asks for a certificate for the device that it runs on.

use postern_model::access_token::AccessClaims;
use postern_model::admin::Problem;
use postern_model::codes;
use postern_model::device::EnrolDevice;
use postern_model::identity::{CSR, DEVICE_NAME, DEVICE_PLATFORM};
use postern_model::oauth::{Answer, Call, Scope, Scopes};
use postern_model::policy::Platform;
use serde_json::json;

use super::answers::{Fault, bearer, ok};
use super::token::field;
use super::{known, record, signer};
use crate::clock::now_unix;
use crate::control::Control;
use crate::devices;
use crate::limits::DEVICE_ENROL_FRESH_S;
use crate::sign_in::issuer;

/// `POST /devices/enrol`.
pub(super) fn enrol(control: &Control, call: &Call) -> Result<Answer, Fault> {
    // For the issuer alone: an application that was shown a token of its own must not have devices by it.
    let issuer = issuer(control);
    let claims =
        AccessClaims::open(bearer(call)?, &signer(control), (issuer.as_str(), Some(issuer.as_str())), now_unix());
    let claims = claims.map_err(|_| Fault::token())?;
    let scopes = claims.scope.parse::<Scopes>().map_err(|_| Fault::token())?;
    if !scopes.contains(&Scope::Devices) {
        return Err(Fault::scope(&Scope::Devices));
    }
    // What is registered counts at each step.
    let client = known(control, &claims.client_id.to_string()).ok_or_else(Fault::token)?;
    if !client.settings.scopes.contains(&Scope::Devices) {
        return Err(Fault::scope(&Scope::Devices));
    }
    let record = record(control, claims.sid)?.filter(|record| record.user.id == claims.sub).ok_or_else(Fault::token)?;
    // Refreshing goes on for as long as the session does: who enrols has proven not long ago who they are.
    if record.authenticated_unix.saturating_add(DEVICE_ENROL_FRESH_S) <= now_unix() {
        return Err(Fault::new("login_required", "who adds a device signs in for that: begin anew"));
    }
    let user = control.directory(|store| store.user(record.user.id)).map_err(|_| Fault::unavailable())?;
    let user = user.filter(|user| user.is_active(now_unix())).ok_or_else(Fault::token)?;
    let request = read(call).map_err(|detail| Fault::new("invalid_request", detail))?;
    Ok(match devices::enrol(control, &user, &request) {
        Ok(enrolled) => ok(Some(serde_json::to_value(&enrolled).map_err(|_| Fault::unavailable())?)),
        Err(problem) => refused(&problem),
    })
}

fn read(call: &Call) -> Result<EnrolDevice, &'static str> {
    let name = field(call, DEVICE_NAME).trim();
    let name = name.parse().map_err(|_| "name: what the device is called, at most 64 bytes in one line")?;
    let platform = match field(call, DEVICE_PLATFORM) {
        "" => None,
        text => Some(text.parse::<Platform>().map_err(|_| "platform: what the device runs, such as linux")?),
    };
    Ok(EnrolDevice { csr_pem: field(call, CSR).to_owned(), name, platform })
}

fn refused(problem: &Problem) -> Answer {
    let status = codes::lookup(&problem.code).and_then(|code| code.status).unwrap_or(500);
    let body = json!({"error": problem.code, "error_description": problem.detail});
    Answer { status, body: Some(body), challenge: None }
}
