//! An application with a sign-in form: who is signed on, how often, and what browsers never see.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postern_http::{BodyKind, Known, Method, RequestHead, ResponseHead};
use postern_io::{Stream, sleep};
use postern_model::group_config::BackendApp;
use postern_model::vault::{Credential, VaultKeyPair};
use postern_tunnel::{Cancel, CancelCode, Culprit, SessionKey};

use super::vault::{ANNA, BOB, purpose, sealed};
use super::world::{BACKEND, Keys, World, backend, get, read_head, request, sim};
use crate::backend::BackendTable;
use crate::backend::tests::{app, config};
use crate::vault::Vault;
use crate::vault::gate::HELD_MIN;
use crate::vault::sessions::AGAIN_AFTER;

/// Takes `hunter2` with the token of its page, and knows who signed in until it forgets.
#[derive(Default)]
struct App {
    /// `/login` is not there.
    no_page: Cell<bool>,
    /// What it answers to the form instead.
    broken: Cell<bool>,
    /// Nobody is signed on, whatever they did.
    forgets: Cell<bool>,
    tokens: RefCell<BTreeSet<String>>,
    sessions: RefCell<BTreeSet<String>>,
    made: Cell<usize>,
    posts: RefCell<Vec<String>>,
    heads: RefCell<Vec<String>>,
}

impl App {
    fn start() -> Rc<Self> {
        let app = Rc::new(Self::default());
        let serving = Rc::clone(&app);
        backend(move |_, stream: Stream| {
            let app = Rc::clone(&serving);
            async move {
                let mut rest = Vec::new();
                while let Some(head) = read_head(&stream, &mut rest).await {
                    let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                    while rest.len() < length {
                        rest.extend_from_slice(&stream.read().await.unwrap());
                    }
                    let content = String::from_utf8(rest.drain(..length).collect()).unwrap();
                    sleep(Duration::from_millis(20)).await;
                    let (status, fields, content) = app.answer(&head, &content);
                    let length = content.len();
                    stream.queue(
                        format!("HTTP/1.1 {status} X\r\n{fields}content-length: {length}\r\n\r\n{content}").as_bytes(),
                    );
                }
            }
        });
        app
    }

    fn answer(&self, head: &str, content: &str) -> (u16, String, String) {
        let cookies: Vec<String> =
            field(head, "cookie").unwrap_or_default().split("; ").map(ToOwned::to_owned).collect();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let number = self.made.get() + 1;
        if path == "/login" && method == "GET" {
            if self.no_page.get() {
                return (404, String::new(), String::new());
            }
            self.made.set(number);
            self.tokens.borrow_mut().insert(format!("t&{number}"));
            let page =
                format!("<form><input type=hidden name=csrf value='t&amp;{number}'><input name=user><input name=pw>");
            return (200, format!("set-cookie: csrf={number}; Path=/login\r\n"), page);
        }
        if path == "/login" {
            return self.sign_in(content, &cookies, number);
        }
        self.heads.borrow_mut().push(head.to_owned());
        let signed_on = !self.forgets.get() && self.sessions.borrow().iter().any(|sid| cookies.contains(sid));
        if !signed_on {
            return (302, "location: /login?next=x\r\n".into(), String::new());
        }
        (200, "set-cookie: theme=dark\r\nset-cookie: sid2=x; Path=/\r\n".into(), cookies.join(" "))
    }

    fn sign_in(&self, content: &str, cookies: &[String], number: usize) -> (u16, String, String) {
        self.posts.borrow_mut().push(content.to_owned());
        if self.broken.get() {
            return (503, String::new(), String::new());
        }
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(content.as_bytes()).into_owned().collect();
        let of = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let token = of("csrf").filter(|token| self.tokens.borrow_mut().remove(token)).unwrap();
        assert!(cookies.contains(&format!("csrf={}", &token[2..])), "{cookies:?}");
        if of("pw").as_deref() != Some("hunter2") {
            return (200, String::new(), "wrong".into());
        }
        self.made.set(number);
        let sid = format!("sid={}-{number}", of("user").unwrap());
        self.sessions.borrow_mut().insert(sid.clone());
        (
            302,
            format!("location: /home\r\nset-cookie: {sid}; HttpOnly\r\nset-cookie: sid2=y; Path=/\r\n"),
            String::new(),
        )
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

const SETTINGS: &[(&str, &str)] = &[
    ("sso", "form"),
    ("sso_form_url", "/login"),
    ("sso_form_page", "/login"),
    ("sso_form_user_field", "user"),
    ("sso_form_password_field", "pw"),
    ("sso_form_success", "location:/home"),
];

const SCRIPTS: &[(&str, &str)] = &[("backend_plaintext", "allow"), ("sso_form_browser_cookies", "sid2")];

fn published(credentials: Vec<Credential>) -> BackendApp {
    let settings = [SETTINGS, SCRIPTS].concat();
    BackendApp { credentials, ..app(1, &format!("http://{BACKEND}/"), &settings) }
}

/// Anna's password as given, Bob's good.
async fn world(annas: &str) -> World {
    let pair = VaultKeyPair::generate().unwrap();
    let credentials =
        vec![sealed(&pair, &purpose(ANNA), "anna", annas), sealed(&pair, &purpose(BOB), "bob", "hunter2")];
    let vault = Some(Arc::new(Vault::new(vec![pair.secret]).unwrap()));
    World::with_app(published(credentials), 1, Keys { vault, ..Keys::default() }).await
}

/// As a browser asks that was told lies.
fn asked() -> RequestHead {
    let mut head = get("/page");
    head.headers.append(Known::Authorization, "Basic Zm9yZ2Vk").unwrap();
    head.headers.append(Known::Cookie, "lang=de; sid=forged").unwrap();
    head.headers.append(Known::UserAgent, "browser/1").unwrap();
    head
}

async fn served(world: &World, user: &str, session: u128, head: &RequestHead) -> (ResponseHead, String) {
    let tunnel = world.relay.tunnel();
    let stream = tunnel.open_as(Some(user), Some(SessionKey(session)), head, true);
    let (head, end) = tunnel.head(stream).await;
    let content = if end { Vec::new() } else { tunnel.body(stream, Duration::ZERO).await };
    (head, String::from_utf8(content).unwrap())
}

async fn refused(world: &World, user: &str, session: u128) -> Cancel {
    let tunnel = world.relay.tunnel();
    let stream = tunnel.open_as(Some(user), Some(SessionKey(session)), &asked(), true);
    tunnel.cancelled(stream).await
}

#[test]
fn a_user_is_signed_on_and_the_browser_has_nothing_of_it() {
    sim(1, async {
        let app = App::start();
        let world = world("hunter2").await;
        let (head, content) = served(&world, ANNA, 1, &asked()).await;
        assert_eq!((head.status, &*content), (200, "lang=de sid=anna-2 sid2=y"));
        let set: Vec<_> = head.headers.get_all(Known::SetCookie).collect();
        let shown = b"sid2=y; Path=/; Secure; SameSite=Lax".as_slice();
        assert_eq!(set, [b"theme=dark", shown], "the session's own stay here, but what scripts read");
        let (_, content) = served(&world, ANNA, 1, &asked()).await;
        assert_eq!(content, "lang=de sid=anna-2 sid2=x", "what the application changes of them is kept");
        assert_eq!(*app.posts.borrow(), ["csrf=t%261&user=anna&pw=hunter2"]);
        let heads = app.heads.borrow();
        assert!(heads.iter().all(|head| field(head, "authorization").is_none()), "{heads:?}");
    });
}

#[test]
fn each_session_is_one_of_its_own_and_a_page_of_pictures_is_one_sign_in() {
    sim(2, async {
        let app = App::start();
        let world = world("hunter2").await;
        let tunnel = world.relay.tunnel();
        let streams: Vec<_> =
            (0..40).map(|_| tunnel.open_as(Some(ANNA), Some(SessionKey(1)), &asked(), true)).collect();
        for stream in streams {
            assert_eq!(tunnel.head(stream).await.0.status, 200);
        }
        assert_eq!(app.posts.borrow().len(), 1);
        let (_, first) = served(&world, ANNA, 1, &get("/")).await;
        let (_, second) = served(&world, ANNA, 2, &get("/")).await;
        let (_, bobs) = served(&world, BOB, 1, &get("/")).await;
        assert!(first.contains("sid=anna-2") && second.contains("sid=anna-4") && bobs.contains("sid=bob-6"));
        assert_eq!(app.posts.borrow().len(), 3);
    });
}

#[test]
fn a_session_that_ran_out_is_begun_again_and_the_request_goes_on() {
    sim(3, async {
        let app = App::start();
        let world = world("hunter2").await;
        served(&world, ANNA, 1, &get("/")).await;
        sleep(AGAIN_AFTER).await;
        app.sessions.borrow_mut().clear();
        let tunnel = world.relay.tunnel();
        let streams: Vec<_> = (0..9).map(|_| tunnel.open_as(Some(ANNA), Some(SessionKey(1)), &asked(), true)).collect();
        for stream in streams {
            assert_eq!(tunnel.head(stream).await.0.status, 200);
        }
        assert_eq!(app.posts.borrow().len(), 2, "once for all of them");
    });
}

/// Nobody has the content any more: the browser is told what the application says, and what it asks next is served.
#[test]
fn content_that_is_gone_is_not_sent_again() {
    sim(4, async {
        let app = App::start();
        let world = world("hunter2").await;
        served(&world, ANNA, 1, &get("/")).await;
        sleep(AGAIN_AFTER).await;
        app.sessions.borrow_mut().clear();
        let tunnel = world.relay.tunnel();
        let head = request(Method::Post, "/save", BodyKind::Length(4));
        let stream = tunnel.open_as(Some(ANNA), Some(SessionKey(1)), &head, false);
        tunnel.send(stream, Bytes::from_static(b"data"), true).await;
        let (head, _) = tunnel.head(stream).await;
        assert_eq!((head.status, head.headers.get_str(Known::Location)), (302, Some("/login?next=x")));
        assert_eq!(served(&world, ANNA, 1, &get("/")).await.0.status, 200);
        let saved = app.heads.borrow().iter().filter(|head| head.starts_with("POST /save")).count();
        assert_eq!((saved, app.posts.borrow().len()), (1, 2));
    });
}

#[test]
fn a_password_that_is_not_taken_is_not_tried_again_for_a_while() {
    sim(5, async {
        let app = App::start();
        let world = world("secret-1").await;
        for (session, waited, posts) in
            [(1, Duration::ZERO, 1), (1, Duration::ZERO, 1), (2, Duration::ZERO, 1), (1, HELD_MIN, 2), (2, HELD_MIN, 2)]
        {
            sleep(waited).await;
            let cancel = refused(&world, ANNA, session).await;
            assert_eq!((cancel.culprit, cancel.code), (Culprit::Client, CancelCode::SSO_CREDENTIAL_REFUSED));
            assert!(cancel.detail.as_str().contains(ANNA) && !format!("{cancel:?}").contains("secret-1"), "{cancel:?}");
            assert_eq!(app.posts.borrow().len(), posts);
        }
        assert_eq!(served(&world, BOB, 1, &get("/")).await.0.status, 200, "others go on");
        assert!(app.heads.borrow().iter().all(|head| !head.contains("anna")));
    });
}

#[test]
fn a_page_that_is_not_there_gets_no_password() {
    sim(6, async {
        let app = App::start();
        app.no_page.set(true);
        let world = world("hunter2").await;
        let cancel = refused(&world, ANNA, 1).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Connector, CancelCode::SSO_FAILED));
        assert!(cancel.detail.as_str().contains("the sign-in page /login answered 404"), "{cancel:?}");
        app.no_page.set(false);
        app.broken.set(true);
        sleep(Duration::from_secs(6)).await;
        for _ in 0..9 {
            let cancel = refused(&world, ANNA, 1).await;
            assert!(cancel.detail.as_str().contains("answered 503 to a sign-in"), "{cancel:?}");
        }
        assert_eq!(app.posts.borrow().len(), 1, "not once for each of them");
        app.broken.set(false);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(served(&world, ANNA, 1, &get("/")).await.0.status, 200);
    });
}

#[test]
fn an_application_that_forgets_at_once_is_not_asked_again_and_again() {
    sim(7, async {
        let app = App::start();
        app.forgets.set(true);
        let world = world("hunter2").await;
        for _ in 0..20 {
            assert_eq!(served(&world, ANNA, 1, &get("/")).await.0.status, 302);
        }
        assert_eq!(app.posts.borrow().len(), 1);
        sleep(AGAIN_AFTER).await;
        assert_eq!(served(&world, ANNA, 1, &get("/")).await.0.status, 302);
        assert_eq!(app.posts.borrow().len(), 2);
    });
}

#[test]
fn passwords_do_not_go_where_others_can_read_them() {
    let served = |internal: &str, settings: &[(&str, &str)]| {
        let settings = [SETTINGS, settings].concat();
        let table = BackendTable::build(&config(1, vec![app(1, internal, &settings)]), None);
        !table.apps.is_empty()
    };
    for (internal, settings, is_served) in [
        ("http://app/", &[][..], false),
        ("http://app/", &[("backend_plaintext", "refuse")], false),
        ("http://app/", &[("backend_plaintext", "allow")], true),
        ("https://app/", &[], true),
        ("https://app/", &[("backend_tls_verify", "false")], false),
        ("https://app/", &[("backend_tls_verify", "false"), ("backend_plaintext", "allow")], true),
    ] {
        assert_eq!(served(internal, settings), is_served, "{internal} {settings:?}");
    }
}
