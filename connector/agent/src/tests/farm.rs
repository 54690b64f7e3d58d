//! An application at two places: who gets what, and what becomes of requests when one of them is gone.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use postern_http::{BodyKind, Known, Method, RequestHead, ResponseHead};
use postern_io::sim::reset_connections_to;
use postern_io::{Stream, sleep};
use postern_model::group_config::BackendApp;
use postern_model::secret::SecretText;
use postern_tunnel::CancelCode;

use super::world::{FakeTunnel, Keys, World, answer_all, fetch, get, mortal_backend, read_head, request, sim};
use crate::backend::tests::app;
use crate::limits::MEMBER_OUT;

const A: &str = "10.0.0.2:80";
const B: &str = "10.0.0.3:80";

fn published(settings: &[(&str, &str)]) -> BackendApp {
    let farm = [("backend_farm", "http://10.0.0.3")];
    let mut app = app(1, "http://10.0.0.2/", &[&farm[..], settings].concat());
    app.member_key = Some(SecretText::new("key".into()));
    app
}

async fn world(settings: &[(&str, &str)]) -> World {
    World::with_app(published(settings), 1, Keys::default()).await
}

/// Who answers so many requests in a row.
async fn who(tunnel: &FakeTunnel, requests: usize) -> String {
    let mut who = String::new();
    for _ in 0..requests {
        who.push_str(std::str::from_utf8(&fetch(tunnel).await).unwrap());
    }
    who
}

#[test]
fn a_member_that_dies_and_comes_back_costs_no_request() {
    sim(90, async {
        let a = mortal_backend(A, |_, stream| answer_all(stream, "a"));
        let b = mortal_backend(B, |_, stream| answer_all(stream, "b"));
        let world = world(&[]).await;
        let tunnel = world.relay.tunnel();
        assert_eq!(who(&tunnel, 4).await, "abab");
        drop(b);
        reset_connections_to(B.parse().unwrap());
        assert_eq!(who(&tunnel, 6).await, "aaaaaa");
        assert_eq!(world.shared.counters.requests_moved.value(), 1, "those that follow know");
        let b = mortal_backend(B, |_, stream| answer_all(stream, "b"));
        sleep(MEMBER_OUT).await;
        assert!(who(&tunnel, 4).await.contains('b'));
        assert_eq!(world.shared.counters.requests_failed.value(), 0);
        drop((a, b));
    });
}

#[test]
fn what_a_member_may_have_done_is_not_done_twice() {
    sim(91, async {
        let a = mortal_backend(A, |_, stream| answer_all(stream, "a"));
        let b = mortal_backend(B, |_, stream| async move {
            read_head(&stream, &mut Vec::new()).await;
        });
        let world = world(&[]).await;
        let tunnel = world.relay.tunnel();
        let post = || tunnel.open(&request(Method::Post, "/", BodyKind::None), true);
        assert_eq!(tunnel.head(post()).await.0.status, 200, "the first member");
        let cancel = tunnel.cancelled(post()).await;
        assert_eq!((cancel.code, cancel.unprocessed), (CancelCode::BROKEN, false), "{cancel:?}");
        assert_eq!(who(&tunnel, 2).await, "aa", "a GET may be asked twice");
        assert_eq!(world.shared.counters.requests_moved.value(), 1);
        drop((a, b));
    });
}

/// Looks at it go as `well` says.
async fn looked_at(stream: Stream, body: &'static str, well: Rc<Cell<bool>>) {
    let mut rest = Vec::new();
    while let Some(head) = read_head(&stream, &mut rest).await {
        let is_ill = head.starts_with("GET /healthz ") && !well.get();
        let status = if is_ill { "503 Service Unavailable" } else { "200 OK" };
        stream.queue(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }
}

#[test]
fn looks_take_a_member_out_and_bring_it_back() {
    sim(92, async {
        let (a_well, b_well) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(true)));
        let (a_is, b_is) = (Rc::clone(&a_well), Rc::clone(&b_well));
        let a = mortal_backend(A, move |_, stream| looked_at(stream, "a", Rc::clone(&a_is)));
        let b = mortal_backend(B, move |_, stream| looked_at(stream, "b", Rc::clone(&b_is)));
        let world = world(&[("health_check", "/healthz"), ("health_interval", "1s")]).await;
        let tunnel = world.relay.tunnel();
        assert_eq!(who(&tunnel, 4).await, "abab");
        b_well.set(false);
        sleep(Duration::from_secs(4)).await;
        assert_eq!(who(&tunnel, 4).await, "aaaa");
        assert_eq!(world.shared.status().backends_down, 1);
        b_well.set(true);
        sleep(Duration::from_secs(4)).await;
        let back = who(&tunnel, 4).await;
        assert!(back.contains('a') && back.contains('b'), "{back}");
        a_well.set(false);
        b_well.set(false);
        sleep(Duration::from_secs(4)).await;
        let cancel = tunnel.cancelled(tunnel.open(&get("/"), true)).await;
        assert_eq!((cancel.code, cancel.unprocessed), (CancelCode::UNREACHABLE, true), "{cancel:?}");
        assert!(!cancel.detail.as_str().contains("10.0.0"), "{cancel:?}");
        drop((a, b));
    });
}

/// Answers looks, and nothing else.
async fn busy(stream: Stream, looks: Rc<Cell<usize>>) {
    let mut rest = Vec::new();
    while let Some(head) = read_head(&stream, &mut rest).await {
        if head.starts_with("GET /healthz ") {
            looks.set(looks.get() + 1);
            stream.queue(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
    }
}

#[test]
fn members_whose_connections_are_all_in_use_are_looked_at_all_the_same() {
    sim(94, async {
        let looks = Rc::new(Cell::new(0));
        let (of_a, of_b) = (Rc::clone(&looks), Rc::clone(&looks));
        let a = mortal_backend(A, move |_, stream| busy(stream, Rc::clone(&of_a)));
        let b = mortal_backend(B, move |_, stream| busy(stream, Rc::clone(&of_b)));
        let settings = [("health_check", "/healthz"), ("health_interval", "1s"), ("backend_connections_max", "1")];
        let world = world(&settings).await;
        let tunnel = world.relay.tunnel();
        // One takes the connection of each member, one more waits.
        let streams = [(); 3].map(|()| tunnel.open(&get("/"), true));
        sleep(Duration::from_secs(4)).await;
        let before = looks.get();
        sleep(Duration::from_secs(10)).await;
        assert!(looks.get() >= before + 10, "{before} looks, then {}", looks.get());
        assert_eq!(world.shared.status().backends_down, 0, "{streams:?}");
        let open = world.shared.counters.backend_connections_open.value();
        assert!((2..=4).contains(&open), "a look's is closed after it: {open}");
        drop((a, b));
    });
}

/// The cookie must not come here.
async fn without_cookie(stream: Stream, body: &'static str) {
    let mut rest = Vec::new();
    while let Some(head) = read_head(&stream, &mut rest).await {
        assert!(!head.contains("postern-member"), "{head}");
        stream.queue(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }
}

fn with_cookie(cookie: &str) -> RequestHead {
    let mut head = get("/");
    head.headers.append(Known::Cookie, cookie).unwrap();
    head
}

/// Who answers, and the cookie that the browser is to keep from now on.
async fn answered(tunnel: &FakeTunnel, head: &RequestHead) -> (Vec<u8>, Option<String>) {
    let stream = tunnel.open(head, true);
    let (head, _): (ResponseHead, bool) = tunnel.head(stream).await;
    let set = head.headers.get_str(Known::SetCookie).map(|set| set.split(';').next().unwrap().to_owned());
    (tunnel.body(stream, Duration::ZERO).await, set)
}

#[test]
fn a_browser_stays_with_its_member_until_that_is_gone() {
    sim(93, async {
        let a = mortal_backend(A, |_, stream| without_cookie(stream, "a"));
        let b = mortal_backend(B, |_, stream| without_cookie(stream, "b"));
        let world = world(&[("balance", "sticky")]).await;
        let tunnel = world.relay.tunnel();
        let (first, cookie) = answered(&tunnel, &get("/")).await;
        let cookie = cookie.unwrap();
        assert_eq!(first, b"a");
        for _ in 0..5 {
            assert_eq!(answered(&tunnel, &with_cookie(&cookie)).await, (b"a".to_vec(), None));
        }
        let (_, other) = answered(&tunnel, &with_cookie("postern-member=http://10.0.0.2/")).await;
        assert!(other.is_some(), "a forged one is none");

        drop(a);
        reset_connections_to(A.parse().unwrap());
        let (second, moved) = answered(&tunnel, &with_cookie(&cookie)).await;
        let moved = moved.unwrap();
        assert!(second == b"b" && moved != cookie, "{moved}");
        let a = mortal_backend(A, |_, stream| without_cookie(stream, "a"));
        sleep(MEMBER_OUT).await;
        assert_eq!(answered(&tunnel, &with_cookie(&moved)).await, (b"b".to_vec(), None), "it does not go back");
        drop((a, b));
    });
}
