//! Whose conditions count where users sign in for a client. They follow the client's registration: scopes come through the
//! browser, and whoever sits there must not choose the door by them.

use std::collections::BTreeSet;

use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::config::{App, Preauth};
use postern_model::directory::assigned;
use postern_model::ids::{AppId, Name, TenantId, UserGroupId};
use postern_model::oauth::Scopes;
use postern_model::session::SessionRecord;

use crate::clock::now_unix;
use crate::control::Control;
use crate::limits::APP_SCOPES_MAX;
use crate::store::StoredClient;

/// The application that a scope names, if it asks who its users are.
pub(super) fn find<'a>(snapshot: &'a Snapshot, tenant: TenantId, name: &Name) -> Option<&'a App> {
    let mut apps = snapshot.apps.values();
    apps.find(|app| app.id.tenant == tenant && app.name == *name && app.preauth == Preauth::Oidc)
}

/// Its id.
pub(crate) fn app_of_scope(control: &Control, tenant: TenantId, name: &Name) -> Option<AppId> {
    find(&control.snapshot(), tenant, name).map(|app| app.id)
}

/// What is wrong with the applications that are asked for, if anything.
pub(crate) fn unfit(control: &Control, tenant: TenantId, asked: &Scopes) -> Option<&'static str> {
    if asked.apps().count() > APP_SCOPES_MAX {
        return Some("at most 16 applications at once");
    }
    let is_missing = asked.apps().any(|name| app_of_scope(control, tenant, name).is_none());
    is_missing.then_some("no such application is published, or it does not ask who its users are")
}

/// The applications whose second factor and policies a sign-in meets, all of them: those that are asked for, else those that
/// the client is registered for.
pub(crate) fn conditions(control: &Control, client: &StoredClient, asked: &Scopes) -> Vec<AppId> {
    let scopes = if asked.apps().next().is_some() { asked } else { &client.settings.scopes };
    scopes.apps().filter_map(|name| app_of_scope(control, client.id.tenant, name)).collect()
}

/// Whether a user may sign in for a client: with an assignment to one of the applications that it is registered for. Where it
/// is registered for none by name, every user of its tenant may.
pub(crate) fn admits(control: &Control, client: &StoredClient, record: &SessionRecord) -> Result<bool, Problem> {
    let registered = &client.settings.scopes;
    if registered.apps().next().is_none() {
        return Ok(true);
    }
    let Some(user) = control.directory(|store| store.user(record.user.id))? else { return Ok(false) };
    let groups: BTreeSet<UserGroupId> = record.user.groups.keys().copied().collect();
    let (snapshot, now) = (control.snapshot(), now_unix());
    let mut apps = registered.apps().filter_map(|name| find(&snapshot, client.id.tenant, name));
    Ok(apps.any(|app| assigned(&snapshot.assignments, &user, &groups, app.id, now).is_some()))
}
