//! How long a backend may take for what, by the virtual clock: the words for it, its answer's head, and an idle exchange.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use postern_http::{BodyKind, Method};
use postern_io::duplex::Duplex;
use postern_io::{Stream, now, sleep};
use postern_tunnel::{CancelCode, Culprit, Event};

use super::failures::slow_backend;
use super::world::{World, backend, get, read_head, request, sim};

const UNSET: &[(&str, &str)] = &[];

/// What came of a backend that answers after `seconds`: its status or, when it was given up, the second in which it was.
fn after(seconds: u64, settings: &'static [(&'static str, &'static str)]) -> Result<u16, u64> {
    sim(50 + seconds, async move {
        slow_backend(seconds);
        let world = World::start(settings).await;
        let tunnel = world.relay.tunnel();
        let begun = now();
        let stream = tunnel.open(&get("/"), true);
        let ended = tunnel.event(|event| match event {
            Event::Head { .. } => Some(Ok(200)),
            Event::Cancelled { stream: of, cancel } if *of == stream => {
                assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::TIMEOUT), "{cancel:?}");
                Some(Err(()))
            }
            _ => None,
        });
        ended.await.map_err(|()| now().since(begun).as_secs())
    })
}

#[test]
fn a_backend_has_as_long_as_is_set_and_no_second_more() {
    const DEFAULT: &[(&str, &str)] = &[("backend_timeout_ms", "default")];
    const LONG: &[(&str, &str)] = &[("backend_timeout_ms", "long")];
    const OWN: &[(&str, &str)] = &[("backend_timeout_ms", "7m")];
    for (settings, seconds) in [(UNSET, 75), (DEFAULT, 75), (LONG, 180), (OWN, 420)] {
        assert_eq!(after(seconds - 1, settings), Ok(200), "{settings:?}");
        assert_eq!(after(seconds + 1, settings), Err(seconds), "{settings:?}");
    }
}

#[test]
fn the_answers_head_has_a_time_of_its_own() {
    const LONGER: &[(&str, &str)] = &[("header_timeout", "10m")];
    assert_eq!(after(599, LONGER), Ok(200));
    assert_eq!(after(601, LONGER), Err(600));
    const SHORTER: &[(&str, &str)] = &[("header_timeout", "2s")];
    assert_eq!(after(1, SHORTER), Ok(200));
    assert_eq!(after(3, SHORTER), Err(2));
}

/// Says something every second, and never all of the head.
async fn chatter(stream: Stream) {
    read_head(&stream, &mut Vec::new()).await;
    stream.queue(b"HTTP/1.1 102 Processing\r\n\r\n");
    sleep(Duration::from_secs(1)).await;
    stream.queue(b"HTTP/1.1 200 OK\r\n");
    for nth in 0..60 {
        sleep(Duration::from_secs(1)).await;
        stream.queue(format!("x-{nth}: 1\r\n").as_bytes());
    }
}

#[test]
fn neither_interim_answers_nor_a_trickled_head_prolong_it() {
    sim(60, async {
        backend(|_, stream| chatter(stream));
        let world = World::start(&[("header_timeout", "5s")]).await;
        let tunnel = world.relay.tunnel();
        let begun = now();
        let stream = tunnel.open(&get("/"), true);
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::TIMEOUT));
        assert!(cancel.detail.as_str().contains("5000 ms (header_timeout)"), "{cancel:?}");
        assert_eq!(now().since(begun).as_secs(), 5);
    });
}

#[test]
fn it_begins_when_the_backend_has_the_whole_request() {
    sim(61, async {
        backend(|_, stream| async move {
            let mut rest = Vec::new();
            read_head(&stream, &mut rest).await;
            while rest.len() < 6 {
                rest.extend_from_slice(&stream.read().await.unwrap());
            }
            sleep(Duration::from_secs(4)).await;
            stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(&[("header_timeout", "5s")]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Length(6)), false);
        for (piece, end) in [("abc", false), ("def", true)] {
            sleep(Duration::from_secs(30)).await;
            tunnel.send(stream, piece.into(), end).await;
        }
        assert_eq!(tunnel.head(stream).await.0.status, 200);
    });
}

/// An answer whose content begins at once and goes on after `pause_s`.
async fn pausing(stream: Stream, pause_s: u64) {
    read_head(&stream, &mut Vec::new()).await;
    stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
    sleep(Duration::from_secs(pause_s)).await;
    stream.queue(b"cd");
    sleep(Duration::from_secs(1)).await;
}

#[test]
fn an_answer_that_began_may_pause_as_long_as_is_set() {
    const LONGER: &[(&str, &str)] = &[("idle_timeout", "5m"), ("backend_timeout_ms", "2s")];
    const SHORTER: &[(&str, &str)] = &[("idle_timeout", "3s")];
    for (settings, pause_s, ends_after_s) in [
        (LONGER, 299, None),
        (LONGER, 301, Some(300)),
        (SHORTER, 2, None),
        (SHORTER, 4, Some(3)),
        (UNSET, 76, Some(75)),
    ] {
        sim(62, async move {
            backend(move |_, stream| pausing(stream, pause_s));
            let world = World::start(settings).await;
            let tunnel = world.relay.tunnel();
            let begun = now();
            let stream = tunnel.open(&get("/"), true);
            assert_eq!(tunnel.head(stream).await.0.status, 200);
            let Some(seconds) = ends_after_s else {
                assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"abcd");
                return;
            };
            assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::TIMEOUT);
            assert_eq!(now().since(begun).as_secs(), seconds, "{settings:?}");
        });
    }
}

/// A backend that answers before it has the request's content, as streaming does, and then only listens.
fn listening_backend() {
    backend(|_, stream| async move {
        let mut connection = h2::server::handshake(Duplex::new(stream)).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            send.send_data(Bytes::from_static(b"go on"), false).unwrap();
            kept.push((request, send));
        }
    });
}

#[test]
fn where_nothing_passes_either_way_it_is_over_whosever_turn_it_is() {
    sim(63, async {
        listening_backend();
        let world = World::start(&[("backend_http", "h2c"), ("idle_timeout", "20s")]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Chunked), false);
        assert_eq!(tunnel.head(stream).await.0.status, 200);
        for _ in 0..4 {
            sleep(Duration::from_secs(15)).await;
            tunnel.send(stream, "more".into(), false).await;
        }
        let begun = now();
        let cancel = tunnel.cancelled(stream).await;
        assert!(cancel.detail.as_str().contains("20000 ms (idle_timeout)"), "{cancel:?}");
        assert_eq!(now().since(begun).as_secs(), 20);
    });
}

#[test]
fn unless_set_the_clients_turn_does_not_count() {
    sim(64, async {
        listening_backend();
        let world = World::start(&[("backend_http", "h2c"), ("backend_timeout_ms", "2s")]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Chunked), false);
        assert_eq!(tunnel.head(stream).await.0.status, 200);
        sleep(Duration::from_secs(60)).await;
        tunnel.send(stream, "more".into(), true).await;
        assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::TIMEOUT);
    });
}
