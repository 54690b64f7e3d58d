//! What applications are told of their users: what is refused when it is published, and what goes when nobody is asked any more.

use postern_model::assertion::AssertionSigner;
use postern_model::link::ToRelay;
use serde_json::{Value, json};

use crate::peer::Relay;
use crate::world::{World, app};

const APPS: &str = "/v1/tenants/default/apps";

fn wiki(preauth: &str, settings: Value) -> Value {
    let mut wiki = app("wiki", "https://wiki.localhost");
    (wiki["preauth"], wiki["settings"]) = (json!(preauth), settings);
    wiki
}

#[test]
fn what_cannot_be_told_is_refused_with_its_place() {
    let world = World::start();
    for (preauth, settings, about, detail) in [
        (
            "oidc",
            json!({"sso_headers": "X-User=logn"}),
            "settings.sso_headers",
            "column 8: expected a source or a function, perhaps login",
        ),
        ("oidc", json!({"sso_headers": "Host=login"}), "settings.sso_headers", "column 1"),
        ("oidc", json!({"sso_assertion": "saml"}), "settings.sso_assertion", "must be jwt or none"),
        ("passthrough", json!({"sso_headers": "X-User=login"}), "settings.sso_headers", "needs --preauth oidc"),
        ("passthrough", json!({"sso_assertion": "jwt"}), "settings.sso_assertion", "needs --preauth oidc"),
    ] {
        let (status, problem) = world.ask("POST", APPS, &wiki(preauth, settings.clone()));
        assert_eq!((status, &problem["code"]), (400, &json!("setting-invalid")), "{settings}: {problem}");
        assert_eq!(problem["pointer"], about, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
}

#[test]
fn an_application_that_stops_asking_is_told_nothing_more_and_that_is_said() {
    let world = World::start();
    let settings = json!({"sso_headers": "X-User=login", "sso_assertion": "jwt", "backend_timeout_ms": "5"});
    world.done::<Value>("POST", APPS, &wiki("oidc", settings));
    let path = format!("{APPS}/wiki");
    let both = json!({"preauth": "passthrough", "settings": {"sso_headers": "X-User=mail"}});
    assert_eq!(world.refused("PATCH", &path, &both).0, "setting-invalid", "asked for at the same time");
    let set: Value = world.done("PATCH", &path, &json!({"preauth": "passthrough"}));
    assert_eq!(set["app"]["settings"], json!({"backend_timeout_ms": "5"}));
    let said = "wiki: with --preauth passthrough it is not told who its users are, and these settings are gone: sso_headers, sso_assertion";
    assert!(set["warnings"].as_array().unwrap().contains(&json!(said)), "{set}");
    assert!(set["warnings"].to_string().contains("wiki: everybody reaches it now, signed in or not"), "{set}");
    let again: Value = world.done("PATCH", &path, &json!({"preauth": "passthrough"}));
    assert!(!again["warnings"].to_string().contains("single sign-on"), "{again}");
    assert!(!again["warnings"].to_string().contains("everybody reaches it now"), "nothing changed: {again}");
}

#[test]
fn relays_get_the_key_that_assertions_are_signed_with_and_a_restart_makes_no_other() {
    let mut world = World::start();
    let key = rcgen::KeyPair::generate().unwrap();
    let keys = |world: &World| {
        let mut relay = Relay::connect(&world.socket());
        relay.hello("edge", &key, 0);
        relay.welcomed();
        let Some(ToRelay::Snapshot(state)) = relay.next() else { panic!("no snapshot") };
        state.assertion_keys
    };
    let first = keys(&world);
    assert_eq!(first.len(), 1);
    assert!(AssertionSigner::new(&first).unwrap().jwks().is_some());
    world.kill();
    world.restart(&[]);
    assert_eq!(keys(&world), first);
    assert!(!world.log_text().contains(first[0].secret.expose()));
}
