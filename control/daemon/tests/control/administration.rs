//! What an operator asks for and gets.

use serde_json::{Value, json};

use crate::world::{World, app};

const APPS: &str = "/v1/tenants/default/apps";

#[test]
fn init_reports_what_the_first_start_made() {
    let mut world = World::start();
    let first: Value = world.done("POST", "/v1/init", &Value::Null);
    assert_eq!(
        (&first["fresh"], &first["tenant"], &first["group"]),
        (&json!(true), &json!("default"), &json!("default"))
    );
    for file in ["ca_file", "web_ca_file"] {
        let pem = std::fs::read_to_string(first[file].as_str().unwrap()).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    }
    let took = world.terminate();
    assert!(took < std::time::Duration::from_secs(15), "idle, it waits for nothing: {took:?}");
    world.restart(&[]);
    let second: Value = world.done("POST", "/v1/init", &Value::Null);
    assert_eq!(second["fresh"], false);
    assert_eq!(second["ca_sha256"], first["ca_sha256"]);
    assert_eq!(second["initialised_unix_ms"], first["initialised_unix_ms"]);
}

#[test]
fn an_application_lives_from_publish_to_unpublish() {
    let world = World::start();
    let published = world.publish("crm", "https://crm.localhost:8443");
    assert_eq!(published["app"]["external_url"], "https://crm.localhost:8443/");
    assert_eq!(published["app"]["certificate"]["hosts"], json!(["crm.localhost"]));
    assert_eq!(published["app"]["certificate"]["origin"], "issued");
    let warnings = published["warnings"].to_string();
    assert!(!warnings.contains("plain text") && warnings.contains("no connector"), "{warnings}");

    let set: Value = world.done(
        "PATCH",
        &format!("{APPS}/crm"),
        &json!({"internal_url": "https://b:1", "settings": {"backend_timeout_ms": "5"}}),
    );
    assert_eq!(set["app"]["settings"]["backend_timeout_ms"], "5");
    let set: Value = world.done("PATCH", &format!("{APPS}/a1-1"), &json!({"settings": {"backend_timeout_ms": null}}));
    assert_eq!((&set["app"]["settings"], &set["app"]["internal_url"]), (&json!({}), &json!("https://b:1/")));

    world.done::<Value>("DELETE", &format!("{APPS}/crm"), &Value::Null);
    assert_eq!(world.refused("GET", &format!("{APPS}/crm"), &Value::Null).0, "not-found");
    let left: Value = world.done("GET", "/v1/tenants/default/certificates", &Value::Null);
    assert_eq!(left["items"], json!([]), "the issued certificate goes with its application");
    let again = world.publish("crm", "https://crm.localhost");
    assert_eq!(again["app"]["id"], "a1-2", "ids are never used twice");
}

#[test]
fn what_cannot_be_published_is_refused_with_its_reason() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost/a");
    let refused = |body: Value| world.refused("POST", APPS, &body);
    let with = |field: &str, value: Value| {
        let mut body = app("other", "https://other.localhost");
        body[field] = value;
        body
    };
    let (code, detail) = refused(app("other", "https://CRM.localhost:9443/a/"));
    assert_eq!(code, "app-url-conflict");
    assert!(detail.ends_with("is already published as crm"), "{detail}");
    assert_eq!(refused(app("crm", "https://x.localhost")).0, "name-taken");
    for (body, code, says) in [
        (with("external_url", json!("ftp://x.localhost")), "app-url-invalid", "https:// or http://"),
        (with("internal_url", json!("tcp://x:1")), "not-yet-available", "tcp://"),
        (with("internal_url", json!("tls://x:1")), "not-yet-available", "tls://"),
        (with("external_url", json!("https://10.0.0.1")), "app-url-invalid", "must be a name"),
        (with("external_url", json!("https://x.postern.internal")), "app-url-invalid", "reserved"),
        (with("settings", json!({"backend_tls_verfy": "true"})), "setting-invalid", "did you mean backend_tls_verify?"),
        (with("settings", json!({"backend_tls_verify": "no"})), "setting-invalid", "true or false"),
        (with("group", json!("nowhere")), "not-found", "nowhere"),
        (with("name", json!("Not A Name")), "request-invalid", "a name"),
        (with("colour", json!("red")), "request-invalid", "colour"),
        (with("certificate_pem", json!("x")), "request-invalid", "--key"),
    ] {
        let (found, detail) = refused(body);
        assert_eq!(found, code, "{detail}");
        assert!(detail.contains(says), "{detail}");
    }
    let apps: Value = world.done("GET", APPS, &Value::Null);
    assert_eq!(apps["items"].as_array().unwrap().len(), 1, "nothing of it was kept");
}

#[test]
fn given_certificates_are_checked_and_replaced_in_place() {
    let world = World::start();
    let make = |host: &str| {
        let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let publish = |name: &str, host: &str, pair: &(String, String)| {
        let mut body = app(name, &format!("https://{host}"));
        body["certificate_pem"] = json!(pair.0);
        body["key_pem"] = json!(pair.1);
        body
    };
    let (first, second) = (make("a.localhost"), make("a.localhost"));
    let mixed = (first.0.clone(), second.1.clone());
    let (code, detail) = world.refused("POST", APPS, &publish("a", "a.localhost", &mixed));
    assert_eq!(code, "certificate-invalid");
    assert!(detail.contains("does not belong"), "{detail}");
    let (_, detail) = world.refused("POST", APPS, &publish("b", "b.localhost", &first));
    assert!(detail.contains("does not cover b.localhost"), "{detail}");

    let published: Value = world.done("POST", APPS, &publish("a", "a.localhost", &first));
    let id = published["app"]["certificate"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/tenants/default/certificates/{id}");
    assert_eq!(world.refused("DELETE", &path, &Value::Null).0, "still-used");
    let successor = json!({"certificate_pem": second.0, "key_pem": second.1});
    let view: Value = world.done("POST", "/v1/tenants/default/certificates", &successor);
    assert_eq!(view["id"], id.as_str(), "the successor takes its place");
    assert_ne!(view["sha256"], published["app"]["certificate"]["sha256"]);
    assert!(!world.log_text().contains("PRIVATE KEY"));
}

#[test]
fn a_certificate_is_replaced_by_its_id() {
    const CERTIFICATES: &str = "/v1/tenants/default/certificates";
    let world = World::start();
    let make = |host: &str| {
        let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        json!({"certificate_pem": made.cert.pem(), "key_pem": made.signing_key.serialize_pem()})
    };
    let added: Value = world.done("POST", CERTIFICATES, &make("a.localhost"));
    assert!(added["warnings"][0].as_str().unwrap().contains("self-signed"), "{added}");
    let path = format!("{CERTIFICATES}/{}", added["id"].as_str().unwrap());
    // While nothing shows it, it may become one for another host.
    let replaced: Value = world.done("PUT", &path, &make("b.localhost"));
    assert_eq!((&replaced["id"], &replaced["hosts"]), (&added["id"], &json!(["b.localhost"])));
    let published = world.publish("b", "https://b.localhost");
    assert_eq!(published["app"]["certificate"]["id"], added["id"], "it covers the host");
    let (code, detail) = world.refused("PUT", &path, &make("a.localhost"));
    assert_eq!(code, "certificate-invalid");
    assert!(detail.contains("does not cover b.localhost: it is for a.localhost"), "{detail}");
    let shown: Value = world.done("GET", &path, &Value::Null);
    assert_eq!((&shown["sha256"], &shown["apps"]), (&replaced["sha256"], &json!(["b"])));
    assert!(shown["serial"].as_str().unwrap().contains(':') && shown["days_left"].as_u64().unwrap() > 1_000, "{shown}");
    let mut with_response = make("b.localhost");
    with_response["ocsp"] = json!("MAA=");
    let (_, detail) = world.refused("PUT", &path, &with_response);
    assert!(detail.contains("no certificate of the issuer"), "{detail}");
    let missing = format!("{CERTIFICATES}/k1-99");
    assert_eq!(world.refused("PUT", &missing, &make("b.localhost")).0, "not-found");
    assert_eq!(world.refused("GET", &missing, &Value::Null).0, "not-found");
}

#[test]
fn tenants_are_kept_apart() {
    let world = World::start();
    let acme: Value = world.done("POST", "/v1/tenants", &json!({"name": "acme"}));
    assert_eq!((&acme["id"], &acme["groups"]), (&json!("t2"), &json!(1)));
    world.publish("crm", "https://crm.localhost/a");
    let (code, detail) = world.refused("POST", "/v1/tenants/acme/apps", &app("crm", "https://crm.localhost/b"));
    assert_eq!(code, "app-url-conflict");
    assert!(detail.contains("belongs to the tenant default"), "{detail}");
    let own: Value = world.done("POST", "/v1/tenants/acme/apps", &app("crm", "https://acme.localhost"));
    assert_eq!((&own["app"]["id"], &own["app"]["group"]), (&json!("a2-1"), &json!("default")));
    assert_eq!(world.refused("GET", "/v1/tenants/acme/apps/a1-1", &Value::Null).0, "not-found");
    assert_eq!(world.refused("DELETE", "/v1/tenants/acme", &Value::Null).0, "still-used");
    world.done::<Value>("DELETE", "/v1/tenants/acme/apps/crm", &Value::Null);
    world.done::<Value>("DELETE", "/v1/tenants/t2", &Value::Null);
    assert_eq!(world.refused("DELETE", "/v1/tenants/default", &Value::Null).0, "still-used");
    assert_eq!(world.refused("POST", "/v1/tenants", &json!({"name": "default"})).0, "name-taken");
}

#[test]
fn groups_are_deleted_only_when_nothing_needs_them() {
    let world = World::start();
    let groups = "/v1/tenants/default/connector-groups";
    let made: Value = world.done("POST", groups, &json!({"name": "berlin"}));
    assert_eq!(made["id"], "g1-2");
    let mut body = app("crm", "https://crm.localhost");
    body["group"] = json!("berlin");
    world.done::<Value>("POST", APPS, &body);
    let (code, detail) = world.refused("DELETE", &format!("{groups}/berlin"), &Value::Null);
    assert_eq!((code.as_str(), detail.contains("application crm")), ("still-used", true), "{detail}");
    world.done::<Value>("PATCH", &format!("{APPS}/crm"), &json!({"group": "default"}));
    world.done::<Value>("DELETE", &format!("{groups}/g1-2"), &Value::Null);
    assert_eq!(world.refused("POST", groups, &json!({"name": "default"})).0, "name-taken");
    let too_long = json!({"ttl_s": 31 * 86_400});
    assert_eq!(world.refused("POST", &format!("{groups}/default/tokens"), &too_long).0, "request-invalid");
}

#[test]
fn every_change_is_audited_without_secrets() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost");
    let token: Value = world.done("POST", "/v1/tenants/default/connector-groups/default/tokens", &Value::Null);
    world.done::<Value>("PATCH", &format!("{APPS}/crm"), &json!({"internal_url": "http://new:1"}));
    let audit: Value = world.done("GET", "/v1/audit?tenant=default&limit=10", &Value::Null);
    let items = audit["items"].as_array().unwrap();
    let actions: Vec<&str> = items.iter().map(|item| item["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["app.set", "connector.token", "app.publish", "certificate.issue", "init"]);
    assert!(items[0]["before"].as_str().unwrap().contains("http://127.0.0.1:8000/"));
    assert!(items[0]["after"].as_str().unwrap().contains("http://new:1/"));
    assert!(items[0]["actor"].as_str().unwrap().starts_with("uid "));
    assert!(!audit.to_string().contains(token["token"].as_str().unwrap()));
    let page: Value = world.done("GET", &format!("/v1/audit?before={}&limit=1", items[1]["seq"]), &Value::Null);
    assert_eq!(page["items"][0]["action"], "app.publish");
    assert_eq!(world.refused("GET", "/v1/audit?colour=red", &Value::Null).0, "request-invalid");
    assert_eq!(world.refused("GET", "/v1/nothing", &Value::Null).0, "not-found");
}

#[test]
fn control_listens_to_nothing_unless_asked() {
    let listening = |world: &World| {
        let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", world.pid()))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let tables = ["tcp", "tcp6", "udp", "udp6"]
            .map(|name| std::fs::read_to_string(format!("/proc/{}/net/{name}", world.pid())).unwrap_or_default());
        let lines = tables.iter().flat_map(|table| table.lines());
        lines
            .filter(|line| line.split_whitespace().nth(9).is_some_and(|inode| inodes.iter().any(|own| own == inode)))
            .count()
    };
    assert_eq!(listening(&World::start()), 0);
    let watched = World::start_with(&["--admin-listen", "127.0.0.1:0"]);
    assert_eq!(listening(&watched), 1, "the count can be other than 0");
}

#[test]
fn monitoring_is_served_where_asked_for() {
    use std::io::{Read as _, Write as _};
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = World::start_with(&["--admin-listen", &format!("127.0.0.1:{port}")]);
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(get("/readyz").contains("no relay is known"));
    world.publish("crm", "https://crm.localhost");
    assert!(get("/metrics").contains("\npostern_control_apps 1\n"));
    assert!(get("/v1/status").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_wrong_start_is_one_line_with_a_cure() {
    let world = World::start();
    for (arguments, exit, says) in [
        (vec![], 1, "in use by another process"),
        (vec!["--store", "postgres://db/x"], 1, "in use by another process"),
        (vec!["--colour", "red"], 2, "--colour"),
    ] {
        let output = world.run(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{text}");
        assert!(text.contains(says), "{text}");
    }
    let mut world = world;
    world.terminate();
    for (store, exit, says) in [("postgres://db/x", 1, "not available yet"), ("mysql:x", 2, "must be sqlite:PATH")] {
        let output = world.run(&["--store", store]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{text}");
        assert!(text.contains(says) && text.lines().count() == 1, "{text}");
    }
    std::fs::write(world.state().join("control.db"), "this is no database").unwrap();
    let output = world.run(&[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("control.db: file is not a database") && text.contains("restore"), "{text}");
}

#[test]
fn no_name_reads_as_an_id_of_its_kind() {
    let world = World::start();
    let tenant = "/v1/tenants/default";
    world.publish("crm", "https://crm.localhost");
    for (path, body) in [
        ("/service-tokens", json!({"name": "st1-55", "apps": ["crm"]})),
        ("/users", json!({"login": "u1-1"})),
        ("/user-groups", json!({"name": "ug1-1"})),
        ("/apps", app("a1-9", "https://a.localhost")),
        ("/connector-groups", json!({"name": "g2-7"})),
        ("/apply", json!({"document": {"users": {"u1-1": {}}}})),
        ("/apply", json!({"document": {"user_groups": {"ug1-1": {}}}})),
        ("/apply", json!({"document": {"connector_groups": ["g1-9"]}})),
    ] {
        let (code, detail) = world.refused("POST", &format!("{tenant}{path}"), &body);
        assert!(code == "request-invalid" && detail.contains("reads as an id"), "{path}: {code} {detail}");
    }
    let (_, detail) = world.refused("POST", "/v1/tenants", &json!({"name": "t9"}));
    assert!(detail.contains("t9 cannot be a tenant's name"), "{detail}");
    // Nor is one renamed to it; an id of another kind is a name like any other.
    world.done::<Value>("POST", &format!("{tenant}/users"), &json!({"login": "st1-1"}));
    world.refused("PATCH", &format!("{tenant}/users/st1-1"), &json!({"login": "u1-7"}));
    world.done::<Value>("POST", &format!("{tenant}/user-groups"), &json!({"name": "staff"}));
    world.refused("PATCH", &format!("{tenant}/user-groups/staff"), &json!({"name": "ug1-1"}));
}

#[test]
fn no_tenant_publishes_within_the_wildcard_of_another() {
    let world = World::start();
    world.done::<Value>("POST", "/v1/tenants", &json!({"name": "acme"}));
    world.publish("wild", "https://*.x.localhost/a");
    world.publish("exact", "https://one.y.localhost");
    let entry = |external: &str| json!({"external_url": external, "internal_url": "http://127.0.0.1/", "preauth": "passthrough"});
    for (external, other) in [
        ("https://crm.x.localhost", "wild"),
        ("https://a.b.x.localhost", "wild"),
        ("https://*.b.x.localhost", "wild"),
        ("https://*.x.localhost/b", "wild"),
        ("https://*.y.localhost", "exact"),
        ("https://one.y.localhost/b", "exact"),
    ] {
        let (code, detail) = world.refused("POST", "/v1/tenants/acme/apps", &app("crm", external));
        let says = format!("belongs to the tenant default: it publishes {other} there");
        assert!(code == "app-url-conflict" && detail.ends_with(&says), "{external}: {code} {detail}");
        let document = json!({"document": {"apps": {"crm": entry(external)}}});
        let (code, detail) = world.refused("POST", "/v1/tenants/acme/apply", &document);
        assert!(code == "app-url-conflict" && detail.ends_with(&says), "{external}: {code} {detail}");
    }
    // A wildcard does not stand for its own name, and within a tenant the longer one goes first.
    let beside = json!({"document": {"apps": {"crm": entry("https://x.localhost")}}});
    world.done::<Value>("POST", "/v1/tenants/acme/apply", &beside);
    world.done::<Value>("POST", "/v1/tenants/acme/apps", &app("y", "https://two.y.localhost"));
    world.publish("own", "https://crm.x.localhost");
    world.publish("longer", "https://*.b.x.localhost");
    let (_, detail) =
        world.refused("PATCH", "/v1/tenants/acme/apps/y", &json!({"external_url": "https://z.x.localhost"}));
    assert!(detail.contains("z.x.localhost overlaps *.x.localhost"), "{detail}");
}
