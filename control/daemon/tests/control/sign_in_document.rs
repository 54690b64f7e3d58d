//! What else sign-ins go by in configuration as code: Kerberos tickets, terms of use, lists of anonymisers.

use serde_json::{Value, json};

use crate::directory::{audit, show};
use crate::policies::{TENANT, world};
use crate::world::World;

fn apply(world: &World, document: &Value, prune: bool) -> Value {
    world.done("POST", &format!("{TENANT}/apply"), &json!({"document": document, "prune": prune}))
}

fn actions(applied: &Value) -> Vec<&str> {
    applied["changes"].as_array().unwrap().iter().map(|change| change["action"].as_str().unwrap()).collect()
}

fn document() -> Value {
    json!({
        "networks": {"hq": ["203.0.113.0/24"]},
        "anonymisers": {"tor": ["192.0.2.1/32"]},
        "kerberos": {"realms": ["EXAMPLE.COM"], "networks": ["hq"], "login": "upn"},
        "terms": {"house": {"title": "House", "text": "Wipe your feet.", "format": "plain", "every_s": 7_776_000}},
        "policies": {"rules": {"everyone": true, "all_apps": true, "require": ["terms/house"]}},
    })
}

fn exported(world: &World) -> Value {
    show(world, &format!("{TENANT}/document"))
}

#[test]
fn what_sign_ins_go_by_is_made_as_a_document_says() {
    let world = world();
    let before = exported(&world);
    for section in ["anonymisers", "kerberos", "terms"] {
        assert_eq!(before.get(section), None);
    }
    let made = apply(&world, &document(), false);
    let done = actions(&made);
    let expected = ["network.set", "network.set", "identity.kerberos.set", "terms.create", "policy.create"];
    assert_eq!(done, expected, "what others name comes first: {made}");
    assert!(!made["warnings"].to_string().contains("there are no terms"), "{made}");
    let now = exported(&world);
    for section in ["networks", "anonymisers", "kerberos", "terms"] {
        assert_eq!(now[section], document()[section], "{section}");
    }
    let count = audit(&world).len();
    assert_eq!(actions(&apply(&world, &now, true)), [""; 0], "what was exported is so");
    assert_eq!(audit(&world).len(), count);
}

#[test]
fn what_a_document_changes_is_changed_and_what_it_does_not_name_stays() {
    let world = world();
    apply(&world, &document(), false);
    let mut changed = document();
    changed["terms"]["house"]["text"] = json!("Wipe them well.");
    changed["kerberos"]["realms"] = json!(["EXAMPLE.COM", "CORP.TEST"]);
    changed["anonymisers"]["tor"] = json!(["192.0.2.2/32", "192.0.2.3/32"]);
    assert_eq!(actions(&apply(&world, &changed, false)), ["network.set", "identity.kerberos.set", "terms.update"]);
    let terms = show(&world, &format!("{TENANT}/terms/house"));
    assert_eq!(
        (&terms["version"], &terms["again_from"]),
        (&json!(2), &json!(1)),
        "nobody is asked again by a document"
    );
    changed["terms"]["house"].as_object_mut().unwrap().remove("every_s");
    assert_eq!(actions(&apply(&world, &changed, false)), ["terms.update"]);
    assert_eq!(show(&world, &format!("{TENANT}/terms/house")).get("every_s"), None);

    // A file of before there were such sections takes nothing away.
    let mut older = exported(&world);
    for section in ["anonymisers", "kerberos", "terms"] {
        older.as_object_mut().unwrap().remove(section);
    }
    assert_eq!(actions(&apply(&world, &older, true)), [""; 0]);
    let mut fewer = exported(&world);
    fewer["anonymisers"] = json!({"vpn": ["192.0.2.9/32"]});
    fewer["terms"] = json!({"lab": {"title": "Lab", "text": "x"}});
    fewer["policies"]["rules"]["require"] = json!(["terms/lab"]);
    let done = apply(&world, &fewer, true);
    let expected = ["network.set", "terms.create", "policy.set", "network.remove", "terms.remove"];
    assert_eq!(actions(&done), expected);
}

#[test]
fn all_of_it_is_made_or_nothing() {
    let world = world();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut document = document();
        change(&mut document);
        let (code, detail) = world.refused("POST", &format!("{TENANT}/apply"), &json!({"document": document}));
        assert_eq!(exported(&world).get("terms"), None, "{detail}");
        (code, detail)
    };
    let (code, _) = refused(&|document| document["kerberos"]["networks"] = json!(["nowhere"]));
    assert_eq!(code, "not-found");
    let (code, detail) = refused(&|document| document["kerberos"]["networks"] = json!(["tor"]));
    assert!(code == "request-invalid" && detail.contains("list of anonymisers"), "{detail}");
    let (code, _) = refused(&|document| document["terms"]["house"]["every_s"] = json!(1));
    assert_eq!(code, "request-invalid");
    let (code, _) = refused(&|document| document["anonymisers"] = json!({"hq": ["192.0.2.1/32"]}));
    assert_eq!(code, "name-taken", "a network and a list");
}
