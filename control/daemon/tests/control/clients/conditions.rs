//! Whose conditions count: those of the client's registration and of all that is asked for, and what is registered counts at each
//! step.

use postern_model::oauth::path;
use serde_json::{Value, json};

use super::{CLIENTS, PASSWORD, Site, by_code, parameter, sign_in};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl Site {
    /// The page that somebody new gets, and what follows it.
    fn entered(&mut self, changes: &Value) -> Value {
        let page = self.authorize(changes, &Value::Null);
        let given =
            json!({"flow": page["flow"], "login": "anna", "password": PASSWORD, "client": {"address": "192.0.2.7"}});
        self.pipe().ask(sign_in::PASSWORD, &given).1
    }

    fn set_app(&self, app: &str, settings: &Value) {
        self.world.done::<Value>("PATCH", &format!("/v1/tenants/default/apps/{app}"), &json!({"settings": settings}));
    }

    fn set_client(&self, client: &str, changes: &Value) {
        self.world.done::<Value>("PATCH", &format!("{CLIENTS}/{client}"), changes);
    }
}

fn error(step: &Value) -> String {
    parameter(step["location"].as_str().unwrap_or_default(), "error")
}

#[test]
fn leaving_an_application_out_of_the_scopes_opens_no_door() {
    let mut site = Site::start();
    site.add("crm-only", "public", "openid app:crm", "admin");
    site.add("anybody", "public", "openid", "admin");
    for scope in ["openid", "openid app:crm"] {
        let denied = site.sign_in(&json!({"client_id": "oc1-2", "scope": scope})).location;
        assert_eq!(parameter(&denied, "error"), "access_denied", "{scope}: {denied}");
        assert!(parameter(&denied, "code").is_empty());
    }
    let told = site.sign_in(&json!({"client_id": "oc1-3", "scope": "openid"})).location;
    assert!(!parameter(&told, "code").is_empty(), "registered for no application: every user of the tenant");
    // Who is not assigned any more gets no ID token with what they have in hand.
    let told = site.sign_in(&json!({"scope": "openid"})).location;
    site.world.done::<Value>("DELETE", "/v1/tenants/default/assignments/wiki/user/anna", &Value::Null);
    assert_eq!(site.redeem(&parameter(&told, "code")).1["error"], "invalid_grant");
}

#[test]
fn the_strictest_of_all_applications_counts_in_whatever_order_they_are_asked_for() {
    let mut site = Site::start();
    site.set_app("wiki", &json!({"mfa": "required"}));
    for scope in ["openid", "openid app:crm app:wiki", "openid app:wiki app:crm"] {
        let step = site.entered(&json!({"scope": scope}));
        assert_eq!(step["next"], "ask", "{scope}: a second factor comes next: {step}");
    }
    assert_eq!(site.entered(&json!({"scope": "openid app:crm"}))["next"], "done", "nothing else is asked for");
    site.set_app("wiki", &json!({"mfa": "off"}));
    let block = json!({"everyone": true, "apps": ["crm"], "block": true});
    site.world.done::<Value>("POST", "/v1/tenants/default/policies", &json!({"name": "no", "policy": block}));
    for scope in ["openid", "openid app:wiki app:crm"] {
        assert_eq!(error(&site.entered(&json!({"scope": scope}))), "access_denied", "{scope}");
    }
    assert_eq!(error(&site.entered(&json!({"scope": "openid app:wiki"}))), "");
}

#[test]
fn no_more_than_sixteen_applications_are_asked_for_at_once() {
    let mut site = Site::start();
    let many: String = (0..17).map(|n| format!(" app:app{n}")).collect();
    site.set_client("native", &json!({"scopes": "openid app:*"}));
    let told = site.authorize(&json!({"scope": format!("openid{many}")}), &Value::Null);
    assert_eq!(error(&told), "invalid_scope");
    let detail = parameter(told["location"].as_str().unwrap(), "error_description");
    assert!(detail.contains("16"), "{detail}");
}

#[test]
fn what_is_withdrawn_stops_what_is_in_progress() {
    let mut site = Site::start();
    let redirects = |uris: &[&str]| json!({"redirect_uris": uris});
    let back = super::BACK;
    // With the code in hand.
    for (withdrawn, given_back) in [
        (redirects(&["https://other.example.com/"]), redirects(&[back])),
        (json!({"scopes": "openid"}), json!({"scopes": "openid profile app:wiki app:crm"})),
    ] {
        let code = parameter(&site.sign_in(&json!({})).location, "code");
        site.set_client("native", &withdrawn);
        assert_eq!(site.call("token", by_code(&code), None).1["error"], "invalid_grant", "{withdrawn}");
        site.set_client("native", &given_back);
        // With the password page open.
        let page = site.authorize(&json!({}), &Value::Null);
        site.set_client("native", &withdrawn);
        let given =
            json!({"flow": page["flow"], "login": "anna", "password": PASSWORD, "client": {"address": "192.0.2.7"}});
        assert_eq!(site.pipe().ask(sign_in::PASSWORD, &given).1["code"], "sign-in-over", "{withdrawn}");
        site.set_client("native", &given_back);
        // With the question open.
        site.set_client("native", &json!({"consent": "user"}));
        let asked = site.entered(&json!({}));
        assert_eq!(asked["next"], "consent", "{asked}");
        site.set_client("native", &withdrawn);
        let given = json!({"consent": asked["consent"], "allow": true, "browser": asked["browser"]["secret"]});
        assert_eq!(site.pipe().ask(path::CONSENT, &given).1["code"], "sign-in-over", "{withdrawn}");
        site.set_client("native", &given_back);
        site.set_client("native", &json!({"consent": "admin"}));
    }
}

#[test]
fn a_client_that_may_not_show_codes_any_more_gets_nothing_by_them() {
    let mut site = Site::start();
    let settings = json!({"device": true, "kind": "public", "redirect_uris": [super::BACK], "scopes": "openid app:wiki", "consent": "admin"});
    site.world.done::<Value>("POST", CLIENTS, &json!({"name": "cli", "settings": settings}));
    let form = json!({"client_id": "oc1-2", "scope": "openid app:wiki"});
    let begun = site.call("device-authorization", form, None).1;
    let browser = site.sign_in(&json!({})).browser;
    let enter = json!({"user_code": begun["user_code"], "browser": browser, "client": {"address": "192.0.2.8"}});
    let asked = site.pipe().ask(path::DEVICE, &enter).1;
    assert_eq!(asked["next"], "consent", "{asked}");
    site.set_client("cli", &json!({"device": false}));
    assert_eq!(site.pipe().ask(path::DEVICE, &enter).1["code"], "device-code-wrong");
    let given = json!({"consent": asked["consent"], "allow": true, "browser": browser});
    assert_eq!(site.pipe().ask(path::CONSENT, &given).1["code"], "sign-in-over");
    let form = json!({"grant_type": DEVICE, "client_id": "oc1-2", "device_code": begun["device_code"]});
    assert_eq!(site.call("token", form, None).1["error"], "unauthorized_client");
}

#[test]
fn a_refresh_token_is_of_no_use_to_another_client_and_nothing_ends() {
    let mut site = Site::start();
    site.add("other", "public", "openid profile app:wiki", "admin");
    let refresh = site.tokens()["refresh_token"].clone();
    let form = json!({"grant_type": "refresh_token", "client_id": "oc1-2", "refresh_token": refresh});
    assert_eq!(site.call("token", form, None).1["error"], "invalid_grant");
    assert_eq!(site.refresh(&refresh).0, 200, "its own client goes on");
}

#[test]
fn the_session_is_not_told_and_a_token_is_a_use_of_the_assignment() {
    let mut site = Site::start();
    let secret = site.add("server", "confidential", "openid app:wiki", "admin").unwrap();
    let used = |site: &Site| {
        let listed: Value = site.world.done("GET", "/v1/tenants/default/assignments", &Value::Null);
        listed["items"][0]["last_used_unix"].clone()
    };
    let signed = site.sign_in(&json!({}));
    assert_eq!(used(&site), Value::Null);
    let tokens = site.redeem(&parameter(&signed.location, "code")).1;
    assert!(used(&site).is_u64(), "a review must not take it for unused");
    assert_eq!(super::claims(&tokens["id_token"]).1["sid"], Value::Null);
    assert!(super::claims(&tokens["access_token"]).1["sid"].is_string(), "relays go by it");
    let form = json!({"client_id": "oc1-2", "client_secret": secret, "token": tokens["access_token"]});
    let told = site.call("introspect", form, None).1;
    assert_eq!((&told["active"], &told["sid"]), (&json!(true), &Value::Null), "{told}");
}
