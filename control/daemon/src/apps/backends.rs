//! Applications as their connectors see them.

use postern_model::Snapshot;
use postern_model::config::App;
use postern_model::group_config::BackendApp;
use postern_model::ids::{AppId, GroupId};
use postern_model::settings::{take_answers, take_portal, take_request, take_sso, take_tls};
use postern_model::sso::VAULT_BY;

use crate::vault;

/// What the group's connectors may reach once `put` is in and `removed` is out.
pub(crate) fn backends(
    snapshot: &Snapshot,
    group: GroupId,
    put: Option<&App>,
    removed: Option<AppId>,
) -> Vec<BackendApp> {
    let replaced = |id: AppId| Some(id) == removed || Some(id) == put.map(|app| app.id);
    let kept = snapshot.apps_of(group).filter(|app| !replaced(app.id));
    kept.chain(put).map(|app| backend(snapshot, app)).collect()
}

/// An application as its connectors see it.
pub(crate) fn backend(snapshot: &Snapshot, app: &App) -> BackendApp {
    let mut settings = app.settings.clone();
    // Relays tell who the user is: connectors need not know how, and older ones would not. Nor what the portal shows, or who
    // enters passwords there.
    take_sso(&mut settings);
    settings.remove(VAULT_BY);
    take_portal(&mut settings);
    take_answers(&mut settings);
    take_request(&mut settings);
    take_tls(&mut settings);
    BackendApp {
        id: app.id,
        name: app.name.clone(),
        external_url: app.external_url.clone(),
        internal_url: app.internal_url.clone(),
        settings,
        credentials: vault::sealed_for(snapshot, app),
        // Whoever signs it knows it.
        member_key: None,
    }
}
