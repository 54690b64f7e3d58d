//! Clients of the OpenID provider, as an identity process brings what they ask: from the browser to tokens, and what those get who
//! replay, swap, guess or ask for more.

mod conditions;
mod device;
mod enrol;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use postern_model::enrol::{Enrolled, Token};
use postern_model::identity::path as sign_in;
use postern_model::oauth::path;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::identity_peer::{Identity, Linked};
use crate::peer::{enrolled, token_request};
use crate::world::World;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const PASSWORD: &str = "correct horse battery";
const BACK: &str = "https://app.example.com/back";
const ISSUER: &str = "https://login.localhost";
const CLIENTS: &str = "/v1/tenants/default/clients";

struct Site {
    world: World,
    relay: Linked,
    identity: (Enrolled, KeyPair),
}

/// What a browser and a client have after signing in.
struct Signed {
    browser: Value,
    location: String,
}

impl Site {
    /// A place to sign in, two applications, anna who may use one of them, and a client `native` without a secret.
    fn start() -> Self {
        let world = World::start();
        world.done::<Value>("PUT", "/v1/identity", &json!({"external_url": format!("{ISSUER}/")}));
        for name in ["wiki", "crm"] {
            let mut app = crate::world::app(name, &format!("https://{name}.localhost"));
            app["preauth"] = json!("oidc");
            world.done::<Value>("POST", "/v1/tenants/default/apps", &app);
        }
        world.done::<Value>("POST", "/v1/tenants/default/users", &json!({"login": "anna", "password": PASSWORD}));
        world.done::<Value>("PUT", "/v1/tenants/default/assignments", &json!({"app": "wiki", "user": "anna"}));
        let mut relay = Linked::link(&world, "edge");
        let tokens = "/v1/tenants/default/connector-groups/postern-identity/tokens";
        let issued: Value = world.done("POST", tokens, &json!({"ttl_s": 600}));
        let token = Token::parse(issued["token"].as_str().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let identity = (enrolled(relay.relay.enrol(&token_request(&token, &key))), key);
        let site = Self { world, relay, identity };
        site.add("native", "public", "openid profile app:wiki app:crm", "admin");
        site
    }

    /// Its secret, if it has one.
    fn add(&self, name: &str, kind: &str, scopes: &str, consent: &str) -> Option<String> {
        let uris = if kind == "public" { vec![BACK, "http://127.0.0.1/back"] } else { vec![BACK] };
        let settings = json!({"redirect_uris": uris, "kind": kind, "scopes": scopes, "consent": consent});
        let made: Value = self.world.done("POST", CLIENTS, &json!({"name": name, "settings": settings}));
        made["secret"].as_str().map(str::to_owned)
    }

    fn pipe(&mut self) -> Identity<'_> {
        self.relay.pipe(&self.identity)
    }

    /// Signs anna in for a client, with the parameters changed as given.
    fn sign_in(&mut self, changes: &Value) -> Signed {
        let asked = json!({"fields": fields(changes), "client": {"address": "192.0.2.7"}});
        let mut pipe = self.pipe();
        let page = pipe.ask(path::AUTHORIZE, &asked).1;
        let given =
            json!({"flow": page["flow"], "login": "anna", "password": PASSWORD, "client": {"address": "192.0.2.7"}});
        let done = pipe.ask(sign_in::PASSWORD, &given).1;
        assert_eq!(done["next"], "done", "{page} {done}");
        Signed { browser: done["browser"]["secret"].clone(), location: done["location"].as_str().unwrap().to_owned() }
    }

    fn authorize(&mut self, changes: &Value, browser: &Value) -> Value {
        let asked = json!({"fields": fields(changes), "browser": browser, "client": {"address": "192.0.2.7"}});
        self.pipe().ask(path::AUTHORIZE, &asked).1
    }

    /// Status and body.
    fn call(&mut self, endpoint: &str, form: Value, authorization: Option<&str>) -> (u64, Value) {
        let mut asked = json!({"endpoint": endpoint, "fields": form, "client": {"address": "192.0.2.7"}});
        if let Some(authorization) = authorization {
            asked["authorization"] = json!(authorization);
        }
        let (status, answer) = self.pipe().ask(path::CALL, &asked);
        assert_eq!(status, 200, "{answer}");
        (answer["status"].as_u64().unwrap(), answer["body"].clone())
    }

    fn redeem(&mut self, code: &str) -> (u64, Value) {
        self.call("token", by_code(code), None)
    }

    fn refresh(&mut self, token: &Value) -> (u64, Value) {
        let form = json!({"grant_type": "refresh_token", "client_id": "oc1-1", "refresh_token": token});
        self.call("token", form, None)
    }

    /// Tokens of `native`, for the wiki.
    fn tokens(&mut self) -> Value {
        let signed = self.sign_in(&json!({}));
        let (status, tokens) = self.redeem(&parameter(&signed.location, "code"));
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

fn by_code(code: &str) -> Value {
    json!({"grant_type": "authorization_code", "client_id": "oc1-1", "code": code, "code_verifier": VERIFIER,
        "redirect_uri": BACK})
}

fn fields(changes: &Value) -> Value {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let mut fields = json!({"response_type": "code", "client_id": "oc1-1", "redirect_uri": BACK,
        "scope": "openid profile app:wiki", "state": "s t", "nonce": "n", "code_challenge": challenge,
        "code_challenge_method": "S256"});
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    fields
}

fn parameter(location: &str, name: &str) -> String {
    let query = location.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn claims(token: &Value) -> (Value, Value) {
    let mut parts = token.as_str().unwrap().split('.');
    let mut part = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
    (part(), part())
}

#[test]
fn a_client_comes_from_the_browser_to_tokens() {
    let mut site = Site::start();
    let signed = site.sign_in(&json!({}));
    let location = &signed.location;
    assert!(location.starts_with("https://app.example.com/back?"), "{location}");
    assert_eq!((parameter(location, "state"), parameter(location, "iss")), ("s t".into(), ISSUER.into()));
    let (status, tokens) = site.redeem(&parameter(location, "code"));
    assert_eq!(status, 200, "{tokens}");
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
    let (head, access) = claims(&tokens["access_token"]);
    assert_eq!((&head["typ"], &head["alg"]), (&json!("at+jwt"), &json!("ES256")));
    assert_eq!((&access["iss"], &access["aud"]), (&json!(ISSUER), &json!("https://wiki.localhost/")));
    assert_eq!((&access["sub"], &access["client_id"]), (&json!("u1-1"), &json!("oc1-1")));
    let (head, id) = claims(&tokens["id_token"]);
    assert_eq!((&head["typ"], &id["aud"], &id["nonce"]), (&json!("JWT"), &json!("oc1-1"), &json!("n")));
    assert_eq!((&id["preferred_username"], &id["amr"]), (&json!("anna"), &json!(["pwd"])));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let (status, user) = site.call("user-info", json!({}), Some(&bearer));
    assert_eq!((status, user), (200, json!({"sub": "u1-1", "preferred_username": "anna"})));
    // A second time no page is shown.
    let silent = site.authorize(&json!({"prompt": "none"}), &signed.browser);
    assert_eq!(silent["next"], "done");
    assert!(!parameter(silent["location"].as_str().unwrap(), "code").is_empty());
    let (_, metadata) = site.call("metadata", json!({}), None);
    assert_eq!(
        (&metadata["issuer"], &metadata["code_challenge_methods_supported"]),
        (&json!(ISSUER), &json!(["S256"]))
    );
    assert!(site.call("keys", json!({}), None).1["keys"][0]["kid"].is_string());
}

#[test]
fn what_is_not_the_clients_own_address_is_not_returned_to() {
    let mut site = Site::start();
    for wrong in [
        "https://app.example.com/back/",
        "https://app.example.com/back?x",
        "https://evil.example/back",
        "http://app.example.com/back",
        "http://localhost:80/back",
        "http://127.0.0.1:80/other",
        "javascript:alert(1)",
        "",
    ] {
        let refused = site.authorize(&json!({"redirect_uri": wrong}), &Value::Null);
        assert_eq!(
            (&refused["next"], &refused["code"]),
            (&json!("refused"), &json!("client-redirect-unknown")),
            "{wrong}"
        );
    }
    for wrong in ["oc1-9", "oc2-1", "native", ""] {
        let refused = site.authorize(&json!({"client_id": wrong}), &Value::Null);
        assert_eq!((&refused["next"], &refused["code"]), (&json!("refused"), &json!("client-unknown")), "{wrong}");
    }
    let asked = site.authorize(&json!({"redirect_uri": "http://127.0.0.1:49152/back"}), &Value::Null);
    assert_eq!(asked["next"], "ask", "the port of a loopback address is free: {asked}");
}

#[test]
fn without_pkce_and_with_too_much_the_client_is_told_so() {
    let mut site = Site::start();
    for (changes, error) in [
        (json!({"code_challenge_method": "plain"}), "invalid_request"),
        (json!({"code_challenge_method": ""}), "invalid_request"),
        (json!({"code_challenge": ""}), "invalid_request"),
        (json!({"code_challenge": VERIFIER.repeat(2)}), "invalid_request"),
        (json!({"response_type": "token"}), "unsupported_response_type"),
        (json!({"response_type": "code id_token"}), "unsupported_response_type"),
        (json!({"response_mode": "fragment"}), "invalid_request"),
        (json!({"scope": "openid groups"}), "invalid_scope"),
        (json!({"scope": "app:*"}), "invalid_scope"),
        (json!({"scope": "everything"}), "invalid_scope"),
        (json!({"scope": ""}), "invalid_scope"),
        (json!({"request": "x.y.z"}), "request_not_supported"),
        (json!({"request_uri": "https://evil.example/"}), "request_uri_not_supported"),
        (json!({"prompt": "none"}), "login_required"),
        (json!({"prompt": "none login"}), "invalid_request"),
    ] {
        let told = site.authorize(&changes, &Value::Null);
        let location = told["location"].as_str().unwrap_or_else(|| panic!("{changes}: {told}"));
        assert_eq!(parameter(location, "error"), error, "{changes}");
        assert_eq!((parameter(location, "state"), parameter(location, "iss")), ("s t".into(), ISSUER.into()));
        assert!(location.starts_with("https://app.example.com/back?") && parameter(location, "code").is_empty());
    }
}

#[test]
fn a_code_that_comes_twice_ends_the_session_and_all_that_came_of_it() {
    let mut site = Site::start();
    let signed = site.sign_in(&json!({}));
    let code = parameter(&signed.location, "code");
    let (_, tokens) = site.redeem(&code);
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert_eq!(site.call("user-info", json!({}), Some(&bearer)).0, 200);
    let (status, told) = site.redeem(&code);
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")));
    assert_eq!(site.call("user-info", json!({}), Some(&bearer)).0, 401);
    let (status, told) = site.refresh(&tokens["refresh_token"]);
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn a_code_is_of_use_to_its_client_alone() {
    let mut site = Site::start();
    let secret = site.add("server", "confidential", "openid", "admin").unwrap();
    for changes in [
        json!({"client_id": "oc1-2", "client_secret": secret}),
        json!({"redirect_uri": "http://127.0.0.1:80/back"}),
        json!({"code_verifier": "x".repeat(43)}),
        json!({"code_verifier": ""}),
    ] {
        let signed = site.sign_in(&json!({}));
        let mut form = by_code(&parameter(&signed.location, "code"));
        for (name, value) in changes.as_object().unwrap() {
            form[name] = value.clone();
        }
        let (status, told) = site.call("token", form, None);
        assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")), "{changes}");
    }
}

#[test]
fn a_refresh_token_that_comes_twice_ends_its_grant() {
    let mut site = Site::start();
    let first = site.tokens()["refresh_token"].clone();
    let (status, second) = site.refresh(&first);
    assert_eq!(status, 200, "{second}");
    assert_ne!(second["refresh_token"], first);
    let (status, told) = site.refresh(&first);
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")));
    let (status, told) = site.refresh(&second["refresh_token"]);
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")), "the newest, too");
    for wrong in ["", "x", "prt_", "prt_AAAA.BBBB", "prt_AAAAAAAAAAAAAAAAAAAAAA.x"] {
        assert_eq!(site.refresh(&json!(wrong)).0, 400, "{wrong}");
    }
}

#[test]
fn what_was_granted_ends_with_session_assignment_client_and_user() {
    let mut site = Site::start();
    let refresh = site.tokens()["refresh_token"].clone();
    let refused = |site: &mut Site, token: &Value| {
        let (status, told) = site.refresh(token);
        assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")), "{told}");
    };
    site.world.done::<Value>("POST", "/v1/tenants/default/sessions/revoke", &json!({"user": "anna"}));
    refused(&mut site, &refresh);
    let refresh = site.tokens()["refresh_token"].clone();
    site.world.done::<Value>("PATCH", &format!("{CLIENTS}/native"), &json!({"scopes": "openid"}));
    refused(&mut site, &refresh);
    site.world.done::<Value>("PATCH", &format!("{CLIENTS}/native"), &json!({"scopes": "openid profile app:wiki"}));
    let refresh = site.tokens()["refresh_token"].clone();
    site.world.done::<Value>("DELETE", "/v1/tenants/default/assignments/wiki/user/anna", &Value::Null);
    refused(&mut site, &refresh);
    let assigned = json!({"app": "wiki", "user": "anna"});
    site.world.done::<Value>("PUT", "/v1/tenants/default/assignments", &assigned);
    let refresh = site.tokens()["refresh_token"].clone();
    site.world.done::<Value>("PATCH", &format!("{CLIENTS}/native"), &json!({"disabled": true}));
    assert_eq!(site.refresh(&refresh).0, 401);
    site.world.done::<Value>("PATCH", &format!("{CLIENTS}/native"), &json!({"disabled": false}));
    refused(&mut site, &refresh);
}

#[test]
fn an_application_that_the_user_may_not_use_gives_no_token() {
    let mut site = Site::start();
    let signed = site.sign_in(&json!({"scope": "app:crm"}));
    let (status, told) = site.redeem(&parameter(&signed.location, "code"));
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")), "{told}");
    // Of several applications `resource` names one.
    let signed = site.sign_in(&json!({"scope": "app:crm app:wiki"}));
    let (status, tokens) = site.redeem(&parameter(&signed.location, "code"));
    assert_eq!((status, &claims(&tokens["access_token"]).1["aud"]), (200, &json!(ISSUER)));
    let form = |resource: &str, token: &Value| json!({"grant_type": "refresh_token", "client_id": "oc1-1", "refresh_token": token, "resource": resource});
    let (_, told) = site.call("token", form("https://other.localhost", &tokens["refresh_token"]), None);
    assert_eq!(told["error"], "invalid_target");
    let (status, wiki) = site.call("token", form("https://wiki.localhost", &tokens["refresh_token"]), None);
    let access = claims(&wiki["access_token"]).1;
    assert_eq!(
        (status, &access["aud"], &access["scope"]),
        (200, &json!("https://wiki.localhost/"), &json!("app:wiki"))
    );
}

#[test]
fn a_confidential_client_shows_its_secret_in_one_place() {
    let mut site = Site::start();
    let secret = site.add("server", "confidential", "openid app:wiki", "admin").unwrap();
    let header = |secret: &str| format!("Basic {}", STANDARD.encode(format!("oc1-2:{secret}")));
    let code = |site: &mut Site| {
        let signed = site.sign_in(&json!({"client_id": "oc1-2", "scope": "openid"}));
        json!({"grant_type": "authorization_code", "code": parameter(&signed.location, "code"), "code_verifier": VERIFIER,
            "redirect_uri": BACK})
    };
    let form = code(&mut site);
    for authorization in [header("wrong"), header(""), "Basic x".into(), format!("Bearer {secret}")] {
        assert_eq!(site.call("token", form.clone(), Some(&authorization)).0, 401, "{authorization}");
    }
    assert_eq!(site.call("token", form.clone(), None).0, 401);
    let mut both = form.clone();
    both["client_secret"] = json!(secret);
    assert_eq!(site.call("token", both, Some(&header(&secret))).0, 400);
    let (status, tokens) = site.call("token", form, Some(&header(&secret)));
    assert_eq!(status, 200, "{tokens}");
    // Introspection and revocation.
    let token = json!({"token": tokens["refresh_token"]});
    assert_eq!(site.call("introspect", token.clone(), Some(&header(&secret))).1["active"], true);
    assert_eq!(site.call("revoke", token.clone(), Some(&header(&secret))).0, 200);
    assert_eq!(site.call("introspect", token, Some(&header(&secret))).1, json!({"active": false}));
    let access = json!({"token": tokens["access_token"]});
    let (_, told) = site.call("introspect", access.clone(), Some(&header(&secret)));
    assert_eq!((&told["active"], &told["username"]), (&json!(true), &json!("anna")));
    let mut public = access;
    public["client_id"] = json!("oc1-1");
    assert_eq!(site.call("introspect", public, None).0, 401, "a public client is anybody");
    // Another secret.
    site.world.done::<Value>("POST", &format!("{CLIENTS}/server/rotate"), &json!({}));
    assert_eq!(site.call("introspect", json!({"token": "x"}), Some(&header(&secret))).0, 401);
}

#[test]
fn a_user_is_asked_once_and_only_in_the_browser_that_was_asked() {
    let mut site = Site::start();
    site.add("asks", "public", "openid profile", "user");
    let wants = json!({"client_id": "oc1-2", "scope": "openid"});
    let browser = site.sign_in(&json!({})).browser;
    let told = site.authorize(&json!({"client_id": "oc1-2", "scope": "openid", "prompt": "none"}), &browser);
    assert_eq!(parameter(told["location"].as_str().unwrap(), "error"), "consent_required");
    let asked = site.authorize(&wants, &browser);
    assert_eq!(
        (&asked["next"], &asked["client"], &asked["login"]),
        (&json!("consent"), &json!("asks"), &json!("anna"))
    );
    let answer = |site: &mut Site, asked: &Value, allow: bool, browser: &Value| {
        let given = json!({"consent": asked["consent"], "allow": allow, "browser": browser});
        site.pipe().ask(path::CONSENT, &given).1
    };
    assert_eq!(answer(&mut site, &asked, true, &Value::Null)["next"], "refused", "no browser");
    assert_eq!(answer(&mut site, &asked, true, &browser)["next"], "refused", "one attempt");
    let asked = site.authorize(&wants, &browser);
    let refused = answer(&mut site, &asked, false, &browser);
    assert_eq!(parameter(refused["location"].as_str().unwrap(), "error"), "access_denied");
    let asked = site.authorize(&wants, &browser);
    let allowed = answer(&mut site, &asked, true, &browser);
    assert!(!parameter(allowed["location"].as_str().unwrap(), "code").is_empty(), "{allowed}");
    assert_eq!(site.authorize(&wants, &browser)["next"], "done", "it is remembered");
    let more = json!({"client_id": "oc1-2", "scope": "openid profile"});
    assert_eq!(site.authorize(&more, &browser)["next"], "consent", "more is asked for");
    let device = json!({"client_id": "oc1-2", "scope": "openid", "redirect_uri": "http://127.0.0.1:80/back"});
    assert_eq!(site.authorize(&device, &browser)["next"], "consent", "on a device it is asked for each time");
}
