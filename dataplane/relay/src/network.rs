//! Corporate networks at work: which applications look for them, and how many requests came from each. Made anew with every
//! publication; the counts stay.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postern_model::app_url::{ExternalUrl, InternalUrl};
use postern_model::host::is_below;
use postern_model::ids::AppId;
use postern_model::link::CorporateUse;
use postern_model::plan::{Plan, PlannedApp};
use postern_model::prefix::IpPrefix;
use postern_model::settings::CorporateNetwork;

use crate::limits::CORPORATE_REPORTED_MAX;

/// The applications for which it matters where a request comes from.
#[derive(Debug, Default)]
pub(crate) struct NetworkTable {
    apps: HashMap<AppId, Arc<AppNetworks>>,
}

/// One application's corporate networks.
#[derive(Debug)]
pub(crate) struct AppNetworks {
    /// Requests from there are sent to the internal URL.
    pub(crate) redirects: bool,
    networks: Vec<Seen>,
}

/// One network and what came from it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) name: Arc<str>,
    prefixes: Vec<IpPrefix>,
    requests: Arc<AtomicU64>,
}

impl NetworkTable {
    /// The table for `plan`, with the counts of `held`.
    pub(crate) fn next(held: &Self, plan: &Plan) -> Self {
        let asking = plan.apps().filter(|app| app.settings.corporate_network != CorporateNetwork::Allow);
        let apps =
            asking.map(|app| (app.id, Arc::new(AppNetworks::of(app, plan, held.apps.get(&app.id).map(Arc::as_ref)))));
        Self { apps: apps.collect() }
    }

    /// An application's networks, if it asks for them.
    pub(crate) fn app(&self, app: AppId) -> Option<&AppNetworks> {
        self.apps.get(&app).map(Arc::as_ref)
    }

    /// What came from corporate networks since the relay's start, most first.
    pub(crate) fn report(&self) -> Vec<CorporateUse> {
        let uses = self.apps.iter().flat_map(|(app, networks)| {
            networks.networks.iter().map(|seen| CorporateUse {
                app: *app,
                network: seen.name.to_string(),
                requests: seen.requests.load(Ordering::Relaxed),
            })
        });
        let mut uses: Vec<CorporateUse> = uses.filter(|corporate| corporate.requests > 0).collect();
        uses.sort_unstable_by_key(|corporate| (std::cmp::Reverse(corporate.requests), corporate.app));
        uses.truncate(CORPORATE_REPORTED_MAX);
        uses
    }
}

impl AppNetworks {
    fn of(app: &PlannedApp, plan: &Plan, held: Option<&Self>) -> Self {
        // An internal URL whose host is published here would lead back here, and in a circle in the end.
        let leads_away = app.places.iter().all(|place| !is_published(&place.internal, plan));
        let count = |name: &str| {
            let same = held.and_then(|held| held.networks.iter().find(|seen| &*seen.name == name));
            same.map_or_else(Arc::default, |seen| Arc::clone(&seen.requests))
        };
        let networks = plan.networks(app.tenant).iter().map(|network| Seen {
            name: network.name.as_str().into(),
            prefixes: network.prefixes.clone(),
            requests: count(network.name.as_str()),
        });
        Self {
            redirects: app.settings.corporate_network == CorporateNetwork::Redirect && leads_away,
            networks: networks.collect(),
        }
    }

    /// The network that an address belongs to. Its request is counted.
    pub(crate) fn seen(&self, address: IpAddr) -> Option<&Arc<str>> {
        let seen = self.networks.iter().find(|seen| seen.prefixes.iter().any(|prefix| prefix.contains(address)))?;
        seen.requests.fetch_add(1, Ordering::Relaxed);
        Some(&seen.name)
    }
}

/// Whether an application is at its host, or at one of its hosts.
fn is_published(internal: &InternalUrl, plan: &Plan) -> bool {
    let Some(name) = internal.wildcard() else { return plan.host(&internal.host).is_some() };
    let meets = |external: &ExternalUrl| {
        is_below(&external.host, name)
            || external.wildcard && (*external.host == *name || is_below(name, &external.host))
    };
    plan.apps().flat_map(|app| app.places.iter()).any(|place| meets(&place.external))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::{HOST, snapshot};
    use postern_model::Snapshot;
    use postern_model::ids::TenantId;
    use postern_model::network::Network;

    fn with(setting: &str, internal: &str) -> Snapshot {
        let mut snapshot = snapshot(1);
        let app = snapshot.apps.values_mut().next().unwrap();
        app.settings.insert("corporate_network".into(), setting.into());
        app.internal_url = internal.into();
        let prefixes = vec!["203.0.113.0/24".parse().unwrap()];
        let network = Network { tenant: TenantId::DEFAULT, name: "hq".parse().unwrap(), prefixes, anonymiser: false };
        snapshot.networks.insert(network.key(), network);
        snapshot
    }

    fn table(held: &NetworkTable, setting: &str, internal: &str) -> NetworkTable {
        NetworkTable::next(held, &Plan::build(&with(setting, internal)).unwrap())
    }

    #[test]
    fn requests_from_networks_are_counted_and_stay_counted() {
        let app = AppId::new(TenantId::DEFAULT, 1);
        let first = table(&NetworkTable::default(), "warn", "http://b/");
        let networks = first.app(app).unwrap();
        assert!(!networks.redirects);
        assert_eq!(networks.seen("203.0.113.9".parse().unwrap()).map(|name| &**name), Some("hq"));
        assert_eq!(networks.seen("198.51.100.9".parse().unwrap()), None);
        let second = table(&first, "redirect", "http://b/");
        assert_eq!(second.report(), [CorporateUse { app, network: "hq".into(), requests: 1 }]);
        assert!(second.app(app).unwrap().redirects);
        assert!(table(&second, "allow", "http://b/").app(app).is_none());
    }

    #[test]
    fn what_would_lead_back_here_is_not_redirected() {
        let app = AppId::new(TenantId::DEFAULT, 1);
        let back = table(&NetworkTable::default(), "redirect", &format!("https://{HOST}:8443/"));
        assert!(!back.app(app).unwrap().redirects);
    }

    #[test]
    fn hosts_below_a_wildcard_are_not_to_lead_back_either() {
        let id = AppId::new(TenantId::DEFAULT, 1);
        for (internal, away) in [
            ("http://*.corp.example/", true),
            ("http://*.apps.example.com/", false),
            ("http://*.example.com/", false),
            ("http://*.x.apps.example.com/", false),
            ("http://*.myapps.example.com/", true),
        ] {
            let mut snapshot = with("redirect", internal);
            snapshot.apps.values_mut().next().unwrap().external_url = "https://*.apps.example.com/".into();
            let table = NetworkTable::next(&NetworkTable::default(), &Plan::build(&snapshot).unwrap());
            assert_eq!(table.app(id).unwrap().redirects, away, "{internal}");
        }
    }

    #[test]
    fn a_segment_that_would_lead_back_keeps_all_from_being_redirected() {
        let id = AppId::new(TenantId::DEFAULT, 1);
        let mut snapshot = with("redirect", "http://b/");
        let app = snapshot.apps.values_mut().next().unwrap();
        app.settings.insert("segments".into(), format!("https://api.example.com/=http://{HOST}/"));
        let table = NetworkTable::next(&NetworkTable::default(), &Plan::build(&snapshot).unwrap());
        assert!(!table.app(id).unwrap().redirects);
    }
}
