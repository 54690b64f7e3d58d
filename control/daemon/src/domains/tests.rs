//! Domains and the names that applications have below a suffix.

use serde_json::{Value, json};
use simple_dns::rdata::{RData, TXT};
use simple_dns::{CLASS, Packet, ResourceRecord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

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

    /// Another tenant.
    fn other(&self) -> TenantId {
        let create = serde_json::from_value(json!({"name": "other"})).unwrap();
        tenants::create(&self.control, &Actor::Control, create).unwrap();
        tenants::find(&self.control, "other").unwrap().id
    }

    fn add(&self, name: &str) -> DomainChanged {
        add(&self.control, &Actor::Control, &self.tenant, &AddDomain { name: name.into() }).unwrap()
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
    world.verified(world.other(), "example.net");
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

#[test]
fn no_wildcard_is_above_another_tenants_domain() {
    let world = World::new();
    let (own, other) = (world.tenant.id, world.other());
    world.verified(other, "shop.example.com");
    let name = "shop.example.net".parse().unwrap();
    world.put(Change::DomainPut(Domain { tenant: other, name, token: "t".into(), verified_unix: None }));
    let snapshot = world.control.snapshot();
    for (tenant, url, is_refused) in [
        (own, "https://*.example.com/", true),
        (own, "https://*.shop.example.com/", true),
        (own, "https://shop.example.com/", true),
        (own, "https://example.com/", false),
        (own, "https://*.example.org/", false),
        (own, "https://*.example.net/", false),
        (other, "https://*.example.com/", false),
    ] {
        let checked = check(&world.control, &snapshot, tenant, &ExternalUrl::parse(url).unwrap());
        let code = checked.err().map(|problem| problem.code);
        assert_eq!(code.as_deref(), is_refused.then_some("domain-taken"), "{url}");
    }
}

/// A resolver that is asked once, and answers with this text after `meanwhile`.
async fn answers(listener: &TcpListener, text: &str, meanwhile: impl FnOnce()) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut question).await.unwrap();
    meanwhile();
    let asked = Packet::parse(&question).unwrap();
    let mut packet = Packet::new_reply(asked.id());
    let name = asked.questions[0].qname.clone();
    let text = RData::TXT(TXT::new().with_string(text).unwrap());
    packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, text));
    packet.questions = asked.questions;
    let answer = packet.build_bytes_vec().unwrap();
    stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
    stream.write_all(&answer).await.unwrap();
}

#[tokio::test]
async fn a_domain_that_was_added_anew_is_not_verified_by_the_old_record() {
    for is_anew in [false, true] {
        let mut world = World::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.control.domains.servers = vec![listener.local_addr().unwrap()];
        let name = "example.org";
        let value = world.add(name).domain.record_value;
        let meanwhile = || {
            if is_anew {
                remove(&world.control, &Actor::Control, &world.tenant, name).unwrap();
                assert_ne!(world.add(name).domain.record_value, value, "it is to be shown again");
            }
        };
        let verified = verify(&world.control, &Actor::Control, &world.tenant, name);
        let (verified, ()) = tokio::join!(verified, answers(&listener, &value, meanwhile));
        let code = verified.err().map(|problem| problem.code);
        assert_eq!(code.as_deref(), is_anew.then_some("domain-record-missing"));
        let is_verified = list(&world.control, &world.tenant).iter().any(|domain| domain.verified_unix.is_some());
        assert_eq!(is_verified, !is_anew);
    }
}
