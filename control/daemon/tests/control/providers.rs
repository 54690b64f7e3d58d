//! External identity providers: what is made, refused and kept of them, and that no secret comes back.

use serde_json::{Value, json};

use crate::directory::{audit, create, show};
use crate::world::World;

const PROVIDERS: &str = "/v1/tenants/default/providers";

fn add(world: &World, name: &str, more: &Value) -> Value {
    let mut settings = json!({"issuer": "https://login.example.com", "client_id": "postern"});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.done("POST", PROVIDERS, &json!({"name": name, "settings": settings, "client_secret": "hunter2"}))
}

#[test]
fn a_provider_is_made_changed_and_removed_and_its_secret_never_shown() {
    let mut world = World::start();
    world.done::<Value>("POST", "/v1/tenants/default/user-groups", &json!({"name": "staff"}));
    let made = add(
        &world,
        "corp",
        &json!({"domains": ["example.com"], "label": "Corp", "device_claims": ["compliant=state=good", "registered=managed"]}),
    );
    assert_eq!(made["provider"]["has_secret"], true);
    assert!(made["warnings"][0].as_str().unwrap().contains("postern identity publish"), "{made}");
    let corp = format!("{PROVIDERS}/corp");
    let set = json!({"settings": {"users": "create", "label": null, "device_claims": ["registered=managed"]}, "groups": {"eng": "staff"}, "client_secret": "hunter3"});
    let changed: Value = world.done("PATCH", &corp, &set);
    assert!(changed.to_string().contains("--group-claim"), "{changed}");
    world.kill();
    world.restart(&[]);
    let kept = show(&world, &corp);
    assert_eq!((&kept["settings"]["users"], &kept["groups"]["eng"]), (&json!("create"), &json!("staff")));
    assert_eq!((&kept["settings"]["domains"], &kept["settings"]["label"]), (&json!(["example.com"]), &json!("")));
    assert_eq!(kept["settings"]["device_claims"], json!(["registered=managed"]));
    let unset: Value = world.done("PATCH", &corp, &json!({"settings": {"device_claims": null}}));
    assert_eq!(unset["provider"]["settings"]["device_claims"], Value::Null);
    world.done::<Value>("DELETE", &corp, &Value::Null);
    world.refused("GET", &corp, &Value::Null);
    let log = Value::from(audit(&world)).to_string();
    for said in [made, changed, kept].map(|said| said.to_string()).into_iter().chain([log.clone(), world.log_text()]) {
        assert!(!said.contains("hunter"), "{said}");
    }
    assert!(log.contains(r#"device_claims=[\"registered=managed\", \"compliant=state=good\"]"#), "{log}");
    assert!(log.contains("idp.add") && log.contains("idp.set") && log.contains("idp.remove"), "{log}");
}

#[test]
fn what_no_provider_can_be_is_refused_by_name() {
    let world = World::start();
    add(&world, "corp", &json!({"domains": ["example.com"], "default": true}));
    world.done::<Value>("POST", "/v1/tenants/default/user-groups", &json!({"name": "ruled", "rule": "mail == \"x\""}));
    for (settings, says) in [
        (json!({"issuer": "http://login.example.com"}), "https://"),
        (json!({"issuer": "http://127.0.0.1:1"}), "https://"),
        (json!({"issuer": "http://login.example.com", "insecure_loopback": true}), "https://"),
        (json!({"issuer": "https://u:p@login.example.com"}), "user name"),
        (json!({"issuer": "https://login.example.com/?a"}), "query"),
        (json!({"issuer": "login"}), "no URL"),
        (json!({"client_id": ""}), "client_id"),
        (json!({"client_id": "a b"}), "client_id"),
        (json!({"login_claims": []}), "login claims"),
        (json!({"skew_s": 301}), "300"),
        (json!({"acr": {"urn:a": ["mfa", "swk"]}}), "swk is what a device proves"),
        (json!({"fetch_timeout_ms": 1}), "100"),
        (json!({"ca_pem": "x"}), "PEM"),
        (json!({"domains": ["Example.com"]}), "no domain"),
        (json!({"domains": ["example.com"]}), "corp already"),
        (json!({"default": true}), "only one"),
        (json!({"device_claims": ["unknown=x"]}), "registered, compliant"),
        (json!({"device_claims": ["compliant=x y"]}), "without spaces"),
        (json!({"device_claims": ["compliant=x", "compliant=x"]}), "named twice"),
        (json!({"device_claims": vec!["compliant=x"; 9]}), "at most 8"),
        (json!({"device_claims": {"compliant": "x"}}), "sequence"),
        (json!({"users": "all"}), "`existing`"),
        (json!({"isuer": "x"}), "isuer"),
        (json!({"label": "a\nb"}), "control characters"),
    ] {
        let mut all = json!({"issuer": "https://a.example.com", "client_id": "postern"});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let (code, detail) = world.refused("POST", PROVIDERS, &json!({"name": "other", "settings": all}));
        assert!(matches!(&*code, "request-invalid" | "name-taken"), "{settings}: {code}");
        assert!(detail.contains(says), "{settings}: {detail}");
    }
    let corp = format!("{PROVIDERS}/corp");
    let (_, detail) = world.refused("PATCH", &corp, &json!({"settings": {"issuer": "https://b.example.com"}}));
    assert!(detail.contains("issuer of a provider stays"), "{detail}");
    let (_, detail) = world.refused("PATCH", &corp, &json!({"groups": {"eng": "ruled"}}));
    assert!(detail.contains("rule"), "{detail}");
    let (_, detail) = world.refused("PATCH", &corp, &json!({"groups": {"eng": "nobody"}}));
    assert!(detail.contains("user group"), "{detail}");
    let (_, detail) = world.refused("GET", &format!("{PROVIDERS}/crop"), &Value::Null);
    assert!(detail.contains("did you mean \"corp\"?"), "{detail}");
    for n in 1..16 {
        add(&world, &format!("p{n}"), &json!({}));
    }
    let one_more = json!({"name": "q", "settings": {"issuer": "https://a.example.com", "client_id": "x"}});
    assert_eq!(world.refused("POST", PROVIDERS, &one_more).0, "limit-reached");
}

#[test]
fn a_providers_user_is_linked_with_one_user() {
    let world = World::start();
    add(&world, "corp", &json!({}));
    create(&world, "anna", &json!({}));
    create(&world, "berta", &json!({}));
    let link = |user: &str| format!("/v1/tenants/default/users/{user}/link");
    let one = json!({"provider": "corp", "subject": "s-1"});
    world.done::<Value>("POST", &link("anna"), &one);
    world.done::<Value>("POST", &link("anna"), &one);
    let (code, detail) = world.refused("POST", &link("berta"), &one);
    assert!(code == "name-taken" && detail.contains("u1-1"), "{detail}");
    assert_eq!(show(&world, &format!("{PROVIDERS}/corp"))["users"], 1);
    let not = json!({"provider": "corp", "subject": "s-1", "remove": true});
    assert_eq!(world.refused("POST", &link("berta"), &not).0, "not-found");
    for wrong in ["", "a\nb", "ä", &"x".repeat(256)] {
        let (code, _) = world.refused("POST", &link("anna"), &json!({"provider": "corp", "subject": wrong}));
        assert_eq!(code, "request-invalid", "{wrong:?}");
    }
    world.done::<Value>("POST", &link("anna"), &not);
    world.done::<Value>("POST", &link("berta"), &one);
    world.done::<Value>("DELETE", "/v1/tenants/default/users/berta", &Value::Null);
    assert_eq!(show(&world, &format!("{PROVIDERS}/corp"))["users"], 0, "a link goes with its user");
}

#[test]
fn a_document_makes_providers_so_once_and_keeps_their_secrets() {
    let world = World::start();
    world.done::<Value>("POST", "/v1/tenants/default/user-groups", &json!({"name": "staff"}));
    let apply = |providers: &Value, prune: bool| -> Vec<String> {
        let body = json!({"document": {"providers": providers, "user_groups": {"staff": {}}}, "prune": prune});
        let applied: Value = world.done("POST", "/v1/tenants/default/apply", &body);
        let changes = applied["changes"].as_array().unwrap().clone();
        changes.iter().map(|change| change["action"].as_str().unwrap().to_owned()).collect()
    };
    let of = |issuer: &str, domain: &str| {
        json!({"issuer": format!("https://{issuer}.example"), "client_id": "x", "domains": [domain],
            "device_claims": ["registered=managed", "compliant=state=good"]})
    };
    let first = json!({
        "a": {"settings": of("a", "a.example"), "client_secret": "hunter2", "groups": {"eng": "staff"}},
        "b": {"settings": of("b", "b.example")},
    });
    assert_eq!(apply(&first, false), ["idp.add", "idp.add"]);
    assert_eq!(apply(&first, true), Vec::<String>::new());
    let exported = show(&world, "/v1/tenants/default/document");
    assert!(!exported.to_string().contains("hunter2"));
    assert_eq!(apply(&exported["providers"], true), Vec::<String>::new());
    assert_eq!(show(&world, &format!("{PROVIDERS}/a"))["has_secret"], true);
    // Two may swap their domains; but none may have another's.
    let swapped = json!({"a": {"settings": of("a", "b.example")}, "b": {"settings": of("b", "a.example")}});
    assert_eq!(apply(&swapped, false), ["idp.set", "idp.set"]);
    let taken = json!({"document": {"providers": {"a": {"settings": of("a", "a.example")}}}});
    assert_eq!(world.refused("POST", "/v1/tenants/default/apply", &taken).0, "name-taken");
    assert_eq!(show(&world, &format!("{PROVIDERS}/a"))["settings"]["domains"], json!(["b.example"]));
    let moved = json!({"document": {"providers": {"a": {"settings": of("evil", "b.example")}}}});
    assert_eq!(world.refused("POST", "/v1/tenants/default/apply", &moved).0, "request-invalid");
    assert_eq!(apply(&json!({"a": swapped["a"]}), true), ["idp.remove"]);
    assert_eq!(apply(&json!({}), true), Vec::<String>::new(), "a file from before there were any takes none away");
}
