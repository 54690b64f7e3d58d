//! Clients of the OpenID provider in a document: made exactly so, but for their secrets, which no document has.

use std::collections::BTreeMap;

use postern_model::admin::{AddClient, Problem, SetClient};
use postern_model::config::Tenant;
use postern_model::ids::{Name, TenantId};
use postern_model::oauth::{CLIENTS_MAX, ClientSettings, ClientType};

use super::clients::{add_new, change, remove};
use crate::control::{Actor, Control};
use crate::problem::problem;
use crate::store::StoredClient;

/// `apply`: the clients shall be exactly so. Gives what an operator should know of those that are new. `prune`: others go.
pub(crate) fn make(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<Name, ClientSettings>,
    prune: bool,
) -> Result<Vec<String>, Problem> {
    // What is staged is not seen in the store: all of them are counted first.
    let known = control.clients(|store| store.clients(tenant.id))?;
    let mut known: BTreeMap<Name, StoredClient> =
        known.into_iter().map(|client| (client.name.clone(), client)).collect();
    let new = named.keys().filter(|name| !known.contains_key(name)).count();
    let stay = if prune { named.len() - new } else { known.len() };
    if new > 0 && stay + new > CLIENTS_MAX {
        return Err(problem("limit-reached", format!("the tenant would have more than {CLIENTS_MAX} clients")));
    }
    let mut warnings = Vec::new();
    for (name, settings) in named {
        let made = put_entry(control, actor, tenant, (name, settings), known.remove(name));
        let made = made.map_err(|problem| problem.about(format!("client.{name}")))?;
        // That there is no place to sign in yet is said once.
        warnings.extend(made.into_iter().filter(|said| !warnings.contains(said)).collect::<Vec<_>>());
    }
    Ok(warnings)
}

fn put_entry(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    (name, settings): (&Name, &ClientSettings),
    before: Option<StoredClient>,
) -> Result<Vec<String>, Problem> {
    let Some(before) = before else {
        let added = add_new(control, actor, tenant, AddClient { name: name.clone(), settings: settings.clone() })?;
        let secret =
            added.secret.map(|_| format!("{name} has no secret that anybody knows: postern client rotate {name}"));
        return Ok(added.warnings.into_iter().chain(secret).collect());
    };
    let ClientSettings { redirect_uris, device, kind, scopes, consent, disabled } = settings.clone();
    if before.settings == *settings {
        return Ok(Vec::new());
    }
    if before.settings.kind != kind {
        let was = if kind == ClientType::Public { "confidential" } else { "public" };
        let detail = format!("{name} is {was}, which it stays: remove it and add it anew");
        return Err(problem("request-invalid", detail));
    }
    let request = SetClient {
        redirect_uris: Some(redirect_uris),
        device: Some(device),
        scopes: Some(scopes),
        consent: Some(consent),
        disabled: Some(disabled),
    };
    change(control, actor, before, request).map(|changed| changed.warnings)
}

/// `apply --prune`: removes those that the document does not name, if it names any.
pub(crate) fn prune(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<Name, ClientSettings>,
) -> Result<(), Problem> {
    if named.is_empty() {
        return Ok(());
    }
    let all = control.clients(|store| store.clients(tenant.id))?;
    let mut unnamed = all.iter().filter(|client| !named.contains_key(&client.name));
    unnamed.try_for_each(|client| remove(control, actor, tenant, client.name.as_str()).map(drop))
}

/// `export`.
pub(crate) fn entries(control: &Control, tenant: TenantId) -> Result<BTreeMap<Name, ClientSettings>, Problem> {
    let all = control.clients(|store| store.clients(tenant))?;
    Ok(all.into_iter().map(|client| (client.name, client.settings)).collect())
}
