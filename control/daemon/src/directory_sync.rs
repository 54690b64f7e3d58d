//! Directory synchronisation as operators see it: sources added, changed, removed, run, and what became of it. The group of a
//! source is marked, so that no other connector can ever change users.

mod answer;
mod groups;
mod passes;
#[cfg(test)]
mod tests;
mod users;

use postern_model::admin::{
    AddSource, Changed, CreateNamed, Problem, RunAsked, RunSource, SetSource, SourceChanged, SourceView,
};
use postern_model::config::{Group, Tenant};
use postern_model::directory_sync::{GROUP_PREFIX, SOURCES_MAX, SourceSettings};
use postern_model::ids::{GroupId, Name, TenantId};
use serde_json::{Map, Value};

pub(crate) use answer::{Asking, answer, asking};
pub(crate) use passes::Sources;
pub(crate) use users::hold;

use crate::control::{Actor, Audit, Control, Draft};
use crate::problem::{not_found_among, problem};
use crate::store::{DirectoryChange, StoreError, StoredSource, SyncChange, SyncRows};
use crate::{apps, tenants};

impl Control {
    /// Asks for sources and what is theirs; within a stage, the stage's.
    pub(crate) fn sync_rows<T>(
        &self,
        ask: impl FnOnce(&mut dyn SyncRows) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        self.read("sources of users", |store| ask(store))
    }
}

/// `directory-sync add`: makes the source and its connector group.
pub(crate) fn add(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: AddSource,
) -> Result<SourceChanged, Problem> {
    let AddSource { name, kind, settings } = request;
    let others = control.sync_rows(|store| store.sync_sources(Some(tenant.id)))?;
    if others.iter().any(|other| other.name == name) {
        let detail = format!("a source {name} exists already: change it with `postern directory-sync set`");
        return Err(problem("name-taken", detail).about("name"));
    }
    if others.len() >= SOURCES_MAX {
        return Err(problem("limit-reached", format!("the tenant has {SOURCES_MAX} sources already")));
    }
    let settings = patched(&SourceSettings::of(kind), settings)?;
    let group_name: Name = format!("{GROUP_PREFIX}{name}").parse().map_err(|_| {
        problem("request-invalid", format!("{name} is too long: its connector group is {GROUP_PREFIX}{name}"))
            .about("name")
    })?;
    let make = || {
        tenants::make_group(control, actor, tenant, CreateNamed { name: group_name.clone() }, true)?;
        let group = tenants::find_group(&control.snapshot(), tenant, group_name.as_str())?.id;
        let source = StoredSource { tenant: tenant.id, name, group, settings };
        let mut draft = Draft::default();
        draft.audit(Audit { after: Some(summary(&source)), ..audit("directory-sync.add", &source) });
        draft.directory(DirectoryChange::Sync(SyncChange::Put(Box::new(source.clone()))));
        control.commit(actor, draft)?;
        Ok(source)
    };
    let (source, _) = control.staged(actor, make, |_, _| true)?;
    changed(control, &source)
}

/// `directory-sync set`: what is not given stays.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetSource,
) -> Result<SourceChanged, Problem> {
    let before = find(control, tenant, name)?;
    let source = StoredSource { settings: patched(&before.settings, request.settings)?, ..before.clone() };
    if source.settings.id_attribute != before.settings.id_attribute {
        // Everybody would be gone, and somebody else with the same login name be there.
        let detail = "what entries are called for ever stays: remove the source and add it anew";
        return Err(problem("request-invalid", detail).about("settings.id_attribute"));
    }
    if source != before {
        let mut draft = Draft::default();
        let says = |source: &StoredSource| Some(summary(source));
        draft.audit(Audit { before: says(&before), after: says(&source), ..audit("directory-sync.set", &source) });
        draft.directory(DirectoryChange::Sync(SyncChange::Put(Box::new(source.clone()))));
        control.commit(actor, draft)?;
    }
    changed(control, &source)
}

/// `directory-sync remove`: its processes and their group go; its users and groups stay, as our own.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let source = find(control, tenant, name)?;
    let (users, groups) = control.sync_rows(|store| store.sync_counts((tenant.id, &source.name)))?;
    let take_away = || {
        let mut draft = Draft::default();
        let before = format!("{}, {users} users, {groups} groups", summary(&source));
        draft.audit(Audit { before: Some(before), ..audit("directory-sync.remove", &source) });
        draft.directory(DirectoryChange::Sync(SyncChange::Removed(tenant.id, source.name.clone())));
        control.commit(actor, draft)?;
        let own: Vec<String> = {
            let snapshot = control.snapshot();
            let own = snapshot.connectors.values().filter(|connector| connector.group == source.group);
            own.map(|connector| connector.id.to_string()).collect()
        };
        for connector in own {
            tenants::remove_connector(control, actor, tenant, &connector)?;
        }
        tenants::delete_group(control, actor, tenant, &source.group.to_string()).map(drop)
    };
    let ((), version) = control.staged(actor, take_away, |(), _| true)?;
    control.sources.borrow_mut().forget(tenant.id, &source.name);
    let stay = (users + groups > 0).then(|| {
        format!("{users} users and {groups} groups of {name} stay as they are, and follow no directory any more")
    });
    Ok(Changed { version, warnings: stay.into_iter().collect() })
}

/// `directory-sync run`.
pub(crate) fn run(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: RunSource,
) -> Result<RunAsked, Problem> {
    let source = find(control, tenant, name)?;
    let source_view = view(control, &source)?;
    if source.settings.disabled {
        let detail = format!("{name} is disabled: postern directory-sync set {name} --disabled=false");
        return Err(problem("request-invalid", detail));
    }
    if let Some(confirmed) = request.confirm_removals {
        let mut draft = Draft::default();
        let after = Some(format!("up to {confirmed} users and groups may be gone in the next pass"));
        draft.audit(Audit { after, ..audit("directory-sync.confirm", &source) });
        control.commit(actor, draft)?;
    }
    let run = control.sources.borrow_mut().ask_run(tenant.id, &source.name, request.confirm_removals);
    let alone = (source_view.online == 0).then(|| not_running(&source_view));
    Ok(RunAsked { run, warnings: alone.into_iter().collect() })
}

/// `directory-sync list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Result<Vec<SourceView>, Problem> {
    let all = control.sync_rows(|store| store.sync_sources(Some(tenant.id)))?;
    all.iter().map(|source| view(control, source)).collect()
}

/// `directory-sync show` and `status`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<SourceView, Problem> {
    view(control, &find(control, tenant, name)?)
}

/// Refuses to take away the group of a source that there is.
pub(crate) fn check_group(control: &Control, group: &Group) -> Result<(), Problem> {
    if !group.directory_sync {
        return Ok(());
    }
    match of_group(control, group.id)? {
        None => Ok(()),
        Some(source) => {
            let detail = format!("{} belongs to the source {}: postern directory-sync remove", group.name, source.name);
            Err(problem("directory-sync-fixed", detail))
        }
    }
}

/// Whether a name is kept for groups of sources.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(GROUP_PREFIX)
}

/// The source whose processes are connectors of this group.
fn of_group(control: &Control, group: GroupId) -> Result<Option<StoredSource>, Problem> {
    let all = control.sync_rows(|store| store.sync_sources(Some(group.tenant)))?;
    Ok(all.into_iter().find(|source| source.group == group))
}

fn find(control: &Control, tenant: &Tenant, name: &str) -> Result<StoredSource, Problem> {
    let all = control.sync_rows(|store| store.sync_sources(Some(tenant.id)))?;
    let known: Vec<String> = all.iter().map(|source| source.name.to_string()).collect();
    let found = all.into_iter().find(|source| source.name.as_str() == name);
    found.ok_or_else(|| not_found_among("source", name, known.iter().map(String::as_str)))
}

/// A merge patch of one level and of the attributes; what is `null` goes back to the default of the source's kind.
fn patched(settings: &SourceSettings, patch: Map<String, Value>) -> Result<SourceSettings, Problem> {
    let wrong = |error: serde_json::Error| problem("request-invalid", format!("settings: {error}"));
    let mut json = serde_json::to_value(settings).map_err(wrong)?;
    let defaults = serde_json::to_value(SourceSettings::of(settings.kind)).map_err(wrong)?;
    for (key, value) in patch {
        match value {
            Value::Null => match defaults.get(&key) {
                Some(default) => json[&key] = default.clone(),
                None => drop(json.as_object_mut().and_then(|fields| fields.remove(&key))),
            },
            Value::Object(fields) if json[&key].is_object() => {
                for (name, from) in fields {
                    if from.is_null() {
                        drop(json[&key].as_object_mut().and_then(|known| known.remove(&name)));
                    } else {
                        json[&key][&name] = from;
                    }
                }
            }
            value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                json[&key] = value
            }
        }
    }
    let patched: SourceSettings = serde_json::from_value(json).map_err(wrong)?;
    patched
        .check()
        .map_err(|error| problem("request-invalid", error.to_string()).about(format!("settings.{}", error.key)))?;
    Ok(patched)
}

fn changed(control: &Control, source: &StoredSource) -> Result<SourceChanged, Problem> {
    let source = view(control, source)?;
    let mut warnings = Vec::new();
    if source.online == 0 {
        warnings.push(not_running(&source));
    }
    Ok(SourceChanged { source, warnings })
}

fn not_running(source: &SourceView) -> String {
    format!(
        "no process of {} is online: postern connector token --group {} --out FILE, then postern-directory-sync --relay … --token-file FILE --directory ldaps://HOST",
        source.name, source.group
    )
}

fn view(control: &Control, source: &StoredSource) -> Result<SourceView, Problem> {
    let (users, groups) = control.sync_rows(|store| store.sync_counts((source.tenant, &source.name)))?;
    let snapshot = control.snapshot();
    let sources = control.sources.borrow();
    let state = sources.of(source.tenant, &source.name);
    Ok(SourceView {
        name: source.name.clone(),
        group: tenants::group_name(&snapshot, source.group),
        settings: source.settings.clone(),
        online: apps::online_by_group(control, &snapshot).get(&source.group).copied().unwrap_or(0),
        users,
        groups,
        runs_done: state.map_or(0, |state| state.runs_done),
        running: state.is_some_and(passes::State::is_running),
        last: state.and_then(|state| state.last.clone()),
    })
}

fn audit(action: &'static str, source: &StoredSource) -> Audit {
    audit_of(action, source.tenant, format!("directory source {}", source.name))
}

fn audit_of(action: &'static str, tenant: TenantId, target: String) -> Audit {
    Audit { action, tenant: Some(tenant), target, before: None, after: None }
}

fn summary(source: &StoredSource) -> String {
    let settings = &source.settings;
    let groups = settings.groups_base.as_deref().map_or_else(|| "no groups".into(), |base| format!("groups={base:?}"));
    format!(
        "users={:?} {:?} {groups} login={} every={}s full={}s max_delete={}% gone={:?}{}",
        settings.users_base,
        settings.users_filter,
        settings.login_attributes.join(","),
        settings.interval_s,
        settings.full_every_s,
        settings.max_delete_percent,
        settings.gone,
        if settings.disabled { " disabled" } else { "" }
    )
}
