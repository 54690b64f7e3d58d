//! People and their browsers: who is sent away to sign in, and what they may come back with.

mod answers;
mod coalesced;
mod devices;
mod known;
mod passwords;
mod programs;
mod step_up;

use postern_io::wall_clock;
use postern_model::config::Certificate;
use postern_model::directory::{Assignment, Principal};
use postern_model::identity::IdentityApp;
use postern_model::ids::{AppId, CertificateId, SessionId, UserId};
use postern_model::link::{Call, Reply, ToControl};
use postern_model::secret::SecretText;
use postern_model::session::{CookieKey, FLOW_S_MAX, SessionCookie, SessionRecord};
use tokio::sync::mpsc;

use super::websockets::{echoed, opened_with, rest};
use super::*;
use crate::limits::{CALL_TIMEOUT, COOKIE_RENEWED_AFTER_S, COOKIE_RENEWED_ALIKE_S, SESSION_GONE_KEPT};
use crate::sessions::SessionTable;
use crate::sessions::tests::record;

const LOGIN: &str = "login.example.com";
const APP: AppId = AppId::new(TenantId::DEFAULT, 1);
const SECOND: AppId = AppId::new(TenantId::DEFAULT, 2);
const IDENTITY: AppId = AppId::new(TenantId::DEFAULT, 7);
const USER: UserId = UserId::new(TenantId::DEFAULT, 1);
const SESSION: SessionId = SessionId(0x5e55);
const PAGE: &str = "accept: text/html,*/*\r\n";

fn keys(count: u32) -> Vec<CookieKey> {
    let secret = |id: u32| SecretText::new(format!("{id:064x}"));
    (1..=count).map(|id| CookieKey { id, secret: secret(id), created_unix: id.into() }).collect()
}

/// The application asks, user 1 is assigned, and there is a place to sign in.
fn people(snapshot: &mut Snapshot) {
    asking([])(snapshot);
    let app = snapshot.apps[&APP].clone();
    let certificate = Certificate {
        id: CertificateId::new(TenantId::DEFAULT, 7),
        hosts: vec![LOGIN.into()],
        ..snapshot.certificates[&app.certificate].clone()
    };
    let identity = postern_model::config::App {
        id: IDENTITY,
        name: "postern-identity".parse().unwrap(),
        external_url: format!("https://{LOGIN}/"),
        internal_url: postern_model::identity::INTERNAL_URL.into(),
        preauth: Preauth::Passthrough,
        certificate: certificate.id,
        ..app
    };
    let principal = Principal::User(USER);
    let assignment = Assignment { app: APP, principal, role: None, expires_unix: None, created_unix_ms: 1 };
    snapshot.assignments.insert(assignment.key(), assignment);
    snapshot.certificates.insert(certificate.id, certificate);
    snapshot.identity = Some(IdentityApp { app: IDENTITY, group: identity.group, device_host: None });
    snapshot.apps.insert(IDENTITY, identity);
    snapshot.cookie_keys = keys(1);
}

/// One more application at the same host, which one connection reaches besides the first; its user is assigned to both.
fn with_second(snapshot: &mut Snapshot) {
    let mut second = snapshot.apps[&APP].clone();
    (second.id, second.name) = (SECOND, "second".parse().unwrap());
    second.external_url = format!("https://{HOST}/second/");
    let principal = Principal::User(USER);
    let assignment = Assignment { app: SECOND, principal, role: None, expires_unix: None, created_unix_ms: 1 };
    snapshot.assignments.insert(assignment.key(), assignment);
    snapshot.apps.insert(SECOND, second);
}

/// A worker for people, and who answers for control.
fn scene() -> (Rc<Worker>, Control) {
    let worker = worker_on(ConfigHandle::new(Arc::new(publication(1, people))));
    serve_clients(&worker);
    let (link, calls) = mpsc::channel(16);
    worker.side.calls().link(Some(link));
    (Rc::clone(&worker), Control { worker, calls })
}

/// As [`publish`], with the sessions that are known.
fn publish_for_people(worker: &Rc<Worker>, change: impl FnOnce(&mut Snapshot)) {
    let mut next = publication(worker.config.sequence() + 1, |snapshot| {
        people(snapshot);
        change(snapshot);
    });
    next.sessions = sessions(worker);
    // As control's side thread counts them.
    let held = worker.config.current();
    if held.plan.permits_as(&next.plan) {
        next.permits = held.permits;
    }
    worker.config.publish(Arc::new(next));
    worker.look(&mut false);
}

fn sessions(worker: &Worker) -> Arc<SessionTable> {
    Arc::clone(&worker.config.current().sessions)
}

/// Control and the side thread: what they do with a call and its reply.
struct Control {
    worker: Rc<Worker>,
    calls: mpsc::Receiver<ToControl>,
}

impl Control {
    async fn asked(&mut self) -> (u64, Call) {
        let call = timeout(Duration::from_secs(1), self.calls.recv()).await.expect("control is asked");
        let Some(ToControl::Call { id, call }) = call else { panic!("{call:?}") };
        (id, call)
    }

    fn is_asked_nothing(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }

    fn replies(&self, id: u64, reply: Reply) {
        let answered = self.worker.side.calls().replied(id).unwrap();
        match (&reply, answered.session) {
            (Reply::Session(record), _) => drop(sessions(&self.worker).put((**record).clone(), wall_clock())),
            (Reply::Refused, Some(session)) => sessions(&self.worker).is_gone(session, wall_clock()),
            (Reply::Refused | Reply::Done | Reply::Unknown, _) => {}
        }
        answered.pass_on(&reply);
    }

    /// What control says of sessions by itself, and what the side thread does then.
    fn says(&self, changed: &[SessionRecord], ended: &[SessionId]) {
        sessions(&self.worker).change(changed, ended, wall_clock());
        self.worker.look(&mut false);
    }
}

/// A session that begins now.
fn session(seq: u32) -> SessionRecord {
    SessionRecord { expires_unix: wall_clock().as_secs() + 43_200, ..record(SESSION.0, seq) }
}

fn good() -> Reply {
    Reply::Session(Box::new(session(1)))
}

/// A cookie as the relay would seal it, last used `ago` seconds ago.
fn cookie_of(worker: &Worker, app: AppId, ago: u64) -> String {
    let seen_unix = wall_clock().as_secs() - ago;
    let cookie = SessionCookie { session: SESSION, issued_unix: seen_unix, seen_unix, persistent: false };
    let sealed = worker.config.current().plan.cookies().seal_session(&cookie, app).unwrap();
    format!("__Host-postern-{APP}={sealed}")
}

/// The fields of a request that shows the session's cookie.
fn shows_cookie(worker: &Worker) -> String {
    format!("cookie: {}\r\n", cookie_of(worker, APP, 0))
}

fn set_cookies(head: &ResponseHead) -> Vec<String> {
    head.headers.get_all(Known::SetCookie).map(|set| String::from_utf8(set.to_vec()).unwrap()).collect()
}

fn location(head: &ResponseHead) -> &str {
    head.headers.get_str(Known::Location).unwrap()
}

/// The parameters of a URL's query.
fn query(url: &str) -> HashMap<String, String> {
    let query = url.split_once('?').unwrap().1;
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A browser that was sent away from `path`: what it goes with, and its flow's cookie.
async fn sent_away(client: &mut Client, path: &str) -> (HashMap<String, String>, String) {
    let (head, _) = client.asks(path, PAGE).await;
    assert_eq!(head.status, 302);
    let (to, sets) = (location(&head), set_cookies(&head));
    let [set] = &sets[..] else { panic!("{sets:?}") };
    assert!(to.starts_with(&format!("https://{LOGIN}/authorize?app={APP}&")), "{to}");
    assert_eq!(head.headers.get_str(Known::CacheControl), Some("no-store"));
    let (cookie, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, format!("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={FLOW_S_MAX}"));
    (query(to), cookie.to_owned())
}

#[test]
fn a_browser_keeps_the_flows_that_it_began_last() {
    in_the_simulator(87, async {
        let (_worker, _control) = scene();
        let mut client = Client::new().await;
        let mut flows: Vec<String> = Vec::new();
        for _ in 0..8 {
            flows.push(sent_away(&mut client, "/name").await.1);
            postern_io::sleep(Duration::from_secs(1)).await;
        }
        let names: std::collections::BTreeSet<&str> =
            flows.iter().map(|flow| flow.split('=').next().unwrap()).collect();
        assert_eq!(names.len(), 8, "each has a cookie of its own");
        let shown = format!("{PAGE}cookie: {}; __Host-postern-flow-x=1; a=b\r\n", flows.join("; "));
        let (head, _) = client.asks("/name", &shown).await;
        let [forgotten, kept] = &set_cookies(&head)[..] else { panic!("{:?}", set_cookies(&head)) };
        assert_eq!(forgotten.split(';').next(), Some(&*format!("{}=", flows[0].split('=').next().unwrap())));
        assert!(forgotten.ends_with("Max-Age=0") && kept.ends_with(&format!("Max-Age={FLOW_S_MAX}")), "{kept}");
    });
}

fn callback(state: &str) -> String {
    format!("/.postern/callback?code=c0de&state={state}&iss=https%3A%2F%2F{LOGIN}")
}

#[test]
fn only_who_opens_a_page_is_sent_to_sign_in() {
    in_the_simulator(70, async {
        let (worker, _control) = scene();
        let tunnel = connect(&worker, 1).await;
        let mut client = Client::new().await;
        for (method, fields, sent) in [
            ("GET", PAGE, true),
            ("GET", "sec-fetch-mode: navigate\r\n", true),
            ("GET", "sec-fetch-mode: cors\r\naccept: text/html\r\n", false),
            ("GET", "sec-fetch-mode: websocket\r\naccept: text/html\r\n", false),
            ("GET", "accept: application/json\r\n", false),
            ("GET", "accept: */*\r\n", false),
            ("GET", "", false),
            ("POST", "accept: text/html\r\ncontent-length: 0\r\n", false),
            ("POST", "sec-fetch-mode: navigate\r\ncontent-length: 0\r\n", false),
            ("OPTIONS", "accept: text/html\r\n", false),
        ] {
            client.ask(method, "/name", fields);
            let (head, body) = client.response().await.unwrap();
            let expected = if sent { 302 } else { 401 };
            assert_eq!(head.status, expected, "{method} {fields}");
            let asks = String::from_utf8(body).unwrap().contains("sign-in-required");
            assert_eq!((asks, set_cookies(&head).is_empty()), (!sent, !sent), "{method} {fields}");
        }
        assert_eq!(tunnel.open_streams(), 0);
    });
}

#[test]
fn a_browser_comes_back_to_where_it_wanted_to_go_and_the_application_hears_who_it_is() {
    in_the_simulator(71, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let (went, flow) = sent_away(&mut client, "/fields?x=1&y=%2f").await;
        assert_eq!(went["redirect_uri"], format!("https://{HOST}/.postern/callback"));
        assert_eq!(went["code_challenge_method"], "S256");
        client.ask("GET", &callback(&went["state"]), &format!("cookie: {flow}\r\n"));
        let (id, call) = control.asked().await;
        let Call::Redeem { app, code, verifier, redirect_uri } = call else { panic!("{call:?}") };
        assert_eq!((app, code.expose(), &redirect_uri), (APP, "c0de", &went["redirect_uri"]));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.expose().as_bytes());
        let challenge = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, digest);
        assert_eq!(challenge, went["code_challenge"], "the proof key goes to control alone");
        control.replies(id, good());
        let (head, _) = client.response().await.unwrap();
        assert_eq!((head.status, location(&head)), (303, &*format!("https://{HOST}/fields?x=1&y=%2f")));
        let sets = set_cookies(&head);
        let [set, forget] = &sets[..] else { panic!("{sets:?}") };
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
        assert!(forget.starts_with(flow.split('=').next().unwrap()) && forget.ends_with("Max-Age=0"), "{forget}");

        let cookie = set.split(';').next().unwrap();
        let fields = format!(
            "cookie: a=1; {cookie}; b=2\r\ncookie: {flow}\r\nx_postern_user: root\r\nX-Postern-User: root\r\nremote_user: root\r\n"
        );
        let (_, heard) = client.asks("/fields", &fields).await;
        assert!(heard.contains("x-postern-user: user1\n") && !heard.contains("root"), "{heard}");
        assert!(
            heard.contains("cookie: (8 bytes)") && !heard.contains("postern-flow"),
            "ours are not its own: {heard}"
        );
        assert!(control.is_asked_nothing(), "the record is here");
    });
}

#[test]
fn what_does_not_belong_to_a_browser_signs_nobody_in_and_does_not_trouble_control() {
    in_the_simulator(72, async {
        let (worker, mut control) = scene();
        let mut client = Client::new().await;
        let (went, flow) = sent_away(&mut client, "/name").await;
        let right = callback(&went["state"]);
        let other = "A".repeat(22);
        let session = cookie_of(&worker, APP, 0);
        let (name, sealed) = flow.split_once('=').unwrap();
        let elsewhere = {
            let plan = &worker.config.current().plan;
            let opened = plan.cookies().open_flow(sealed.as_bytes(), APP).unwrap();
            format!("{name}={}", plan.cookies().seal_flow(&opened, IDENTITY).unwrap())
        };
        let as_session = format!("{name}={}", session.split_once('=').unwrap().1);
        let changed = format!("{}{}", &flow[..flow.len() - 1], if flow.ends_with('A') { 'B' } else { 'A' });
        let with = |part: &str| format!("{right}{part}");
        for (path, cookie) in [
            (right.clone(), String::new()),
            (right.clone(), changed),
            (right.clone(), format!("{flow}; {flow}")),
            (right.clone(), elsewhere),
            (right.clone(), as_session),
            (callback(&other), flow.clone()),
            (callback(""), flow.clone()),
            (right.replace(LOGIN, "evil.example"), flow.clone()),
            (right.replace("&iss=", "&is="), flow.clone()),
            (right.replace("https", "http"), flow.clone()),
            (right.replace("code=c0de&", ""), flow.clone()),
            (right.replace("c0de", ""), flow.clone()),
            (right.replace("c0de", &"c".repeat(257)), flow.clone()),
            (with("&code=other"), flow.clone()),
            (with(&format!("&state={}", went["state"])), flow.clone()),
            (with("&st%61te=x"), flow.clone()),
            (with("&iss=https%3A%2F%2Fevil.example"), flow.clone()),
            (with(&(0..20).map(|nth| format!("&f{nth}=")).collect::<String>()), flow.clone()),
        ] {
            let fields = if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
            let (head, body) = client.asks(&path, &fields).await;
            assert_eq!(head.status, 400, "{path} {cookie}");
            assert!(body.contains("sign-in-failed") && set_cookies(&head).is_empty(), "{path} {body}");
        }
        // Other spellings of the path are the application's, which nobody gets at without a session.
        for path in ["/.postern/callback/x", "/.POSTERN/callback", "/x/.postern/callback"] {
            let path = right.replace("/.postern/callback", path);
            assert_eq!(client.asks(&path, &format!("cookie: {flow}\r\n")).await.0.status, 401, "{path}");
        }
        client.ask("POST", &right, &format!("cookie: {flow}\r\ncontent-length: 0\r\n"));
        assert_eq!(client.response().await.unwrap().0.status, 401);
        assert!(control.is_asked_nothing());

        // Two that are routed alike are answered alike: neither reaches the application.
        for spelt in ["/.postern/callback", "/.postern//callback", "/.postern/callback;x"] {
            let path = right.replace("/.postern/callback", spelt);
            client.ask("GET", &path, &format!("cookie: {flow}\r\n"));
            let (id, _) = control.asked().await;
            control.replies(id, Reply::Refused);
            let (head, body) = client.response().await.unwrap();
            assert!(head.status == 400 && String::from_utf8(body).unwrap().contains("sign-in-failed"), "{path}");
        }

        sleep(Duration::from_secs(FLOW_S_MAX)).await;
        let mut client = Client::new().await;
        assert_eq!(client.asks(&right, &format!("cookie: {flow}\r\n")).await.0.status, 400, "it took too long");
        assert!(control.is_asked_nothing());
    });
}

#[test]
fn no_target_leads_away_from_the_application() {
    in_the_simulator(73, async {
        let (worker, mut control) = scene();
        connect(&worker, 1).await;
        let long = format!("/{}", "a".repeat(3_000));
        for (target, back) in [
            ("/name?next=https://evil.example", "/name?next=https://evil.example"),
            ("//evil.example/x", "/"),
            ("https://app.example.com/name?x=1", "/name?x=1"),
            ("/?//evil.example", "/?//evil.example"),
            (long.as_str(), "/"),
        ] {
            let mut client = Client::new().await;
            let (head, body) = client.asks(target, PAGE).await;
            if head.status == 400 {
                assert!(body.contains("http-path"), "{target} {body}");
                continue;
            }
            let flow = set_cookies(&head)[0].split(';').next().unwrap().to_owned();
            client.ask("GET", &callback(&query(location(&head))["state"]), &format!("cookie: {flow}\r\n"));
            let (id, _) = control.asked().await;
            control.replies(id, good());
            let (head, _) = client.response().await.unwrap();
            assert_eq!(location(&head), format!("https://{HOST}{back}"), "{target}");
        }
        for target in ["/\\evil.example", "/%2f%2fevil.example", "/a%0d%0aset-cookie:x", "/%5cevil.example"] {
            let (head, body) = Client::new().await.asks(target, PAGE).await;
            let stays = head.status == 302 && location(&head).starts_with(&format!("https://{LOGIN}/"));
            assert!(stays || head.status == 400, "{target} {} {body}", head.status);
        }
    });
}
