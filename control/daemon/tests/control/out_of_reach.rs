//! Commands name the relays that do not have a change, also those that are not linked or stop being so while the command waits.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use postern_model::link::{ToControl, ToRelay};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::peer::Relay;
use crate::world::{World, app};

/// A relay that confirmed all that there is.
fn linked(world: &World) -> Relay<UnixStream> {
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let Some(ToRelay::Snapshot(state)) = relay.next() else { panic!("no snapshot") };
    relay.send(&ToControl::Applied { version: state.version });
    let reported = |relay: &Value| relay["problem"].is_null() && relay["connected"] == true;
    world.wait_for("/v1/relays/edge", reported);
    relay
}

fn warned(answer: &Value) -> bool {
    answer["warnings"].to_string().contains("relay edge is not linked: it goes by what it was told last")
}

#[test]
fn what_is_taken_away_is_not_taken_from_relays_that_are_not_linked() {
    let world = World::start();
    for name in ["crm", "wiki", "hr"] {
        world.publish(name, &format!("https://{name}.localhost"));
    }
    world.done::<Value>("POST", "/v1/tenants/default/users", &json!({"login": "anna"}));
    let everyone = json!({"app": "hr", "everyone": true});
    let user = json!({"app": "hr", "user": "anna"});
    for assignment in [&everyone, &user] {
        world.done::<Value>("PUT", "/v1/tenants/default/assignments", assignment);
    }
    drop(linked(&world));
    world.wait_for("/v1/relays/edge", |relay| relay["connected"] == false);

    let tenant = "/v1/tenants/default";
    let document = json!({"document": {"apps": {"wiki": {
        "external_url": "https://wiki.localhost/", "internal_url": "http://127.0.0.1:8000/", "preauth": "oidc",
    }}}});
    let asked = |more: &Value| {
        let mut body = document.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let told: Value = world.done("POST", &format!("{tenant}/apply"), &asked(&json!({"dry_run": true})));
    assert!(!warned(&told), "nothing is changed: {told}");
    for (method, path, body) in [
        ("PATCH", "/apps/crm", json!({"preauth": "oidc"})),
        ("DELETE", "/apps/crm", Value::Null),
        ("POST", "/apply", asked(&json!({}))),
        ("DELETE", "/assignments/hr/everyone", Value::Null),
        ("DELETE", "/users/anna", Value::Null),
        ("PATCH", "/limits", json!({"scope": "source", "rps": 5})),
        ("PUT", "/networks/hq", json!({"prefixes": ["203.0.113.0/24"]})),
    ] {
        let answer: Value = world.done(method, &format!("{tenant}{path}"), &body);
        assert!(warned(&answer), "{method} {path}: {answer}");
    }
    let published: Value = world.done("POST", &format!("{tenant}/apps"), &app("new", "https://new.localhost"));
    assert!(warned(&published), "{published}");
}

#[test]
fn a_relay_whose_link_breaks_while_a_command_waits_is_named() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost");
    let relay = linked(&world);
    let answer: Value = std::thread::scope(|scope| {
        let asked = scope.spawn(|| world.done("DELETE", "/v1/tenants/default/apps/crm", &Value::Null));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!asked.is_finished(), "the command waits for the relay");
        drop(relay);
        asked.join().unwrap()
    });
    assert!(warned(&answer), "{answer}");
}

#[test]
fn a_relay_that_is_removed_has_to_be_stopped_too() {
    let world = World::start();
    const EDGE: &str = "relay edge is told to let nobody in any more where an application asks";
    const DIALLED: &str = "relay dialled is not linked: it goes on with what it was told last";
    let mut relay = linked(&world);
    world.done::<Value>("POST", "/v1/relays", &json!({"name": "dialled", "address": "127.0.0.1:1"}));
    for (name, says, warnings) in [("edge", EDGE, 3), ("dialled", DIALLED, 2)] {
        let removed: Value = world.done("DELETE", &format!("/v1/relays/{name}"), &Value::Null);
        assert!(removed["warnings"].to_string().contains(says), "{removed}");
        assert_eq!(removed["warnings"].as_array().unwrap().len(), warnings, "{removed}");
    }
    let last = std::iter::from_fn(|| relay.next()).last();
    assert!(matches!(last, Some(ToRelay::Refused { removed: true, .. })), "{last:?}");
    for (name, address) in [("one", "127.0.0.1:1"), ("two", "127.0.0.1:2")] {
        world.done::<Value>("POST", "/v1/relays", &json!({"name": name, "address": address}));
    }
    let kept = json!({"document": {"relays": {"one": {"address": "127.0.0.1:1"}}}, "prune": true});
    let pruned: Value = world.done("POST", "/v1/tenants/default/apply", &kept);
    assert!(pruned["warnings"].to_string().contains("relay two is not linked: it goes on"), "{pruned}");
}
