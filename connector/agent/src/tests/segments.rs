//! Applications of several segments, and hosts below wildcards: which backend gets what.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use postern_http::Authority;
use postern_io::{Stream, sleep};
use postern_model::group_config::BackendApp;
use postern_tunnel::{CancelCode, Culprit};

use super::world::{FakeTunnel, Keys, World, backend, backend_at, get, read_head, sim};
use crate::backend::tests::app;
use crate::resolve::Resolver;
use crate::resolve::tests::Script;

/// Answers every request with what it was, and by whom it was answered.
async fn tell(name: &'static str, stream: Stream) {
    let mut rest = Vec::new();
    while let Some(head) = read_head(&stream, &mut rest).await {
        let mut lines = head.lines();
        let (first, host) = (lines.next().unwrap(), lines.find(|line| line.starts_with("host: ")).unwrap());
        let said = format!("{name}: {first} {host}");
        stream.queue(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len()).as_bytes());
    }
}

async fn asked(tunnel: &FakeTunnel, host: &str, path: &str) -> String {
    let mut head = get(path);
    head.authority = Authority::parse(host.as_bytes()).unwrap();
    let stream = tunnel.open(&head, true);
    assert_eq!(tunnel.head(stream).await.0.status, 200);
    String::from_utf8(tunnel.body(stream, Duration::ZERO).await).unwrap()
}

async fn refused(tunnel: &FakeTunnel, host: &str) -> (Culprit, CancelCode, bool) {
    let mut head = get("/");
    head.authority = Authority::parse(host.as_bytes()).unwrap();
    let cancel = tunnel.cancelled(tunnel.open(&head, true)).await;
    (cancel.culprit, cancel.code, cancel.unprocessed)
}

async fn world(app: BackendApp) -> World {
    World::with_app(app, 1, Keys::default()).await
}

#[test]
fn each_segment_has_its_own_backend() {
    sim(91, async {
        backend(|_, stream| tell("first", stream));
        backend_at("10.0.0.3:8080", |_, stream| tell("api", stream));
        backend_at("10.0.0.4:80", |_, stream| tell("other", stream));
        let segments =
            "https://app1.example.com/api/=http://10.0.0.3:8080/v1/,https://other.example.com/=http://10.0.0.4/";
        let settings = [("segments", segments), ("external_aliases", "https://second.example.com")];
        let world = world(app(1, "http://10.0.0.2/", &settings)).await;
        let tunnel = world.relay.tunnel();
        for (host, path, expected) in [
            ("app1.example.com", "/x", "first: GET /x HTTP/1.1 host: 10.0.0.2"),
            ("app1.example.com", "/api/x?y", "api: GET /v1/x?y HTTP/1.1 host: 10.0.0.3:8080"),
            ("app1.example.com", "/api", "api: GET /v1/ HTTP/1.1 host: 10.0.0.3:8080"),
            ("app1.example.com", "/apis", "first: GET /apis HTTP/1.1 host: 10.0.0.2"),
            ("OTHER.example.com:8443", "/x", "other: GET /x HTTP/1.1 host: 10.0.0.4"),
            ("second.example.com", "/api/x", "first: GET /api/x HTTP/1.1 host: 10.0.0.2"),
            ("app1.apps.example.net", "/api/x", "first: GET /api/x HTTP/1.1 host: 10.0.0.2"),
        ] {
            assert_eq!(asked(&tunnel, host, path).await, expected, "{host}{path}");
        }
    });
}

#[test]
fn hosts_below_a_wildcard_are_inside_what_they_are_outside() {
    sim(92, async {
        backend_at("10.0.0.3:8080", |number, stream| async move {
            assert_eq!(number, 0, "one connection is kept for all requests");
            tell("three", stream).await;
        });
        backend_at("10.0.0.4:8080", |_, stream| tell("four", stream));
        let mut app = app(1, "http://*.corp:8080/in/", &[]);
        app.external_url = "https://*.apps.example.com/".into();
        let world = world(app).await;
        let tunnel = world.relay.tunnel();
        for (host, expected) in [
            ("10-0-0-3.apps.example.com", "three: GET /in/x HTTP/1.1 host: 10-0-0-3.corp:8080"),
            ("10-0-0-4.apps.example.com:8443", "four: GET /in/x HTTP/1.1 host: 10-0-0-4.corp:8080"),
            ("10-0-0-3.Apps.example.com", "three: GET /in/x HTTP/1.1 host: 10-0-0-3.corp:8080"),
        ] {
            assert_eq!(asked(&tunnel, host, "/x").await, expected);
        }
        let unknown = (Culprit::Connector, CancelCode::APP_UNKNOWN, true);
        for host in ["apps.example.com", "a.apps.example.org", "a_b.apps.example.com", "elsewhere.example.com"] {
            assert_eq!(refused(&tunnel, host).await, unknown, "a relay that is taken over asks for {host}");
        }
        // Names of this host and of what is on its link alone resolve, and are not connected to.
        let unreachable = (Culprit::Backend, CancelCode::UNREACHABLE, true);
        backend_at("127.0.0.1:8080", |_, stream| tell("itself", stream));
        backend_at("169.254.169.254:8080", |_, stream| tell("link", stream));
        for host in ["127-0-0-1.apps.example.com", "169-254-169-254.apps.example.com", "nowhere.apps.example.com"] {
            assert_eq!(refused(&tunnel, host).await, unreachable, "{host}");
        }
    });
}

#[test]
fn a_segment_may_be_a_wildcard_and_built_in_names_are_none_of_its_hosts() {
    sim(93, async {
        backend(|_, stream| tell("first", stream));
        backend_at("10.0.0.3:80", |_, stream| tell("three", stream));
        let segments = "https://*.apps.example.com/=http://*.internal/";
        let world = world(app(1, "http://10.0.0.2/", &[("segments", segments)])).await;
        let tunnel = world.relay.tunnel();
        assert!(asked(&tunnel, "app1.example.com", "/").await.starts_with("first: "));
        let three = asked(&tunnel, "10-0-0-3.apps.example.com", "/").await;
        assert_eq!(three, "three: GET / HTTP/1.1 host: 10-0-0-3.internal");
        let unknown = (Culprit::Connector, CancelCode::APP_UNKNOWN, true);
        assert_eq!(refused(&tunnel, "identity.postern.apps.example.com").await, unknown);
    });
}

#[test]
fn names_below_a_wildcard_are_looked_up_apart() {
    sim(95, async {
        backend_at("10.0.0.3:80", |_, stream| tell("three", stream));
        let script = Arc::new(Script::default());
        script.set("three.corp", &["10.0.0.3"]);
        script.set("first.corp", &["10.0.0.3"]);
        let app = app(1, "http://first.corp/", &[("segments", "https://*.apps.example.com/=http://*.corp/")]);
        let keys = Keys { resolver: Some(Resolver::scripted(&script)), ..Keys::default() };
        let world = World::with_app(app, 1, keys).await;
        let tunnel = world.relay.tunnel();
        let asked_of = || (script.asked(), script.asked_for_chosen());
        let before = asked_of();
        asked(&tunnel, "three.apps.example.com", "/").await;
        assert_eq!(asked_of(), (before.0 + 1, before.1 + 1));
        asked(&tunnel, "app1.example.com", "/").await;
        assert_eq!(asked_of(), (before.0 + 2, before.1 + 1), "what the configuration names");
        asked(&tunnel, "first.apps.example.com", "/").await;
        assert_eq!(asked_of(), (before.0 + 3, before.1 + 2), "they share no memory");
    });
}

#[test]
fn hosts_that_nobody_asks_for_any_more_give_way() {
    sim(94, async {
        let connections = Rc::new(Cell::new(0));
        let made = Rc::clone(&connections);
        backend_at("10.0.0.3:80", move |_, stream| {
            made.set(made.get() + 1);
            tell("three", stream)
        });
        let mut app = app(1, "http://*.corp/", &[]);
        app.external_url = "https://*.apps.example.com/".into();
        let world = world(app).await;
        let tunnel = world.relay.tunnel();
        assert!(asked(&tunnel, "10-0-0-3.apps.example.com", "/").await.starts_with("three: "));
        for number in 0..crate::limits::WILDCARD_HOSTS_MAX + 10 {
            let (culprit, code, _) = refused(&tunnel, &format!("nowhere{number}.apps.example.com")).await;
            assert_eq!((culprit, code), (Culprit::Backend, CancelCode::UNREACHABLE), "{number}");
        }
        assert!(asked(&tunnel, "10-0-0-3.apps.example.com", "/").await.starts_with("three: "));
        assert_eq!(connections.get(), 1, "names that are only tried cost nobody a connection");
    });
}

/// Answers but what it is asked to hold.
async fn hold(stream: Stream) {
    let mut rest = Vec::new();
    while let Some(head) = read_head(&stream, &mut rest).await {
        if !head.starts_with("GET /held ") {
            stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    }
}

#[test]
fn hosts_that_are_all_in_use_leave_no_room_for_another() {
    sim(96, async {
        backend_at("10.0.0.3:80", |_, stream| hold(stream));
        let max = crate::limits::WILDCARD_HOSTS_MAX;
        let script = Arc::new(Script::default());
        (0..=max).for_each(|number| script.set(&format!("h{number}.corp"), &["10.0.0.3"]));
        let mut app = app(1, "http://*.corp/", &[]);
        app.external_url = "https://*.apps.example.com/".into();
        let keys = Keys { resolver: Some(Resolver::scripted(&script)), ..Keys::default() };
        let world = World::with_app(app, 1, keys).await;
        let tunnel = world.relay.tunnel();
        let host = |number: usize| format!("h{number}.apps.example.com");
        for number in 0..max {
            let mut head = get("/held");
            head.authority = Authority::parse(host(number).as_bytes()).unwrap();
            tunnel.open(&head, true);
        }
        sleep(Duration::from_secs(1)).await;
        let overloaded = (Culprit::Connector, CancelCode::OVERLOADED, true);
        assert_eq!(refused(&tunnel, &host(max)).await, overloaded);
        assert_eq!(asked(&tunnel, &host(0), "/").await, "ok", "those that are there go on");
        assert_eq!(refused(&tunnel, &host(max)).await, overloaded);
    });
}
