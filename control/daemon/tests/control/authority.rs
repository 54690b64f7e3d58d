//! Domains, and accounts with authorities of certificates, as far as neither the DNS nor an authority answers.

use serde_json::{Value, json};

use crate::world::{World, app};

const TENANT: &str = "/v1/tenants/default";

/// A port where nobody listens.
fn closed() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn nothing_is_published_at_a_domain_that_is_not_verified() {
    let dns = closed();
    let arguments = ["--verified-domains", "--dns-server", &dns];
    let mut world = World::start_with(&arguments);
    let domains = format!("{TENANT}/domains");
    let apps = format!("{TENANT}/apps");
    let (code, detail) = world.refused("POST", &apps, &app("crm", "https://crm.example.com/"));
    assert_eq!((code.as_str(), detail.contains("postern domain add")), ("domain-unverified", true), "{detail}");

    let added: Value = world.done("POST", &domains, &json!({"name": "Example.com"}));
    assert_eq!(added["record_name"], "_postern-challenge.example.com");
    let value = added["record_value"].as_str().unwrap().to_owned();
    assert!(value.starts_with("postern-verification=") && value.len() > 50, "{value}");
    let again: Value = world.done("POST", &domains, &json!({"name": "example.com"}));
    assert_eq!((&again["record_value"], &again["version"]), (&added["record_value"], &added["version"]));
    for wrong in ["", "com", "*.example.com", "example.com/x", "192.0.2.1"] {
        assert_eq!(world.refused("POST", &domains, &json!({"name": wrong})).0, "request-invalid", "{wrong}");
    }
    let (code, detail) = world.refused("POST", &apps, &app("crm", "https://crm.example.com/"));
    assert_eq!((code.as_str(), detail.contains(&value)), ("domain-unverified", true), "{detail}");
    let document = json!({"document": {"apps": {"crm": {
        "external_url": "https://crm.example.com/", "internal_url": "http://b/", "preauth": "passthrough"}}}});
    assert_eq!(world.refused("POST", &format!("{TENANT}/apply"), &document).0, "domain-unverified");

    // Who does not answer verifies nothing; it is named.
    let verify = format!("{domains}/example%2Ecom/verify");
    let (code, detail) = world.refused("POST", &verify, &Value::Null);
    assert_eq!((code.as_str(), detail.contains(&dns), detail.contains(&value)), ("domain-record-missing", true, true));
    assert_eq!(world.refused("POST", &format!("{domains}/other.com/verify"), &Value::Null).0, "not-found");

    world.terminate();
    world.restart(&[]);
    let kept: Value = world.done("GET", &domains, &Value::Null);
    assert_eq!((&kept["items"][0]["name"], &kept["items"][0]["record_value"]), (&json!("example.com"), &json!(value)));
    // Without being asked for it is a tenant's own choice.
    world.publish("crm", "https://crm.example.com/");
    let removed: Value = world.done("DELETE", &format!("{domains}/example.com"), &Value::Null);
    assert!(removed["warnings"][0].as_str().unwrap().contains("1 applications are published"), "{removed}");
    assert_eq!(world.refused("DELETE", &format!("{domains}/example.com"), &Value::Null).0, "not-found");
}

#[test]
fn an_authority_that_is_not_there_makes_no_account() {
    let world = World::start();
    let (acme, order) = (format!("{TENANT}/acme"), format!("{TENANT}/certificates/order"));
    let asked = json!({"hosts": ["crm.example.com"], "challenge": "http-01"});
    for (method, path, body) in [("GET", &acme, &Value::Null), ("POST", &order, &asked)] {
        assert_eq!(world.refused(method, path, body).0, "acme-account-missing", "{method} {path}");
    }
    assert_eq!(world.refused("DELETE", &acme, &Value::Null).0, "not-found");
    let ca = rcgen::CertificateParams::default().self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let directory = format!("https://{}/directory", closed());
    let (code, detail) = world.refused("PUT", &acme, &json!({"directory": directory, "ca_pem": ca}));
    assert_eq!((code.as_str(), detail.contains("is not reached")), ("acme-failed", true), "{detail}");
    for wrong in [
        json!({"directory": "http://ca.example.com/"}),
        json!({"directory": directory, "contact": ["nobody"]}),
        json!({"directory": directory, "ca_pem": "no PEM"}),
        json!({"directory": directory, "ca_pem": ca, "eab_kid": "k"}),
        json!({"directory": directory, "ca_pem": ca, "eab_kid": "k", "eab_key": "?"}),
        json!({"directory": directory, "key": "k"}),
    ] {
        assert_eq!(world.refused("PUT", &acme, &wrong).0, "request-invalid", "{wrong}");
    }
    assert!(!world.state().join("acme-t1.json").exists());
    let (code, detail) = world.refused("POST", &order, &json!({"hosts": [], "challenge": "http-01"}));
    assert_eq!((code.as_str(), detail.contains("1 to 100 hosts")), ("request-invalid", true), "{detail}");
    assert_eq!(
        world.refused("POST", &order, &json!({"hosts": ["a.test"], "challenge": "dns-01"})).0,
        "request-invalid"
    );
    // A certificate of the web authority was ordered from nobody.
    let published = world.publish("crm", "https://crm.example.com/");
    let id = published["app"]["certificate"]["id"].as_str().unwrap();
    let (code, detail) = world.refused("POST", &format!("{TENANT}/certificates/{id}/renew"), &Value::Null);
    assert_eq!((code.as_str(), detail.contains("was not ordered by ACME")), ("request-invalid", true), "{detail}");
}
