//! Providers in a document: made exactly so, but for a secret that it does not have.

use std::collections::BTreeMap;

use postern_model::admin::{AddProvider, Problem};
use postern_model::config::Tenant;
use postern_model::document::ProviderEntry;
use postern_model::ids::{Name, TenantId};

use super::{add, apart, audit, end_sessions, fillable, has_secret, put, remove, summary};
use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::problem;
use crate::store::StoredProvider;

/// `apply`: the provider shall be exactly so. Nothing happens when it is.
pub(crate) fn put_entry(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &Name,
    entry: ProviderEntry,
) -> Result<(), Problem> {
    let ProviderEntry { settings, client_secret, groups } = entry;
    let Some(before) = control.providers(|store| store.provider(tenant.id, name))? else {
        let request = AddProvider { name: name.clone(), settings, client_secret, groups };
        return add(control, actor, tenant, request).map(drop);
    };
    if settings.issuer != before.settings.issuer {
        let detail = "the issuer of a provider stays: remove it and add it anew, its users are then linked anew";
        return Err(problem("request-invalid", detail).about("issuer"));
    }
    let mut provider = StoredProvider { settings, groups: BTreeMap::new(), ..before.clone() };
    for (claimed, group) in groups {
        provider.groups.insert(claimed, fillable(control, tenant, &group)?);
    }
    let known = control.providers(|store| store.provider_secret(tenant.id, name))?;
    let secret = client_secret.filter(|secret| Some(secret) != known.as_ref());
    if provider == before && secret.is_none() {
        return Ok(());
    }
    let mut draft = Draft::default();
    let has = has_secret(control, &before)?;
    let new = if secret.is_some() { ", a new client secret" } else { "" };
    draft.audit(Audit {
        before: Some(summary(&before, has)),
        after: Some(summary(&provider, has || secret.is_some()) + new),
        ..audit("idp.set", &provider)
    });
    if provider.settings.disabled && !before.settings.disabled {
        end_sessions(control, &provider, &mut draft)?;
    }
    put(control, actor, draft, &provider, secret).map(drop)
}

/// `apply`, at its end: whether a tenant's providers get along with each other.
pub(crate) fn check_conflicts(control: &Control, tenant: &Tenant) -> Result<(), Problem> {
    let all = control.providers(|store| store.providers(Some(tenant.id)))?;
    all.iter().try_for_each(|provider| {
        apart(provider, &all).map_err(|problem| problem.about(format!("idp.{}", provider.name)))
    })
}

/// `apply --prune`: removes those that the document does not name.
pub(crate) fn prune(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<Name, ProviderEntry>,
) -> Result<(), Problem> {
    let all = control.providers(|store| store.providers(Some(tenant.id)))?;
    let mut unnamed = all.iter().filter(|provider| !named.contains_key(&provider.name));
    unnamed.try_for_each(|provider| remove(control, actor, tenant, provider.name.as_str()).map(drop))
}

/// `export`: without secrets. Groups that are gone are left out.
pub(crate) fn entries(control: &Control, tenant: TenantId) -> Result<BTreeMap<Name, ProviderEntry>, Problem> {
    let mut entries = BTreeMap::new();
    for provider in control.providers(|store| store.providers(Some(tenant)))? {
        let mut groups = BTreeMap::new();
        for (claimed, id) in provider.groups {
            let group = control.directory(|store| store.user_group_by_id(id))?;
            groups.extend(group.map(|group| (claimed, group.name)));
        }
        let entry = ProviderEntry { settings: provider.settings, client_secret: None, groups };
        entries.insert(provider.name, entry);
    }
    Ok(entries)
}
