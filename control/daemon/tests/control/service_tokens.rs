//! Service tokens: what is kept of them, what relays are told, what is refused, and that a revoked one stays revoked.

use postern_model::link::{ToControl, ToRelay};
use postern_model::service_token::PresentedToken;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::peer::Relay;
use crate::world::World;

const TOKENS: &str = "/v1/tenants/default/service-tokens";

fn world() -> World {
    let world = World::start();
    for name in ["api", "wiki"] {
        let mut app = crate::world::app(name, &format!("https://{name}.localhost"));
        app["preauth"] = json!("oidc");
        let published: Value = world.done("POST", "/v1/tenants/default/apps", &app);
        assert!(published["warnings"].to_string().contains("only service tokens pass"), "{published}");
    }
    world
}

fn create(world: &World, name: &str, apps: &[&str]) -> Value {
    world.done("POST", TOKENS, &json!({"name": name, "apps": apps}))
}

#[test]
fn a_token_is_shown_once_and_kept_as_its_hash() {
    let mut world = world();
    let made = create(&world, "backup", &["api"]);
    let text = made["token"].as_str().unwrap().to_owned();
    let read = PresentedToken::parse(text.as_bytes()).unwrap();
    assert_eq!(made["service_token"]["id"], read.id.to_string());
    let left = made["service_token"]["expires_unix"].as_u64().unwrap() * 1000
        - made["service_token"]["created_unix_ms"].as_u64().unwrap();
    assert_eq!(left.div_ceil(86_400_000), 90, "days unless asked otherwise");

    let rotated: Value = world.done("POST", &format!("{TOKENS}/backup/rotate"), &json!({}));
    let other = PresentedToken::parse(rotated["token"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(other.id, read.id);
    assert!(!other.secret.key().is(&read.secret.key()));
    assert_eq!(rotated["service_token"]["expires_unix"], made["service_token"]["expires_unix"], "its end stays");

    world.kill();
    for entry in std::fs::read_dir(world.state()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        for secret in [&text[10..], &rotated["token"].as_str().unwrap()[10..]] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", entry.path().display());
        }
    }
    world.restart(&[]);
    let list: Value = world.done("GET", TOKENS, &Value::Null);
    assert_eq!(list["items"], json!([rotated["service_token"]]));
    assert!(!world.log_text().contains(&text[10..]));
}

#[test]
fn what_was_taken_away_is_gone_also_after_kill_9() {
    let mut world = world();
    for (name, method, body) in
        [("revoked", "DELETE", Value::Null), ("off", "PATCH", json!({"enabled": false})), ("kept", "GET", Value::Null)]
    {
        create(&world, name, &["api"]);
        world.done::<Value>(method, &format!("{TOKENS}/{name}"), &body);
        world.kill();
        world.restart(&[]);
    }
    let list: Value = world.done("GET", TOKENS, &Value::Null);
    let states: Vec<_> = list["items"].as_array().unwrap().iter().map(|t| (&t["name"], &t["enabled"])).collect();
    assert_eq!(states, [(&json!("off"), &json!(false)), (&json!("kept"), &json!(true))]);
    assert_eq!(create(&world, "revoked", &["api"])["service_token"]["id"], "st1-4", "ids are never used twice");
}

#[test]
fn relays_are_told_of_every_change() {
    let world = world();
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let Some(ToRelay::Snapshot(mut state)) = relay.next() else { panic!("no snapshot") };
    let told = std::thread::spawn(move || {
        let mut seen = Vec::new();
        loop {
            let Some(ToRelay::Delta(delta)) = relay.next() else { panic!("no delta") };
            state.apply(&delta).unwrap();
            relay.send(&ToControl::Applied { version: state.version });
            match state.service_tokens.values().next() {
                Some(token) => seen.push((token.apps.len(), token.enabled, token.expires_unix.is_some())),
                None => return seen,
            }
        }
    });
    create(&world, "backup", &["api", "wiki"]);
    let path = format!("{TOKENS}/backup");
    world.done::<Value>("PATCH", &path, &json!({"enabled": false, "validity": "no_expiry"}));
    let same: Value = world.done("PATCH", &path, &json!({"enabled": false}));
    assert!(same["warnings"].to_string().contains("it never expires"), "{same}");
    world.done::<Value>("PATCH", &path, &json!({"remove_apps": ["wiki"], "enabled": true, "validity": {"ttl_s": 60}}));
    world.done::<Value>("DELETE", &path, &Value::Null);
    assert_eq!(told.join().unwrap(), [(2, true, true), (2, false, false), (1, true, true)]);
}

#[test]
fn what_changes_nothing_and_what_empties_a_token_is_said() {
    let world = world();
    create(&world, "backup", &["api"]);
    create(&world, "ci", &["api", "wiki"]);
    let path = format!("{TOKENS}/backup");
    let same: Value = world.done("PATCH", &path, &json!({"remove_apps": ["wiki"]}));
    assert!(same["warnings"].to_string().contains("backup: nothing changes"), "{same}");
    let more: Value = world.done("PATCH", &path, &json!({"enabled": false}));
    assert!(!more["warnings"].to_string().contains("nothing changes"), "{more}");

    let kept =
        json!({"external_url": "https://wiki.localhost", "internal_url": "http://127.0.0.1:8000", "preauth": "oidc"});
    let only = json!({"document": {"apps": {"wiki": kept}}, "prune": true, "dry_run": true});
    let told: Value = world.done("POST", "/v1/tenants/default/apply", &only);
    let gone: Value = world.done("DELETE", "/v1/tenants/default/apps/api", &Value::Null);
    for answer in [&told, &gone] {
        assert!(answer["warnings"].to_string().contains("service token backup has no application left"), "{answer}");
        assert!(!answer["warnings"].to_string().contains("token ci"), "{answer}");
    }
    let gone: Value = world.done("DELETE", "/v1/tenants/default/apps/wiki", &Value::Null);
    assert_eq!(gone["warnings"], json!(["service token ci has no application left: it lets nobody in"]));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = world();
    create(&world, "backup", &["api"]);
    world.done::<Value>("POST", "/v1/tenants", &json!({"name": "other"}));
    let with = |apps: Value, validity: Value| json!({"name": "x", "apps": apps, "validity": validity});
    for (body, code, says) in [
        (json!({"name": "backup", "apps": ["api"]}), "name-taken", "rotate backup"),
        (with(json!([]), json!("default")), "request-invalid", "at least one"),
        (with(json!(["apj"]), json!("default")), "not-found", "did you mean \"api\"?"),
        (with(json!(["api"]), json!({"ttl_s": 0})), "request-invalid", "1 second to 366 days"),
        (with(json!(["api"]), json!({"ttl_s": 31_622_401})), "request-invalid", "--no-expiry"),
        (with(json!(["api"]), json!("forever")), "request-invalid", "forever"),
    ] {
        let (found, detail) = world.refused("POST", TOKENS, &body);
        assert_eq!(found, code, "{body}: {detail}");
        assert!(detail.contains(says), "{body}: {detail}");
    }
    let elsewhere = TOKENS.replace("default", "other");
    assert_eq!(world.refused("POST", &elsewhere, &json!({"name": "x", "apps": ["api"]})).0, "not-found");
    assert_eq!(world.refused("GET", &format!("{elsewhere}/st1-1"), &Value::Null).0, "not-found");
    let (code, _) = world.refused("PATCH", &format!("{TOKENS}/backup"), &json!({"key": "00"}));
    assert_eq!(code, "request-invalid");
}
