//! Clients in configuration as code: made exactly so, all or nothing, and never with a secret.

use serde_json::{Value, json};

use crate::directory::{audit, show};
use crate::policies::{TENANT, world};
use crate::world::World;

fn apply(world: &World, document: &Value, more: &Value) -> Value {
    let mut asked = json!({"document": document});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.done("POST", &format!("{TENANT}/apply"), &asked)
}

fn actions(applied: &Value) -> Vec<&str> {
    applied["changes"].as_array().unwrap().iter().map(|change| change["action"].as_str().unwrap()).collect()
}

fn document() -> Value {
    let shop = json!({
        "redirect_uris": ["https://shop.example.com/callback"], "kind": "confidential", "scopes": "openid app:crm",
        "consent": "admin",
    });
    let tool = json!({"redirect_uris": [], "device": true, "kind": "public", "scopes": "app:*", "consent": "user"});
    json!({"clients": {"shop": shop, "tool": tool}})
}

#[test]
fn clients_are_made_as_a_document_says_and_nothing_of_their_secrets_is_in_one() {
    let world = world();
    let applied = apply(&world, &document(), &json!({}));
    assert_eq!(actions(&applied), ["client.add", "client.add"]);
    let warnings = applied["warnings"].to_string();
    assert!(warnings.contains("postern client rotate shop") && !warnings.contains("rotate tool"), "{warnings}");
    let rotated: Value = world.done("POST", &format!("{TENANT}/clients/shop/rotate"), &Value::Null);
    let secret = rotated["secret"].as_str().unwrap();

    let exported = show(&world, &format!("{TENANT}/document"));
    assert_eq!(exported["clients"], document()["clients"]);
    assert!(!exported.to_string().contains(secret), "no secret is in a document");
    let before = audit(&world).len();
    assert_eq!(apply(&world, &exported, &json!({})).get("changes"), Some(&json!([])), "what was exported is so");
    assert_eq!(audit(&world).len(), before);

    let mut changed = document();
    changed["clients"]["shop"]["scopes"] = json!("openid");
    assert_eq!(actions(&apply(&world, &changed, &json!({"dry_run": true}))), ["client.set"]);
    assert_eq!(show(&world, &format!("{TENANT}/clients/shop"))["settings"]["scopes"], "openid app:crm");
    assert_eq!(actions(&apply(&world, &changed, &json!({}))), ["client.set"]);
    assert_eq!(show(&world, &format!("{TENANT}/clients/shop"))["settings"]["scopes"], "openid");

    changed["clients"]["shop"]["kind"] = json!("public");
    changed["clients"]["new"] = document()["clients"]["tool"].clone();
    let (code, detail) = world.refused("POST", &format!("{TENANT}/apply"), &json!({"document": changed}));
    assert_eq!(
        (code.as_str(), detail.contains("shop is confidential, which it stays")),
        ("request-invalid", true),
        "{detail}"
    );
    assert_eq!(show(&world, &format!("{TENANT}/clients"))["items"].as_array().unwrap().len(), 2, "all or nothing");

    let mut fewer = show(&world, &format!("{TENANT}/document"));
    fewer["clients"].as_object_mut().unwrap().remove("tool");
    assert_eq!(actions(&apply(&world, &fewer, &json!({"prune": true}))), ["client.remove"]);
    fewer.as_object_mut().unwrap().remove("clients");
    assert_eq!(actions(&apply(&world, &fewer, &json!({"prune": true}))), [""; 0], "none is named: all stay");
}

#[test]
fn as_many_as_there_may_be_can_make_room_for_others() {
    let world = world();
    let clients = |from: u32| {
        let one = |n: u32| {
            let settings =
                json!({"redirect_uris": [], "device": true, "kind": "public", "scopes": "openid", "consent": "user"});
            (format!("c{n}"), settings)
        };
        json!({"clients": (from..from + 501).map(one).collect::<serde_json::Map<_, _>>()})
    };
    assert_eq!(actions(&apply(&world, &clients(0), &json!({}))).len(), 501);
    let (code, _) = world.refused("POST", &format!("{TENANT}/apply"), &json!({"document": clients(1_000)}));
    assert_eq!(code, "limit-reached");
    let applied = apply(&world, &clients(1_000), &json!({"prune": true}));
    let count = |action: &str| actions(&applied).iter().filter(|done| **done == action).count();
    assert_eq!((count("client.add"), count("client.remove")), (501, 501), "none of the first is left");
}
