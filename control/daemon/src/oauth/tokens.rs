//! The tokens themselves: signed ones for minutes, and refresh tokens, of which control keeps a hash.

use std::collections::BTreeSet;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_model::access_token::{ACCESS_TOKEN_S, ACCESS_TOKEN_TYPE, AccessClaims};
use postern_model::app_url::ExternalUrl;
use postern_model::assertion::token_id;
use postern_model::directory::assigned;
use postern_model::ids::{AppId, ClientId, TenantId, UserGroupId};
use postern_model::oauth::{REFRESH_TOKEN_PREFIX, Scope, Scopes};
use postern_model::secret::SecretText;
use postern_model::session::SessionRecord;
use serde_json::json;

use super::answers::Fault;
use super::conditions::{app_of_scope, find};
use super::{claims, signer};
use crate::clock::now_unix;
use crate::control::Control;
use crate::sessions::{random_secret, secret_key};
use crate::sign_in::issuer;

/// What an access token is for.
pub(super) struct Target {
    /// `None`: userinfo alone.
    pub(super) app: Option<AppId>,
    audience: String,
}

/// A refresh token as it is told: which grant, and what proves that it is the one that is good.
pub(super) struct RefreshToken {
    pub(super) grant: [u8; 16],
    pub(super) key: [u8; 32],
}

impl Target {
    /// Which of the granted applications: the one that `resource` names (RFC 8707), or the only one.
    pub(super) fn of(control: &Control, tenant: TenantId, scopes: &Scopes, resource: &str) -> Result<Self, Fault> {
        let apps: Vec<(AppId, String)> = {
            let snapshot = control.snapshot();
            let named = scopes.apps().filter_map(|name| find(&snapshot, tenant, name));
            named.filter_map(|app| Some((app.id, ExternalUrl::parse(&app.external_url).ok()?.to_string()))).collect()
        };
        let of = |(app, audience): &(AppId, String)| Self { app: Some(*app), audience: audience.clone() };
        if !resource.is_empty() {
            // Metadata (RFC 9728) writes it without the slash at its end.
            let is_it = |url: &str| url.trim_end_matches('/') == resource.trim_end_matches('/');
            let found = apps.iter().find(|(_, url)| is_it(url)).map(of);
            return found.ok_or_else(|| Fault::new("invalid_target", "resource is no application that was granted"));
        }
        Ok(match apps.as_slice() {
            [only] => of(only),
            // Of several none is meant yet: refreshing with `resource` gives a token for each.
            [] | [_, _, ..] => Self { app: None, audience: issuer(control) },
        })
    }
}

/// Signs an access token; gives how long it is good, too.
pub(super) fn access(
    control: &Control,
    client: ClientId,
    record: &SessionRecord,
    (scopes, target): (&Scopes, &Target),
) -> Result<(String, u64), Fault> {
    let now = now_unix();
    let mut end = now.saturating_add(ACCESS_TOKEN_S).min(record.expires_unix);
    end = record.user.expires_unix.map_or(end, |expires| end.min(expires));
    if let Some(app) = target.app {
        end = assigned_until(control, record, app, now)?.map_or(end, |expires| end.min(expires));
    }
    let issuer = issuer(control);
    if issuer.is_empty() {
        return Err(Fault::unavailable());
    }
    // A token for one application does not say what else was granted.
    let told: Scopes = scopes
        .iter()
        .filter(|scope| match scope {
            Scope::App(name) => target
                .app
                .is_none_or(|app| app_of_scope(control, client.tenant, name).is_some_and(|other| other == app)),
            Scope::OpenId | Scope::Profile | Scope::Email | Scope::Groups | Scope::Devices | Scope::EveryApp => true,
        })
        .cloned()
        .collect();
    let claims = AccessClaims {
        iss: issuer,
        aud: target.audience.clone(),
        sub: record.user.id,
        client_id: client,
        scope: told.to_string(),
        sid: record.id,
        iat: now,
        nbf: now,
        exp: end,
        auth_time: record.authenticated_unix,
        amr: record.methods.clone(),
        jti: token_id().map_err(|_| Fault::unavailable())?,
    };
    let token = signer(control).sign_claims(ACCESS_TOKEN_TYPE, &claims, now).map_err(|_| Fault::unavailable())?;
    Ok((token, end.saturating_sub(now)))
}

/// Refused at once where the user may not use the application any more; gives the assignment's end.
fn assigned_until(control: &Control, record: &SessionRecord, app: AppId, now: u64) -> Result<Option<u64>, Fault> {
    let user = control.directory(|store| store.user(record.user.id)).map_err(|_| Fault::unavailable())?;
    let groups: BTreeSet<UserGroupId> = record.user.groups.keys().copied().collect();
    let snapshot = control.snapshot();
    let assignment = user.and_then(|user| assigned(&snapshot.assignments, &user, &groups, app, now).cloned());
    let assignment =
        assignment.ok_or_else(|| Fault::new("invalid_grant", "the user is not assigned to the application"))?;
    Ok(assignment.expires_unix)
}

/// Signs an ID token for a client.
pub(super) fn id(
    control: &Control,
    client: ClientId,
    record: &SessionRecord,
    (scopes, nonce): (&Scopes, &str),
) -> Result<String, Fault> {
    let now = now_unix();
    let mut all = claims::of_user(record, scopes);
    all.extend(claims::of_sign_in(record));
    let end = now.saturating_add(ACCESS_TOKEN_S).min(record.expires_unix);
    let rest = [("iss", json!(issuer(control))), ("aud", json!(client)), ("iat", json!(now)), ("exp", json!(end))];
    all.extend(rest.map(|(name, value)| (name.to_owned(), value)));
    if !nonce.is_empty() {
        all.insert("nonce".into(), json!(nonce));
    }
    signer(control).sign_claims("JWT", &all, now).map_err(|_| Fault::unavailable())
}

impl RefreshToken {
    /// A new one of a grant, and its text.
    pub(super) fn make(grant: [u8; 16]) -> Result<(Self, SecretText), Fault> {
        let (secret, key) = random_secret().map_err(|_| Fault::unavailable())?;
        let text = format!("{REFRESH_TOKEN_PREFIX}{}.{}", URL_SAFE_NO_PAD.encode(grant), secret.expose());
        Ok((Self { grant, key }, SecretText::new(text)))
    }

    /// The id of a new grant.
    pub(super) fn grant_id() -> Result<[u8; 16], Fault> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| Fault::unavailable())?;
        Ok(id)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let (grant, secret) = text.strip_prefix(REFRESH_TOKEN_PREFIX)?.split_once('.')?;
        let grant = URL_SAFE_NO_PAD.decode(grant).ok()?.try_into().ok()?;
        Some(Self { grant, key: secret_key(secret) })
    }
}
