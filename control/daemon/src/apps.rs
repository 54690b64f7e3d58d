//! Publishing: applications are checked as a whole before they are stored, so that what relays get can always be served.

use std::collections::BTreeMap;

use postern_model::admin::{AppPublished, AppView, Changed, Problem, PublishApp, SetApp};
use postern_model::app_url::UrlInvalid;
use postern_model::config::{App, Tenant};
use postern_model::group_config::BackendApp;
use postern_model::ids::{AppId, GroupId, TenantId};
use postern_model::plan::{ConfigInvalid, PlannedApp};
use postern_model::{Change, Snapshot};

use crate::certificates::{self, Choice};
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::fleet::by_group;
use crate::limits::APPS_MAX;
use crate::problem::{not_found_among, problem};
use crate::tenants::{self, find_group};

/// `app publish`.
pub(crate) fn publish(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: PublishApp,
) -> Result<AppPublished, Problem> {
    let mut draft = Draft::default();
    let seq = control.next(counter("app", tenant.id), &mut draft)?;
    let app = {
        let snapshot = control.snapshot();
        check_room(&snapshot, tenant, &request)?;
        let group = request.group.as_deref().unwrap_or(crate::control::DEFAULT_NAME);
        App {
            id: AppId::new(tenant.id, seq),
            name: request.name,
            group: find_group(&snapshot, tenant, group)?.id,
            external_url: request.external_url,
            internal_url: request.internal_url,
            preauth: request.preauth,
            certificate: certificates::UNDECIDED,
            settings: request.settings,
        }
    };
    let choice = Choice { chain_pem: request.certificate_pem, key_pem: request.key_pem, current: None };
    store(control, actor, draft, app, choice, None)
}

/// `app set`.
pub(crate) fn set(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: SetApp,
) -> Result<AppPublished, Problem> {
    let before = find_app(&control.snapshot(), tenant, name)?.clone();
    let mut app = before.clone();
    if let Some(group) = &request.group {
        app.group = find_group(&control.snapshot(), tenant, group)?.id;
    }
    app.external_url = request.external_url.unwrap_or(app.external_url);
    app.internal_url = request.internal_url.unwrap_or(app.internal_url);
    app.preauth = request.preauth.unwrap_or(app.preauth);
    for (name, value) in request.settings {
        match value {
            Some(value) => drop(app.settings.insert(name, value)),
            None => drop(app.settings.remove(&name)),
        }
    }
    let choice =
        Choice { chain_pem: request.certificate_pem, key_pem: request.key_pem, current: Some(before.certificate) };
    store(control, actor, Draft::default(), app, choice, Some(before))
}

/// `app unpublish`.
pub(crate) fn unpublish(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        let app = find_app(&snapshot, tenant, name)?;
        draft.change(Change::AppRemoved { id: app.id });
        draft.sign(app.group, backends(&snapshot, app.group, None, Some(app.id)));
        certificates::drop_unused(&snapshot, app.certificate, app.id, &mut draft);
        draft.audit(Audit {
            action: "app.unpublish",
            tenant: Some(tenant.id),
            target: target(app),
            before: Some(summary(app)),
            after: None,
        });
    }
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `app show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<AppView, Problem> {
    let snapshot = control.snapshot();
    let app = find_app(&snapshot, tenant, name)?;
    Ok(view(&snapshot, app, &online_by_group(control, &snapshot)))
}

/// `app list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<AppView> {
    let snapshot = control.snapshot();
    let online = online_by_group(control, &snapshot);
    let apps = snapshot.apps.values().filter(|app| app.id.tenant == tenant.id);
    apps.map(|app| view(&snapshot, app, &online)).collect()
}

/// Checks the application with everything around it, chooses its certificate, and commits.
fn store(
    control: &Control,
    actor: &Actor,
    mut draft: Draft,
    mut app: App,
    choice: Choice,
    before: Option<App>,
) -> Result<AppPublished, Problem> {
    let planned = PlannedApp::parse(&app).map_err(refused)?;
    app.external_url = planned.external.to_string();
    app.internal_url = planned.internal.to_string();
    check_conflict(&control.snapshot(), &planned)?;
    app.certificate = certificates::choose(control, &planned, choice, &mut draft)?;
    let snapshot = control.snapshot();
    draft.sign(app.group, backends(&snapshot, app.group, Some(&app), None));
    draft.change(Change::AppPut(app.clone()));
    if let Some(before) = &before {
        if before.group != app.group {
            draft.sign(before.group, backends(&snapshot, before.group, None, Some(app.id)));
        }
        if before.certificate != app.certificate {
            certificates::drop_unused(&snapshot, before.certificate, app.id, &mut draft);
        }
    }
    drop(snapshot);
    draft.audit(Audit {
        action: if before.is_some() { "app.set" } else { "app.publish" },
        tenant: Some(app.id.tenant),
        target: target(&app),
        before: before.as_ref().map(summary),
        after: Some(summary(&app)),
    });
    let version = control.commit(actor, draft)?;
    published(control, &app, &planned, version)
}

fn published(control: &Control, app: &App, planned: &PlannedApp, version: u64) -> Result<AppPublished, Problem> {
    let snapshot = control.snapshot();
    let app = view(&snapshot, app, &online_by_group(control, &snapshot));
    let mut warnings = planned.warnings();
    if app.connectors_online == 0 {
        warnings.push(format!("no connector of group {} is online: users get 503 until one is", app.group));
    }
    Ok(AppPublished { app, version, warnings })
}

fn check_room(snapshot: &Snapshot, tenant: &Tenant, request: &PublishApp) -> Result<(), Problem> {
    let same = |app: &&App| app.id.tenant == tenant.id && app.name == request.name;
    if let Some(other) = snapshot.apps.values().find(same) {
        return Err(problem(
            "name-taken",
            format!("an application {} exists already ({}): change it with `postern app set`", other.name, other.id),
        ));
    }
    if snapshot.apps.len() >= APPS_MAX {
        return Err(problem("limit-reached", format!("{APPS_MAX} applications are published already")));
    }
    Ok(())
}

/// Refuses a place that is taken, naming who has it. A host belongs to one tenant, for its pages share cookies.
fn check_conflict(snapshot: &Snapshot, planned: &PlannedApp) -> Result<(), Problem> {
    let host = planned.external.host_pattern();
    for app in snapshot.apps.values().filter(|app| app.id != planned.id) {
        let Ok(other) = PlannedApp::parse(app) else { continue };
        if other.external.host_pattern() != host {
            continue;
        }
        if other.tenant != planned.tenant {
            let tenant = snapshot.tenants.get(&other.tenant).map(|tenant| tenant.name.as_str());
            let tenant = tenant.unwrap_or_default();
            return Err(problem(
                "app-url-conflict",
                format!("{host} belongs to the tenant {tenant}: it publishes {} there", other.name),
            ));
        }
        if other.external.path == planned.external.path {
            let url = &planned.external;
            return Err(problem("app-url-conflict", format!("{url} is already published as {}", other.name)));
        }
    }
    Ok(())
}

/// What the group's connectors may reach once `put` is in and `removed` is out.
fn backends(snapshot: &Snapshot, group: GroupId, put: Option<&App>, removed: Option<AppId>) -> Vec<BackendApp> {
    let replaced = |id: AppId| Some(id) == removed || Some(id) == put.map(|app| app.id);
    let kept = snapshot.apps_of(group).filter(|app| !replaced(app.id));
    kept.chain(put).map(backend).collect()
}

fn backend(app: &App) -> BackendApp {
    BackendApp {
        id: app.id,
        name: app.name.clone(),
        external_url: app.external_url.clone(),
        internal_url: app.internal_url.clone(),
        settings: app.settings.clone(),
    }
}

fn refused(error: ConfigInvalid) -> Problem {
    let code = match &error {
        ConfigInvalid::Url { error: UrlInvalid::NotYetAvailable { .. }, .. }
        | ConfigInvalid::PreauthNotAvailable { .. } => "not-yet-available",
        ConfigInvalid::Url { error: UrlInvalid::Malformed { .. }, .. } => "app-url-invalid",
        ConfigInvalid::Setting { .. } => "setting-invalid",
        ConfigInvalid::Conflict { .. } => "app-url-conflict",
        ConfigInvalid::Certificate { .. } => "certificate-invalid",
        ConfigInvalid::Missing { .. } | ConfigInvalid::Snapshot(_) => "still-used",
    };
    problem(code, error.to_string())
}

pub(crate) fn find_app<'a>(snapshot: &'a Snapshot, tenant: &Tenant, name: &str) -> Result<&'a App, Problem> {
    let own = || snapshot.apps.values().filter(|app| app.id.tenant == tenant.id);
    let by_name = own().find(|app| app.name.as_str() == name);
    by_name.or_else(|| own().find(|app| app.id.to_string() == name)).ok_or_else(|| {
        let known: Vec<&str> = own().map(|app| app.name.as_str()).collect();
        not_found_among("application", name, known)
    })
}

fn view(snapshot: &Snapshot, app: &App, online: &BTreeMap<GroupId, u32>) -> AppView {
    AppView {
        id: app.id,
        name: app.name.clone(),
        external_url: app.external_url.clone(),
        internal_url: app.internal_url.clone(),
        preauth: app.preauth,
        group: tenants::group_name(snapshot, app.group),
        connectors_online: online.get(&app.group).copied().unwrap_or(0),
        certificate: certificates::view(snapshot, app.certificate),
        settings: app.settings.clone(),
    }
}

/// Connectors online, by group.
pub(crate) fn online_by_group(control: &Control, snapshot: &Snapshot) -> BTreeMap<GroupId, u32> {
    let online = control.fleet.borrow().online();
    by_group(online.iter().filter_map(|id| Some(snapshot.connectors.get(id)?.group)))
}

fn target(app: &App) -> String {
    format!("app {} ({})", app.name, app.id)
}

/// One line, without what may be long or secret.
fn summary(app: &App) -> String {
    let settings: Vec<String> = app.settings.iter().map(|(name, value)| setting(name, value)).collect();
    let App { external_url, internal_url, group, certificate, .. } = app;
    let preauth = serde_json::to_string(&app.preauth).unwrap_or_default();
    let line = format!(
        "{external_url} -> {internal_url} preauth={preauth} group={group} certificate={certificate} {}",
        settings.join(" ")
    );
    line.trim_end().into()
}

fn setting(name: &str, value: &str) -> String {
    let long = value.len() > SUMMARY_VALUE_BYTES_MAX || value.contains('\n');
    format!("{name}={}", if long { "…" } else { value })
}

/// Applications of a tenant, for counting.
pub(crate) fn count(snapshot: &Snapshot, tenant: TenantId) -> usize {
    snapshot.apps.keys().filter(|id| id.tenant == tenant).count()
}

const SUMMARY_VALUE_BYTES_MAX: usize = 64;
