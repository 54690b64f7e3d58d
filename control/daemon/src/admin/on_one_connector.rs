//! Applications that hang on one connector: gone when its host is.

use std::collections::BTreeMap;

use postern_model::Snapshot;
use postern_model::ids::{GroupId, TenantId};

/// A group with applications of which exactly one connector is online.
pub(super) struct Alone {
    /// With its tenant's name in front, but for the tenant that `init` makes.
    pub(super) group: String,
    apps: usize,
}

/// All of them. `online`: connectors of each group that are.
pub(super) fn groups(snapshot: &Snapshot, online: &BTreeMap<GroupId, u32>) -> Vec<Alone> {
    let one = snapshot.groups.values().filter(|group| online.get(&group.id) == Some(&1));
    one.filter_map(|group| {
        let apps = snapshot.apps_of(group.id).count();
        let tenant = Some(group.id.tenant).filter(|tenant| *tenant != TenantId::DEFAULT);
        let name = match tenant.and_then(|tenant| snapshot.tenants.get(&tenant)) {
            Some(tenant) => format!("{}/{}", tenant.name, group.name),
            None => group.name.to_string(),
        };
        (apps > 0).then_some(Alone { group: name, apps })
    })
    .collect()
}

impl Alone {
    /// For operators.
    pub(super) fn warning(&self) -> String {
        format!(
            "connector group {}: only one connector is online, and its {} applications are gone when it is. Have three, on different hosts",
            self.group, self.apps
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::config::{App, Group, Preauth, Tenant};

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (tenant, name) in [("t1", "default"), ("t2", "acme")] {
            let id: TenantId = tenant.parse().unwrap();
            snapshot.tenants.insert(id, Tenant { id, name: name.parse().unwrap(), app_suffix: None });
        }
        for (id, name) in [("g1-1", "hq"), ("g1-2", "idle"), ("g2-1", "hq")] {
            let id: GroupId = id.parse().unwrap();
            snapshot.groups.insert(id, Group { id, name: name.parse().unwrap(), directory_sync: false });
        }
        for (app, group) in [("a1-1", "g1-1"), ("a1-2", "g1-1"), ("a2-1", "g2-1")] {
            let app = App {
                id: app.parse().unwrap(),
                name: app.replace('-', "x").parse().unwrap(),
                group: group.parse().unwrap(),
                external_url: format!("https://{app}.test/"),
                internal_url: "http://backend/".into(),
                preauth: Preauth::Passthrough,
                certificate: "k1-1".parse().unwrap(),
                settings: BTreeMap::new(),
            };
            snapshot.apps.insert(app.id, app);
        }
        snapshot
    }

    #[test]
    fn groups_that_serve_by_one_connector_are_named() {
        let alone = |online: &[(&str, u32)]| {
            let online = online.iter().map(|(group, count)| (group.parse().unwrap(), *count)).collect();
            let found = groups(&snapshot(), &online);
            found.iter().map(Alone::warning).collect::<Vec<_>>()
        };
        let both = alone(&[("g1-1", 1), ("g1-2", 1), ("g2-1", 1)]);
        assert_eq!(both.len(), 2, "a group without applications is no trouble: {both:?}");
        assert!(
            both[0].starts_with("connector group hq: only one") && both[0].contains("its 2 applications"),
            "{both:?}"
        );
        assert!(both[1].starts_with("connector group acme/hq: only one") && both[1].contains("Have three"), "{both:?}");
        assert_eq!(alone(&[("g1-1", 2), ("g2-1", 3)]), Vec::<String>::new());
        assert_eq!(alone(&[]), Vec::<String>::new(), "that none is online is told elsewhere");
    }
}
