//! Programs without a browser: the code that they show, and those who enter, guess, steal and ask for too much.

use postern_model::oauth::path;
use serde_json::{Value, json};

use super::{CLIENTS, PASSWORD, Site, claims, sign_in};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl Site {
    /// A program that may show codes: `oc1-2`.
    fn with_device() -> Self {
        let site = Site::start();
        let settings = json!({"device": true, "kind": "public", "scopes": "openid app:*", "consent": "admin"});
        site.world.done::<Value>("POST", CLIENTS, &json!({"name": "cli", "settings": settings}));
        site
    }

    fn begin_device(&mut self) -> Value {
        let form = json!({"client_id": "oc1-2", "scope": "openid app:wiki"});
        let (status, begun) = self.call("device-authorization", form, None);
        assert_eq!(status, 200, "{begun}");
        begun
    }

    fn enter(&mut self, code: &str, browser: &Value) -> Value {
        let asked = json!({"user_code": code, "browser": browser, "client": {"address": "192.0.2.8"}});
        self.pipe().ask(path::DEVICE, &asked).1
    }

    fn answer(&mut self, asked: &Value, allow: bool, browser: &Value) -> Value {
        let given = json!({"consent": asked["consent"], "allow": allow, "browser": browser});
        self.pipe().ask(path::CONSENT, &given).1
    }

    /// The tokens or the error.
    fn poll(&mut self, begun: &Value, client: &str) -> Value {
        let form = json!({"grant_type": GRANT, "client_id": client, "device_code": begun["device_code"]});
        let (status, told) = self.call("token", form, None);
        if status == 200 { told } else { told["error"].clone() }
    }
}

#[test]
fn a_program_without_a_browser_gets_tokens_when_its_user_agrees_elsewhere() {
    let mut site = Site::with_device();
    let begun = site.begin_device();
    let code = begun["user_code"].as_str().unwrap().to_owned();
    let at = begun["verification_uri_complete"].as_str().unwrap();
    assert_eq!((at, &begun["interval"]), (&*format!("https://login.localhost/device?user_code={code}"), &json!(5)));
    assert_eq!(site.poll(&begun, "oc1-2"), "authorization_pending");
    assert_eq!(site.poll(&begun, "oc1-2"), "slow_down");
    // Nobody is signed in: they do first.
    let page = site.enter(&code.to_lowercase(), &Value::Null);
    assert_eq!((&page["next"], &page["app"]), (&json!("ask"), &json!("wiki")), "{page}");
    let given =
        json!({"flow": page["flow"], "login": "anna", "password": PASSWORD, "client": {"address": "192.0.2.8"}});
    let asked = site.pipe().ask(sign_in::PASSWORD, &given).1;
    // The client needs no consent otherwise: here everybody is asked.
    assert_eq!((&asked["next"], &asked["user_code"]), (&json!("consent"), &json!(code)), "{asked}");
    let browser = asked["browser"]["secret"].clone();
    let done = site.answer(&asked, true, &browser);
    assert_eq!(done["location"], "https://login.localhost/device/done", "{done}");
    assert_eq!(site.enter(&code, &browser)["code"], "device-code-wrong", "it is good once");
    assert_eq!(site.poll(&begun, "oc1-1"), "invalid_grant", "another client has no use for it");
    std::thread::sleep(std::time::Duration::from_secs(11));
    let tokens = site.poll(&begun, "oc1-2");
    assert_eq!(claims(&tokens["access_token"]).1["aud"], "https://wiki.localhost/", "{tokens}");
    assert_eq!(claims(&tokens["id_token"]).1["preferred_username"], Value::Null, "profile was not asked for");
    assert_eq!(site.poll(&begun, "oc1-2"), "expired_token", "once");
    // What came of it ends with the session in which the user agreed.
    site.world.done::<Value>("POST", "/v1/tenants/default/sessions/revoke", &json!({"user": "anna"}));
    let form = json!({"grant_type": "refresh_token", "client_id": "oc1-2", "refresh_token": tokens["refresh_token"]});
    assert_eq!(site.call("token", form, None).1["error"], "invalid_grant");
}

#[test]
fn who_does_not_agree_gives_nothing_and_only_the_asked_browser_answers() {
    let mut site = Site::with_device();
    let begun = site.begin_device();
    let code = begun["user_code"].as_str().unwrap().to_owned();
    let browser = site.sign_in(&json!({})).browser;
    let asked = site.enter(&code, &browser);
    assert_eq!(asked["next"], "consent", "{asked}");
    assert_eq!(site.answer(&asked, true, &Value::Null)["next"], "refused", "another browser");
    let asked = site.enter(&code, &browser);
    assert_eq!(site.answer(&asked, false, &browser)["next"], "done");
    assert_eq!(site.poll(&begun, "oc1-2"), "access_denied");
    assert_eq!(site.poll(&begun, "oc1-2"), "expired_token");
    // Not every client may, nor ask for everything.
    let asks = |site: &mut Site, client: &str, scope: &str| {
        site.call("device-authorization", json!({"client_id": client, "scope": scope}), None).1["error"].clone()
    };
    assert_eq!(asks(&mut site, "oc1-1", "app:wiki"), "unauthorized_client");
    for scope in ["", "app:*", "groups", "app:nothing", "app:wiki x"] {
        assert_eq!(asks(&mut site, "oc1-2", scope), "invalid_scope", "{scope}");
    }
    assert_eq!(asks(&mut site, "oc1-9", "app:wiki"), "invalid_client");
}

#[test]
fn guessing_codes_becomes_slow() {
    let mut site = Site::with_device();
    site.begin_device();
    let browser = site.sign_in(&json!({})).browser;
    let mut refused = Vec::new();
    let mut pipe = site.pipe();
    for _ in 0..40 {
        let asked = json!({"user_code": "BBBB-BBBB", "browser": browser, "client": {"address": "192.0.2.8"}});
        refused.push(pipe.ask(path::DEVICE, &asked).1["code"].as_str().unwrap().to_owned());
    }
    drop(pipe);
    assert!(refused[..30].iter().all(|code| code == "device-code-wrong"), "{refused:?}");
    assert!(refused[30..].iter().all(|code| code == "sign-in-throttled"), "{refused:?}");
    // The right one has to wait as well.
    let begun = site.begin_device();
    let told = site.enter(begun["user_code"].as_str().unwrap(), &browser);
    assert_eq!(told["code"], "sign-in-throttled", "{told}");
}
