//! A user's program that makes a device theirs: by a token that was granted for that, and nothing else.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::{BACK, Site, VERIFIER, parameter};

const DEVICES: &str = "/v1/tenants/default/devices";

impl Site {
    /// An access token of a client, as it is granted to anna who signs in for it.
    fn token_of(&mut self, client: &str, scope: &str) -> String {
        let signed = self.sign_in(&json!({"client_id": client, "scope": scope}));
        let code = parameter(&signed.location, "code");
        let form = json!({"grant_type": "authorization_code", "client_id": client, "code": code,
            "code_verifier": VERIFIER, "redirect_uri": BACK});
        let (status, tokens) = self.call("token", form, None);
        assert_eq!(status, 200, "{tokens}");
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    fn enrol(&mut self, token: &str, form: Value) -> (u64, Value) {
        self.call("enrol-device", form, Some(&format!("Bearer {token}")))
    }

    fn devices(&self) -> Vec<Value> {
        let list: Value = self.world.done("GET", DEVICES, &Value::Null);
        list["items"].as_array().unwrap().clone()
    }
}

fn form(name: &str) -> Value {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    json!({"request": request, "name": name, "platform": "linux"})
}

#[test]
fn a_token_enrols_a_device_where_that_was_granted_and_no_other_does() {
    let mut site = Site::start();
    site.add("devices", "public", "devices openid", "admin");
    site.add("both", "public", "devices app:wiki", "admin");
    let token = site.token_of("oc1-2", "devices");
    let (status, enrolled) = site.enrol(&token, form("laptop"));
    assert_eq!((status, &enrolled["id"], &enrolled["state"]), (200, &json!("d1-1"), &json!("unknown")), "{enrolled}");
    assert_eq!(enrolled["certificate_pem"].as_str().unwrap().matches("BEGIN CERTIFICATE").count(), 2, "{enrolled}");
    let [device] = &site.devices()[..] else { panic!("one device") };
    assert_eq!(
        (&device["owner_login"], &device["platform"], &device["approval"]),
        (&json!("anna"), &json!("linux"), &json!("waiting"))
    );

    // Granted for something else, for an application, or to a client that may no more.
    let without = site.token_of("oc1-2", "openid");
    assert_eq!(site.enrol(&without, form("x")).1["error"], "insufficient_scope");
    let for_wiki = site.token_of("oc1-3", "devices app:wiki");
    assert_eq!(site.enrol(&for_wiki, form("x")).1["error"], "invalid_token");
    for wrong in ["", "x", &format!("{token}x")] {
        assert_eq!(site.enrol(wrong, form("x")).1["error"], "invalid_token", "{wrong}");
    }
    assert_eq!(site.call("enrol-device", form("x"), None).1["error"], "invalid_token");
    for wrong in [
        json!({}),
        json!({"name": "x", "request": "hello"}),
        json!({"name": "", "request": form("x")["request"]}),
        json!({"name": "x".repeat(65), "request": form("x")["request"]}),
        json!({"name": "x", "platform": "toaster", "request": form("x")["request"]}),
    ] {
        let (status, answer) = site.enrol(&token, wrong.clone());
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
    let may = |site: &Site, scopes: &str| {
        let settings = json!({ "scopes": scopes });
        site.world.done::<Value>("PATCH", "/v1/tenants/default/clients/devices", &settings);
    };
    may(&site, "openid");
    assert_eq!(site.enrol(&token, form("x")).1["error"], "insufficient_scope", "withdrawn since");
    assert_eq!(site.devices().len(), 1);
    may(&site, "openid devices");
    site.world.done::<Value>("PATCH", "/v1/tenants/default/users/anna", &json!({"enabled": false}));
    assert_eq!(site.enrol(&token, form("x")).1["error"], "invalid_token", "her sessions ended");
}

#[test]
fn who_enrols_a_device_signs_in_for_that_whatever_the_browser_has() {
    let mut site = Site::start();
    site.add("devices", "public", "devices openid", "admin");
    let signed = site.sign_in(&json!({}));
    let other = site.authorize(&json!({"client_id": "oc1-2", "scope": "openid"}), &signed.browser);
    assert_eq!(other["next"], "done", "signed in as she is");
    let asked = site.authorize(&json!({"client_id": "oc1-2", "scope": "devices"}), &signed.browser);
    assert_eq!((&asked["next"], &asked["factor"]), (&json!("ask"), &json!("password")), "{asked}");
    let silent = site.authorize(&json!({"client_id": "oc1-2", "scope": "devices", "prompt": "none"}), &signed.browser);
    assert!(silent["location"].as_str().unwrap().contains("error=login_required"), "{silent}");
}
