//! Service tokens: made, changed and revoked. A secret leaves control once, in the answer that made it.

use std::collections::BTreeSet;

use postern_model::admin::{
    Changed, CreateServiceToken, Problem, RotateServiceToken, SERVICE_TOKEN_TTL_S_DEFAULT, SERVICE_TOKEN_TTL_S_MAX,
    ServiceTokenChanged, ServiceTokenIssued, ServiceTokenView, SetServiceToken, Validity,
};
use postern_model::config::{Preauth, Tenant};
use postern_model::ids::{AppId, ServiceTokenId};
use postern_model::plan::PlannedApp;
use postern_model::secret::SecretText;
use postern_model::service_token::{
    PresentedToken, SERVICE_TOKEN_APPS_MAX, SERVICE_TOKENS_MAX, ServiceToken, TokenSecret,
};
use postern_model::{Change, Snapshot};
use zeroize::Zeroizing;

use crate::apps::find_app;
use crate::clock::{now_unix, now_unix_ms};
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::problem::{check_no_id, not_found_among, problem};

/// `access token list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<ServiceTokenView> {
    let snapshot = control.snapshot();
    own(&snapshot, tenant).map(|token| view(&snapshot, token)).collect()
}

/// `access token show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<ServiceTokenView, Problem> {
    let snapshot = control.snapshot();
    Ok(view(&snapshot, find(&snapshot, tenant, name)?))
}

/// `access token create`.
pub(crate) fn create(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: CreateServiceToken,
) -> Result<ServiceTokenIssued, Problem> {
    if request.apps.is_empty() {
        return Err(problem("request-invalid", "name the applications that the token lets in to, at least one"));
    }
    let mut draft = Draft::default();
    let id = ServiceTokenId::new(tenant.id, control.next(counter("service-token", tenant.id), &mut draft)?);
    let secret = random_secret()?;
    let token = {
        let snapshot = control.snapshot();
        check_room(&snapshot, tenant, &request)?;
        ServiceToken {
            id,
            name: request.name,
            key: secret.key(),
            apps: found_apps(&snapshot, tenant, &request.apps)?,
            expires_unix: expiry(request.validity)?,
            enabled: true,
            created_unix_ms: now_unix_ms(),
        }
    };
    let version = store(control, actor, draft, "access-token.create", None, &token)?;
    Ok(issued(control, &token, secret, version))
}

/// `access token set`, `enable` and `disable`.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: &SetServiceToken,
) -> Result<ServiceTokenChanged, Problem> {
    let before = find(&control.snapshot(), tenant, name)?.clone();
    let mut token = before.clone();
    {
        let snapshot = control.snapshot();
        if let Some(apps) = &request.apps {
            token.apps = found_apps(&snapshot, tenant, apps)?;
        }
        token.apps.extend(found_apps(&snapshot, tenant, &request.add_apps)?);
        let removed = found_apps(&snapshot, tenant, &request.remove_apps)?;
        token.apps.retain(|app| !removed.contains(app));
    }
    check_apps(&token.apps)?;
    if let Some(validity) = request.validity {
        token.expires_unix = expiry(validity)?;
    }
    token.enabled = request.enabled.unwrap_or(token.enabled);
    let action = match request.enabled {
        Some(true) => "access-token.enable",
        Some(false) => "access-token.disable",
        None => "access-token.set",
    };
    let version = store(control, actor, Draft::default(), action, Some(&before), &token)?;
    let snapshot = control.snapshot();
    let mut warnings = warnings(&snapshot, &token);
    if before == token {
        warnings.insert(0, format!("{}: nothing changes: it is so already", token.name));
    }
    Ok(ServiceTokenChanged { service_token: view(&snapshot, &token), version, warnings })
}

/// `access token rotate`: another secret, and the one before is good no longer.
pub(crate) fn rotate(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: &RotateServiceToken,
) -> Result<ServiceTokenIssued, Problem> {
    let before = find(&control.snapshot(), tenant, name)?.clone();
    let secret = random_secret()?;
    let mut token = ServiceToken { key: secret.key(), ..before.clone() };
    if let Some(validity) = request.validity {
        token.expires_unix = expiry(validity)?;
    }
    let version = store(control, actor, Draft::default(), "access-token.rotate", Some(&before), &token)?;
    Ok(issued(control, &token, secret, version))
}

/// `access token revoke`.
pub(crate) fn revoke(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        let token = find(&snapshot, tenant, name)?;
        draft.audit(Audit {
            action: "access-token.revoke",
            tenant: Some(tenant.id),
            target: target(token),
            before: Some(summary(&snapshot, token)),
            after: None,
        });
        draft.change(Change::ServiceTokenRemoved { id: token.id });
    }
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// The tokens that name an application: what [`emptied`] compares with later.
pub(crate) fn filled(snapshot: &Snapshot) -> BTreeSet<ServiceTokenId> {
    snapshot.service_tokens.values().filter(|token| !token.apps.is_empty()).map(|token| token.id).collect()
}

/// One line for each token that was [`filled`] and names no application now: it lets nobody in any more.
pub(crate) fn emptied(filled: &BTreeSet<ServiceTokenId>, now: &Snapshot) -> Vec<String> {
    let empty = now.service_tokens.values().filter(|token| token.apps.is_empty() && filled.contains(&token.id));
    empty.map(|token| format!("service token {} has no application left: it lets nobody in", token.name)).collect()
}

/// Nothing happens when nothing changes.
fn store(
    control: &Control,
    actor: &Actor,
    mut draft: Draft,
    action: &'static str,
    before: Option<&ServiceToken>,
    token: &ServiceToken,
) -> Result<u64, Problem> {
    if before == Some(token) {
        return Ok(control.snapshot().version);
    }
    {
        let snapshot = control.snapshot();
        draft.audit(Audit {
            action,
            tenant: Some(token.id.tenant),
            target: target(token),
            before: before.map(|before| summary(&snapshot, before)),
            after: Some(summary(&snapshot, token)),
        });
    }
    draft.change(Change::ServiceTokenPut(token.clone()));
    control.commit(actor, draft)
}

fn issued(control: &Control, token: &ServiceToken, secret: TokenSecret, version: u64) -> ServiceTokenIssued {
    let text: SecretText = PresentedToken { id: token.id, secret }.encode();
    let snapshot = control.snapshot();
    let warnings = warnings(&snapshot, token);
    ServiceTokenIssued { token: text, service_token: view(&snapshot, token), version, warnings }
}

/// The service tokens of an application that does not ask for them.
pub(crate) fn unasked(snapshot: &Snapshot, planned: &PlannedApp) -> Option<String> {
    let naming = snapshot.service_tokens.values().filter(|token| token.apps.contains(&planned.id));
    let names: Vec<&str> = naming.map(|token| token.name.as_str()).collect();
    (planned.preauth == Preauth::Passthrough && !names.is_empty()).then(|| {
        format!(
            "{}: everybody reaches it now (--preauth passthrough); service tokens that name it are asked for no more: {}",
            planned.name,
            names.join(", ")
        )
    })
}

/// What an operator should know.
fn warnings(snapshot: &Snapshot, token: &ServiceToken) -> Vec<String> {
    let name = &token.name;
    let mut warnings = Vec::new();
    for app in token.apps.iter().filter_map(|id| snapshot.apps.get(id)) {
        match app.preauth {
            Preauth::Oidc => {}
            Preauth::Passthrough => warnings.push(format!(
                "{}: everybody reaches it without a token (--preauth passthrough); app set {0} --preauth oidc asks for one",
                app.name
            )),
        }
    }
    if token.apps.is_empty() {
        warnings.push(format!("{name}: it names no application: it lets nobody in anywhere"));
    }
    match token.expires_unix {
        None => warnings.push(format!("{name}: it never expires: whoever finds it is let in until it is revoked")),
        Some(expires) if expires <= now_unix() => {
            warnings.push(format!("{name}: it has expired; access token set {name} --ttl 90d extends it"));
        }
        Some(_) => {}
    }
    if !token.enabled {
        warnings.push(format!("{name}: it is disabled; access token enable {name} makes it good again"));
    }
    warnings
}

fn check_room(snapshot: &Snapshot, tenant: &Tenant, request: &CreateServiceToken) -> Result<(), Problem> {
    check_no_id::<ServiceTokenId>("service token", request.name.as_str())?;
    if let Some(other) = own(snapshot, tenant).find(|token| token.name == request.name) {
        let detail = format!(
            "a service token {} exists already ({}): `postern access token rotate {0}` gives it a new secret",
            other.name, other.id
        );
        return Err(problem("name-taken", detail));
    }
    if snapshot.service_tokens.len() >= SERVICE_TOKENS_MAX {
        return Err(problem("limit-reached", format!("there are {SERVICE_TOKENS_MAX} service tokens already")));
    }
    Ok(())
}

fn found_apps(snapshot: &Snapshot, tenant: &Tenant, names: &[String]) -> Result<BTreeSet<AppId>, Problem> {
    let apps = names.iter().map(|name| Ok(find_app(snapshot, tenant, name)?.id)).collect::<Result<_, Problem>>()?;
    check_apps(&apps)?;
    Ok(apps)
}

fn check_apps(apps: &BTreeSet<AppId>) -> Result<(), Problem> {
    if apps.len() > SERVICE_TOKEN_APPS_MAX {
        return Err(problem("limit-reached", format!("a token has at most {SERVICE_TOKEN_APPS_MAX} applications")));
    }
    Ok(())
}

/// The end of what is good from now on.
fn expiry(validity: Validity) -> Result<Option<u64>, Problem> {
    let ttl_s = match validity {
        Validity::Default => SERVICE_TOKEN_TTL_S_DEFAULT,
        Validity::TtlS(ttl_s) if (1..=SERVICE_TOKEN_TTL_S_MAX).contains(&ttl_s) => ttl_s,
        Validity::TtlS(_) => {
            let detail = "a service token is valid for 1 second to 366 days; --no-expiry makes one without an end";
            return Err(problem("request-invalid", detail));
        }
        Validity::NoExpiry => return Ok(None),
    };
    Ok(Some(now_unix() + ttl_s))
}

fn random_secret() -> Result<TokenSecret, Problem> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| problem("internal", "there is no randomness"))?;
    Ok(TokenSecret::new(bytes))
}

fn find<'a>(snapshot: &'a Snapshot, tenant: &Tenant, name: &str) -> Result<&'a ServiceToken, Problem> {
    let own = || own(snapshot, tenant);
    let by_name = own().find(|token| token.name.as_str() == name);
    by_name.or_else(|| own().find(|token| token.id.to_string() == name)).ok_or_else(|| {
        let known: Vec<&str> = own().map(|token| token.name.as_str()).collect();
        not_found_among("service token", name, known)
    })
}

fn own<'a>(snapshot: &'a Snapshot, tenant: &Tenant) -> impl Iterator<Item = &'a ServiceToken> + use<'a> {
    let tenant = tenant.id;
    snapshot.service_tokens.values().filter(move |token| token.id.tenant == tenant)
}

fn view(snapshot: &Snapshot, token: &ServiceToken) -> ServiceTokenView {
    ServiceTokenView {
        id: token.id,
        name: token.name.clone(),
        apps: token.apps.iter().filter_map(|id| Some(snapshot.apps.get(id)?.name.clone())).collect(),
        expires_unix: token.expires_unix,
        expired: token.expires_unix.is_some_and(|expires| expires <= now_unix()),
        enabled: token.enabled,
        created_unix_ms: token.created_unix_ms,
    }
}

fn target(token: &ServiceToken) -> String {
    format!("service token {} ({})", token.name, token.id)
}

/// One line. Of the key enough to tell that it is another one, and nothing that helps to find the secret.
fn summary(snapshot: &Snapshot, token: &ServiceToken) -> String {
    let apps: Vec<&str> =
        token.apps.iter().filter_map(|id| Some(snapshot.apps.get(id)?.name.as_str())).take(SHOWN_MAX).collect();
    let more = token.apps.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let expires = token.expires_unix.map_or_else(|| "never".into(), |expires| expires.to_string());
    let key = &serde_json::to_string(&token.key).unwrap_or_default();
    let key = key.get(1..KEY_SHOWN + 1).unwrap_or_default();
    format!("apps={}{more} expires={expires} enabled={} key={key}…", apps.join(","), token.enabled)
}

const SHOWN_MAX: usize = 16;
/// Hex digits of a key's hash.
const KEY_SHOWN: usize = 8;
