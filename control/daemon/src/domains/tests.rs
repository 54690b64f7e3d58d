//! Domains and the names that applications have below a suffix.

use serde_json::{Value, json};

use super::*;
use crate::{apps, identity, tenants, testing};

struct World {
    control: Control,
    tenant: Tenant,
    _folder: tempfile::TempDir,
}

impl World {
    /// Its applications are below `apps.example.net`, too.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = testing::control(folder.path());
        let tenant = identity::default_tenant(&control.snapshot()).unwrap();
        let tenant = Tenant { app_suffix: Some("apps.example.net".into()), ..tenant };
        let world = Self { control, tenant, _folder: folder };
        world.put(Change::TenantPut(world.tenant.clone()));
        world
    }

    fn put(&self, change: Change) {
        let mut draft = Draft::default();
        draft.change(change);
        self.control.commit(&Actor::Control, draft).unwrap();
    }

    fn verified(&self, tenant: TenantId, name: &str) {
        let name = name.parse().unwrap();
        self.put(Change::DomainPut(Domain { tenant, name, token: "t".into(), verified_unix: Some(1) }));
    }

    fn publish(&self, name: &str, settings: Value) -> Result<App, Problem> {
        let entry = json!({
            "name": name,
            "external_url": format!("https://{name}.example.com/"),
            "internal_url": "http://10.0.0.5/",
            "preauth": "passthrough",
            "settings": settings,
        });
        let entry = serde_json::from_value(entry).unwrap();
        apps::publish(&self.control, &Actor::Control, &self.tenant, entry)?;
        let snapshot = self.control.snapshot();
        Ok(snapshot.apps.values().find(|app| app.name.as_str() == name).unwrap().clone())
    }
}

#[test]
fn an_own_name_is_not_at_a_domain_that_became_another_tenants() {
    let world = World::new();
    world.publish("early", json!({})).unwrap();
    let create = serde_json::from_value(json!({"name": "other"})).unwrap();
    tenants::create(&world.control, &Actor::Control, create).unwrap();
    world.verified(tenants::find(&world.control, "other").unwrap().id, "example.net");
    let refused = world.publish("late", json!({})).unwrap_err();
    assert_eq!(refused.code, "domain-taken");
    assert!(refused.detail.contains("late.apps.example.net"), "{}", refused.detail);
    // What was there before may still be changed.
    let set = serde_json::from_value(json!({"settings": {"external_aliases": "https://e.example.com"}})).unwrap();
    apps::set(&world.control, &Actor::Control, &world.tenant, "early", set).unwrap();
}

#[test]
fn whoever_removes_a_domain_is_told_of_every_application_there() {
    let world = World::new();
    world.publish("alias", json!({"external_aliases": "https://alias.example.org"})).unwrap();
    world.publish("plain", json!({})).unwrap();
    for (name, says) in [
        ("example.com", "2 applications are published at"),
        ("example.org", "1 applications are published at"),
        ("apps.example.net", "2 applications are published at"),
        ("example.edu", ""),
    ] {
        world.verified(world.tenant.id, name);
        let removed = remove(&world.control, &Actor::Control, &world.tenant, name).unwrap();
        let told = removed.warnings.concat();
        assert!(told.starts_with(says) && told.is_empty() == says.is_empty(), "{name}: {told}");
    }
}
