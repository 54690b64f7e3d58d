//! Whether there is room for an application, and its places on the outside are nobody else's.

use std::collections::BTreeMap;

use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Tenant};
use postern_model::host::is_at_or_below;
use postern_model::ids::{AppId, Name, TenantId};
use postern_model::plan::PlannedApp;

use super::own_apps;
use crate::control::Control;
use crate::devices;
use crate::domains;
use crate::foreign_hosts::ForeignHosts;
use crate::identity::is_reserved;
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

/// Refuses a place that it did not have before at a domain of another tenant's, or where that is demanded one that nobody verified.
pub(super) fn check_domains(control: &Control, before: Option<&App>, planned: &PlannedApp) -> Result<(), Problem> {
    let snapshot = control.snapshot();
    let before = before.and_then(|before| PlannedApp::parse(before).ok());
    let had = |url: &ExternalUrl| before.iter().flat_map(|before| &*before.places).any(|place| place.external == *url);
    let mut new = planned.places.iter().map(|place| &place.external).filter(|url| !had(url));
    new.try_for_each(|url| {
        let about = if *url == planned.external { "external" } else { "settings" };
        domains::check(control, &snapshot, planned.tenant, url).map_err(|problem| problem.about(about))
    })?;
    // The domain that its tenant's suffix is at may have become another tenant's since.
    // The place to sign in has no such name, also while it is being published.
    let is_named = !is_reserved(planned.name.as_str());
    let own = |planned: &PlannedApp| own_name(&snapshot, planned).filter(|_| is_named);
    let had = before.as_ref().and_then(own).map(|url| url.host);
    match own(planned) {
        Some(url) if had.as_ref() != Some(&url.host) => domains::check(control, &snapshot, planned.tenant, &url),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a place that is taken, naming who has it.
pub(super) fn check_conflict(snapshot: &Snapshot, planned: &PlannedApp) -> Result<(), Problem> {
    let mut taken = Taken::of(snapshot, planned.tenant);
    let own = snapshot.apps.values().filter(|app| app.id.tenant == planned.tenant && app.id != planned.id);
    own.filter_map(|app| PlannedApp::parse(app).ok()).for_each(|other| taken.add(&other));
    taken.check(planned)
}

/// What of an application's own name browsers open, where its tenant has a suffix for them.
pub(crate) fn own_name(snapshot: &Snapshot, planned: &PlannedApp) -> Option<ExternalUrl> {
    let suffix = snapshot.tenants.get(&planned.tenant)?.app_suffix.as_deref()?;
    let is_identity = snapshot.identity.as_ref().is_some_and(|identity| identity.app == planned.id);
    planned.own_name(suffix).filter(|_| !is_identity).map(|place| place.external)
}

/// Every URL that an application is published at, its own name included.
pub(crate) fn external_urls(snapshot: &Snapshot, app: &App) -> Vec<ExternalUrl> {
    let Ok(planned) = PlannedApp::parse(app) else { return Vec::new() };
    let own_name = own_name(snapshot, &planned);
    planned.places.iter().map(|place| place.external.clone()).chain(own_name).collect()
}

/// Where a tenant's applications are, and other tenants' where nobody else may be.
pub(super) struct Taken<'a> {
    snapshot: &'a Snapshot,
    foreign: ForeignHosts<'a>,
    suffix: Option<&'a str>,
    /// By pattern of the host and path.
    places: BTreeMap<(String, Box<str>), Name>,
    /// By host, without wildcards.
    hosts: BTreeMap<Box<str>, (Name, String)>,
    /// By host.
    own_names: BTreeMap<Box<str>, Name>,
}

impl<'a> Taken<'a> {
    /// Without applications of the tenant itself.
    pub(super) fn of(snapshot: &'a Snapshot, tenant: TenantId) -> Self {
        let suffix = snapshot.tenants.get(&tenant).and_then(|tenant| tenant.app_suffix.as_deref());
        let foreign = ForeignHosts::of(snapshot, tenant);
        let (places, hosts, own_names) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { snapshot, foreign, suffix, places, hosts, own_names }
    }

    pub(super) fn add(&mut self, planned: &PlannedApp) {
        for url in planned.places.iter().map(|place| &place.external) {
            self.places.insert((url.host_pattern(), url.path.clone()), planned.name.clone());
            if !url.wildcard {
                self.hosts.insert(url.host.clone(), (planned.name.clone(), url.to_string()));
            }
        }
        if let Some(url) = own_name(self.snapshot, planned) {
            self.own_names.insert(url.host, planned.name.clone());
        }
    }

    /// Refuses what cannot be where it would be.
    pub(super) fn check(&self, planned: &PlannedApp) -> Result<(), Problem> {
        planned.places.iter().try_for_each(|place| self.check_url(&place.external))?;
        let Some(own_name) = own_name(self.snapshot, planned) else { return Ok(()) };
        devices::is_taken_host(self.snapshot, &own_name)?;
        let Some((other, url)) = self.hosts.get(&own_name.host) else { return Ok(()) };
        let (host, name) = (&own_name.host, &planned.name);
        Err(conflict(format!(
            "{url} is already published as {other}: {name} would be at {host}, too, by the tenant's app suffix; take another name"
        )))
    }

    fn check_url(&self, url: &ExternalUrl) -> Result<(), Problem> {
        devices::is_taken_host(self.snapshot, url)?;
        if let Some(other) = self.foreign.overlapping(url) {
            return Err(foreign_host(self.snapshot, url, other));
        }
        let host = url.host_pattern();
        if let Some((suffix, tenant)) = self.foreign.suffix_at(url) {
            let detail = format!("{host} belongs to the tenant {}, whose applications are below {suffix}", tenant.name);
            return Err(conflict(detail));
        }
        if let Some(other) = self.places.get(&(host.clone(), url.path.clone())) {
            return Err(conflict(format!("{url} is already published as {other}")));
        }
        if let Some(other) = self.own_names.get(&url.host).filter(|_| !url.wildcard) {
            return Err(conflict(format!("{host} is the name of {other} below the tenant's app suffix")));
        }
        let Some(suffix) = self.suffix.filter(|_| url.wildcard) else { return Ok(()) };
        if is_at_or_below(suffix, &url.host) || is_at_or_below(&url.host, suffix) {
            let detail = format!("{host} overlaps *.{suffix}, where each application of the tenant has its name");
            return Err(conflict(detail));
        }
        Ok(())
    }
}

fn conflict(detail: String) -> Problem {
    problem("app-url-conflict", detail)
}

pub(super) fn foreign_host(snapshot: &Snapshot, url: &ExternalUrl, other: &App) -> Problem {
    let tenant = snapshot.tenants.get(&other.id.tenant).map(|tenant| tenant.name.as_str()).unwrap_or_default();
    let host = url.host_pattern();
    let meets =
        |theirs: &&ExternalUrl| is_at_or_below(&theirs.host, &url.host) || is_at_or_below(&url.host, &theirs.host);
    let urls = external_urls(snapshot, other);
    let detail = match urls.iter().find(meets).map(ExternalUrl::host_pattern) {
        Some(theirs) if theirs != host => {
            format!("{host} overlaps {theirs}, which belongs to the tenant {tenant}: it publishes {} there", other.name)
        }
        Some(_) | None => format!("{host} belongs to the tenant {tenant}: it publishes {} there", other.name),
    };
    problem("app-url-conflict", detail)
}
