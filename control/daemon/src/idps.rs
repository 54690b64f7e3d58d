//! External identity providers as operators keep them: added, changed, removed, and whose users are whom. Nothing here asks a
//! provider anything: the identity process does.

mod check;
mod document;

use std::collections::BTreeMap;

use postern_model::admin::{AddProvider, Changed, LinkUser, Problem, ProviderChanged, ProviderView, SetProvider};
use postern_model::config::Tenant;
use postern_model::external::{EXTERNAL_CALLBACK_PATH, PROVIDERS_MAX, ProviderSettings};
use postern_model::ids::{Name, TenantId, UserGroupId};
use postern_model::secret::SecretText;
use serde_json::Value;

use check::{apart, check};
pub(crate) use document::{check_conflicts, entries, prune, put_entry};

use crate::control::{Actor, Audit, Control, Draft};
use crate::directory::{find_group, find_user};
use crate::problem::{not_found_among, problem};
use crate::sessions::Touched;
use crate::store::{ProviderChange, Providers, SessionChange, StoreError, StoredProvider};

impl Control {
    /// Asks for external identity providers.
    pub(crate) fn providers<T>(
        &self,
        ask: impl FnOnce(&mut dyn Providers) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        self.read("identity providers", |store| ask(store))
    }
}

/// `idp add`.
pub(crate) fn add(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: AddProvider,
) -> Result<ProviderChanged, Problem> {
    let AddProvider { name, settings, client_secret, groups } = request;
    let others = control.providers(|store| store.providers(Some(tenant.id)))?;
    if others.iter().any(|other| other.name == name) {
        let detail = format!("a provider {name} exists already: change it with `postern idp set`");
        return Err(problem("name-taken", detail).about("name"));
    }
    if others.len() >= PROVIDERS_MAX {
        return Err(problem("limit-reached", format!("the tenant has {PROVIDERS_MAX} providers already")));
    }
    let mut provider = StoredProvider { tenant: tenant.id, name, settings, groups: BTreeMap::new() };
    for (claimed, group) in groups {
        provider.groups.insert(claimed, fillable(control, tenant, &group)?);
    }
    let mut draft = Draft::default();
    draft.audit(Audit { after: Some(summary(&provider, client_secret.is_some())), ..audit("idp.add", &provider) });
    put(control, actor, draft, &provider, client_secret)
}

/// `idp set`, `enable` and `disable`: what is not given stays.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetProvider,
) -> Result<ProviderChanged, Problem> {
    let before = find(control, tenant, name)?;
    let had_secret = has_secret(control, &before)?;
    let mut provider = StoredProvider { settings: patched(&before.settings, request.settings)?, ..before.clone() };
    if provider.settings.issuer != before.settings.issuer {
        // Its users are linked by it: another provider's would become them.
        let detail = "the issuer of a provider stays: remove it and add it anew, its users are then linked anew";
        return Err(problem("request-invalid", detail).about("settings.issuer"));
    }
    for (claimed, group) in request.groups {
        match group {
            Some(group) => drop(provider.groups.insert(claimed, fillable(control, tenant, &group)?)),
            None => drop(provider.groups.remove(&claimed)),
        }
    }
    let mut draft = Draft::default();
    let secret = if request.client_secret.is_some() { ", a new client secret" } else { "" };
    draft.audit(Audit {
        before: Some(summary(&before, had_secret)),
        after: Some(summary(&provider, had_secret || request.client_secret.is_some()) + secret),
        ..audit("idp.set", &provider)
    });
    if provider.settings.disabled && !before.settings.disabled {
        end_sessions(control, &provider, &mut draft)?;
    }
    put(control, actor, draft, &provider, request.client_secret)
}

/// `idp remove`: its links, the memberships that it gave, and its sessions go with it.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let provider = find(control, tenant, name)?;
    let users = control.providers(|store| store.linked_count(tenant.id, &provider.name))?;
    let mut draft = Draft::default();
    let before = summary(&provider, has_secret(control, &provider)?) + &format!(", {users} users linked");
    draft.audit(Audit { before: Some(before), ..audit("idp.remove", &provider) });
    end_sessions(control, &provider, &mut draft)?;
    draft.provider(ProviderChange::Removed(tenant.id, provider.name.clone()));
    draft.touched.insert(Touched::Tenant(tenant.id));
    let version = control.commit(actor, draft)?;
    let linked = (users > 0).then(|| format!("{users} users that signed in by {} have no way in by it", provider.name));
    Ok(Changed { version, warnings: linked.into_iter().collect() })
}

/// `idp list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Result<Vec<ProviderView>, Problem> {
    let all = control.providers(|store| store.providers(Some(tenant.id)))?;
    all.iter().map(|provider| view(control, provider)).collect()
}

/// `idp show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<ProviderView, Problem> {
    view(control, &find(control, tenant, name)?)
}

/// `user link` and `user unlink`.
pub(crate) fn link(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    user: &str,
    request: LinkUser,
) -> Result<Changed, Problem> {
    let LinkUser { provider, subject, remove } = request;
    let user = find_user(control, tenant, user)?;
    let provider = find(control, tenant, provider.as_str())?;
    let is_ascii = subject.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || !is_ascii {
        let detail = format!("a provider's sub is 1 to {SUBJECT_BYTES_MAX} printable ASCII characters");
        return Err(problem("request-invalid", detail).about("subject"));
    }
    let linked = control.providers(|store| store.linked(tenant.id, &provider.name, &subject))?;
    let version = control.snapshot().version;
    let done = Changed { version, warnings: Vec::new() };
    let mut draft = Draft::default();
    let what = format!("{} {subject:?}", provider.name);
    let target = format!("user {} ({})", user.login, user.id);
    let audit = |action| Audit { action, tenant: Some(tenant.id), target, before: None, after: None };
    match (linked, remove) {
        (Some(other), false) if other == user.id => return Ok(done),
        (Some(other), false) => {
            let detail = format!("{subject:?} of {} is user {other} already: unlink that one first", provider.name);
            return Err(problem("name-taken", detail).about("subject"));
        }
        (None, false) => {
            draft.audit(Audit { after: Some(what), ..audit("user.link") });
            draft.provider(ProviderChange::Linked(provider.name, subject, user.id));
        }
        (Some(other), true) if other == user.id => {
            draft.audit(Audit { before: Some(what), ..audit("user.unlink") });
            let name = &provider.name;
            let ended = control.providers(|store| store.sessions_of_provider(tenant.id, name, Some(&subject), None))?;
            ended.into_iter().for_each(|session| draft.session(SessionChange::Removed(session)));
            draft.provider(ProviderChange::Unlinked(provider.name, subject, user.id));
        }
        (_, true) => {
            let detail = format!("{} is not linked with {subject:?} of {}", user.login, provider.name);
            return Err(problem("not-found", detail));
        }
    }
    Ok(Changed { version: control.commit(actor, draft)?, ..done })
}

/// Where its browsers come back to, below the identity's address.
pub(crate) fn redirect_uri(issuer: &str, tenant: TenantId, name: &Name) -> String {
    format!("{issuer}/{EXTERNAL_CALLBACK_PATH}/{tenant}/{name}")
}

pub(crate) fn find(control: &Control, tenant: &Tenant, name: &str) -> Result<StoredProvider, Problem> {
    let all = control.providers(|store| store.providers(Some(tenant.id)))?;
    let known: Vec<String> = all.iter().map(|provider| provider.name.to_string()).collect();
    let found = all.into_iter().find(|provider| provider.name.as_str() == name);
    found.ok_or_else(|| not_found_among("provider", name, known.iter().map(String::as_str)))
}

fn put(
    control: &Control,
    actor: &Actor,
    mut draft: Draft,
    provider: &StoredProvider,
    secret: Option<SecretText>,
) -> Result<ProviderChanged, Problem> {
    check(control, provider, secret.as_ref())?;
    draft.provider(ProviderChange::Put(Box::new(provider.clone())));
    if let Some(secret) = secret {
        draft.provider(ProviderChange::SecretPut(provider.tenant, provider.name.clone(), secret));
    }
    control.commit(actor, draft)?;
    let provider = view(control, provider)?;
    let mut warnings = Vec::new();
    if provider.redirect_uri.is_none() {
        warnings.push("people sign in nowhere yet: postern identity publish --external https://HOST/".into());
    }
    if !provider.has_secret {
        warnings.push(format!("{} has no client secret: it is asked as a public client, by PKCE alone", provider.name));
    }
    if !provider.groups.is_empty() && provider.settings.group_claim.is_none() {
        warnings.push("groups are filled by no claim until --group-claim names one".into());
    }
    Ok(ProviderChanged { provider, warnings })
}

/// A merge patch of one level, for the settings have no more.
fn patched(settings: &ProviderSettings, patch: serde_json::Map<String, Value>) -> Result<ProviderSettings, Problem> {
    let wrong = |error: serde_json::Error| problem("request-invalid", format!("settings: {error}"));
    let mut json = serde_json::to_value(settings).map_err(wrong)?;
    if let Value::Object(fields) = &mut json {
        for (name, value) in patch {
            if value.is_null() {
                fields.remove(&name);
            } else {
                fields.insert(name, value);
            }
        }
    }
    serde_json::from_value(json).map_err(wrong)
}

/// A group that has members of its own: those with a rule decide for themselves.
fn fillable(control: &Control, tenant: &Tenant, name: &Name) -> Result<UserGroupId, Problem> {
    let group = find_group(control, tenant, name.as_str())?;
    if group.rule().is_some() {
        let detail = format!("who is in {name} is decided by its rule: a provider cannot put anybody into it");
        return Err(problem("request-invalid", detail).about("groups"));
    }
    Ok(group.id)
}

fn end_sessions(control: &Control, provider: &StoredProvider, draft: &mut Draft) -> Result<(), Problem> {
    let name = &provider.name;
    let ended = control.providers(|store| store.sessions_of_provider(provider.tenant, name, None, None))?;
    ended.into_iter().for_each(|session| draft.session(SessionChange::Removed(session)));
    Ok(())
}

fn has_secret(control: &Control, provider: &StoredProvider) -> Result<bool, Problem> {
    Ok(control.providers(|store| store.provider_secret(provider.tenant, &provider.name))?.is_some())
}

fn view(control: &Control, provider: &StoredProvider) -> Result<ProviderView, Problem> {
    let mut groups = BTreeMap::new();
    for (claimed, id) in &provider.groups {
        let group = control.directory(|store| store.user_group_by_id(*id))?;
        groups.insert(claimed.clone(), group.map_or_else(|| id.to_string(), |group| group.name.to_string()));
    }
    let issuer = Some(crate::sign_in::issuer(control)).filter(|issuer| !issuer.is_empty());
    let below = |path: &str| issuer.as_ref().map(|issuer| format!("{issuer}/{path}"));
    Ok(ProviderView {
        name: provider.name.clone(),
        settings: provider.settings.clone(),
        has_secret: has_secret(control, provider)?,
        groups,
        users: control.providers(|store| store.linked_count(provider.tenant, &provider.name))?,
        redirect_uri: issuer.as_ref().map(|issuer| redirect_uri(issuer, provider.tenant, &provider.name)),
        post_logout_redirect_uri: below("signed-out"),
        backchannel_logout_uri: below("external/backchannel-logout"),
    })
}

fn audit(action: &'static str, provider: &StoredProvider) -> Audit {
    let target = format!("identity provider {}", provider.name);
    Audit { action, tenant: Some(provider.tenant), target, before: None, after: None }
}

/// One line, never the secret.
fn summary(provider: &StoredProvider, has_secret: bool) -> String {
    let settings = &provider.settings;
    let mut parts = vec![format!("issuer={} client_id={}", settings.issuer, settings.client_id)];
    parts.push(if has_secret { "with a client secret".into() } else { "public client".into() });
    parts.push(format!("users={:?}", settings.users).to_ascii_lowercase());
    let listed = |texts: Vec<&str>| texts.join(",");
    parts.extend((!settings.domains.is_empty()).then(|| {
        format!("domains={}", listed(settings.domains.iter().take(SUMMARY_MAX).map(String::as_str).collect()))
    }));
    parts.extend(settings.group_claim.as_ref().map(|claim| format!("group_claim={claim}")));
    parts.extend((!provider.groups.is_empty()).then(|| {
        let groups: Vec<String> =
            provider.groups.iter().take(SUMMARY_MAX).map(|(claimed, id)| format!("{claimed:?}→{id}")).collect();
        format!("groups={}", groups.join(","))
    }));
    let devices = &settings.device_claims;
    parts.extend((!devices.is_empty()).then(|| format!("device_claims={:?}", devices.texts())));
    parts.extend(settings.require_mfa.then(|| "require_mfa".into()));
    parts.extend(settings.trust_mail.then(|| "trust_mail".into()));
    parts.extend(settings.default.then(|| "default".into()));
    parts.extend(settings.disabled.then(|| "disabled".into()));
    parts.join(" ")
}

const SUBJECT_BYTES_MAX: usize = 255;
/// What one line of the audit log names.
const SUMMARY_MAX: usize = 16;
