//! Conditional access policies: made, changed, deleted, and asked about. Relays decide by them.

mod explain;
mod names;
mod replay;
mod subjects;
mod what_if;

use std::collections::BTreeMap;

use postern_model::admin::{Changed, CreatePolicy, PolicyChanged, PolicyView, Problem, SetPolicy};
use postern_model::config::Tenant;
use postern_model::ids::{AppId, Name, PolicyId, TenantId};
use postern_model::policy::{Grant, POLICIES_MAX, People, Policy, PolicyEntry, PolicyState, Scope};
use postern_model::{Change, Snapshot};
use serde_json::{Map, Value};

use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::devices;
use crate::limits::POLICIES_TOTAL_MAX;
use crate::problem::{check_no_id, not_found_among, problem};
use crate::terms;
use names::{Finding, Naming};

pub(crate) use explain::explained;
pub(crate) use replay::replay;
pub(crate) use what_if::what_if;

/// `policy list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<PolicyView> {
    let own: Vec<Policy> = own(&control.snapshot(), tenant.id).cloned().collect();
    let naming = Naming::new(control);
    own.iter().map(|policy| view(&naming, policy)).collect()
}

/// `policy show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<PolicyView, Problem> {
    Ok(view(&Naming::new(control), &find(control, tenant, name)?))
}

/// `policy create`.
pub(crate) fn create(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: CreatePolicy,
) -> Result<PolicyChanged, Problem> {
    let CreatePolicy { name, policy: entry, force } = request;
    let mut draft = Draft::default();
    let id = PolicyId::new(tenant.id, control.next(counter("policy", tenant.id), &mut draft)?);
    check_name(control, tenant, &name)?;
    check_room(control, tenant)?;
    let policy = entry.policy(id, name, &Finding { control, tenant })?;
    let version = store(control, actor, draft, None, &policy, force)?;
    Ok(changed(control, &policy, version))
}

/// `policy set`, `enable`, `disable` and `report-only`.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetPolicy,
) -> Result<PolicyChanged, Problem> {
    let before = find(control, tenant, name)?;
    let SetPolicy { name, policy: change, force } = request;
    let name = name.unwrap_or_else(|| before.name.clone());
    if name != before.name {
        check_name(control, tenant, &name)?;
    }
    let entry = merged(control, Some(&before), change)?;
    let policy = entry.policy(before.id, name, &Finding { control, tenant })?;
    let version = store(control, actor, Draft::default(), Some(&before), &policy, force)?;
    let mut changed = changed(control, &policy, version);
    if before == policy {
        changed.warnings.insert(0, format!("{}: nothing changes: it is so already", policy.name));
    }
    Ok(changed)
}

/// A policy with some keys changed; of one that is not there yet, what the keys say.
fn merged(control: &Control, before: Option<&Policy>, change: Map<String, Value>) -> Result<PolicyEntry, Problem> {
    let entry = before.map(|before| PolicyEntry::of(before, &Naming::new(control))).unwrap_or_default();
    let Ok(Value::Object(mut entry)) = serde_json::to_value(entry) else {
        return Err(problem("internal", "a policy is no object"));
    };
    for (key, value) in change {
        if value.is_null() { drop(entry.remove(&key)) } else { drop(entry.insert(key, value)) }
    }
    serde_json::from_value(Value::Object(entry))
        .map_err(|error| problem("request-invalid", format!("the policy's change: {error}")))
}

/// `policy delete`.
pub(crate) fn delete(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let policy = find(control, tenant, name)?;
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(control, &policy)), ..audit("policy.delete", &policy) });
    draft.change(Change::PolicyRemoved { id: policy.id });
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `apply`: the policy shall be exactly so. Nothing happens when it is.
pub(crate) fn put_entry(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &Name,
    entry: &PolicyEntry,
    force: bool,
) -> Result<(), Problem> {
    let before = own(&control.snapshot(), tenant.id).find(|policy| policy.name == *name).cloned();
    let mut draft = Draft::default();
    let id = match &before {
        Some(before) => before.id,
        None => {
            check_name(control, tenant, name)?;
            check_room(control, tenant)?;
            PolicyId::new(tenant.id, control.next(counter("policy", tenant.id), &mut draft)?)
        }
    };
    let policy = entry.policy(id, name.clone(), &Finding { control, tenant })?;
    store(control, actor, draft, before.as_ref(), &policy, force).map(drop)
}

/// `apply --prune`: deletes what the document does not name.
pub(crate) fn prune(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<Name, PolicyEntry>,
) -> Result<(), Problem> {
    let unnamed: Vec<Name> = {
        let snapshot = control.snapshot();
        let names = own(&snapshot, tenant.id).map(|policy| &policy.name);
        names.filter(|name| !named.contains_key(*name)).cloned().collect()
    };
    unnamed.iter().try_for_each(|name| delete(control, actor, tenant, name.as_str()).map(drop))
}

/// `export`. Without `users` policies that name some are left out: without them they would be others.
pub(crate) fn entries(control: &Control, tenant: TenantId, users: bool) -> BTreeMap<Name, PolicyEntry> {
    let own: Vec<Policy> = own(&control.snapshot(), tenant).cloned().collect();
    let written = own.iter().filter(|policy| users || !names_users(policy));
    let naming = Naming::new(control);
    written.map(|policy| (policy.name.clone(), PolicyEntry::of(policy, &naming))).collect()
}

/// The applications that policies name, and what these are called.
pub(crate) fn naming(snapshot: &Snapshot) -> BTreeMap<PolicyId, Vec<(AppId, Name)>> {
    let named = |policy: &Policy| -> Vec<(AppId, Name)> {
        policy.named_apps().filter_map(|app| Some((app, snapshot.apps.get(&app)?.name.clone()))).collect()
    };
    snapshot.policies.values().map(|policy| (policy.id, named(policy))).collect()
}

/// One line for each policy that is about less in a state than in the one before, for what it named is gone.
pub(crate) fn narrowed(before: &BTreeMap<PolicyId, Vec<(AppId, Name)>>, now: &Snapshot) -> Vec<String> {
    let line = |policy: &Policy| {
        let (_, app) = before.get(&policy.id)?.iter().find(|(app, _)| !now.apps.contains_key(app))?;
        Some(match policy.about_nothing() {
            Some(nothing) => format!("policy {} named {app}: it is about {nothing} now", policy.name),
            None => format!("policy {} no longer names {app}", policy.name),
        })
    };
    now.policies.values().filter_map(line).collect()
}

/// Policies that name somebody who goes, as they are without them; gives what an operator should know.
pub(crate) fn without(
    control: &Control,
    tenant: TenantId,
    draft: &mut Draft,
    without: impl Fn(&Policy) -> Option<Policy>,
) -> Vec<(Policy, String)> {
    let own: Vec<Policy> = own(&control.snapshot(), tenant).cloned().collect();
    let touched = own.iter().filter_map(|before| Some((before, without(before)?)));
    let mut lines = Vec::new();
    for (before, after) in touched {
        let (was, is) = (summary(control, before), summary(control, &after));
        draft.audit(Audit { before: Some(was), after: Some(is), ..audit("policy.set", before) });
        draft.change(Change::PolicyPut(after.clone()));
        let nothing = after.about_nothing().map(|nothing| format!(": it is about {nothing} now")).unwrap_or_default();
        lines.push((before.clone(), nothing));
    }
    lines
}

/// The first policy that names a network.
pub(crate) fn naming_network<'a>(snapshot: &'a Snapshot, tenant: TenantId, network: &Name) -> Option<&'a Policy> {
    own(snapshot, tenant).find(|policy| policy.networks().any(|name| name == network))
}

fn store(
    control: &Control,
    actor: &Actor,
    mut draft: Draft,
    before: Option<&Policy>,
    policy: &Policy,
    force: bool,
) -> Result<u64, Problem> {
    if before == Some(policy) {
        return Ok(control.snapshot().version);
    }
    if !force {
        check_lock_out(policy)?;
    }
    let action = match before {
        None => "policy.create",
        Some(before) if *before == policy.with_state(before.state) => match policy.state {
            PolicyState::On => "policy.enable",
            PolicyState::ReportOnly => "policy.report-only",
            PolicyState::Off => "policy.disable",
        },
        Some(_) => "policy.set",
    };
    let (was, is) = (before.map(|before| summary(control, before)), summary(control, policy));
    draft.audit(Audit { before: was, after: Some(is), ..audit(action, policy) });
    draft.change(Change::PolicyPut(policy.clone()));
    control.commit(actor, draft)
}

/// Refuses what would lock everybody out. So far nobody is known to be an administrator: the one that surely locks them
/// out, too, is the one that blocks everyone, everywhere, always.
fn check_lock_out(policy: &Policy) -> Result<(), Problem> {
    let everyone = policy.who.include == Scope::All && policy.who.except == People::default();
    let everywhere = policy.apps.include == Scope::All && policy.apps.except.is_empty();
    let always = policy.conditions.is_empty();
    if policy.state == PolicyState::On && policy.grant == Grant::Block && everyone && everywhere && always {
        let detail = format!(
            "the policy {} blocks everyone at all applications, administrators too: except a group, give it a condition, or use --force",
            policy.name
        );
        return Err(problem("policy-locks-out", detail).about("block"));
    }
    Ok(())
}

fn check_name(control: &Control, tenant: &Tenant, name: &Name) -> Result<(), Problem> {
    check_no_id::<PolicyId>("policy", name.as_str())?;
    match own(&control.snapshot(), tenant.id).find(|policy| policy.name == *name) {
        None => Ok(()),
        Some(other) => {
            let detail = format!("a policy {name} exists already ({}): change it with `postern policy set`", other.id);
            Err(problem("name-taken", detail))
        }
    }
}

fn check_room(control: &Control, tenant: &Tenant) -> Result<(), Problem> {
    let snapshot = control.snapshot();
    if own(&snapshot, tenant.id).count() >= POLICIES_MAX {
        return Err(problem("limit-reached", format!("the tenant has {POLICIES_MAX} policies already")));
    }
    if snapshot.policies.len() >= POLICIES_TOTAL_MAX {
        return Err(problem(
            "limit-reached",
            format!("all tenants together have {POLICIES_TOTAL_MAX} policies already"),
        ));
    }
    Ok(())
}

fn find(control: &Control, tenant: &Tenant, name: &str) -> Result<Policy, Problem> {
    let snapshot = control.snapshot();
    let own = || own(&snapshot, tenant.id);
    let by_name = own().find(|policy| policy.name.as_str() == name);
    by_name.or_else(|| own().find(|policy| policy.id.to_string() == name)).cloned().ok_or_else(|| {
        let known: Vec<&str> = own().map(|policy| policy.name.as_str()).collect();
        not_found_among("policy", name, known)
    })
}

fn own(snapshot: &Snapshot, tenant: TenantId) -> impl Iterator<Item = &Policy> {
    snapshot.policies.values().filter(move |policy| policy.id.tenant == tenant)
}

fn names_users(policy: &Policy) -> bool {
    let included = match &policy.who.include {
        Scope::All => false,
        Scope::Only(people) => !people.users.is_empty(),
    };
    included || !policy.who.except.users.is_empty()
}

fn changed(control: &Control, policy: &Policy, version: u64) -> PolicyChanged {
    let mut warnings = Vec::new();
    for name in terms::missing(control, policy).unwrap_or_default() {
        warnings.push(format!(
            "{}: there are no terms {name}: nobody can accept them, and nobody passes until there are (postern terms create)",
            policy.name
        ));
    }
    warnings.extend(devices::unanswerable(control, policy));
    if let Some(nothing) = policy.about_nothing() {
        warnings.push(format!("{}: it is about {nothing}: it never applies", policy.name));
    }
    PolicyChanged { policy: view(&Naming::new(control), policy), version, warnings }
}

fn view(naming: &Naming<'_>, policy: &Policy) -> PolicyView {
    PolicyView {
        id: policy.id,
        name: policy.name.clone(),
        policy: PolicyEntry::of(policy, naming),
        about_nothing: policy.about_nothing().map(str::to_owned),
    }
}

fn audit(action: &'static str, policy: &Policy) -> Audit {
    let target = format!("policy {} ({})", policy.name, policy.id);
    Audit { action, tenant: Some(policy.id.tenant), target, before: None, after: None }
}

/// One line: its keys, as JSON, for whoever has to find out what was in force. Only one that names hundreds is cut.
fn summary(control: &Control, policy: &Policy) -> String {
    let text = serde_json::to_string(&PolicyEntry::of(policy, &Naming::new(control))).unwrap_or_default();
    let shown = text.floor_char_boundary(SUMMARY_BYTES_MAX);
    if shown < text.len() { format!("{}…", &text[..shown]) } else { text }
}

const SUMMARY_BYTES_MAX: usize = 8 << 10;
