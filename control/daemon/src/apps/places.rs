//! Whether there is room for an application, and its place on the outside is nobody else's.

use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Tenant};
use postern_model::ids::{AppId, Name};
use postern_model::plan::PlannedApp;

use super::own_apps;
use crate::devices;
use crate::foreign_hosts::ForeignHosts;
use crate::limits::APPS_MAX;
use crate::problem::{check_no_id, problem};

/// Room for one more, of this name.
pub(super) fn check_room(snapshot: &Snapshot, tenant: &Tenant, name: &Name) -> Result<(), Problem> {
    check_no_id::<AppId>("published application", name.as_str())?;
    if let Some(other) = own_apps(snapshot, tenant).find(|app| app.name == *name) {
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

/// Refuses a place that is taken, naming who has it.
pub(super) fn check_conflict(snapshot: &Snapshot, planned: &PlannedApp) -> Result<(), Problem> {
    let url = &planned.external;
    devices::is_taken_host(snapshot, url)?;
    if let Some(other) = ForeignHosts::of(snapshot, planned.tenant).overlapping(url) {
        return Err(foreign_host(snapshot, url, other));
    }
    let own = snapshot.apps.values().filter(|app| app.id.tenant == planned.tenant && app.id != planned.id);
    for other in own.filter_map(|app| PlannedApp::parse(app).ok()) {
        if (other.external.host_pattern(), &other.external.path) == (url.host_pattern(), &url.path) {
            return Err(problem("app-url-conflict", format!("{url} is already published as {}", other.name)));
        }
    }
    Ok(())
}

pub(super) fn foreign_host(snapshot: &Snapshot, url: &ExternalUrl, other: &App) -> Problem {
    let tenant = snapshot.tenants.get(&other.id.tenant).map(|tenant| tenant.name.as_str()).unwrap_or_default();
    let (host, theirs) = (url.host_pattern(), ExternalUrl::parse(&other.external_url).map(|url| url.host_pattern()));
    let detail = match theirs {
        Ok(theirs) if theirs != host => {
            format!("{host} overlaps {theirs}, which belongs to the tenant {tenant}: it publishes {} there", other.name)
        }
        Ok(_) | Err(_) => format!("{host} belongs to the tenant {tenant}: it publishes {} there", other.name),
    };
    problem("app-url-conflict", detail)
}
