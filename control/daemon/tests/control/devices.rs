//! Devices over the admin socket: settings, authorities, what is refused, and what the audit log says.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::directory::{audit, show};
use crate::policies::make;
use crate::world::World;

const TENANT: &str = "/v1/tenants/default";

fn authority(name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn an_authority_is_added_shown_and_removed_and_each_is_recorded() {
    let mut world = World::start();
    let authorities = format!("{TENANT}/device-authorities");
    let pem = authority("Device CA 7");
    let added: Value = world.done("POST", &authorities, &json!({"name": "mdm", "certificate_pem": pem}));
    assert!(added["warnings"][0].as_str().unwrap().contains("postern identity device-host set"), "{added}");
    world.done::<Value>("POST", &authorities, &json!({"name": "mdm", "certificate_pem": pem, "compliant": true}));
    world.kill();
    world.restart(&[]);
    let listed = show(&world, &authorities);
    let one = &listed["items"][0];
    assert_eq!((&one["name"], &one["compliant"]), (&json!("mdm"), &json!(true)), "{listed}");
    assert!(one["subject"].as_str().unwrap().contains("Device CA 7"), "{listed}");
    let wrong = json!({"name": "x", "certificate_pem": "hello"});
    assert_eq!(world.refused("POST", &authorities, &wrong).0, "certificate-invalid");
    let (code, detail) = world.refused("DELETE", &format!("{authorities}/mdn"), &Value::Null);
    assert_eq!((code.as_str(), detail.contains("did you mean \"mdm\"?")), ("not-found", true), "{detail}");
    world.done::<Value>("DELETE", &format!("{authorities}/mdm"), &Value::Null);
    assert_eq!(show(&world, &authorities)["items"], json!([]));
    let log = audit(&world);
    let of = |action: &str| log.iter().filter(|record| record["action"] == action).count();
    assert_eq!((of("device-authority.add"), of("device-authority.remove")), (2, 1));
    let changed =
        log.iter().find(|record| record["before"].as_str().is_some_and(|before| before.contains("registered")));
    assert!(changed.unwrap()["after"].as_str().unwrap().contains("its devices comply"), "{changed:?}");
}

#[test]
fn how_devices_are_enrolled_is_set_and_kept() {
    let mut world = World::start();
    let settings = format!("{TENANT}/device-settings");
    assert_eq!(show(&world, &settings), json!({"approve_at_once": false, "own_days": 365, "sign_in": false}));
    world.done::<Value>("PATCH", &settings, &json!({"approve_at_once": true}));
    world.done::<Value>("PATCH", &settings, &json!({"own_days": 30}));
    assert_eq!(world.refused("PATCH", &settings, &json!({"own_days": 0})).0, "request-invalid");
    assert_eq!(world.refused("PATCH", &settings, &json!({"days": 3})).0, "request-invalid");
    world.kill();
    world.restart(&[]);
    assert_eq!(show(&world, &settings), json!({"approve_at_once": true, "own_days": 30, "sign_in": false}));
    let log = audit(&world);
    let set: Vec<&Value> = log.iter().filter(|record| record["action"] == "device.settings").collect();
    assert_eq!(set.len(), 2, "one for each change, none for what was refused");
}

#[test]
fn what_is_no_device_is_refused_by_name() {
    let world = World::start();
    let devices = format!("{TENANT}/devices");
    assert_eq!(show(&world, &devices), json!({"items": []}));
    assert_eq!(show(&world, &format!("{devices}?approval=waiting&after=7")), json!({"items": []}));
    for query in ["approval=maybe", "after=x", "colour=red", "owner=nobody"] {
        let (status, _) = world.ask("GET", &format!("{devices}?{query}"), &Value::Null);
        assert!(status >= 400, "{query}");
    }
    for id in ["d1-1", "d2-1", "laptop"] {
        assert_eq!(world.refused("GET", &format!("{devices}/{id}"), &Value::Null).0, "not-found");
        for step in ["approve", "block"] {
            assert_eq!(world.refused("POST", &format!("{devices}/{id}/{step}"), &Value::Null).0, "not-found");
        }
        assert_eq!(world.refused("PATCH", &format!("{devices}/{id}"), &json!({"shared": true})).0, "not-found");
        assert_eq!(world.refused("DELETE", &format!("{devices}/{id}"), &Value::Null).0, "not-found");
    }
}

#[test]
fn authorities_and_enrolment_are_part_of_documents_and_the_tenants_own_is_not() {
    let world = World::start();
    let pem = authority("Device CA");
    let apply = |document: Value, prune: bool| -> Value {
        world.done("POST", &format!("{TENANT}/apply"), &json!({"document": document, "prune": prune}))
    };
    let document = json!({
        "device_authorities": {"mdm": {"certificate_pem": pem, "compliant": true}},
        "device_enrolment": {"approve_at_once": true, "own_days": 30, "sign_in": true},
    });
    let actions = |applied: &Value| -> Vec<String> {
        let changes = applied["changes"].as_array().unwrap();
        changes.iter().map(|change| change["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(actions(&apply(document.clone(), false)), ["device-authority.add", "device.settings"]);
    assert_eq!(actions(&apply(document, false)), [""; 0]);
    let exported = show(&world, &format!("{TENANT}/document"));
    assert_eq!(exported["device_enrolment"], json!({"approve_at_once": true, "own_days": 30, "sign_in": true}));
    assert_eq!(exported["device_authorities"]["mdm"]["compliant"], true);
    assert_eq!(actions(&apply(exported, true)), [""; 0], "nothing differs from what was exported");
    let other = json!({"device_authorities": {"other": {"certificate_pem": authority("Other CA")}}});
    assert_eq!(actions(&apply(other, true)), ["device-authority.remove", "device-authority.add"]);
    let wrong = json!({"document": {"device_authorities": {"own": {"certificate_pem": authority("x")}}}});
    assert_eq!(world.refused("POST", &format!("{TENANT}/apply"), &wrong).0, "request-invalid");
    let (_, problem) = world.ask(
        "POST",
        &format!("{TENANT}/apply"),
        &json!({"document": {"device_authorities": {"x": {"certificate_pem": "y"}}}}),
    );
    assert_eq!(problem["pointer"], "device-authority.x.cert");
}

#[test]
fn the_device_host_is_set_beside_the_place_to_sign_in() {
    let mut world = World::start();
    let host = "/v1/identity/device-host";
    assert_eq!(world.refused("PUT", host, &json!({"host": "device.localhost"})).0, "not-found");
    world.done::<Value>("PUT", "/v1/identity", &json!({"external_url": "https://login.localhost:8443/"}));
    assert_eq!(show(&world, "/v1/status")["apps"], 0, "the place to sign in is no application");
    for wrong in ["https://device.localhost/", "*.localhost", "device.localhost:1", ""] {
        assert_eq!(world.refused("PUT", host, &json!({"host": wrong})).0, "request-invalid", "{wrong}");
    }
    let asks = json!({"everyone": true, "all_apps": true, "require_any": ["compliant-device", "mfa"]});
    let made = make(&world, "devices", asks.clone());
    assert!(made["warnings"].to_string().contains("postern identity device-host set"), "{made}");
    let set: Value = world.done("PUT", host, &json!({"host": "Device.localhost"}));
    assert_eq!(make(&world, "again", asks)["warnings"], json!([]));
    assert_eq!(set["identity"]["device_url"], "https://device.localhost:8443");
    world.kill();
    world.restart(&[]);
    assert_eq!(show(&world, "/v1/identity")["device_url"], "https://device.localhost:8443");
    let app = crate::world::app("x", "https://device.localhost/");
    assert_eq!(world.refused("POST", &format!("{TENANT}/apps"), &app).0, "app-url-conflict");
    let gone: Value = world.done("DELETE", host, &Value::Null);
    assert!(gone["warnings"].to_string().contains("the policy devices asks for a device"), "{gone}");
    assert_eq!(show(&world, "/v1/identity")["device_url"], Value::Null);
    world.publish("x", "https://device.localhost/");
    assert_eq!(world.refused("PUT", host, &json!({"host": "device.localhost"})).0, "app-url-conflict");
    let log = Value::from(audit(&world)).to_string();
    assert!(log.contains("identity.device-host.set") && log.contains("identity.device-host.remove"), "{log}");
}
