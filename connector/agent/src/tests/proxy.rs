//! Tunnels and backends by way of a proxy: what it is asked, and what becomes of answers of every kind.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use postern_io::{ConnectOptions, Listener, Socket, Stream, now, sleep, spawn, sync};
use postern_tunnel::{Cancel, CancelCode};

use super::world::{BACKEND, Keys, World, answer_all, backend, backend_at, fetch, get, read_head, sim};
use crate::backend::tests::app;
use crate::proxy::tests::{at, to_relays};

const PROXY: &str = "10.0.0.3:3128";
const URL: &str = "http://10.0.0.3:3128";
const WHO: Option<&str> = Some("Basic YW5uYTpodW50ZXIy");

/// What a proxy does with a request.
enum Does {
    Connects,
    /// Says this and ends.
    Says(&'static str),
    /// Says this again and again.
    Repeats(&'static str),
    Hangs,
}

/// A proxy that does with each request, of which it gets the head, as it is told. The heads so far are shared.
fn proxy(does: impl Fn(&str) -> Does + 'static) -> Rc<RefCell<Vec<String>>> {
    let (heads, does) = (Rc::new(RefCell::new(Vec::new())), Rc::new(does));
    let asked = Rc::clone(&heads);
    let listener = Listener::sim(PROXY.parse().unwrap()).unwrap();
    spawn(async move {
        loop {
            let stream = Stream::plain(listener.accept().await.unwrap());
            let (asked, does) = (Rc::clone(&asked), Rc::clone(&does));
            spawn(async move {
                let Some(head) = read_head(&stream, &mut Vec::new()).await else { return };
                let does = does(&head);
                asked.borrow_mut().push(head.clone());
                serve(stream, &head, does).await;
            })
            .detach();
        }
    })
    .detach();
    heads
}

async fn serve(stream: Stream, head: &str, does: Does) {
    match does {
        Does::Connects => connect(stream, head).await,
        Does::Says(answer) => {
            stream.queue(answer.as_bytes());
            stream.close(Duration::from_secs(1)).await;
        }
        Does::Repeats(answer) => {
            while stream.writable().await.is_ok() {
                stream.queue(answer.as_bytes());
                sleep(Duration::from_millis(1)).await;
            }
        }
        Does::Hangs => drop(stream.read().await),
    }
}

/// It alone knows where `crm.corp` is.
async fn connect(stream: Stream, head: &str) {
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    let address: SocketAddr = if target == "crm.corp:80" { BACKEND } else { target }.parse().unwrap();
    let Ok(socket) = Socket::connect(address, &ConnectOptions::default()).await else {
        return stream.queue(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
    };
    stream.queue(b"HTTP/1.1 200 Connection established\r\nVia: sim\r\n\r\n");
    let beyond = Stream::plain(socket);
    sync::join(copy(&stream, &beyond), copy(&beyond, &stream)).await;
}

async fn copy(from: &Stream, to: &Stream) {
    while let Ok(bytes) = from.read().await {
        if bytes.is_empty() {
            return to.finish();
        }
        to.queue_bytes(&bytes);
        if to.writable().await.is_err() {
            break;
        }
    }
    from.abort();
    to.abort();
}

/// The application at `internal` is reached by the proxy, relays are dialled directly.
async fn with_backend(internal: &str) -> World {
    let app = app(1, internal, &[("backend_proxy", URL), ("connect_timeout_ms", "2000")]);
    World::with_app(app, 1, Keys::default()).await
}

async fn cancelled(world: &World) -> Cancel {
    let tunnel = world.relay.tunnel();
    let stream = tunnel.open(&get("/"), true);
    tunnel.cancelled(stream).await
}

#[test]
fn tunnels_and_backends_go_through_it_and_names_too() {
    sim(90, async {
        let asked = proxy(|_| Does::Connects);
        backend(|_, stream| answer_all(stream, "from beyond"));
        let app = app(1, "http://crm.corp/", &[("backend_proxy", URL)]);
        let keys = Keys { proxies: to_relays(at(URL, WHO)), ..Keys::default() };
        let world = World::with_app(app, 1, keys).await;
        assert_eq!(fetch(&world.relay.tunnel()).await, b"from beyond");
        assert_eq!(fetch(&world.relay.tunnel()).await, b"from beyond");
        let asked = asked.borrow();
        let lines: Vec<&str> = asked.iter().map(|head| head.lines().next().unwrap()).collect();
        assert_eq!(lines, ["CONNECT 10.0.0.1:443 HTTP/1.1", "CONNECT crm.corp:80 HTTP/1.1"], "connections are kept");
        for head in asked.iter() {
            assert!(head.contains("\r\nProxy-Authorization: Basic YW5uYTpodW50ZXIy\r\n"), "{head}");
        }
    });
}

#[test]
fn what_a_proxy_answers_instead_is_told_and_nothing_is_sent_past_it() {
    type Kind = (&'static str, fn() -> Does, &'static str);
    let kinds: [Kind; 7] = [
        ("403", || Does::Says("HTTP/1.1 403 Forbidden\r\n\r\n"), "refuses CONNECT 10.0.0.2:80 with 403"),
        ("407", || Does::Says("HTTP/1.1 407 Who\r\n\r\n"), "wants a user name and a password"),
        ("502", || Does::Connects, "has no connection to 10.0.0.2:80 (502)"),
        ("no HTTP", || Does::Says("SSH-2.0-x\r\n"), "not HTTP"),
        ("an end", || Does::Says(""), "without an answer"),
        ("no end", || Does::Repeats("HTTP/1.1 100 Continue\r\n\r\n"), "more than 32 KiB"),
        ("nothing", || Does::Hangs, "in time"),
    ];
    for (seed, (name, does, words)) in (100u64..).zip(kinds) {
        sim(seed, async move {
            let asked = proxy(move |_| does());
            let world = with_backend(&format!("http://{BACKEND}/")).await;
            // Who connects past the proxy would be answered.
            if name != "502" {
                backend(|_, stream| answer_all(stream, "not this way"));
            }
            let begun = now();
            let cancel = cancelled(&world).await;
            assert!(now().since(begun) <= Duration::from_millis(2100), "{name}: {:?}", now().since(begun));
            assert_eq!((cancel.code, cancel.unprocessed), (CancelCode::UNREACHABLE, true), "{name}");
            let said = format!("{:?}", cancel.detail);
            // Who waits for the connection may give up first; both name the proxy.
            assert!(said.contains(words) || (name == "nothing" && said.contains("within 2000 ms")), "{name}: {said}");
            assert!(said.contains(URL), "{name}: {said}");
            assert_eq!(asked.borrow().len(), 1, "{name}");
        });
    }
}

#[test]
fn a_proxy_that_is_down_is_told_from_a_backend_that_refuses() {
    sim(91, async {
        let world = with_backend(&format!("http://{BACKEND}/")).await;
        let cancel = cancelled(&world).await;
        assert_eq!(cancel.code, CancelCode::UNREACHABLE);
        assert!(format!("{:?}", cancel.detail).contains("10.0.0.3:3128 cannot be reached"), "{:?}", cancel.detail);
        backend(|_, stream| answer_all(stream, "ok"));
        proxy(|_| Does::Connects);
        assert_eq!(fetch(&world.relay.tunnel()).await, b"ok", "it is tried again with the next request");
    });
}

#[test]
fn a_proxy_that_nobody_knows_is_not_passed_by() {
    sim(92, async {
        backend(|_, stream| answer_all(stream, "not this way"));
        let app = app(1, &format!("http://{BACKEND}/"), &[("backend_proxy", "corp")]);
        let world = World::with_app(app, 1, Keys::default()).await;
        let cancel = cancelled(&world).await;
        assert_eq!((cancel.code, cancel.unprocessed), (CancelCode::APP_UNKNOWN, true));
        assert!(format!("{:?}", cancel.detail).contains("--backend-proxy corp=URL"), "{:?}", cancel.detail);
    });
}

#[test]
fn members_of_a_farm_and_segments_go_through_it_too() {
    sim(96, async {
        let asked = proxy(|_| Does::Connects);
        backend(|_, stream| answer_all(stream, "first"));
        backend_at("10.0.0.4:80", |_, stream| answer_all(stream, "second"));
        backend_at("10.0.0.5:8080", |_, stream| answer_all(stream, "segment"));
        let farm = [("backend_farm", "http://10.0.0.4"), ("health_check", "/healthz"), ("health_interval", "1s")];
        let segments = ("segments", "https://app1.example.com/api/=http://10.0.0.5:8080/");
        let settings = [&farm[..], &[segments, ("backend_proxy", URL)]].concat();
        let world = World::with_app(app(1, "http://crm.corp/", &settings), 1, Keys::default()).await;
        let tunnel = world.relay.tunnel();
        let mut who = Vec::new();
        for target in ["/", "/", "/api/"] {
            let stream = tunnel.open(&get(target), true);
            assert_eq!(tunnel.head(stream).await.0.status, 200);
            who.push(tunnel.body(stream, Duration::ZERO).await);
        }
        assert_eq!(who, [&b"first"[..], b"second", b"segment"]);
        let of = |target: &str| asked.borrow().iter().filter(|head| head.starts_with(target)).count();
        assert_eq!(of("CONNECT 10.0.0.5:8080 "), 1);
        let before = (of("CONNECT crm.corp:80 "), of("CONNECT 10.0.0.4:80 "));
        assert!(before.0 > 0 && before.1 > 0, "{before:?}");
        sleep(Duration::from_secs(5)).await;
        let looked = (of("CONNECT crm.corp:80 ") - before.0, of("CONNECT 10.0.0.4:80 ") - before.1);
        assert!(looked.0 >= 3 && looked.1 >= 3, "members are looked at by the same way: {looked:?}");
        assert_eq!(fetch(&tunnel).await, b"first", "and found well");
    });
}

#[test]
fn a_proxy_that_nobody_knows_says_nothing_of_a_farms_members() {
    sim(97, async {
        let farm = [("backend_farm", "http://10.0.0.4"), ("health_check", "/healthz"), ("health_interval", "1s")];
        let settings = [&farm[..], &[("backend_proxy", "corp")]].concat();
        let world = World::with_app(app(1, &format!("http://{BACKEND}/"), &settings), 1, Keys::default()).await;
        sleep(Duration::from_secs(8)).await;
        let cancel = cancelled(&world).await;
        assert_eq!((cancel.code, cancel.unprocessed), (CancelCode::APP_UNKNOWN, true), "{:?}", cancel.detail);
    });
}

/// How often a proxy was asked within `seconds` by a connector that knows no other way.
async fn asked_within(seconds: u64, who: Option<&'static str>, answer: &'static str) -> usize {
    let asked = proxy(move |_| Does::Says(answer));
    let keys = Keys { proxies: to_relays(at(URL, who)), ..Keys::default() };
    spawn(World::with_app(app(1, &format!("http://{BACKEND}/"), &[]), 1, keys)).detach();
    // The tunnel is waited for in vain, for ten seconds: longer is not looked at.
    assert!(seconds < 10);
    sleep(Duration::from_secs(seconds)).await;
    asked.borrow().len()
}

#[test]
fn dials_that_it_refuses_come_more_rarely() {
    sim(93, async {
        let asked = asked_within(9, None, "HTTP/1.1 503 Busy\r\n\r\n").await;
        assert!((5..=12).contains(&asked), "{asked}");
    });
}

#[test]
fn a_password_that_it_refuses_is_sent_once() {
    sim(94, async {
        assert_eq!(asked_within(9, WHO, "HTTP/1.1 407 Who\r\n\r\n").await, 1);
    });
}

#[test]
fn connections_that_break_with_the_proxy_come_back() {
    sim(95, async {
        proxy(|_| Does::Connects);
        backend(|_, stream| answer_all(stream, "ok"));
        let keys = Keys { proxies: to_relays(at(URL, None)), ..Keys::default() };
        let app = app(1, &format!("http://{BACKEND}/"), &[("backend_proxy", URL)]);
        let world = World::with_app(app, 1, keys).await;
        assert_eq!(fetch(&world.relay.tunnel()).await, b"ok");
        // Good for so long that its loss begins a new series of waits.
        sleep(Duration::from_secs(10)).await;
        postern_io::sim::reset_connections_to(PROXY.parse().unwrap());
        while world.relay.tunnels.borrow().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        world.relay.tunnels_up(1).await;
        assert_eq!(fetch(&world.relay.tunnel()).await, b"ok");
    });
}
