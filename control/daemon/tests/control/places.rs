//! Applications at several places: conflicts, certificates, and names below a tenant's suffix.

use serde_json::{Value, json};

use crate::world::{World, app};

const APPS: &str = "/v1/tenants/default/apps";
const SUFFIX: &str = "/v1/tenants/default/app-suffix";

fn with(name: &str, external: &str, settings: Value) -> Value {
    let mut body = app(name, external);
    body["settings"] = settings;
    body
}

fn set(world: &World, name: &str, settings: Value) -> Value {
    world.done("PATCH", &format!("{APPS}/{name}"), &json!({"settings": settings}))
}

/// Of all certificates the host, and how many applications say that they show it.
fn certificates(world: &World) -> Vec<String> {
    let list: Value = world.done("GET", "/v1/tenants/default/certificates", &Value::Null);
    let shown = |certificate: &Value| {
        let host = certificate["hosts"][0].as_str().unwrap();
        format!("{host} {}", certificate["apps"].as_array().unwrap().len())
    };
    let mut certificates: Vec<String> = list["items"].as_array().unwrap().iter().map(shown).collect();
    certificates.sort();
    certificates
}

fn hosts(world: &World) -> Vec<String> {
    certificates(world).iter().map(|certificate| certificate.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn each_place_is_somebodys_and_nobody_elses() {
    let world = World::start();
    world.publish("wiki", "https://wiki.localhost/");
    let crm = json!({
        "external_aliases": "https://crm.example.localhost",
        "segments": "https://api.localhost/v1/=http://127.0.0.1:1/,https://*.x.localhost=http://*.corp",
    });
    world.done::<Value>("POST", APPS, &with("crm", "https://crm.localhost/", crm));
    let none = json!({});
    for (external, settings, says) in [
        ("https://CRM.example.localhost:8443", none.clone(), "is already published as crm"),
        ("https://api.localhost/v1", none.clone(), "is already published as crm"),
        ("https://*.x.localhost", none.clone(), "is already published as crm"),
        ("https://a.localhost", json!({"external_aliases": "https://wiki.localhost"}), "published as wiki"),
        ("https://a.localhost", json!({"segments": "https://api.localhost/v1/=http://b"}), "published as crm"),
    ] {
        let (code, detail) = world.refused("POST", APPS, &with("other", external, settings.clone()));
        assert!(code == "app-url-conflict" && detail.contains(says), "{external}: {code} {detail}");
        let entry = json!({"external_url": external, "internal_url": "http://b", "preauth": "passthrough", "settings": settings});
        let document = json!({"document": {"apps": {"other": entry}}});
        let (code, detail) = world.refused("POST", "/v1/tenants/default/apply", &document);
        assert!(code == "app-url-conflict" && detail.contains("already published as"), "{external}: {code} {detail}");
    }
    // Beside them there is room.
    for (name, external) in [("root", "https://api.localhost/"), ("exact", "https://a.x.localhost")] {
        world.publish(name, external);
    }
    // Hosts of another tenant are not shared, in whatever place they are.
    world.done::<Value>("POST", "/v1/tenants", &json!({"name": "acme"}));
    for (name, external, settings) in [
        ("b", "https://b.localhost", json!({"segments": "https://b.x.localhost/=http://b/"})),
        ("c", "https://crm.example.localhost/other", none),
    ] {
        let (code, detail) = world.refused("POST", "/v1/tenants/acme/apps", &with(name, external, settings));
        assert_eq!(code, "app-url-conflict");
        assert!(detail.ends_with("belongs to the tenant default: it publishes crm there"), "{detail}");
    }
    for (settings, code, says) in [
        (json!({"segments": "https://d.localhost/=tcp://d:1"}), "setting-invalid", "begins with http://"),
        (json!({"segments": "https://d.localhost/=http://*.d/"}), "setting-invalid", "needs an external one"),
        (
            json!({"segments": "https://d.localhost/=http://identity.postern.internal/"}),
            "identity-app-fixed",
            "sign in",
        ),
        (json!({"external_aliases": "https://d.localhost/x/"}), "setting-invalid", "leave out the path"),
    ] {
        let refused = world.refused("PATCH", &format!("{APPS}/wiki"), &json!({"settings": settings}));
        assert!(refused.0 == code && refused.1.contains(says), "{refused:?}");
    }
}

#[test]
fn each_host_has_a_certificate_as_long_as_it_is_somebodys() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost/");
    let published = set(
        &world,
        "crm",
        json!({
            "external_aliases": "https://a.localhost,https://b.localhost",
            "segments": "https://crm.localhost/x/=http://x/,https://c.localhost/=http://c/,https://c.localhost/y/=http://y/",
        }),
    );
    assert_eq!(published["app"]["certificate"]["hosts"], json!(["crm.localhost"]));
    assert_eq!(hosts(&world), ["a.localhost", "b.localhost", "c.localhost", "crm.localhost"], "one for each host");
    // It is needed, although no application names it.
    let list: Value = world.done("GET", "/v1/tenants/default/certificates", &Value::Null);
    let id = list["items"].as_array().unwrap().iter().find(|c| c["hosts"][0] == "a.localhost").unwrap()["id"].clone();
    let path = format!("/v1/tenants/default/certificates/{}", id.as_str().unwrap());
    let (code, detail) = world.refused("DELETE", &path, &Value::Null);
    assert!(code == "still-used" && detail.contains("the only one for a.localhost, another place of crm"), "{detail}");
    // What goes takes its own along; what another still has stays.
    world.done::<Value>("POST", APPS, &with("wiki", "https://b.localhost/wiki/", json!({})));
    set(&world, "crm", json!({"external_aliases": "https://a.localhost", "segments": null}));
    assert_eq!(hosts(&world), ["a.localhost", "b.localhost", "crm.localhost"]);
    // The names change places: each keeps its certificate.
    let swapped =
        json!({"external_url": "https://a.localhost/", "settings": {"external_aliases": "https://crm.localhost"}});
    let swapped: Value = world.done("PATCH", &format!("{APPS}/crm"), &swapped);
    assert_eq!(swapped["app"]["certificate"]["id"], id);
    assert_eq!(certificates(&world), ["a.localhost 1", "b.localhost 1", "crm.localhost 0"]);
    set(&world, "crm", json!({"external_aliases": null}));
    assert_eq!(hosts(&world), ["a.localhost", "b.localhost"]);
    for name in ["crm", "wiki"] {
        world.done::<Value>("DELETE", &format!("{APPS}/{name}"), &Value::Null);
    }
    assert_eq!(hosts(&world), [""; 0]);
}

#[test]
fn a_suffix_gives_each_application_a_name() {
    let world = World::start();
    let crm = world.publish("crm", "https://crm.localhost/");
    assert_eq!(crm["app"]["cname_target"], Value::Null);
    for (suffix, says) in [
        ("localhost", "two labels"),
        ("*.apps.localhost", "not a DNS name"),
        ("apps.localhost:8443", "no name with room"),
        ("apps.localhost/x", "no name with room"),
        ("postern.internal", "reserved"),
        ("", "host"),
        ("a b", "not a DNS name"),
    ] {
        let (code, detail) = world.refused("PUT", SUFFIX, &json!({"app_suffix": suffix}));
        assert!(code == "app-url-invalid" && detail.contains(says), "{suffix}: {code} {detail}");
    }
    world.done::<Value>("PUT", SUFFIX, &json!({"app_suffix": "Apps.localhost"}));
    let shown: Value = world.done("GET", &format!("{APPS}/crm"), &Value::Null);
    assert_eq!(shown["cname_target"], "crm.apps.localhost");
    assert_eq!(hosts(&world), ["*.apps.localhost", "crm.localhost"], "one for all of them");
    let again: Value = world.done("PUT", SUFFIX, &json!({"app_suffix": "apps.localhost"}));
    let tenant: Value = world.done("GET", "/v1/tenants/default", &Value::Null);
    assert_eq!((&tenant["app_suffix"], &again["warnings"]), (&json!("apps.localhost"), &json!([])));
    for (name, external, says) in [
        ("x", "https://crm.apps.localhost", "is the name of crm below the tenant's app suffix"),
        ("x", "https://*.apps.localhost", "overlaps *.apps.localhost"),
        ("x", "https://*.a.apps.localhost", "overlaps *.apps.localhost"),
    ] {
        let (code, detail) = world.refused("POST", APPS, &app(name, external));
        assert!(code == "app-url-conflict" && detail.contains(says), "{external}: {code} {detail}");
    }
    world.publish("early", "https://late.apps.localhost/");
    let (code, detail) = world.refused("POST", APPS, &app("late", "https://l.localhost"));
    assert!(code == "app-url-conflict" && detail.contains("is already published as early: late would be"), "{detail}");
    // An application may be at its own name, and is not asked whose that is.
    set(&world, "crm", json!({"external_aliases": "https://crm.apps.localhost"}));
    set(&world, "crm", json!({"external_aliases": null}));
    // Nobody else has what is below.
    world.done::<Value>("POST", "/v1/tenants", &json!({"name": "acme"}));
    let (_, detail) = world.refused("POST", "/v1/tenants/acme/apps", &app("y", "https://y.apps.localhost"));
    assert!(detail.contains("belongs to the tenant default, whose applications are below apps.localhost"), "{detail}");
    let acme = "/v1/tenants/acme/app-suffix";
    for suffix in ["apps.localhost", "x.apps.localhost"] {
        assert_eq!(world.refused("PUT", acme, &json!({"app_suffix": suffix})).0, "app-url-conflict", "{suffix}");
    }
    world.publish("own", "https://one.acme.localhost/");
    assert_eq!(world.refused("PUT", acme, &json!({"app_suffix": "acme.localhost"})).0, "app-url-conflict");
}

#[test]
fn what_would_meet_a_name_keeps_the_suffix_from_being_set() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost/");
    world.publish("wiki", "https://crm.apps.localhost/");
    let (code, detail) = world.refused("PUT", SUFFIX, &json!({"app_suffix": "apps.localhost"}));
    assert!(code == "app-url-conflict" && detail.contains("crm.apps.localhost"), "{code} {detail}");
    world.done::<Value>("DELETE", &format!("{APPS}/wiki"), &Value::Null);
    world.publish("wild", "https://*.apps.localhost/");
    let (code, detail) = world.refused("PUT", SUFFIX, &json!({"app_suffix": "apps.localhost"}));
    assert!(code == "app-url-conflict" && detail.contains("overlaps"), "{code} {detail}");
    world.done::<Value>("DELETE", &format!("{APPS}/wild"), &Value::Null);
    world.done::<Value>("PUT", SUFFIX, &json!({"app_suffix": "apps.localhost"}));
    world.done::<Value>("PUT", SUFFIX, &json!({"app_suffix": "names.localhost"}));
    assert_eq!(hosts(&world), ["*.names.localhost", "crm.localhost"], "what was issued for the one before is gone");
    // Control remembers.
    let mut world = world;
    world.kill();
    world.restart(&[]);
    let shown: Value = world.done("GET", &format!("{APPS}/crm"), &Value::Null);
    assert_eq!(shown["cname_target"], "crm.names.localhost");
    world.done::<Value>("DELETE", SUFFIX, &Value::Null);
    assert_eq!(hosts(&world), ["crm.localhost"]);
}

#[test]
fn people_sign_in_at_one_place() {
    let world = World::start();
    world.done::<Value>("PUT", "/v1/identity", &json!({"external_url": "https://login.localhost:8443/"}));
    for settings in [
        json!({"external_aliases": "https://other.localhost"}),
        json!({"segments": "https://other.localhost/=http://b/"}),
    ] {
        let refused = world.refused("PATCH", &format!("{APPS}/postern-identity"), &json!({"settings": settings}));
        assert_eq!(refused.0, "identity-app-fixed", "{refused:?}");
    }
    world.done::<Value>("PUT", SUFFIX, &json!({"app_suffix": "apps.localhost"}));
    world.done::<Value>("PUT", "/v1/identity/device-host", &json!({"host": "device.localhost"}));
    world.publish("crm", "https://crm.localhost/");
    let (code, _) = world.refused("PUT", "/v1/identity/device-host", &json!({"host": "crm.apps.localhost"}));
    assert_eq!(code, "app-url-conflict");
    let device = with("x", "https://x.localhost", json!({"external_aliases": "https://device.localhost"}));
    assert_eq!(world.refused("POST", APPS, &device).0, "app-url-conflict");
}
