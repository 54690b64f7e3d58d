//! Limits and corporate networks: what is set, what holds by default, what is refused, and what relays are told.

use postern_model::link::{CorporateUse, RelayStatus, ToControl, ToRelay};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::peer::Relay;
use crate::world::World;

const LIMITS: &str = "/v1/tenants/default/limits";
const NETWORKS: &str = "/v1/tenants/default/networks";

fn limit(world: &World, scope: &str) -> Value {
    let list: Value = world.done("GET", LIMITS, &Value::Null);
    let items = list["items"].as_array().unwrap();
    items.iter().find(|limit| limit["scope"] == scope).cloned().unwrap_or_else(|| panic!("no {scope} in {list}"))
}

#[test]
fn defaults_hold_until_set_and_again_after() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost");
    assert_eq!(limit(&world, "tenant")["rps"], json!({"limit": 100_000, "origin": "default"}));
    assert_eq!(limit(&world, "app/crm")["rps"], json!({"limit": 50_000, "origin": "default"}));
    assert_eq!(limit(&world, "app/crm")["burst"], json!({"limit": 5_000, "origin": "default"}));

    let set: Value = world.done("PATCH", LIMITS, &json!({"scope": "app/crm", "rps": 100, "conns": "20"}));
    assert_eq!(set["limit"]["rps"], json!({"limit": 100, "origin": "set"}));
    assert_eq!(set["limit"]["burst"], json!({"limit": 10, "origin": "default"}));
    world.done::<Value>("PATCH", LIMITS, &json!({"scope": "app/crm", "rps": "none", "conns": "default"}));
    let now = limit(&world, "app/crm");
    assert_eq!((&now["rps"], &now["conns"]["origin"]), (&json!({"limit": null, "origin": "set"}), &json!("default")));

    world.done::<Value>("DELETE", &format!("{LIMITS}/app/crm"), &Value::Null);
    assert_eq!(limit(&world, "app/crm")["rps"]["origin"], "default");
    let (code, _) = world.refused("DELETE", &format!("{LIMITS}/app/crm"), &Value::Null);
    assert_eq!(code, "not-found");

    let user: Value = world.done("PATCH", LIMITS, &json!({"scope": "user/alice", "rps": 5}));
    assert!(user["warnings"].to_string().contains("there is no user \\\"alice\\\""), "{user}");
    let audit: Value = world.done("GET", "/v1/audit", &Value::Null);
    assert_eq!(audit["items"][0]["action"], "throttle.set");
    assert_eq!(audit["items"][0]["target"], "limit user/alice");
    assert_eq!(audit["items"][1]["action"], "throttle.unset");
    assert_eq!(audit["items"][1]["before"], "rps=none");
}

#[test]
fn users_are_limited_by_their_login_names() {
    let world = World::start();
    world.done::<Value>("POST", "/v1/tenants/default/users", &json!({"login": "anna.berg@example.com"}));
    let set = |scope: &str| world.done::<Value>("PATCH", LIMITS, &json!({"scope": scope, "rps": 5, "conns": 2}));
    let right = set("user/anna.berg@example.com");
    assert_eq!((&right["warnings"], &right["limit"]["note"]), (&json!([]), &Value::Null), "{right}");
    assert_eq!(limit(&world, "user/anna.berg@example.com")["conns"], json!({"limit": 2, "origin": "set"}));
    let near = set("user/anna.borg@example.com")["warnings"].to_string();
    assert!(near.contains("did you mean \\\"anna.berg@example.com\\\"?"), "{near}");
    let id = set("user/u1-1")["warnings"].to_string();
    assert!(id.contains("write user/anna.berg@example.com"), "{id}");
    for (scope, says) in [("user/Anna", "write anna"), ("user/a b", "is not a login name"), ("user", "user/LOGIN")] {
        let (code, detail) = world.refused("PATCH", LIMITS, &json!({"scope": scope, "rps": 1}));
        assert!(code == "limit-invalid" && detail.contains(says), "{scope}: {code}: {detail}");
    }
    world.done::<Value>("DELETE", &format!("{LIMITS}/user/anna.berg%40example.com"), &Value::Null);
    let list = world.done::<Value>("GET", LIMITS, &Value::Null).to_string();
    assert!(!list.contains("anna.berg@"), "{list}");
}

#[test]
fn what_changes_nothing_is_no_change() {
    let world = World::start();
    let set = json!({"scope": "source", "rps": 50});
    let first: Value = world.done("PATCH", LIMITS, &set);
    let second: Value = world.done("PATCH", LIMITS, &set);
    assert_eq!(first["version"], second["version"]);
    let network = json!({"prefixes": ["203.0.113.0/24"]});
    let first: Value = world.done("PUT", &format!("{NETWORKS}/hq"), &network);
    let second: Value = world.done("PUT", &format!("{NETWORKS}/hq"), &network);
    assert_eq!(first["version"], second["version"]);
}

#[test]
fn absurd_limits_are_refused_by_name() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost");
    for (set, code, says) in [
        (json!({"scope": "app/crm", "rps": 0}), "limit-invalid", "rps = 0: must be from 1 to 10000000"),
        (json!({"scope": "app/crm", "rps": -1}), "request-invalid", "rps"),
        (json!({"scope": "app/crm", "bps": 10}), "limit-invalid", "bps = 10: must be from 1024"),
        (json!({"scope": "app/crm", "conns": 100_000_000}), "limit-invalid", "conns = 100000000"),
        (json!({"scope": "source", "burst": 10}), "limit-invalid", "burst = 10: a burst goes with rps"),
        (json!({"scope": "app/crmm", "rps": 1}), "not-found", "did you mean \"crm\""),
        (json!({"scope": "country/is", "rps": 1}), "limit-invalid", "app/NAME"),
        (json!({"scope": "source/10.0.0.1/8", "rps": 1}), "limit-invalid", "write 10.0.0.0/8"),
    ] {
        let (found, detail) = world.refused("PATCH", LIMITS, &set);
        assert_eq!(found, code, "{set}: {detail}");
        assert!(detail.contains(says), "{set}: {detail}");
    }
    let (code, detail) = world.refused("PUT", &format!("{NETWORKS}/hq"), &json!({"prefixes": ["10.0.0.1/8"]}));
    assert_eq!(code, "request-invalid");
    assert!(detail.contains("write 10.0.0.0/8"), "{detail}");
    world.refused("PUT", &format!("{NETWORKS}/hq"), &json!({"prefixes": []}));
}

#[test]
fn limits_and_networks_go_to_relays_as_changes_and_with_their_application() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost");
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let Some(ToRelay::Snapshot(mut state)) = relay.next() else { panic!("no snapshot") };
    let told = std::thread::spawn(move || {
        let mut most = 0;
        while !state.apps.is_empty() {
            let Some(ToRelay::Delta(delta)) = relay.next() else { panic!("no delta") };
            state.apply(&delta).unwrap();
            relay.send(&ToControl::Applied { version: state.version });
            most = most.max(state.limits.len());
        }
        (most, state)
    });
    world.done::<Value>("PATCH", LIMITS, &json!({"scope": "app/crm", "rps": 7}));
    world.done::<Value>("PATCH", LIMITS, &json!({"scope": "source/2001:db8::/32", "conns": 7}));
    world.done::<Value>("PUT", &format!("{NETWORKS}/hq"), &json!({"prefixes": ["203.0.113.0/24"]}));
    world.done::<Value>("DELETE", "/v1/tenants/default/apps/crm", &Value::Null);
    let (most, state) = told.join().unwrap();
    assert_eq!((most, state.limits.len(), state.networks.len()), (2, 1, 1), "the application took its limit with it");
    world.done::<Value>("DELETE", &format!("{NETWORKS}/hq"), &Value::Null);
    let (_, detail) = world.refused("DELETE", &format!("{NETWORKS}/hq"), &Value::Null);
    assert!(detail.contains("network"), "{detail}");
}

#[test]
fn limits_survive_a_restart() {
    let mut world = World::start();
    world.done::<Value>("PATCH", LIMITS, &json!({"scope": "tenant", "rps": 7}));
    world.kill();
    world.restart(&[]);
    assert_eq!(limit(&world, "tenant")["rps"], json!({"limit": 7, "origin": "set"}));
}

#[test]
fn who_could_do_without_is_shown() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost");
    let app = "/v1/tenants/default/apps/crm";
    world.done::<Value>("PATCH", app, &json!({"settings": {"corporate_network": "warn"}}));
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let corporate = vec![CorporateUse { app: "a1-1".parse().unwrap(), network: "hq".into(), requests: 7 }];
    relay.send(&ToControl::Status(RelayStatus { corporate, ..RelayStatus::default() }));
    let status = world.wait_for("/v1/status", |status| status["warnings"].to_string().contains("app crm: 7 requests"));
    assert!(status["warnings"].to_string().contains("corporate network hq"), "{status}");
    assert_eq!(world.done::<Value>("GET", app, &Value::Null)["corporate_requests"], json!({"hq": 7}));

    let circle = json!({"internal_url": "https://crm.localhost:8443/", "settings": {"corporate_network": "redirect"}});
    let set: Value = world.done("PATCH", app, &circle);
    assert!(set["warnings"].to_string().contains("redirect has no effect"), "{set}");
    let (_, detail) = world.refused("PATCH", app, &json!({"settings": {"corporate_network": "deny"}}));
    assert!(detail.contains("allow, warn or redirect"), "{detail}");
}
