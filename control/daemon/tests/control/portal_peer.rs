//! A place to sign in with applications and users, as tests of the portal need it, and what a user's browser asks there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::enrol::{Enrolled, Token};
use postern_model::link::ToControl;
use postern_model::{identity, portal};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::identity_peer::Linked;
use crate::peer::{enrolled, token_request};
use crate::world::World;

const PASSWORD: &str = "correct horse battery";

pub(crate) struct Site {
    pub(crate) world: World,
    relay: Linked,
    identity: (Enrolled, KeyPair),
    pipes: u64,
}

impl Site {
    pub(crate) fn start(users: &[&str]) -> Self {
        let world = World::start();
        world.done::<Value>("PUT", "/v1/identity", &json!({"external_url": "https://login.localhost/"}));
        users.iter().for_each(|login| add_user(&world, "default", login));
        let mut relay = Linked::link(&world, "edge");
        let tokens = "/v1/tenants/default/connector-groups/postern-identity/tokens";
        let issued: Value = world.done("POST", tokens, &json!({"ttl_s": 600}));
        let token = Token::parse(issued["token"].as_str().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let identity = (enrolled(relay.relay.enrol(&token_request(&token, &key))), key);
        Self { world, relay, identity, pipes: 0 }
    }

    /// An application that asks who its users are, at `https://NAME.localhost/`.
    pub(crate) fn publish(&self, name: &str, settings: &Value) -> String {
        let mut app = crate::world::app(name, &format!("https://{name}.localhost"));
        (app["preauth"], app["settings"]) = (json!("oidc"), settings.clone());
        let published: Value = self.world.done("POST", "/v1/tenants/default/apps", &app);
        published["app"]["id"].as_str().unwrap_or_else(|| panic!("{published}")).to_owned()
    }

    pub(crate) fn assign(&self, app: &str, who: &Value) {
        let mut asked = who.clone();
        asked["app"] = json!(app);
        self.world.done::<Value>("PUT", "/v1/tenants/default/assignments", &asked);
    }

    pub(crate) fn identity_asks(&mut self, path: &str, question: &Value) -> Value {
        let (status, answer) = self.relay.pipe(&self.identity).ask(path, question);
        // Control serves a few at a time.
        self.pipes += 1;
        self.relay.relay.send(&ToControl::PipeClosed { pipe: self.pipes });
        assert_eq!(status, 200, "{path} {question}");
        answer
    }

    pub(crate) fn begin(&mut self, more: &Value) -> Value {
        let mut begin = json!({"client": {"address": "192.0.2.7", "user_agent": "Browser/1"}});
        begin.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.identity_asks(portal::path::BEGIN, &begin)
    }

    pub(crate) fn give_password(&mut self, asked: &Value, login: &str) -> Value {
        let client = json!({"address": "192.0.2.7", "user_agent": "Browser/1"});
        let given = json!({"flow": asked["flow"], "login": login, "password": PASSWORD, "client": client});
        self.identity_asks(identity::path::PASSWORD, &given)
    }

    /// What a browser has that has signed in.
    pub(crate) fn browser(&mut self, login: &str) -> String {
        let asked = self.begin(&json!({}));
        let done = self.give_password(&asked, login);
        done["browser"]["secret"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned()
    }

    /// What a user sees or does.
    pub(crate) fn ask(&mut self, browser: &str, action: &Value) -> Value {
        self.identity_asks(portal::path::PORTAL, &json!({"browser": browser, "action": action}))
    }

    /// The newest record of the audit log.
    pub(crate) fn last_audit(&self) -> Value {
        self.world.done::<Value>("GET", "/v1/audit?limit=1", &Value::Null)["items"][0].clone()
    }
}

pub(crate) fn add_user(world: &World, tenant: &str, login: &str) {
    let users = format!("/v1/tenants/{tenant}/users");
    world.done::<Value>("POST", &users, &json!({"login": login, "password": PASSWORD}));
}

/// The beginning of an image, with so many bytes behind it.
pub(crate) fn icon(more: usize) -> String {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40".to_vec();
    png.extend(vec![7; more]);
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}
