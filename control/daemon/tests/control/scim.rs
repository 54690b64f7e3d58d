//! A tenant's SCIM token: given out once, kept as a hash, changed and taken away.

use serde_json::{Value, json};

use crate::directory::{audit, show};
use crate::world::World;

const SCIM: &str = "/v1/tenants/default/scim";

#[test]
fn a_token_is_given_out_once_and_kept_as_a_hash() {
    let mut world = World::start();
    let (code, detail) = world.refused("GET", SCIM, &Value::Null);
    assert!(code == "not-found" && detail.contains("postern scim enable"), "{detail}");
    let issued: Value = world.done("POST", SCIM, &json!({"name": "entra"}));
    let token = issued["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("psc_t1_") && token.len() == 50, "{token}");
    assert!(issued["warnings"][0].as_str().unwrap().contains("identity publish"), "{issued}");
    let (code, detail) = world.refused("POST", SCIM, &json!({"name": "okta"}));
    assert!(code == "name-taken" && detail.contains("scim rotate"), "{detail}");
    world.kill();
    world.restart(&[]);
    let shown = show(&world, SCIM);
    assert_eq!((&shown["name"], &shown["expired"], &shown["url"]), (&json!("entra"), &json!(false), &Value::Null));
    let rotated: Value = world.done("POST", &format!("{SCIM}/rotate"), &json!({}));
    assert_eq!(rotated["scim"]["expires_unix"], issued["scim"]["expires_unix"], "its end stays");
    assert_ne!(rotated["token"], issued["token"]);
    world.done::<Value>("DELETE", SCIM, &Value::Null);
    world.refused("DELETE", SCIM, &Value::Null);
    let records = audit(&world);
    let actions: Vec<&str> = records.iter().rev().filter_map(|record| record["action"].as_str()).collect();
    assert_eq!(actions, ["init", "scim.enable", "scim.rotate", "scim.disable"]);
    let secret = &token["psc_t1_".len()..];
    let seen = json!([records, shown]).to_string() + &world.log_text();
    assert!(!seen.contains(&token) && !seen.contains(secret), "{seen}");
}

#[test]
fn what_no_token_can_be_is_refused() {
    let world = World::start();
    for body in [
        json!({}),
        json!({"name": "Entra ID"}),
        json!({"name": "entra", "validity": {"ttl_s": 0}}),
        json!({"name": "entra", "validity": {"ttl_s": 400 * 86_400}}),
        json!({"name": "entra", "secret": "x"}),
    ] {
        assert_eq!(world.refused("POST", SCIM, &body).0, "request-invalid", "{body}");
    }
    world.refused("POST", &format!("{SCIM}/rotate"), &json!({}));
    let endless: Value = world.done("POST", SCIM, &json!({"name": "entra", "validity": "no_expiry"}));
    assert!(endless["warnings"].to_string().contains("never expires"), "{endless}");
}
