//! `postern client …`: clients of the OpenID provider are added, changed and removed. A secret leaves control once.

use postern_model::admin::{AddClient, Changed, ClientChanged, ClientView, Problem, SetClient};
use postern_model::config::Tenant;
use postern_model::ids::{ClientId, TenantId};
use postern_model::oauth::{CLIENT_SECRET_PREFIX, CLIENTS_MAX, ClientSettings, ClientType, ConsentBy};
use postern_model::secret::SecretText;

use super::conditions::app_of_scope;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::problem::{check_no_id, not_found_among, problem};
use crate::sessions::{random_secret, secret_key};
use crate::sign_in::issuer;
use crate::store::{ClientChange, StoredClient};

/// `client add`.
pub(crate) fn add(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: AddClient,
) -> Result<ClientChanged, Problem> {
    let name = &request.name;
    check_no_id::<ClientId>("client", name.as_str())?;
    let others = control.clients(|store| store.clients(tenant.id))?;
    if others.iter().any(|other| other.name == *name) {
        let detail = format!("a client {name} exists already: change it with `postern client set`");
        return Err(problem("name-taken", detail).about("name"));
    }
    if others.len() >= CLIENTS_MAX {
        return Err(problem("limit-reached", format!("the tenant has {CLIENTS_MAX} clients already")));
    }
    add_new(control, actor, tenant, request)
}

/// The same where it is known that there is room, and no other of this name.
pub(super) fn add_new(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: AddClient,
) -> Result<ClientChanged, Problem> {
    let AddClient { name, settings } = request;
    check_no_id::<ClientId>("client", name.as_str())?;
    check(&settings)?;
    let mut draft = Draft::default();
    let id = ClientId::new(tenant.id, control.next(counter("client", tenant.id), &mut draft)?);
    let (secret, key) = match settings.kind {
        ClientType::Public => (None, None),
        ClientType::Confidential => {
            let (text, key) = fresh_secret()?;
            (Some(text), Some(key))
        }
    };
    let client = StoredClient { id, name, settings, secret: key };
    draft.audit(Audit { after: Some(summary(&client)), ..audit("client.add", &client) });
    put(control, actor, draft, &client, secret)
}

/// `client set`, `enable` and `disable`: what is not given stays.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetClient,
) -> Result<ClientChanged, Problem> {
    change(control, actor, find(control, tenant, name)?, request)
}

/// The same of a client that was found.
pub(super) fn change(
    control: &Control,
    actor: &Actor,
    before: StoredClient,
    request: SetClient,
) -> Result<ClientChanged, Problem> {
    let SetClient { redirect_uris, device, scopes, consent, disabled } = request;
    let settings = before.settings.clone();
    let settings = ClientSettings {
        redirect_uris: redirect_uris.unwrap_or(settings.redirect_uris),
        device: device.unwrap_or(settings.device),
        scopes: scopes.unwrap_or(settings.scopes),
        consent: consent.unwrap_or(settings.consent),
        disabled: disabled.unwrap_or(settings.disabled),
        kind: settings.kind,
    };
    check(&settings)?;
    let client = StoredClient { settings, ..before.clone() };
    let mut draft = Draft::default();
    draft.audit(Audit {
        before: Some(summary(&before)),
        after: Some(summary(&client)),
        ..audit("client.set", &client)
    });
    if client.settings.redirect_uris != before.settings.redirect_uris {
        // Users agreed to what led elsewhere.
        draft.client(ClientChange::ConsentsForgotten(client.id));
    }
    if client.settings.disabled && !before.settings.disabled {
        draft.client(ClientChange::GrantsEnded(client.id));
    }
    put(control, actor, draft, &client, None)
}

/// `client rotate`: another secret; the one before is good no longer. What was granted stays.
pub(crate) fn rotate(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<ClientChanged, Problem> {
    let before = find(control, tenant, name)?;
    if before.settings.kind == ClientType::Public {
        let detail = format!("{} is a public client: it has no secret", before.name);
        return Err(problem("request-invalid", detail));
    }
    let (text, key) = fresh_secret()?;
    let client = StoredClient { secret: Some(key), ..before };
    let mut draft = Draft::default();
    draft.audit(audit("client.rotate", &client));
    put(control, actor, draft, &client, Some(text))
}

/// `client remove`: its grants go with it.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let client = find(control, tenant, name)?;
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(&client)), ..audit("client.remove", &client) });
    draft.client(ClientChange::Removed(client.id));
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `client list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Result<Vec<ClientView>, Problem> {
    control.clients(|store| store.clients(tenant.id))?.iter().map(|client| view(control, client)).collect()
}

/// `client show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<ClientView, Problem> {
    view(control, &find(control, tenant, name)?)
}

fn put(
    control: &Control,
    actor: &Actor,
    mut draft: Draft,
    client: &StoredClient,
    secret: Option<SecretText>,
) -> Result<ClientChanged, Problem> {
    draft.client(ClientChange::Put(Box::new(client.clone())));
    let version = control.commit(actor, draft)?;
    Ok(ClientChanged { client: view(control, client)?, secret, version, warnings: warnings(control, client) })
}

fn check(settings: &ClientSettings) -> Result<(), Problem> {
    settings.check().map_err(|detail| problem("request-invalid", detail).about("settings"))
}

/// What an operator should know.
fn warnings(control: &Control, client: &StoredClient) -> Vec<String> {
    let (name, settings) = (&client.name, &client.settings);
    let mut warnings = Vec::new();
    if issuer(control).is_empty() {
        warnings.push("there is no place to sign in yet: postern identity publish --external URL".to_owned());
    }
    for app in settings.scopes.apps().filter(|app| app_of_scope(control, client.id.tenant, app).is_none()) {
        warnings.push(format!(
            "{name}: app:{app} is asked for in vain: no such application is published with --preauth oidc"
        ));
    }
    let on_a_device = settings.redirect_uris.iter().any(|uri| uri.is_of_a_device());
    if on_a_device && settings.consent == ConsentBy::Admin {
        warnings.push(format!(
            "{name}: every program on a user's device can take its place without a question (--consent admin)"
        ));
    }
    warnings
}

fn find(control: &Control, tenant: &Tenant, name: &str) -> Result<StoredClient, Problem> {
    let all = control.clients(|store| store.clients(tenant.id))?;
    let by_name = all.iter().find(|client| client.name.as_str() == name);
    let found = by_name.or_else(|| all.iter().find(|client| client.id.to_string() == name));
    found.cloned().ok_or_else(|| not_found_among("client", name, all.iter().map(|client| client.name.as_str())))
}

fn view(control: &Control, client: &StoredClient) -> Result<ClientView, Problem> {
    Ok(ClientView {
        id: client.id,
        name: client.name.clone(),
        settings: client.settings.clone(),
        issuer: Some(issuer(control)).filter(|issuer| !issuer.is_empty()),
        grants: control.clients(|store| store.grants_of(client.id))?,
    })
}

fn fresh_secret() -> Result<(SecretText, [u8; 32]), Problem> {
    let (random, _) = random_secret()?;
    let text = SecretText::new(format!("{CLIENT_SECRET_PREFIX}{}", random.expose()));
    let key = secret_key(text.expose());
    Ok((text, key))
}

fn audit(action: &'static str, client: &StoredClient) -> Audit {
    let target = format!("client {} ({})", client.name, client.id);
    let tenant: TenantId = client.id.tenant;
    Audit { action, tenant: Some(tenant), target, before: None, after: None }
}

/// One line.
fn summary(client: &StoredClient) -> String {
    let ClientSettings { redirect_uris, device, kind, scopes, consent, disabled } = &client.settings;
    let uris: Vec<&str> = redirect_uris.iter().map(|uri| uri.as_str()).take(URIS_SHOWN).collect();
    let more = redirect_uris.len().saturating_sub(URIS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (kind, consent) = (format!("{kind:?}").to_lowercase(), format!("{consent:?}").to_lowercase());
    let uris = uris.join(" ");
    format!("{kind} consent={consent} disabled={disabled} device={device} scopes={scopes} redirect={uris}{more}")
}

const URIS_SHOWN: usize = 4;
