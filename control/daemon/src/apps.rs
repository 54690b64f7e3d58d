//! Publishing: applications are checked as a whole before they are stored, so that what relays get can always be served.

mod audited;
mod backends;
mod icons;
mod named;
mod places;
mod refused;
mod secured;
mod view;

use postern_model::admin::{AppPublished, AppView, Changed, Problem, PublishApp, SetApp};
use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Tenant};
use postern_model::document::AppEntry;
use postern_model::ids::{AppId, Name, TenantId};
use postern_model::plan::PlannedApp;
use postern_model::settings::CorporateNetwork;
use postern_model::{Change, Snapshot};

use crate::below_wildcards;
use crate::certificates::{self, Choice, Chosen};
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft, counter};
use crate::identity;
use crate::kept_out;
use crate::kerberos;
use crate::links;
use crate::policies;
use crate::problem::{not_found_among, problem};
use crate::saml;
use crate::service_tokens;
use crate::single_sign_on;
use crate::sso;
use crate::store::RequestChange;
use crate::tenants::find_group;
use crate::vault;
use audited::{summary, target};
use places::{Taken, check_conflict, check_domains, check_room};
use refused::refused;
use view::{Observed, view};

pub(crate) use backends::{backend, backends};
pub(crate) use places::{external_urls, own_name};
pub(crate) use view::online_by_group;

/// `app publish`.
pub(crate) fn publish(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: PublishApp,
) -> Result<AppPublished, Problem> {
    if identity::is_reserved(request.name.as_str()) {
        let detail = format!("the name {} is kept for the place to sign in: postern identity publish", request.name);
        return Err(problem("request-invalid", detail));
    }
    let mut draft = Draft::default();
    let seq = control.next(counter("app", tenant.id), &mut draft)?;
    let app = {
        let snapshot = control.snapshot();
        check_room(&snapshot, tenant, &request.name)?;
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

/// `apply`: the application shall be exactly so. Nothing happens when it is.
pub(crate) fn put(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &Name,
    entry: AppEntry,
) -> Result<(), Problem> {
    let group = entry.group.as_ref().map_or(crate::control::DEFAULT_NAME, Name::as_str);
    let group = find_group(&control.snapshot(), tenant, group).map_err(|problem| problem.about("group"))?.id;
    let before = own_apps(&control.snapshot(), tenant).find(|app| app.name == *name).cloned();
    let mut draft = Draft::default();
    let id = match &before {
        Some(before) => before.id,
        None => AppId::new(tenant.id, control.next(counter("app", tenant.id), &mut draft)?),
    };
    if before.is_none() {
        check_room(&control.snapshot(), tenant, name)?;
    }
    let AppEntry { external_url, internal_url, preauth, certificate_pem, key_pem, settings, .. } = entry;
    let certificate = before.as_ref().map_or(certificates::UNDECIDED, |before| before.certificate);
    let app = App { id, name: name.clone(), group, external_url, internal_url, preauth, certificate, settings };
    let current = before.as_ref().map(|before| before.certificate);
    let choice = Choice { chain_pem: certificate_pem, key_pem, current };
    store(control, actor, draft, app, choice, before).map(drop)
}

/// Refuses places that two applications have, among all of the tenant's: for what was staged without looking.
pub(crate) fn check_conflicts(snapshot: &Snapshot, tenant: &Tenant) -> Result<(), Problem> {
    saml::check_all(snapshot, own_apps(snapshot, tenant))?;
    let mut taken = Taken::of(snapshot, tenant.id);
    for app in own_apps(snapshot, tenant) {
        let Ok(planned) = PlannedApp::parse(app) else { continue };
        taken.check(&planned).map_err(|problem| problem.about(format!("app.{}.external", app.name)))?;
        taken.add(&planned);
    }
    Ok(())
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
    let is_moved = request.external_url.is_some();
    app.external_url = request.external_url.unwrap_or(app.external_url);
    app.internal_url = request.internal_url.unwrap_or(app.internal_url);
    app.preauth = request.preauth.unwrap_or(app.preauth);
    let secured = if is_moved { None } else { secured::secure(&mut app) };
    let opened = kept_out::nobody_any_more(&before, &app);
    let off = sso::switched_off(&before, &mut app);
    let switched_off = single_sign_on::stop_telling(&before, &mut app);
    for (name, value) in request.settings {
        match value {
            Some(value) => drop(app.settings.insert(name, value)),
            None => drop(app.settings.remove(&name)),
        }
    }
    let choice =
        Choice { chain_pem: request.certificate_pem, key_pem: request.key_pem, current: Some(before.certificate) };
    let left_behind = vault::own::left_behind(&control.snapshot(), &before, &app);
    let mut published = store(control, actor, Draft::default(), app, choice, Some(before))?;
    published.warnings.extend(opened);
    published.warnings.extend(secured);
    published.warnings.extend(off);
    published.warnings.extend(left_behind);
    published.warnings.extend(switched_off);
    Ok(published)
}

/// `app unpublish`.
pub(crate) fn unpublish(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let mut draft = Draft::default();
    let filled = service_tokens::filled(&control.snapshot());
    let naming = policies::naming(&control.snapshot());
    {
        let snapshot = control.snapshot();
        let app = find_app(&snapshot, tenant, name)?;
        draft.change(Change::AppRemoved { id: app.id });
        draft.request(RequestChange::AppGone(app.id));
        draft.sign(app.group, backends(&snapshot, app.group, None, Some(app.id)));
        certificates::drop_unused(&snapshot, app.certificate, app.id, &mut draft);
        certificates::drop_places(&snapshot, app, None, &mut draft);
        draft.audit(Audit {
            action: "app.unpublish",
            tenant: Some(tenant.id),
            target: target(app),
            before: Some(summary(app)),
            after: None,
        });
    }
    let version = control.commit(actor, draft)?;
    let now = control.snapshot();
    let mut warnings = service_tokens::emptied(&filled, &now);
    warnings.extend(policies::narrowed(&naming, &now));
    Ok(Changed { version, warnings })
}

/// `app show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str) -> Result<AppView, Problem> {
    let snapshot = control.snapshot();
    let app = find_app(&snapshot, tenant, name)?;
    Ok(view(&snapshot, app, &Observed::now(control, &snapshot)))
}

/// `app list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Vec<AppView> {
    let snapshot = control.snapshot();
    let observed = Observed::now(control, &snapshot);
    let apps = own_apps(&snapshot, tenant);
    apps.map(|app| view(&snapshot, app, &observed)).collect()
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
    let planned = PlannedApp::parse(&app).map_err(|error| refused(&app, &error))?;
    app.external_url = planned.external.to_string();
    app.internal_url = planned.internal.to_string();
    check_identity(control, &app, &planned)?;
    icons::check(&control.snapshot(), &app)?;
    check_domains(control, before.as_ref(), &planned)?;
    let staging = control.is_staging();
    if !staging {
        check_conflict(&control.snapshot(), &planned)?;
        saml::check(&control.snapshot(), &app)?;
    }
    let chosen = certificates::choose(control, &planned, choice, &mut draft);
    let Chosen { id, warnings: mut about_certificate } = chosen.map_err(|problem| problem.about("cert"))?;
    app.certificate = id;
    about_certificate.extend(certificates::for_places(control, &app, &mut draft)?);
    if draft.is_empty() && before.as_ref() == Some(&app) {
        let version = control.snapshot().version;
        return published(control, &app, &planned, version);
    }
    let snapshot = control.snapshot();
    // A stage signs what it comes to in the end.
    let reachable = |group, put, removed| if staging { Vec::new() } else { backends(&snapshot, group, put, removed) };
    draft.sign(app.group, reachable(app.group, Some(&app), None));
    draft.change(Change::AppPut(app.clone()));
    if let Some(before) = &before {
        if before.group != app.group {
            draft.sign(before.group, reachable(before.group, None, Some(app.id)));
        }
        if before.certificate != app.certificate && !certificates::is_for_place(&snapshot, before.certificate, &app) {
            certificates::drop_unused(&snapshot, before.certificate, app.id, &mut draft);
        }
        certificates::drop_places(&snapshot, before, Some(&app), &mut draft);
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
    let mut published = published(control, &app, &planned, version)?;
    published.warnings.extend(about_certificate);
    Ok(published)
}

/// The place to sign in stays what it is, and nothing else takes its backend's name.
fn check_identity(control: &Control, app: &App, planned: &PlannedApp) -> Result<(), Problem> {
    let is_identity = identity::is_reserved(app.name.as_str()) && app.id.tenant == TenantId::DEFAULT;
    let group = control.snapshot().groups.get(&app.group).cloned();
    if group.as_ref().is_some_and(|group| group.directory_sync) {
        let detail = "the connectors of this group read a directory and reach no applications: take another group";
        return Err(problem("directory-sync-fixed", detail).about("group"));
    }
    let in_its_group = group.is_some_and(|group| identity::is_reserved(group.name.as_str()));
    if is_identity && in_its_group {
        return identity::check(app);
    }
    let is_own = planned.places.iter().any(|place| place.internal.host.ends_with(OWN_NAMES));
    if is_identity || in_its_group || is_own {
        let detail = "only the place to sign in is served by identity processes: postern identity publish";
        return Err(problem("identity-app-fixed", detail));
    }
    Ok(())
}

fn published(control: &Control, app: &App, planned: &PlannedApp, version: u64) -> Result<AppPublished, Problem> {
    let unknown = named::unknown(control, app);
    let snapshot = control.snapshot();
    let mut warnings = kept_out::people(&snapshot, app, now_unix());
    warnings.extend(unknown);
    warnings.extend(vault::unusable(&snapshot, app));
    warnings.extend(vault::own::keyless(&snapshot, app));
    warnings.extend(planned.warnings());
    warnings.extend(links::shared_alias(&snapshot, planned));
    warnings.extend(saml::warnings(app, planned));
    warnings.extend(below_wildcards::warnings(&snapshot, app.id.tenant, |about| about.id == app.id));
    warnings.extend(kerberos::keyless(control.fleet.borrow().keytabs(), &snapshot, planned));
    let app = view(&snapshot, app, &Observed::now(control, &snapshot));
    warnings.extend(circle(&snapshot, planned));
    warnings.extend(service_tokens::unasked(&snapshot, planned));
    if app.connectors_online == 0 {
        warnings.push(format!("no connector of group {} is online: users get 503 until one is", app.group));
    }
    Ok(AppPublished { app, version, warnings })
}

/// What keeps requests from corporate networks from being redirected.
fn circle(snapshot: &Snapshot, planned: &PlannedApp) -> Option<String> {
    if planned.settings.corporate_network != CorporateNetwork::Redirect {
        return None;
    }
    let published: Vec<ExternalUrl> = snapshot.apps.values().flat_map(|app| external_urls(snapshot, app)).collect();
    let mut hosts = planned.places.iter().map(|place| &*place.internal.host);
    let host = hosts.find(|host| published.iter().any(|external| external.is_at(host)));
    host.map(|host| {
        format!(
            "{}: corporate_network=redirect has no effect, for {host} is published here, too: requests would come back",
            planned.name
        )
    })
}

pub(crate) fn find_app<'a>(snapshot: &'a Snapshot, tenant: &Tenant, name: &str) -> Result<&'a App, Problem> {
    let own = || own_apps(snapshot, tenant);
    let by_name = own().find(|app| app.name.as_str() == name);
    by_name.or_else(|| own().find(|app| app.id.to_string() == name)).ok_or_else(|| {
        let known: Vec<&str> = own().map(|app| app.name.as_str()).collect();
        not_found_among("application", name, known)
    })
}

fn own_apps<'a>(snapshot: &'a Snapshot, tenant: &Tenant) -> impl Iterator<Item = &'a App> {
    let tenant = tenant.id;
    snapshot.apps.values().filter(move |app| app.id.tenant == tenant)
}

/// Applications of a tenant, for counting.
pub(crate) fn count(snapshot: &Snapshot, tenant: TenantId) -> usize {
    snapshot.apps.keys().filter(|id| id.tenant == tenant).count()
}

/// Names that no resolver knows.
const OWN_NAMES: &str = ".postern.internal";
