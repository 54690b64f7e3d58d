//! Users enter the passwords of an application themselves (`vault_by=users`): their own and nobody else's, where that is set, and
//! sealed before control has them.

use postern_model::portal::{OwnSealing, path};
use postern_model::secret::SecretText;
use postern_model::vault::{Credential, Login, NotOpened, Purpose, SetBy, VaultKeyPair};
use serde_json::{Value, json};

use crate::portal_peer::{Site, add_user};
use crate::world::World;

const VAULT: &str = "/v1/tenants/default/vault";
const CRM: &str = "/v1/tenants/default/apps/crm";

fn by(who: &str) -> Value {
    json!({"sso": "basic", "backend_plaintext": "allow", "vault_by": who})
}

/// The CRM, for which users enter passwords; all but Carl are assigned.
struct Scene {
    site: Site,
    crm: String,
    pair: VaultKeyPair,
}

impl Scene {
    fn start() -> Self {
        let site = Site::start(&["anna", "bert", "carl"]);
        let crm = site.publish("crm", &by("users"));
        for user in ["anna", "bert"] {
            site.assign("crm", &json!({"user": user}));
        }
        let scene = Self { site, crm, pair: VaultKeyPair::generate().unwrap() };
        set_key(&scene.site.world, &scene.pair);
        scene
    }

    fn asks(&mut self, browser: &str, action: &Value) -> Value {
        let app = self.crm.clone();
        self.asks_about(browser, &app, action)
    }

    fn asks_about(&mut self, browser: &str, app: &str, action: &Value) -> Value {
        let client = json!({"address": "192.0.2.7", "user_agent": "Browser/1"});
        let asked = json!({"browser": browser, "app": app, "action": action, "client": client});
        self.site.identity_asks(path::PASSWORD, &asked)
    }

    fn sealing(&mut self, browser: &str) -> OwnSealing {
        serde_json::from_value(self.asks(browser, &json!({"do": "seal"}))).unwrap()
    }

    fn enters(&mut self, browser: &str, password: &str) -> Value {
        let sealing = self.sealing(browser);
        let put = put(&self.pair, &sealing.purpose, password);
        self.asks(browser, &put)
    }

    fn state(&mut self, browser: &str) -> Value {
        let page = self.asks(browser, &json!({"do": "show"}));
        assert_eq!(page["is"], "page", "{page}");
        page["state"].clone()
    }

    /// What the tile says.
    fn tile(&mut self, browser: &str) -> Value {
        let apps = self.site.ask(browser, &json!({"do": "apps"}));
        let tiles = apps["tiles"].as_array().unwrap();
        tiles.iter().find(|tile| tile["label"] == "crm").unwrap_or_else(|| panic!("{apps}"))["password"].clone()
    }

    /// Whose credentials there are, and who entered them.
    fn listed(&self) -> Vec<(String, String)> {
        let list: Value = self.site.world.done("GET", VAULT, &Value::Null);
        let text = |held: &Value, name: &str| held[name].as_str().unwrap().to_owned();
        list["items"].as_array().unwrap().iter().map(|held| (text(held, "owner"), text(held, "by"))).collect()
    }
}

fn set_key(world: &World, pair: &VaultKeyPair) {
    let body = json!({"key": pair.public, "replace": true});
    world.done::<Value>("PUT", &format!("{VAULT}/keys/default"), &body);
}

fn put(pair: &VaultKeyPair, purpose: &Purpose, password: &str) -> Value {
    let login = Login::new(SecretText::new("ABERG".into()), SecretText::new(password.into())).unwrap();
    let sealed = pair.public.seal(&login, purpose).unwrap();
    json!({"do": "put", "origin": purpose.origin, "key": pair.public.fingerprint(), "sealed": sealed})
}

fn pairs(listed: &[(String, String)]) -> Vec<(&str, &str)> {
    listed.iter().map(|(owner, by)| (owner.as_str(), by.as_str())).collect()
}

#[test]
fn a_user_enters_their_own_password_and_operators_see_that_they_did() {
    let mut scene = Scene::start();
    let [anna, bert] = ["anna", "bert"].map(|login| scene.site.browser(login));
    assert_eq!((scene.tile(&anna), scene.state(&anna)), (json!("missing"), json!("missing")));
    let sealing = scene.sealing(&anna);
    assert_eq!(
        (sealing.purpose.app.to_string(), sealing.key, sealing.basic),
        (scene.crm.clone(), scene.pair.public, true)
    );
    assert_eq!(sealing.purpose.origin, "http://127.0.0.1:8000");
    assert_eq!(scene.enters(&anna, "hunter2"), json!({"is": "done"}));
    let audit = scene.site.last_audit();
    assert_eq!((&audit["action"], &audit["actor"]), (&json!("vault.set"), &json!("user anna")), "{audit}");
    assert!(
        !audit.to_string().contains("hunter2") && audit["target"].as_str().unwrap().contains("user/anna"),
        "{audit}"
    );
    assert_eq!((scene.tile(&anna), scene.state(&anna)), (json!("own"), json!("own")));
    assert_eq!((scene.tile(&bert), scene.state(&bert)), (json!("missing"), json!("missing")), "hers is not his");
    assert_eq!(pairs(&scene.listed()), [("user/anna", "user")]);

    assert_eq!(scene.asks(&bert, &json!({"do": "remove"}))["code"], "not-found", "nor can he remove hers");
    assert_eq!(scene.state(&anna), "own");
    assert_eq!(scene.asks(&anna, &json!({"do": "remove"})), json!({"is": "done"}));
    let audit = scene.site.last_audit();
    assert_eq!((&audit["action"], &audit["actor"]), (&json!("vault.remove"), &json!("user anna")), "{audit}");
    assert_eq!((scene.state(&anna), scene.listed()), (json!("missing"), vec![]));
}

#[test]
fn operators_enter_passwords_as_before_and_the_last_word_counts() {
    let mut scene = Scene::start();
    let [anna, bert] = ["anna", "bert"].map(|login| scene.site.browser(login));
    assert_eq!(scene.enters(&anna, "hers"), json!({"is": "done"}));
    for user in [Some("anna"), None] {
        let asked = json!({"app": "crm", "user": user});
        let sealing: Value = scene.site.world.done("POST", &format!("{VAULT}/sealing"), &asked);
        let purpose: Purpose = serde_json::from_value(sealing["purpose"].clone()).unwrap();
        let mut sealed = put(&scene.pair, &purpose, "an operator's");
        sealed.as_object_mut().unwrap().retain(|name, _| name == "key" || name == "sealed");
        sealed["purpose"] = sealing["purpose"].clone();
        scene.site.world.done::<Value>("PUT", VAULT, &sealed);
    }
    assert_eq!(pairs(&scene.listed()), [("user/anna", "operator"), ("shared", "operator")]);
    assert_eq!(
        (scene.state(&anna), scene.state(&bert), scene.tile(&bert)),
        (json!("own"), json!("shared"), json!("shared"))
    );
    assert_eq!(scene.enters(&anna, "hers"), json!({"is": "done"}));
    assert_eq!(pairs(&scene.listed()), [("user/anna", "user"), ("shared", "operator")]);
}

#[test]
fn who_has_no_business_there_gets_nothing_whatever_they_ask() {
    let mut scene = Scene::start();
    let world = &scene.site.world;
    world.done::<Value>("POST", "/v1/tenants", &json!({"name": "other"}));
    add_user(world, "other", "zoe");
    let by_operators = scene.site.publish("erp", &by("operators"));
    let unsaid = scene.site.publish("wiki", &json!({"sso": "basic", "backend_plaintext": "allow"}));
    let open = scene.site.publish("open", &by("users"));
    let ended = scene.site.publish("ended", &by("users"));
    let all = scene.site.publish("all", &by("users"));
    for app in ["erp", "wiki", "open", "all"] {
        scene.site.assign(app, &json!({"everyone": true}));
    }
    scene.site.assign("ended", &json!({"user": "anna", "expires_unix": 1_000}));
    let passthrough = json!({"preauth": "passthrough"});
    let set: Value = scene.site.world.done("PATCH", "/v1/tenants/default/apps/open", &passthrough);
    assert_eq!(set["app"]["settings"], json!({"backend_plaintext": "allow"}));
    assert!(set["warnings"].to_string().contains("(sso=basic and vault_by=users were removed)"), "{set}");

    let [anna, carl] = ["anna", "carl"].map(|login| scene.site.browser(login));
    let asked = scene.site.begin(&json!({"tenant": "other"}));
    let zoe = scene.site.give_password(&asked, "zoe")["browser"]["secret"].as_str().unwrap().to_owned();
    let purpose = scene.sealing(&anna).purpose;
    let (crm, put) = (scene.crm.clone(), put(&scene.pair, &purpose, "hunter2"));
    let identity: Value = scene.site.world.done("GET", "/v1/identity", &Value::Null);
    let identity = identity["app"].as_str().unwrap().to_owned();
    for action in [json!({"do": "show"}), json!({"do": "seal"}), put, json!({"do": "remove"})] {
        for (browser, app, why) in [
            (&carl, &*crm, "not assigned"),
            (&zoe, &*crm, "another tenant's user"),
            (&zoe, &*all, "another tenant's user, who is not everyone"),
            (&anna, "a2-1", "another tenant's application"),
            (&anna, &*by_operators, "operators enter passwords"),
            (&anna, &*unsaid, "they do where nothing is said"),
            (&anna, &*open, "passthrough"),
            (&anna, &*ended, "not assigned any more"),
            (&anna, &*identity, "the place to sign in"),
            (&anna, "a1-999", "no application"),
        ] {
            assert_eq!(scene.asks_about(browser, app, &action), json!({"is": "absent"}), "{why}: {action}");
        }
        for nobody in ["", "x", &"A".repeat(43)] {
            assert_eq!(scene.asks(nobody, &action), json!({"is": "nobody"}));
        }
    }
    assert_eq!(scene.listed(), vec![]);
    let apps = scene.site.ask(&anna, &json!({"do": "apps"}));
    for tile in apps["tiles"].as_array().unwrap() {
        let is_by_users = tile["label"] == "crm" || tile["label"] == "all";
        assert_eq!(tile.get("password").is_some(), is_by_users, "{tile}");
    }
}

#[test]
fn whose_a_password_is_no_request_says() {
    let mut scene = Scene::start();
    let [anna, bert] = ["anna", "bert"].map(|login| scene.site.browser(login));
    let (hers, his) = (scene.sealing(&anna).purpose, scene.sealing(&bert).purpose);
    assert_ne!(hers.owner, his.owner);
    // Anna seals one for Bert, and says in every way that it is his.
    let mut forged = put(&scene.pair, &his, "hunter2");
    for (name, value) in [("owner", json!(his.owner)), ("user", json!("bert")), ("purpose", json!(his))] {
        forged[name] = value;
    }
    assert_eq!(scene.asks(&anna, &forged), json!({"is": "done"}));
    assert_eq!(pairs(&scene.listed()), [("user/anna", "user")]);
    assert_eq!(scene.state(&bert), "missing");
    let sealed = serde_json::from_value(forged["sealed"].clone()).unwrap();
    let key = scene.pair.public.fingerprint();
    let stored = Credential { purpose: hers.clone(), key, sealed, set_unix_ms: 1, by: SetBy::User };
    assert_eq!(scene.pair.secret.open(&stored, &hers), Err(NotOpened::OtherPurpose), "and it is of no use as hers");
}

#[test]
fn what_was_sealed_for_something_else_is_not_kept_and_nobody_learns_what_changed() {
    let mut scene = Scene::start();
    let anna = scene.site.browser("anna");
    let purpose = scene.sealing(&anna).purpose;
    let elsewhere = Purpose { origin: "https://evil.example".into(), ..purpose.clone() };
    let another = VaultKeyPair::generate().unwrap();
    for put in [put(&scene.pair, &elsewhere, "x"), put(&another, &purpose, "x")] {
        let refused = scene.asks(&anna, &put);
        assert_eq!((&refused["is"], &refused["code"]), (&json!("refused"), &json!("vault-sealing-stale")), "{refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(
            detail.contains("once more") && !detail.contains("127.0.0.1") && !detail.contains("default"),
            "{detail}"
        );
    }
    assert_eq!(scene.enters(&anna, "hunter2"), json!({"is": "done"}));
    set_key(&scene.site.world, &another);
    assert_eq!((scene.state(&anna), scene.tile(&anna)), (json!("stale"), json!("stale")));
    scene.pair = another;
    assert_eq!((scene.enters(&anna, "hunter2"), scene.state(&anna)), (json!({"is": "done"}), json!("own")));
}

#[test]
fn without_a_key_of_the_connectors_nobody_can_enter_one_and_it_is_said_to_both() {
    let mut site = Site::start(&["anna"]);
    let mut crm = crate::world::app("crm", "https://crm.localhost");
    (crm["preauth"], crm["settings"]) = (json!("oidc"), by("users"));
    let published: Value = site.world.done("POST", "/v1/tenants/default/apps", &crm);
    assert!(published["warnings"].to_string().contains("vault key create --group default"), "{published}");
    site.assign("crm", &json!({"user": "anna"}));
    let anna = site.browser("anna");
    let crm = published["app"]["id"].as_str().unwrap().to_owned();
    let mut scene = Scene { site, crm, pair: VaultKeyPair::generate().unwrap() };
    let refused = scene.asks(&anna, &json!({"do": "seal"}));
    assert_eq!(refused["code"], "vault-key-missing", "{refused}");
    assert!(!refused["detail"].as_str().unwrap().contains("postern"), "{refused}");
    set_key(&scene.site.world, &scene.pair);
    assert_eq!(scene.enters(&anna, "hunter2"), json!({"is": "done"}));
    let set: Value = scene.site.world.done("PATCH", CRM, &json!({}));
    assert!(!set["warnings"].to_string().contains("vault key create"), "{set}");
}

#[test]
fn what_users_entered_stays_while_they_are_away_and_when_operators_take_over() {
    let mut scene = Scene::start();
    let anna = scene.site.browser("anna");
    assert_eq!(scene.enters(&anna, "hunter2"), json!({"is": "done"}));
    let entered = [("user/anna", "user")];

    // Without an assignment it is used by nobody, and is there when there is one again.
    let gone = "/v1/tenants/default/assignments/crm/user/anna";
    scene.site.world.done::<Value>("DELETE", gone, &Value::Null);
    assert_eq!(scene.asks(&anna, &json!({"do": "show"})), json!({"is": "absent"}));
    assert_eq!(pairs(&scene.listed()), entered);
    scene.site.assign("crm", &json!({"user": "anna"}));
    assert_eq!(scene.state(&anna), "own");

    let set = |scene: &Scene, settings: Value| scene.site.world.ask("PATCH", CRM, &json!({"settings": settings}));
    let (status, refused) = set(&scene, json!({"sso": null}));
    assert_eq!((status, &refused["pointer"]), (400, &json!("settings.vault_by")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("needs sso=basic or sso=form"), "{refused}");
    let (status, refused) = set(&scene, json!({"vault_by": "me"}));
    assert_eq!((status, &refused["code"]), (400, &json!("setting-invalid")), "{refused}");

    let (status, set_back) = set(&scene, json!({"vault_by": null}));
    assert_eq!(status, 200, "{set_back}");
    let warned = "crm: 1 of its credentials were entered by users, who cannot change or remove them any more";
    assert!(set_back["warnings"].to_string().contains(warned), "{set_back}");
    assert_eq!(pairs(&scene.listed()), entered, "it stays in use");
    for action in ["show", "seal", "remove"] {
        assert_eq!(scene.asks(&anna, &json!({"do": action})), json!({"is": "absent"}), "{action}");
    }
    assert_eq!(scene.tile(&anna), Value::Null);
    scene.site.world.done::<Value>("DELETE", &format!("{VAULT}/users/crm/anna"), &Value::Null);
    assert_eq!(scene.listed(), vec![], "operators may");

    set(&scene, json!({"vault_by": "users"}));
    assert_eq!(scene.enters(&anna, "hunter2"), json!({"is": "done"}));
    scene.site.world.done::<Value>("DELETE", "/v1/tenants/default/users/anna", &Value::Null);
    assert_eq!(scene.listed(), vec![], "it goes with its user");
}

#[test]
fn nobody_keeps_connectors_busy_with_passwords() {
    let mut scene = Scene::start();
    let [anna, bert] = ["anna", "bert"].map(|login| scene.site.browser(login));
    for _ in 0..15 {
        assert_eq!(scene.enters(&anna, "hunter2"), json!({"is": "done"}));
        assert_eq!(scene.asks(&anna, &json!({"do": "remove"})), json!({"is": "done"}));
    }
    let refused = scene.enters(&anna, "hunter2");
    assert_eq!(refused["code"], "vault-changed-often", "{refused}");
    assert_eq!((scene.listed(), scene.enters(&bert, "his")), (vec![], json!({"is": "done"})));
}

const APPLY: &str = "/v1/tenants/default/apply";

fn document(internal_url: &str, who: &str) -> Value {
    let mut crm = crate::world::app("crm", "https://crm.localhost");
    crm.as_object_mut().unwrap().remove("name");
    (crm["preauth"], crm["group"], crm["internal_url"]) = (json!("oidc"), json!("default"), json!(internal_url));
    crm["settings"] = by(who);
    json!({"document": {"connector_groups": ["default"], "apps": {"crm": crm}}})
}

#[test]
fn documents_say_who_enters_passwords() {
    let world = World::start();
    let applied: Value = world.done("POST", APPLY, &document("http://127.0.0.1:8000", "users"));
    assert!(applied["warnings"].to_string().contains("vault key create --group default"), "{applied}");
    let kept: Value = world.done("GET", "/v1/tenants/default/document", &Value::Null);
    assert!(kept.to_string().contains("\"vault_by\":\"users\""), "{kept}");
    let (code, detail) = world.refused("POST", APPLY, &document("http://127.0.0.1:8000", "everybody"));
    assert!(code == "setting-invalid" && detail.contains("must be operators or users"), "{code} {detail}");
}

#[test]
fn documents_warn_of_what_becomes_of_passwords_that_are_there() {
    let mut scene = Scene::start();
    let anna = scene.site.browser("anna");
    assert_eq!(scene.enters(&anna, "hunter2"), json!({"is": "done"}));
    let world = &scene.site.world;
    for (internal_url, who, warned) in [
        (
            "http://127.0.0.1:8000",
            "operators",
            "1 of its credentials were entered by users, who cannot change or remove",
        ),
        ("http://127.0.0.1:8001", "operators", "1 of its credentials cannot be used until they are set again"),
    ] {
        let applied: Value = world.done("POST", APPLY, &document(internal_url, who));
        assert!(applied["warnings"].to_string().contains(warned), "{applied}");
    }
}
