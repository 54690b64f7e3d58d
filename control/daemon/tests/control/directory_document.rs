//! The directory as code: all or nothing, twice the same, and what stays.

use serde_json::{Value, json};

use crate::directory::{audit, create, show};
use crate::world::World;

const USERS: &str = "/v1/tenants/default/users";
const GROUPS: &str = "/v1/tenants/default/user-groups";
const APPLY: &str = "/v1/tenants/default/apply";
const DOCUMENT: &str = "/v1/tenants/default/document";

fn document() -> Value {
    json!({
        "apps": {"wiki": {
            "external_url": "https://wiki.localhost/", "internal_url": "https://127.0.0.1:8000/", "preauth": "passthrough",
        }},
        "users": {
            "anna": {"display_name": "Anna", "attributes": {"department": "sales"}},
            "berta@example.com": {"guest": true, "expires_unix": 4_000_000_000u64, "disabled": true},
        },
        "user_groups": {
            "sales": {"rule": "department == \"sales\"", "owners": ["anna"]},
            "staff": {"users": ["berta@example.com"], "groups": ["sales"], "description": "all"},
        },
        "assignments": [{"app": "wiki", "group": "staff", "role": "reader"}, {"app": "wiki", "user": "anna"}],
    })
}

fn apply(world: &World, document: &Value, more: &Value) -> Vec<String> {
    let mut body = json!({"document": document});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let applied: Value = world.done("POST", APPLY, &body);
    let changes = applied["changes"].as_array().unwrap();
    changes.iter().map(|change| change["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_document_makes_a_directory_so_once() {
    let world = World::start();
    let expected = [
        "certificate.issue",
        "app.publish",
        "user.create",
        "user.create",
        "group.create",
        "group.create",
        "group.members",
        "assign.set",
        "assign.set",
    ];
    assert_eq!(apply(&world, &document(), &json!({"dry_run": true})), expected);
    assert!(show(&world, USERS)["items"].as_array().unwrap().is_empty(), "asking changes nothing");
    assert_eq!(apply(&world, &document(), &json!({})), expected);
    for prune in [false, true] {
        assert_eq!(apply(&world, &document(), &json!({"prune": prune})), Vec::<String>::new(), "prune {prune}");
    }
    let exported = show(&world, DOCUMENT);
    assert_eq!(exported["user_groups"]["staff"]["users"], json!(["berta@example.com"]));
    assert_eq!(apply(&world, &exported, &json!({"prune": true})), Vec::<String>::new());
    let other = World::start();
    apply(&other, &exported, &json!({}));
    assert_eq!(show(&other, DOCUMENT), exported, "elsewhere it makes the same");

    // A password stays what it was.
    world.done::<Value>("PUT", &format!("{USERS}/anna/password"), &json!({"password": "correct horse"}));
    let mut changed = document();
    changed["users"]["anna"]["attributes"]["department"] = json!("support");
    changed["user_groups"]["sales"] = json!({"rule": "department == \"support\""});
    changed["user_groups"]["staff"]["users"] = json!([]);
    changed["assignments"][0]["role"] = json!("editor");
    assert_eq!(apply(&world, &changed, &json!({})), ["user.set", "group.members", "group.set", "assign.set"]);
    let anna = show(&world, &format!("{USERS}/anna"));
    assert!(anna["password_set_unix_ms"].as_u64().is_some(), "{anna}");
    assert_eq!(show(&world, &format!("{GROUPS}/sales"))["owner_logins"], json!(["anna"]), "absent owners stay");

    let without = show(&world, &format!("{DOCUMENT}?without_users=true"));
    assert!(without.get("users").is_none() && without["user_groups"]["staff"].get("users").is_none(), "{without}");
    assert_eq!(without["assignments"].as_array().unwrap().len(), 1);
    let groups_only = json!({"user_groups": without["user_groups"]});
    assert_eq!(apply(&world, &groups_only, &json!({})), Vec::<String>::new());
}

#[test]
fn what_is_absent_from_a_document_goes_only_when_pruned() {
    let world = World::start();
    apply(&world, &document(), &json!({}));
    let mut small = document();
    small.as_object_mut().unwrap().remove("users");
    small.as_object_mut().unwrap().remove("user_groups");
    small["assignments"] = json!([{"app": "wiki", "user": "anna"}]);
    assert_eq!(apply(&world, &small, &json!({})), Vec::<String>::new());
    assert_eq!(apply(&world, &small, &json!({"prune": true})), ["assign.remove", "group.delete", "group.delete"]);
    assert_eq!(show(&world, USERS)["items"].as_array().unwrap().len(), 2, "no user is named: all stay");
    small["users"] = json!({"anna": document()["users"]["anna"]});
    assert_eq!(apply(&world, &small, &json!({"prune": true})), ["user.delete"]);

    // Nesting can be turned around, and a group become ruled, in one go.
    let nested = |outer: &str, inner: &str| json!({"user_groups": {outer: {"groups": [inner]}, inner: {"groups": []}}});
    apply(&world, &nested("a", "b"), &json!({}));
    assert_eq!(apply(&world, &nested("b", "a"), &json!({})), ["group.members", "group.members"]);
    let ruled = json!({"user_groups": {"b": {"rule": "team present"}}});
    assert_eq!(apply(&world, &ruled, &json!({})), ["group.members", "group.set"]);
}

#[test]
fn all_of_a_directory_or_nothing() {
    let world = World::start();
    apply(&world, &document(), &json!({}));
    let before = (show(&world, DOCUMENT), audit(&world).len());
    for (pointer, value, about, says) in [
        ("/users/anna", json!({"expires_unix": 5}), "user.anna.expires", "only guests expire"),
        ("/user_groups/staff/users", json!(["nobody"]), "group.staff.users", "user \"nobody\""),
        ("/user_groups/staff/groups", json!(["nothing"]), "group.staff.groups", "user group \"nothing\""),
        ("/user_groups/staff/groups", json!(["staff"]), "group.staff.groups", "staff → staff"),
        ("/user_groups/sales/owners", json!(["nobody"]), "group.sales.owners", "user \"nobody\""),
        ("/user_groups/sales", json!({"rule": "x present", "users": ["anna"]}), "group.sales", "nobody can be put"),
        ("/assignments/1", json!({"app": "wikki", "everyone": true}), "assignment.1.app", "did you mean"),
        ("/assignments/1", json!({"app": "wiki", "user": "nobody"}), "assignment.1.user", "user \"nobody\""),
        ("/assignments/1", json!({"app": "wiki", "group": "staff"}), "assignment.1", "assigned to wiki twice"),
    ] {
        let mut wrong = document();
        wrong["users"]["carl"] = json!({});
        *wrong.pointer_mut(pointer).unwrap() = value;
        let (status, problem) = world.ask("POST", APPLY, &json!({"document": wrong}));
        let detail = problem["detail"].as_str().unwrap();
        assert!(status >= 400 && detail.contains(says), "{pointer}: {problem}");
        assert_eq!(problem["pointer"], about, "{problem}");
        assert_eq!((show(&world, DOCUMENT), audit(&world).len()), before, "{pointer}");
    }
    assert_eq!(create(&world, "carl", &json!({}))["user"]["id"], "u1-3", "what failed took no number");
}
