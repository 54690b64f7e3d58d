//! The device flow's side towards programs (RFC 8628): they get two codes, one to show and one to ask with.

use postern_model::oauth::{Answer, Call, Scopes};
use serde_json::json;

use super::answers::{Fault, ok};
use super::conditions;
use super::token::{authenticated, field, grant};
use crate::clock::now_unix;
use crate::control::Control;
use crate::limits::FLOW_S;
use crate::sessions::{random_secret, secret_key};
use crate::sign_in::devices::{self, POLL_INTERVAL_S, Polled};
use crate::sign_in::issuer;
use crate::store::StoredClient;

/// `POST /oauth/device_authorization`.
pub(super) fn authorization(control: &Control, call: &Call) -> Result<Answer, Fault> {
    let client = authenticated(control, call)?;
    if !client.settings.device {
        return Err(Fault::new("unauthorized_client", "the client may not use the device flow"));
    }
    let scopes = field(call, "scope").parse::<Scopes>().ok().filter(|scopes| !scopes.is_empty());
    let scopes = scopes.filter(|scopes| client.settings.scopes.allow(scopes));
    let scopes = scopes.ok_or_else(|| Fault::new("invalid_scope", "the client may not ask for this"))?;
    if let Some(unfit) = conditions::unfit(control, client.id.tenant, &scopes) {
        return Err(Fault::new("invalid_scope", unfit));
    }
    let issuer = issuer(control);
    if issuer.is_empty() {
        return Err(Fault::unavailable());
    }
    let (device_code, device_key) = random_secret().map_err(|_| Fault::unavailable())?;
    let user_code = devices::make_user_code().map_err(|_| Fault::unavailable())?;
    let keys = (device_key, secret_key(&user_code));
    let source = call.client.address;
    control.sign_ins.borrow_mut().devices.keep(keys, (client.id, scopes), source, now_unix());
    let user_code = devices::shown(&user_code);
    Ok(ok(Some(json!({
        "device_code": device_code.expose(),
        "verification_uri": format!("{issuer}/device"),
        "verification_uri_complete": format!("{issuer}/device?user_code={user_code}"),
        "user_code": user_code,
        "expires_in": FLOW_S,
        "interval": POLL_INTERVAL_S,
    }))))
}

/// A program asks whether its user agreed.
pub(super) fn redeem(control: &Control, call: &Call, client: &StoredClient) -> Result<Answer, Fault> {
    let key = secret_key(field(call, "device_code"));
    let polled = control.sign_ins.borrow_mut().devices.poll(&key, client.id, now_unix());
    // It was taken away since: also from what its user agreed to.
    if !client.settings.device && polled != Polled::Foreign {
        return Err(Fault::new("unauthorized_client", "the client may not use the device flow"));
    }
    match polled {
        Polled::Over => Err(Fault::new("expired_token", "the device code is not good, or not any more: begin anew")),
        Polled::Foreign => Err(Fault::grant()),
        Polled::Pending => Err(Fault::new("authorization_pending", "the user has not answered yet")),
        Polled::TooFast => Err(Fault::new("slow_down", "ask less often: wait 5 seconds longer from now on")),
        Polled::Refused => Err(Fault::new("access_denied", "the user did not agree")),
        Polled::Agreed(session, scopes) => grant(control, call, client, (session, &scopes, "")),
    }
}

/// RFC 8628 §3.4.
pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
