//! Signing in as relays and identity processes ask for it: what they are told, what becomes of what they hold, and what those
//! who only pretend get.

#![expect(clippy::wildcard_enum_match_arm, reason = "the other messages do not concern a test")]

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use postern_model::enrol::{Enrolled, Token};
use postern_model::identity::path;
use postern_model::ids::{AppId, SessionId};
use postern_model::link::{Call, PIPE_BYTES_MAX, Reply, ToControl, ToRelay};
use postern_model::secret::SecretText;
use postern_model::session::SessionRecord;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::identity_peer::Linked;
use crate::peer::{enrolled, token_request};
use crate::world::World;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const PASSWORD: &str = "correct horse battery";
const CALLBACK: &str = "https://wiki.localhost/.postern/callback";
const USERS: &str = "/v1/tenants/default/users";
const SESSIONS: &str = "/v1/tenants/default/sessions";

struct Site {
    world: World,
    relay: Linked,
    app: AppId,
}

impl Site {
    /// A place to sign in, an application, anna, and a relay.
    fn start() -> Self {
        let world = World::start();
        world.done::<Value>("PUT", "/v1/identity", &json!({"external_url": "https://login.localhost/"}));
        let mut wiki = crate::world::app("wiki", "https://wiki.localhost");
        wiki["preauth"] = json!("oidc");
        let published: Value = world.done("POST", "/v1/tenants/default/apps", &wiki);
        let app = published["app"]["id"].as_str().unwrap_or_else(|| panic!("{published}")).parse().unwrap();
        world.done::<Value>("POST", USERS, &json!({"login": "anna", "password": PASSWORD}));
        let relay = Linked::link(&world, "edge");
        Self { world, relay, app }
    }

    /// An identity process that has enrolled, and its key.
    fn enrol(&mut self, group: &str) -> (Enrolled, KeyPair) {
        let tokens = format!("/v1/tenants/default/connector-groups/{group}/tokens");
        let issued: Value = self.world.done("POST", &tokens, &json!({"ttl_s": 600}));
        let token = Token::parse(issued["token"].as_str().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        (enrolled(self.relay.relay.enrol(&token_request(&token, &key))), key)
    }

    fn begin(&self) -> Value {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        json!({"app": self.app, "redirect_uri": CALLBACK, "state": "s", "challenge": challenge, "client": {"address": "192.0.2.7"}})
    }

    fn redeem(&self, code: &str) -> Call {
        let (code, verifier) = (SecretText::new(code.into()), SecretText::new(VERIFIER.into()));
        Call::Redeem { app: self.app, code, verifier, redirect_uri: CALLBACK.into() }
    }

    /// Signs anna in, through an identity process; the session's record, as the relay gets it.
    fn sign_in(&mut self) -> SessionRecord {
        let identity = self.enrol("postern-identity");
        let begin = self.begin();
        let done = {
            let mut pipe = self.relay.pipe(&identity);
            let asked = pipe.ask(path::BEGIN, &begin).1;
            pipe.ask(path::PASSWORD, &password(&asked, "anna", PASSWORD)).1
        };
        let call = self.redeem(&code(&done));
        match self.relay.call(call) {
            Reply::Session(record) => *record,
            other => panic!("{other:?}"),
        }
    }
}

fn password(asked: &Value, login: &str, password: &str) -> Value {
    json!({"flow": asked["flow"], "login": login, "password": password, "client": {"address": "192.0.2.7"}})
}

fn code(done: &Value) -> String {
    let location = done["location"].as_str().unwrap_or_else(|| panic!("{done}"));
    let query = location.strip_prefix(&format!("{CALLBACK}?code=")).unwrap();
    query.split('&').next().unwrap().to_owned()
}

#[test]
fn a_password_leads_to_a_session_whose_record_the_relay_gets_for_its_code() {
    let mut site = Site::start();
    let identity = site.enrol("postern-identity");
    let begin = site.begin();
    let (done, browser) = {
        let mut pipe = site.relay.pipe(&identity);
        let asked = pipe.ask(path::BEGIN, &begin).1;
        assert_eq!(
            (&asked["next"], &asked["factor"], &asked["app"]),
            (&json!("ask"), &json!("password"), &json!("wiki"))
        );
        let wrong = pipe.ask(path::PASSWORD, &password(&asked, "anna", "wrong horse battery")).1;
        let nobody = pipe.ask(path::PASSWORD, &password(&asked, "berta", PASSWORD)).1;
        assert_eq!(wrong["problem"]["code"], "sign-in-wrong");
        assert_eq!(wrong, nobody, "who does not exist is told the same");
        let done = pipe.ask(path::PASSWORD, &password(&asked, "Anna", PASSWORD)).1;
        let again = pipe.ask(path::PASSWORD, &password(&asked, "anna", PASSWORD)).1;
        assert_eq!(again["code"], "sign-in-over", "a sign-in leads on once");
        let browser = json!({"secret": done["browser"]["secret"]});
        assert_eq!(pipe.ask(path::BROWSER, &browser).1["login"], "anna");
        assert_eq!(pipe.ask(path::BROWSER, &json!({"secret": "x"})).1, json!({}));
        let mut begin = begin.clone();
        begin["browser"] = browser["secret"].clone();
        assert_eq!(pipe.ask(path::BEGIN, &begin).1["next"], "done", "the next application asks nothing");
        (done, browser)
    };
    let call = site.redeem(&code(&done));
    let Reply::Session(record) = site.relay.call(call.clone()) else { panic!("a session") };
    assert_eq!((record.user.login.as_str(), record.source), ("anna", Some("192.0.2.7".parse().unwrap())));
    assert_eq!(site.relay.call(Call::Session { session: record.id }), Reply::Session(record.clone()));
    let list: Value = site.world.done("GET", SESSIONS, &Value::Null);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);

    site.relay.holds(&[&record], true);
    assert_eq!(site.relay.sessions().1, []);
    assert_eq!(site.relay.call(call), Reply::Refused, "a code is good once");
    assert_eq!(site.relay.sessions().1, [record.id], "a second time ends its session");
    assert_eq!(site.relay.call(Call::Session { session: record.id }), Reply::Refused);
    let mut pipe = site.relay.pipe(&identity);
    assert_eq!(pipe.ask(path::BROWSER, &browser).1, json!({}));
}

#[test]
fn a_password_that_is_changed_while_it_is_verified_lets_nobody_in() {
    let mut site = Site::start();
    for nth in 0..8 {
        site.world.done::<Value>("POST", USERS, &json!({"login": format!("busy{nth}"), "password": PASSWORD}));
    }
    let identity = site.enrol("postern-identity");
    let begin = site.begin();
    let Site { world, relay, .. } = &mut site;
    let world = &*world;
    let mut pipe = relay.pipe(&identity);
    let asked = pipe.ask(path::BEGIN, &begin).1;
    let next = std::thread::scope(|scope| {
        let set = |login: String| {
            world.done::<Value>(
                "PUT",
                &format!("{USERS}/{login}/password"),
                &json!({"password": "another horse battery"}),
            );
        };
        // One is hashed at a time: these come first, then anna's new one, then her old one is verified.
        for nth in 0..8 {
            scope.spawn(move || set(format!("busy{nth}")));
        }
        std::thread::sleep(Duration::from_millis(20));
        scope.spawn(move || set("anna".into()));
        std::thread::sleep(Duration::from_millis(20));
        pipe.ask(path::PASSWORD, &password(&asked, "anna", PASSWORD)).1
    });
    assert_eq!(next["problem"]["code"], "sign-in-wrong", "{next}");
    let list: Value = site.world.done("GET", SESSIONS, &Value::Null);
    assert_eq!(list["items"], json!([]));
}

#[test]
fn what_a_relay_holds_is_compared_and_nothing_is_confirmed_that_it_was_not_told() {
    let mut site = Site::start();
    let (first, second) = (site.sign_in(), site.sign_in());
    let unknown = SessionRecord { id: SessionId(1), ..first.clone() };
    let old = SessionRecord { persistent: true, ..second.clone() };
    site.relay.holds(&[&first, &unknown, &old], false);
    assert_eq!(site.relay.sessions(), (0, vec![SessionId(1)]), "more follows: there is nothing to confirm");
    // Between two parts: what was compared ends.
    site.world.done::<Value>("POST", &format!("{SESSIONS}/revoke"), &json!({"session": first.id}));
    site.relay.holds(&[], true);
    assert_eq!(site.relay.sessions(), (0, vec![]), "it has not heard of the last end yet");
    let (n, ended) = site.relay.sessions();
    assert!(n > 0 && ended == [first.id], "{n} {ended:?}");

    site.world.done::<Value>("PATCH", &format!("{USERS}/anna"), &json!({"display_name": "Anna"}));
    let changed = site.relay.wait_for(|message| match message {
        ToRelay::Sessions { changed, ended, .. } if ended.is_empty() => Some(changed.clone()),
        _ => None,
    });
    assert_eq!(changed[0].user.display_name.as_str(), "Anna");
    site.world.done::<Value>("DELETE", &format!("{USERS}/anna"), &Value::Null);
    assert_eq!(site.relay.sessions().1, [second.id]);
    assert_eq!(site.world.done::<Value>("GET", "/v1/identity", &Value::Null)["sessions"], 0);
}

#[test]
fn sessions_that_are_none_make_no_work() {
    let mut site = Site::start();
    let session = site.sign_in();
    site.relay.holds(&[&session], true);
    site.relay.sessions();
    for id in 0..50 {
        assert_eq!(site.relay.call(Call::SignOut { session: SessionId(id) }), Reply::Done);
    }
    let seen = (0..5_000).map(|id| (SessionId(id), u64::MAX)).chain([(session.id, u64::MAX)]).collect();
    site.relay.relay.send(&ToControl::SessionsSeen { seen });
    assert_eq!(site.relay.call(Call::Session { session: session.id }), Reply::Session(Box::new(session.clone())));
    let told = site.relay.others.iter().filter(|message| matches!(message, ToRelay::Sessions { .. })).count();
    assert_eq!(told, 0, "no relay is told of what is nothing");
    assert_eq!(site.relay.call(Call::SignOut { session: session.id }), Reply::Done);
    assert_eq!(site.relay.sessions().1, [session.id]);
}

#[test]
fn only_identity_processes_are_answered_and_only_as_long_as_they_are_known() {
    let mut site = Site::start();
    let begin = site.begin();
    let connector = site.enrol("default");
    let pretends = |site: &mut Site, who: &(Enrolled, KeyPair)| {
        let mut pipe = site.relay.pipe(who);
        pipe.say(path::BEGIN, &begin).and_then(|()| pipe.answer()).map_or(0, |(status, _)| status)
    };
    assert_eq!(pretends(&mut site, &connector), 0, "a connector of another group is dropped");
    // A relay that pretends to be one has no certificate for it.
    let stranger = {
        let key = KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        (Enrolled { certificate_pem: certificate.pem(), ..connector.0.clone() }, key)
    };
    assert_eq!(pretends(&mut site, &stranger), 0);

    let identity = site.enrol("postern-identity");
    let id = identity.0.connector_id;
    {
        let Site { world, relay, .. } = &mut site;
        let mut pipe = relay.pipe(&identity);
        assert_eq!(pipe.ask(path::BEGIN, &begin).0, 200);
        assert_eq!(pipe.ask("/v1/users", &json!({})).0, 404);
        assert_eq!(pipe.ask(path::BEGIN, &json!({"app": "a1-1"})).0, 400);
        world.done::<Value>("DELETE", &format!("/v1/tenants/default/connectors/{id}"), &Value::Null);
        assert_eq!(pipe.ask(path::BEGIN, &begin).0, 403, "it was removed while it was connected");
    }
    assert_eq!(pretends(&mut site, &identity), 0);
}

#[test]
fn pipes_that_flood_or_are_none_are_closed_and_others_go_on() {
    let mut site = Site::start();
    let closed = |linked: &mut Linked, wanted: u64| {
        linked.wait_for(|message| match message {
            ToRelay::PipeClosed { pipe } if *pipe == wanted => Some(()),
            _ => None,
        });
    };
    let relay = &mut site.relay;
    relay.relay.send(&ToControl::PipeData { pipe: 99, data: "AAAA".into() });
    closed(relay, 99);
    for data in ["not base64!".to_owned(), STANDARD.encode(vec![0; PIPE_BYTES_MAX + 1])] {
        let pipe = relay.open_pipe();
        relay.relay.send(&ToControl::PipeData { pipe, data });
        closed(relay, pipe);
    }
    // A handshake that promises much and never ends: what waits is bounded.
    let flooded = relay.open_pipe();
    let junk = STANDARD.encode(vec![0x16; PIPE_BYTES_MAX]);
    for _ in 0..200 {
        relay.relay.send(&ToControl::PipeData { pipe: flooded, data: junk.clone() });
    }
    closed(relay, flooded);
    let all: Vec<u64> = (0..32).map(|_| relay.open_pipe()).collect();
    let one_more = relay.open_pipe();
    closed(relay, one_more);
    relay.relay.send(&ToControl::PipeClosed { pipe: all[0] });
    assert_eq!(site.relay.call(Call::Session { session: SessionId(1) }), Reply::Refused, "the link is as it was");
    let identity = site.enrol("postern-identity");
    let begin = site.begin();
    assert_eq!(site.relay.pipe(&identity).ask(path::BEGIN, &begin).0, 200);
}

#[test]
fn the_assignment_that_lets_somebody_in_is_noted() {
    let mut site = Site::start();
    const ASSIGNMENTS: &str = "/v1/tenants/default/assignments";
    for who in [json!({"app": "wiki", "user": "anna"}), json!({"app": "wiki", "everyone": true})] {
        site.world.done::<Value>("PUT", ASSIGNMENTS, &who);
    }
    let used = |site: &Site| -> Vec<(String, bool)> {
        let list: Value = site.world.done("GET", ASSIGNMENTS, &Value::Null);
        let items = list["items"].as_array().unwrap().iter();
        items.map(|one| (one["principal"].as_str().unwrap().into(), one["last_used_unix"].is_u64())).collect()
    };
    assert_eq!(used(&site), [("user/anna".into(), false), ("everyone".into(), false)]);
    site.sign_in();
    assert_eq!(used(&site), [("user/anna".into(), true), ("everyone".into(), false)], "the one that decides");
    site.world.done::<Value>("DELETE", &format!("{ASSIGNMENTS}/wiki/user/anna"), &Value::Null);
    site.world.done::<Value>("PUT", ASSIGNMENTS, &json!({"app": "wiki", "user": "anna"}));
    assert!(used(&site).contains(&("user/anna".into(), false)), "a new one was not used yet");
    let unused: Value = site.world.done("GET", &format!("{ASSIGNMENTS}?unused_s=2678400"), &Value::Null);
    assert_eq!(unused["items"], json!([]), "nor is it old");
    let (code, detail) = site.world.refused("GET", &format!("{ASSIGNMENTS}?unused_s=2678399"), &Value::Null);
    assert!(code == "request-invalid" && detail.contains("31 days"), "{code} {detail}");
}
