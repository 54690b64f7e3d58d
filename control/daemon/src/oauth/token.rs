//! The token endpoint: a code or a refresh token becomes tokens. And the way back: a client gives up what it has.

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::ids::SessionId;
use postern_model::oauth::{Answer, Call, ClientType, Scope, Scopes};
use postern_model::secret::SecretText;
use postern_model::session::SessionRecord;
use serde_json::json;

use super::answers::{Fault, ok};
use super::codes::{Arrived, Redeem, Redeemed};
use super::device::{self, DEVICE_GRANT};
use super::tokens::{self, RefreshToken, Target};
use super::{conditions, known, record, still_may};
use crate::assignments;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::limits::GRANTS_PER_SESSION_MAX;
use crate::sessions::secret_key;
use crate::sign_in;
use crate::store::{ClientChange, SessionChange, StoredClient, StoredGrant};

/// `POST /oauth/token`.
pub(super) fn token(control: &Control, call: &Call) -> Result<Answer, Fault> {
    let client = authenticated(control, call)?;
    match field(call, "grant_type") {
        "authorization_code" => by_code(control, call, &client),
        "refresh_token" => by_refresh(control, call, &client),
        DEVICE_GRANT => device::redeem(control, call, &client),
        "" => Err(Fault::new("invalid_request", "grant_type is missing")),
        _ => Err(Fault::new(
            "unsupported_grant_type",
            "grant types are authorization_code, refresh_token and device_code",
        )),
    }
}

/// A field of the form; empty when it is not there.
pub(super) fn field<'a>(call: &'a Call, name: &str) -> &'a str {
    call.fields.get(name).map_or("", SecretText::expose)
}

/// The client, by what it shows: its secret in one place, or, if it is public, its name alone.
pub(super) fn authenticated(control: &Control, call: &Call) -> Result<StoredClient, Fault> {
    let (in_form, secret) = (field(call, "client_id"), field(call, "client_secret"));
    let shown = match &call.authorization {
        Some(header) => {
            let (id, by_header) = basic(header.expose()).ok_or_else(Fault::client)?;
            if !secret.is_empty() || !(in_form.is_empty() || in_form == id) {
                return Err(Fault::new("invalid_request", "show the client's secret in one place"));
            }
            (id, by_header)
        }
        None => (in_form.to_owned(), SecretText::new(secret.to_owned())),
    };
    let client = known(control, &shown.0).ok_or_else(Fault::client)?;
    let shown = shown.1.expose();
    let is_right = match (client.settings.kind, &client.secret) {
        (ClientType::Public, _) => shown.is_empty(),
        (ClientType::Confidential, Some(key)) => {
            constant_time::verify_slices_are_equal(&secret_key(shown), key).is_ok() && !shown.is_empty()
        }
        (ClientType::Confidential, None) => false,
    };
    if is_right { Ok(client) } else { Err(Fault::client()) }
}

/// RFC 6749 §2.3.1: both are form-encoded, then joined.
fn basic(header: &str) -> Option<(String, SecretText)> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let plain = |text: &str| {
        let pair = format!("x={text}");
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((plain(id)?, SecretText::new(plain(secret)?)))
}

fn by_code(control: &Control, call: &Call, client: &StoredClient) -> Result<Answer, Fault> {
    let (code, verifier, redirect_uri) =
        (field(call, "code"), field(call, "code_verifier"), field(call, "redirect_uri"));
    let request = Redeem { client: client.id, code, verifier, redirect_uri };
    let redeemed = control.oauth.borrow_mut().redeem(&request, now_unix());
    let arrived = match redeemed {
        Redeemed::Good(arrived) => arrived,
        Redeemed::Again(session) => {
            tracing::warn!(%session, client = %client.id, "a client's code came a second time: its session is ended");
            sign_in::end(control, session);
            return Err(Fault::grant());
        }
        Redeemed::Unknown => return Err(Fault::grant()),
    };
    let Arrived { session, wanted, redirect_uri, .. } = arrived;
    if !still_may(client, &wanted, &redirect_uri) {
        return Err(Fault::grant());
    }
    grant(control, call, client, (session, &wanted.scopes, &wanted.nonce))
}

/// A first access token and refresh token of what a user granted in a session.
pub(super) fn grant(
    control: &Control,
    call: &Call,
    client: &StoredClient,
    (session, scopes, nonce): (SessionId, &Scopes, &str),
) -> Result<Answer, Fault> {
    // The registration may have changed while the user was asked.
    if !client.settings.scopes.allow(scopes) {
        return Err(Fault::grant());
    }
    let record = record(control, session)?.ok_or_else(Fault::grant)?;
    let target = Target::of(control, client.id.tenant, scopes, field(call, "resource"))?;
    let signed = Signed::make(control, client, &record, (scopes, &target, nonce))?;
    let (refresh, text) = RefreshToken::make(RefreshToken::grant_id()?)?;
    let grant = StoredGrant {
        id: refresh.grant,
        session: record.id,
        client: client.id,
        scopes: scopes.clone(),
        refresh: refresh.key,
        used_unix: now_unix(),
    };
    let mut draft = Draft::default();
    draft.client(ClientChange::Granted(Box::new(grant), GRANTS_PER_SESSION_MAX));
    draft.audit(Audit {
        action: "client.grant",
        tenant: Some(client.id.tenant),
        target: format!("client {} ({})", client.name, client.id),
        before: None,
        after: Some(format!("{scopes} in session {}", record.id)),
    });
    control.commit(&Actor::User(record.user.login.clone()), draft).map_err(|_| Fault::unavailable())?;
    note_used(control, &target, &record);
    Ok(signed.answer(scopes, &text))
}

fn by_refresh(control: &Control, call: &Call, client: &StoredClient) -> Result<Answer, Fault> {
    let shown = RefreshToken::read(field(call, "refresh_token")).ok_or_else(Fault::grant)?;
    let grant = control.clients(|store| store.grant(&shown.grant)).map_err(|_| Fault::unavailable())?;
    let grant = grant.filter(|grant| grant.client == client.id).ok_or_else(Fault::grant)?;
    if constant_time::verify_slices_are_equal(&grant.refresh, &shown.key).is_err() {
        // Each is good once: whoever has an old one, or whoever had the newest, is not the client.
        tracing::warn!(client = %client.id, session = %grant.session, "a refresh token came again: its grant is ended");
        end_grant(control, client, &grant)?;
        return Err(Fault::grant());
    }
    // What the client may no longer ask for, it does not keep either.
    if !client.settings.scopes.allow(&grant.scopes) {
        end_grant(control, client, &grant)?;
        return Err(Fault::grant());
    }
    let record = record(control, grant.session)?.ok_or_else(Fault::grant)?;
    let scopes = narrowed(&grant.scopes, field(call, "scope"))?;
    let target = Target::of(control, client.id.tenant, &scopes, field(call, "resource"))?;
    let signed = Signed::make(control, client, &record, (&scopes, &target, ""))?;
    let (next, text) = RefreshToken::make(grant.id)?;
    let mut draft = Draft::default();
    let at_unix = now_unix();
    draft.client(ClientChange::Refreshed { id: grant.id, from: grant.refresh, to: next.key, at_unix });
    draft.session(SessionChange::Seen(grant.session, at_unix));
    control.commit(&Actor::Control, draft).map_err(|_| Fault::unavailable())?;
    note_used(control, &target, &record);
    Ok(signed.answer(&scopes, &text))
}

/// Programs use what their users are assigned to: a review must not take it for unused.
fn note_used(control: &Control, target: &Target, record: &SessionRecord) {
    if let Some(app) = target.app {
        assignments::note_used(control, app, record);
    }
}

/// RFC 6749 §6: less may be asked for than was granted, never more.
fn narrowed(granted: &Scopes, asked: &str) -> Result<Scopes, Fault> {
    if asked.is_empty() {
        return Ok(granted.clone());
    }
    let asked = asked.parse::<Scopes>().ok().filter(|asked| granted.include(asked) && !asked.is_empty());
    asked.ok_or_else(|| Fault::new("invalid_scope", "ask for what was granted, or for less"))
}

fn end_grant(control: &Control, client: &StoredClient, grant: &StoredGrant) -> Result<(), Fault> {
    let mut draft = Draft::default();
    draft.client(ClientChange::GrantEnded(grant.id));
    draft.audit(Audit {
        action: "client.grant-end",
        tenant: Some(client.id.tenant),
        target: format!("client {} ({})", client.name, client.id),
        before: Some(format!("{} in session {}", grant.scopes, grant.session)),
        after: None,
    });
    control.commit(&Actor::Control, draft).map(drop).map_err(|_| Fault::unavailable())
}

/// `POST /oauth/revoke`: what is no token, or another client's, is as good as revoked (RFC 7009 §2.2).
pub(super) fn revoke(control: &Control, call: &Call) -> Result<Answer, Fault> {
    let client = authenticated(control, call)?;
    let text = field(call, "token");
    let Some(shown) = RefreshToken::read(text) else {
        if text.contains('.') {
            let detail = "access tokens end by themselves within ten minutes; revoke the refresh token";
            return Err(Fault::new("unsupported_token_type", detail));
        }
        return Ok(ok(None));
    };
    let grant = control.clients(|store| store.grant(&shown.grant)).map_err(|_| Fault::unavailable())?;
    if let Some(grant) = grant.filter(|grant| grant.client == client.id && grant.refresh == shown.key) {
        end_grant(control, &client, &grant)?;
    }
    Ok(ok(None))
}

/// What is signed of an answer, before anything is stored.
struct Signed {
    access: (String, u64),
    id: Option<String>,
}

impl Signed {
    fn make(
        control: &Control,
        client: &StoredClient,
        record: &SessionRecord,
        (scopes, target, nonce): (&Scopes, &Target, &str),
    ) -> Result<Self, Fault> {
        if !conditions::admits(control, client, record).map_err(|_| Fault::unavailable())? {
            let detail = "the user is assigned to no application that the client is registered for";
            return Err(Fault::new("invalid_grant", detail));
        }
        let access = tokens::access(control, client.id, record, (scopes, target))?;
        let wants_id = scopes.contains(&Scope::OpenId);
        let id = wants_id.then(|| tokens::id(control, client.id, record, (scopes, nonce))).transpose()?;
        Ok(Self { access, id })
    }

    fn answer(self, scopes: &Scopes, refresh: &SecretText) -> Answer {
        let (access, expires_in) = self.access;
        let mut body = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": scopes,
            "refresh_token": refresh.expose(),
        });
        if let Some(id) = self.id {
            body["id_token"] = json!(id);
        }
        ok(Some(body))
    }
}
