//! Configuration as code: all or nothing, twice the same, and what relays see of it.

use std::os::unix::net::UnixStream;

use postern_model::Plan;
use postern_model::link::{ToControl, ToRelay};
use postern_model::snapshot::Snapshot;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::peer::Relay;
use crate::world::World;

const APPLY: &str = "/v1/tenants/default/apply";
const DOCUMENT: &str = "/v1/tenants/default/document";

fn app(external: &str, group: &str) -> Value {
    json!({"external_url": external, "internal_url": "http://10.0.0.8:8000/", "preauth": "passthrough", "group": group})
}

fn document() -> Value {
    json!({
        "connector_groups": ["default", "hq"],
        "relays": {"edge": {"address": "127.0.0.1:1"}},
        "apps": {
            "crm": app("https://crm.localhost/", "hq"),
            "wiki": {
                "external_url": "https://wiki.localhost/", "internal_url": "https://127.0.0.1:8000/",
                "preauth": "passthrough", "group": "default", "settings": {"backend_timeout_ms": "5000"},
            },
        },
        "limits": {"app/crm": {"rps": 100, "burst": 7}, "source": {"conns": 20, "rps": "none"}},
        "networks": {"hq": ["203.0.113.0/24"]},
    })
}

fn apply(world: &World, document: &Value, more: Value) -> Value {
    let mut body = json!({"document": document});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.done("POST", APPLY, &body)
}

fn version(world: &World) -> u64 {
    world.wait_for("/v1/status", |_| true)["version"].as_u64().unwrap()
}

fn actions(applied: &Value) -> Vec<&str> {
    applied["changes"].as_array().unwrap().iter().map(|change| change["action"].as_str().unwrap()).collect()
}

#[test]
fn a_document_is_made_so_once() {
    let world = World::start();
    let asked = apply(&world, &document(), json!({"dry_run": true}));
    assert_eq!(version(&world), asked["version"].as_u64().unwrap(), "asking changes nothing");
    let first = apply(&world, &document(), json!({}));
    assert_eq!(actions(&first), actions(&asked), "what was told is what is done");
    assert_eq!(
        actions(&first),
        [
            "connector-group.create",
            "relay.add",
            "network.set",
            "certificate.issue",
            "app.publish",
            "certificate.issue",
            "app.publish",
            "throttle.set",
            "throttle.set",
        ]
    );
    assert!(first["warnings"].to_string().contains("plain text"), "{first}");
    let audit: Value = world.done("GET", "/v1/audit", &Value::Null);
    assert_eq!(audit["items"][0]["version"], first["version"], "one change: one version for all records");
    assert_eq!(audit["items"][8]["version"], first["version"]);

    let second = apply(&world, &document(), json!({}));
    assert_eq!((actions(&second), &second["version"]), (vec![], &first["version"]));

    let mut changed = document();
    changed["apps"]["wiki"]["settings"] = json!({});
    changed["limits"]["app/crm"] = json!({"rps": 200});
    let third = apply(&world, &changed, json!({}));
    assert_eq!(actions(&third), ["app.set", "throttle.set"]);
    assert_eq!(
        (&third["changes"][1]["before"], &third["changes"][1]["after"]),
        (&json!("rps=100 burst=7"), &json!("rps=200"))
    );
}

#[test]
fn what_is_exported_changes_nothing_when_applied() {
    let world = World::start();
    apply(&world, &document(), json!({}));
    let exported: Value = world.done("GET", DOCUMENT, &Value::Null);
    assert_eq!(exported["apps"]["wiki"]["settings"], json!({"backend_timeout_ms": "5000"}));
    for prune in [false, true] {
        let applied = apply(&world, &exported, json!({"prune": prune}));
        assert_eq!(actions(&applied), Vec::<&str>::new(), "prune {prune}");
    }
    // Elsewhere it makes the same.
    let other = World::start();
    apply(&other, &exported, json!({}));
    assert_eq!(other.done::<Value>("GET", DOCUMENT, &Value::Null), exported);
    // A given certificate is named by its fingerprint, which only means something where it is.
    let key = KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["crm.localhost".into()]).unwrap().self_signed(&key).unwrap();
    let files = json!({"certificate_pem": certificate.pem(), "key_pem": key.serialize_pem()});
    let applied = apply(&world, &json!({"certificates": [files]}), json!({}));
    assert_eq!(actions(&applied), ["certificate.add"]);
    assert_eq!(actions(&apply(&world, &json!({"certificates": [files]}), json!({}))), Vec::<&str>::new());
    let exported: Value = world.done("GET", DOCUMENT, &Value::Null);
    assert!(!exported.to_string().contains("PRIVATE KEY"));
    assert_eq!(actions(&apply(&world, &exported, json!({"prune": true}))), Vec::<&str>::new());
    let (code, detail) = other.refused("POST", APPLY, &json!({"document": exported}));
    assert_eq!(code, "not-found");
    assert!(detail.contains("give its files"), "{detail}");
}

#[test]
fn all_of_it_or_nothing() {
    let world = World::start();
    apply(&world, &document(), json!({}));
    let before = (version(&world), world.done::<Value>("GET", DOCUMENT, &Value::Null));
    for (pointer, value, about, says) in [
        ("/apps/crm/internal_url", json!("ldap://x"), "app.crm.internal", "ldap://x"),
        ("/apps/crm/external_url", json!("https://wiki.localhost/"), "app.wiki.external", "already published as crm"),
        (
            "/apps/crm/settings",
            json!({"backend_timout_ms": "1"}),
            "app.crm.settings.backend_timout_ms",
            "did you mean backend_timeout_ms",
        ),
        ("/apps/crm/external_url", json!("ftp://x"), "app.crm.external", "ftp://x"),
        ("/apps/crm/group", json!("nowhere"), "app.crm.group", "connector group"),
        ("/limits/app~1crm/rps", json!(0), "throttle.app/crm.rps", "rps = 0"),
        ("/limits/source", json!({"burst": 5}), "throttle.source.burst", "a burst goes with rps"),
        ("/limits", json!({"app/wiki": {"rps": 1}, "app/a1-2": {"rps": 1}}), "throttle.app/wiki", "the same limit"),
        ("/networks/hq", json!([]), "network.hq", "1 to 256"),
        ("/relays/edge/address", json!("nowhere"), "relay.edge.address", "HOST:PORT"),
        (
            "/relays/edge",
            json!({"address": "127.0.0.1:1", "fingerprint": "ab"}),
            "relay.edge.fingerprint",
            "is not the SHA-256",
        ),
    ] {
        let mut wrong = document();
        wrong["apps"]["new"] = app("https://new.localhost/", "default");
        wrong["apps"]["crm"]["settings"] = json!({});
        *wrong.pointer_mut(pointer).unwrap() = value;
        let (status, problem) = world.ask("POST", APPLY, &json!({"document": wrong}));
        assert!(status >= 400 && problem["detail"].to_string().contains(says), "{pointer}: {problem}");
        assert_eq!(problem["pointer"], about, "{problem}");
        assert_eq!((version(&world), world.done::<Value>("GET", DOCUMENT, &Value::Null)), before, "{pointer}");
    }
    // What failed took no number: the next application is the next.
    world.publish("next", "https://next.localhost");
    let next: Value = world.done("GET", "/v1/tenants/default/apps/next", &Value::Null);
    assert_eq!(next["id"], "a1-3");
}

#[test]
fn places_can_be_exchanged_and_what_is_absent_goes_only_when_pruned() {
    let world = World::start();
    apply(&world, &document(), json!({}));
    let mut exchanged = document();
    exchanged["apps"]["crm"]["external_url"] = json!("https://wiki.localhost/");
    exchanged["apps"]["wiki"]["external_url"] = json!("https://crm.localhost/");
    let applied = apply(&world, &exchanged, json!({}));
    assert_eq!(actions(&applied).iter().filter(|action| **action == "app.set").count(), 2);

    let small = json!({"apps": {"wiki": app("https://wiki.localhost/", "default")}});
    let (_, detail) = world.refused("POST", APPLY, &json!({"document": small}));
    assert!(detail.contains("published as crm"), "crm stays, and so does its place: {detail}");
    let pruned = apply(&world, &small, json!({"prune": true}));
    for action in ["app.unpublish", "throttle.unset", "network.remove", "connector-group.delete"] {
        assert!(actions(&pruned).contains(&action), "{action}: {pruned}");
    }
    let now: Value = world.done("GET", DOCUMENT, &Value::Null);
    assert_eq!(now["apps"].as_object().unwrap().len(), 1);
    assert_eq!(now["relays"].as_object().unwrap().len(), 1, "relays serve other tenants, too: none was named");
    assert_eq!(now["connector_groups"], json!(["default"]));
    assert_eq!(actions(&apply(&world, &small, json!({"prune": true}))), Vec::<&str>::new());
    let other = json!({"relays": {"other": {"address": "127.0.0.1:2"}}, "apps": small["apps"]});
    assert!(actions(&apply(&world, &other, json!({"prune": true}))).contains(&"relay.remove"));
    let moved = json!({"relays": {"other": {"address": "127.0.0.1:3"}}});
    assert_eq!(actions(&apply(&world, &moved, json!({}))), ["relay.set"]);
}

#[test]
fn a_limit_has_one_spelling() {
    let world = World::start();
    apply(&world, &document(), json!({}));
    let mut other = document();
    other["limits"] = json!({"app/a1-1": {"rps": 100, "burst": 7}, "source/::ffff:10.0.0.0/104": {"rps": 5}});
    let first = apply(&world, &other, json!({"prune": true}));
    assert_eq!(actions(&first), ["throttle.unset", "throttle.set"], "app/a1-1 is app/crm, which stays: {first}");
    assert_eq!(first["changes"][1]["target"], "limit source/10.0.0.0/8");
    for spelling in ["source/10.0.0.0/8", "source/10.0.0.0/08"] {
        other["limits"] = json!({"app/crm": {"rps": 100, "burst": 7}, spelling: {"rps": 5}});
        assert_eq!(actions(&apply(&world, &other, json!({"prune": true}))), Vec::<&str>::new(), "{spelling}");
    }
    other["limits"] = json!({"source/10.0.0.0/8": {"rps": 5}, "source/10.0.0.0/08": {"rps": 6}});
    let (code, detail) = world.refused("POST", APPLY, &json!({"document": other, "dry_run": true}));
    assert_eq!(code, "limit-invalid");
    assert!(detail.contains("source/10.0.0.0/8 and source/10.0.0.0/08 are the same limit"), "{detail}");
}

#[test]
fn a_tenant_is_made_with_what_it_has() {
    let world = World::start();
    let path = "/v1/tenants/acme/apply";
    let mut body = json!({"document": {"apps": {"crm": app("https://crm.localhost/", "default")}}, "dry_run": true});
    let (status, problem) = world.ask("POST", path, &body);
    assert_eq!((status, &problem["code"], &problem["pointer"]), (404, &json!("not-found"), &json!("tenant")));
    assert_eq!(problem["detail"], "there is no tenant \"acme\"; --create-tenant makes a new one");
    let (_, detail) = world.refused("POST", "/v1/tenants/defualt/apply", &body);
    assert!(detail.contains("did you mean \"default\"? --create-tenant makes a new one"), "{detail}");
    body["create_tenant"] = json!(true);
    let expected = ["tenant.create", "certificate.issue", "app.publish"];
    assert_eq!(actions(&world.done("POST", path, &body)), expected);
    body["dry_run"] = json!(false);
    assert_eq!(actions(&world.done("POST", path, &body)), expected);
    let (code, detail) =
        world.refused("POST", APPLY, &json!({"document": {"apps": {"x": app("https://crm.localhost/x/", "default")}}}));
    assert_eq!(code, "app-url-conflict");
    assert!(detail.contains("belongs to the tenant acme"), "{detail}");
}

#[test]
fn relays_get_it_as_one_run_of_changes_that_never_lacks_a_backend() {
    let world = World::start();
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let Some(ToRelay::Snapshot(mut state)) = relay.next() else { panic!("no snapshot") };
    let reaches_wiki =
        |state: &Snapshot| state.group_configs.values().any(|config| config.body.contains("wiki.localhost"));
    follow(&world, (&document(), json!({})), &mut relay, &mut state, reaches_wiki);
    let mut second = document();
    second["apps"]["crm"]["group"] = json!("default");
    second["apps"].as_object_mut().unwrap().remove("wiki");
    follow(&world, (&second, json!({"prune": true})), &mut relay, &mut state, |state| !reaches_wiki(state));
    assert!(!reaches_wiki(&state), "it is gone in the end");
}

/// Applies a document while the relay confirms each change, as a real one does: the answer waits for it.
fn follow(
    world: &World,
    (document, more): (&Value, Value),
    relay: &mut Relay<UnixStream>,
    state: &mut Snapshot,
    is_over: impl Fn(&Snapshot) -> bool,
) {
    std::thread::scope(|scope| {
        let applying = scope.spawn(|| apply(world, document, more)["version"].as_u64().unwrap());
        while !is_over(state) {
            take_delta(relay, state);
        }
        let last = applying.join().unwrap();
        while state.version < last {
            take_delta(relay, state);
        }
    });
}

fn take_delta(relay: &mut Relay<UnixStream>, state: &mut Snapshot) {
    let Some(ToRelay::Delta(delta)) = relay.next() else { panic!("no delta") };
    state.apply(&delta).unwrap();
    let plan = Plan::build(state).unwrap();
    for app in plan.apps() {
        let config = &state.group_configs[&app.group].body;
        assert!(config.contains(&format!("\"{}\"", app.id)), "{} is routed to a group that lacks it", app.name);
    }
    relay.send(&ToControl::Applied { version: state.version });
}

#[test]
fn a_thousand_applications_are_one_change_of_bearable_size() {
    let world = World::start();
    let apps: serde_json::Map<String, Value> =
        (0..1000).map(|n| (format!("app{n}"), app(&format!("https://app.localhost/p{n}/"), "default"))).collect();
    let begun = std::time::Instant::now();
    let applied = apply(&world, &json!({"apps": apps}), json!({}));
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(applied["changes"].as_array().unwrap().len(), 1001, "one certificate for one host");
    let again = apply(&world, &json!({"apps": apps}), json!({}));
    assert_eq!(actions(&again), Vec::<&str>::new());
}
