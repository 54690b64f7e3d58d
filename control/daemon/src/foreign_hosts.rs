//! Hosts that other tenants have. A host belongs to one tenant, for its pages share cookies; and so do all names below a
//! wildcard, for whoever published one of them would get what is meant for the wildcard's tenant.

use std::collections::BTreeMap;

use postern_model::Snapshot;
use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Tenant};
use postern_model::ids::TenantId;
use postern_model::plan::PlannedApp;

/// The hosts of all tenants but one, each with an application that is published there.
pub(crate) struct ForeignHosts<'a> {
    exact: BTreeMap<String, &'a App>,
    wildcards: BTreeMap<String, &'a App>,
    /// By each name that one of those is below.
    below: BTreeMap<String, &'a App>,
    /// What their applications' own names are below.
    suffixes: Vec<(&'a str, &'a Tenant)>,
}

impl<'a> ForeignHosts<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot, tenant: TenantId) -> Self {
        let others = snapshot.tenants.values().filter(|other| other.id != tenant);
        let suffixes = others.filter_map(|other| Some((other.app_suffix.as_deref()?, other))).collect();
        let (exact, wildcards, below) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut hosts = Self { exact, wildcards, below, suffixes };
        for app in snapshot.apps.values().filter(|app| app.id.tenant != tenant) {
            let Ok(planned) = PlannedApp::parse(app) else { continue };
            for url in planned.places.iter().map(|place| &place.external) {
                for name in above(&url.host) {
                    hosts.below.insert(name.into(), app);
                }
                let same = if url.wildcard { &mut hosts.wildcards } else { &mut hosts.exact };
                same.insert(url.host.to_string(), app);
            }
        }
        hosts
    }

    /// Who else is published where this would be.
    pub(crate) fn overlapping(&self, url: &ExternalUrl) -> Option<&'a App> {
        let (same, inside) = match url.wildcard {
            true => (&self.wildcards, self.below.get(&*url.host)),
            false => (&self.exact, None),
        };
        let around = || above(&url.host).find_map(|name| self.wildcards.get(name));
        same.get(&*url.host).or(inside).or_else(around).copied()
    }

    /// Whose applications have their own names where this would be, and below what.
    pub(crate) fn suffix_at(&self, url: &ExternalUrl) -> Option<(&'a str, &'a Tenant)> {
        let is_around = |suffix: &str| above(&url.host).any(|name| name == suffix);
        let is_inside = |suffix: &str| *url.host == *suffix || above(suffix).any(|name| name == &*url.host);
        let meets = |suffix: &str| is_around(suffix) || url.wildcard && is_inside(suffix);
        self.suffixes.iter().copied().find(|(suffix, _)| meets(suffix))
    }
}

/// `b.c` and `c` of `a.b.c`: the names that it is below.
fn above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(at, _)| &host[at + 1..])
}
