//! Hosts that other tenants have. A host belongs to one tenant, for its pages share cookies; and so do all names below a
//! wildcard, for whoever published one of them would get what is meant for the wildcard's tenant.

use std::collections::BTreeMap;

use postern_model::Snapshot;
use postern_model::app_url::ExternalUrl;
use postern_model::config::App;
use postern_model::ids::TenantId;
use postern_model::plan::PlannedApp;

/// The hosts of all tenants but one, each with an application that is published there.
pub(crate) struct ForeignHosts<'a> {
    exact: BTreeMap<String, &'a App>,
    wildcards: BTreeMap<String, &'a App>,
    /// By each name that one of those is below.
    below: BTreeMap<String, &'a App>,
}

impl<'a> ForeignHosts<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot, tenant: TenantId) -> Self {
        let mut hosts = Self { exact: BTreeMap::new(), wildcards: BTreeMap::new(), below: BTreeMap::new() };
        for app in snapshot.apps.values().filter(|app| app.id.tenant != tenant) {
            let Ok(planned) = PlannedApp::parse(app) else { continue };
            let url = planned.external;
            for name in above(&url.host) {
                hosts.below.insert(name.into(), app);
            }
            let same = if url.wildcard { &mut hosts.wildcards } else { &mut hosts.exact };
            same.insert(url.host.into(), app);
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
}

/// `b.c` and `c` of `a.b.c`: the names that it is below.
fn above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(at, _)| &host[at + 1..])
}
