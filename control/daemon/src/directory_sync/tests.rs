//! What a source tells, against a real store, where somebody here decided something, too.

use postern_model::admin::{SetUser, SetUserGroup};
use postern_model::directory::User;
use postern_model::directory_sync::{Answer, Begin, Digest, End, Put, Removed, SourceKind, SyncUser, path};
use postern_model::ids::ConnectorId;
use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::{identity, testing, user_groups, users as people};

struct World {
    control: Control,
    tenant: Tenant,
    asking: Asking,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = testing::control(folder.path());
        let tenant = identity::default_tenant(&control.snapshot()).unwrap();
        let settings = json!({ "users_base": "dc=a", "max_delete_percent": 100 });
        let Value::Object(settings) = settings else { panic!("an object") };
        let request = AddSource { name: "corp".parse().unwrap(), kind: SourceKind::Ldap, settings };
        add(&control, &Actor::Control, &tenant, request).unwrap();
        let source = find(&control, &tenant, "corp").unwrap();
        let actor = Actor::DirectorySync(source.name.clone());
        let connector = ConnectorId::new(tenant.id, 1);
        let asking = Asking { connector, source, tenant: tenant.clone(), actor };
        Self { control, tenant, asking, _folder: folder }
    }

    fn ask(&self, path: &str, question: &impl Serialize) -> Value {
        let body = serde_json::to_vec(question).unwrap();
        match serde_json::from_slice(&answer(&self.control, &self.asking, path, &body).unwrap()).unwrap() {
            Answer::Done(done) => done,
            Answer::Refused { code, detail } => panic!("{path}: {code}: {detail}"),
        }
    }

    /// A full pass; what became of it.
    fn pass(&self, within: impl FnOnce(u64)) -> Value {
        let pass = self.ask(path::BEGIN, &Begin { full: true, runs: 0 })["pass"].as_u64().unwrap();
        within(pass);
        let troubles = Vec::new();
        self.ask(path::END, &End { pass: Some(pass), users: 0, groups: 0, failed: None, troubles, troubles_total: 0 });
        serde_json::to_value(show(&self.control, &self.tenant, "corp").unwrap().last).unwrap()
    }

    /// The source has Anna, enabled or not.
    fn told(&self, enabled: bool) -> User {
        let user = SyncUser {
            id: "a-1".parse().unwrap(),
            digest: Digest::default(),
            login: Some("anna".parse().unwrap()),
            display_name: Default::default(),
            mail: None,
            attributes: Default::default(),
            enabled,
        };
        self.pass(|pass| drop(self.ask(path::PUT, &Put { pass, users: vec![user], groups: Vec::new() })));
        self.anna()
    }

    /// The source has nobody any more; how many were removed.
    fn gone(&self) -> Value {
        let (users, groups) = (vec!["a-1".parse().unwrap()], Vec::new());
        let removed = |pass| Removed { pass, users_total: 1, groups_total: 0, users, groups };
        self.pass(|pass| drop(self.ask(path::REMOVED, &removed(pass))))["removed"].clone()
    }

    fn anna(&self) -> User {
        people::show(&self.control, &self.tenant, "anna").unwrap().user
    }

    fn set(&self, enabled: bool) {
        let set = SetUser { enabled: Some(enabled), ..SetUser::default() };
        people::set(&self.control, &Actor::Uid(0), &self.tenant, "anna", set).unwrap();
    }
}

#[test]
fn whom_somebody_here_disabled_stays_disabled_whoever_did_first() {
    let world = World::new();
    assert!(world.told(true).enabled);
    assert!(!world.told(false).enabled && world.told(true).enabled, "the source enables whom it disabled");
    // Here, then there.
    world.set(false);
    assert!(!world.told(false).enabled && !world.told(true).enabled);
    world.set(true);
    // There, then here: they are disabled already, and are to stay so.
    assert!(!world.told(false).enabled);
    world.set(false);
    assert!(!world.told(false).enabled && !world.told(true).enabled);
    // There, enabled and disabled here in between.
    world.set(true);
    assert!(!world.told(false).enabled);
    world.set(true);
    world.set(false);
    assert!(!world.told(true).enabled);
}

#[test]
fn whom_somebody_here_disabled_comes_back_disabled_and_is_gone_once() {
    let world = World::new();
    world.told(true);
    assert_eq!((world.gone(), world.anna().enabled), (json!(1), false));
    assert!(world.told(true).enabled, "they are back");
    // Gone, then disabled here.
    world.gone();
    world.set(false);
    assert_eq!(world.gone(), 0, "they are gone already");
    assert!(!world.told(true).enabled);
    // Disabled here, then gone.
    assert_eq!((world.gone(), world.gone()), (json!(1), json!(0)), "gone once");
    assert!(!world.told(true).enabled);
    world.set(true);
    assert!(world.told(true).enabled);
}

#[test]
fn a_group_that_got_a_rule_here_is_listed_and_the_pass_goes_on() {
    let world = World::new();
    world.told(true);
    let groups = json!([{ "id": "g-1", "display_name": "sales" }, { "id": "g-2", "display_name": "all" }]);
    world.pass(|pass| drop(world.ask(path::PUT, &json!({ "pass": pass, "users": [], "groups": groups }))));
    let set = SetUserGroup { rule: Some(Some("mail == \"x\"".parse().unwrap())), ..SetUserGroup::default() };
    user_groups::set(&world.control, &Actor::Uid(0), &world.tenant, "all", set).unwrap();
    let add = json!([{ "kind": "user", "id": "a-1" }, { "kind": "group", "id": "g-1" }]);
    let members = |pass| json!({ "pass": pass, "group": "g-2", "add": add, "remove": [], "digest": "" });
    let last = world.pass(|pass| drop(world.ask(path::MEMBERS, &members(pass))));
    assert_eq!((&last["troubles_total"], &last["failed"]), (&json!(1), &Value::Null), "{last}");
    assert!(last["troubles"][0]["what"].as_str().unwrap().contains("the rule of all"), "{last}");
}
