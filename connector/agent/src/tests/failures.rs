//! Requests that go wrong: each gets the code of what went wrong, and nothing false is presented as whole.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use postern_http::{BodyKind, Method};
use postern_io::{now, sleep};
use postern_tunnel::{CancelCode, Culprit};

use crate::keeper::Offered;
use crate::limits::CONFIG_PATIENCE;

use super::world::{BACKEND, World, answer_all, backend, fetch, get, pattern, read_head, request, sim};

#[test]
fn a_backend_that_is_not_there_is_said_to_refuse() {
    sim(20, async {
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code, cancel.unprocessed), (Culprit::Backend, CancelCode::REFUSED, true));
        assert_eq!(world.shared.counters.requests_failed.value(), 1);
    });
}

#[test]
fn an_unknown_application_is_the_configurations_fault() {
    sim(21, async {
        let world = World::start(&[]).await;
        let empty = crate::backend::tests::config(2, Vec::new());
        let empty = std::sync::Arc::new(crate::backend::BackendTable::build(&empty, None));
        world.shared.decided(Offered::default(), Some(&empty));
        sleep(Duration::from_millis(10)).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!(
            (cancel.culprit, cancel.code, cancel.unprocessed),
            (Culprit::Connector, CancelCode::APP_UNKNOWN, true)
        );
    });
}

#[test]
fn what_follows_a_configuration_waits_until_it_is_decided_on_but_not_for_ever() {
    sim(22, async {
        let world = World::start(&[]).await;
        let install = |offered, apps| {
            let table = crate::backend::BackendTable::build(&crate::backend::tests::config(2, apps), None);
            world.shared.decided(offered, Some(&std::sync::Arc::new(table)));
        };
        install(Offered::default(), Vec::new());
        backend(|_, stream| answer_all(stream, "served"));
        let tunnel = world.relay.tunnel();
        let offer = |config: &'static [u8]| {
            tunnel.connection.borrow_mut().send_config(config.into());
            tunnel.open(&get("/"), true)
        };
        let stream = offer(b"names the application");
        sleep(Duration::from_millis(500)).await;
        let (offered, _) = world.offers.next(Duration::ZERO).unwrap();
        install(offered, vec![crate::backend::tests::app(1, &format!("http://{BACKEND}/"), &[])]);
        assert_eq!(tunnel.head(stream).await.0.status, 200);

        install(Offered::default(), Vec::new());
        let begun = now();
        let stream = offer(b"is never decided on");
        assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::APP_UNKNOWN);
        let waited = now().since(begun);
        assert!(waited >= CONFIG_PATIENCE && waited < CONFIG_PATIENCE + Duration::from_millis(100), "{waited:?}");
    });
}

#[test]
fn requests_that_are_given_up_leave_no_wait_for_a_configuration() {
    sim(23, async {
        let world = World::start(&[]).await;
        let worker =
            crate::worker::Worker::new(0, std::sync::Arc::clone(&world.shared), crate::resolve::Resolver::none(), None);
        let unknown = "a1-77".parse().unwrap();
        let mut waits: Vec<_> = (0..50).map(|_| Box::pin(worker.pool_after(Offered::default(), unknown))).collect();
        for wait in &mut waits {
            assert!(postern_io::time::timeout(Duration::from_millis(1), wait).await.is_err());
        }
        assert_eq!(worker.waiting_for_config(), 50);
        drop(waits);
        assert_eq!(worker.waiting_for_config(), 0);
    });
}

/// A backend that answers after `seconds`.
pub(super) fn slow_backend(seconds: u64) {
    backend(move |_, stream| async move {
        read_head(&stream, &mut Vec::new()).await;
        sleep(Duration::from_secs(seconds)).await;
        stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        sleep(Duration::from_secs(1)).await;
    });
}

#[test]
fn silence_is_allowed_for_seventy_five_seconds() {
    sim(22, async {
        slow_backend(74);
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        assert_eq!(tunnel.head(stream).await.0.status, 200);
    });
    sim(23, async {
        slow_backend(76);
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let begun = now();
        let stream = tunnel.open(&get("/"), true);
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::TIMEOUT));
        assert_eq!(now().since(begun).as_secs(), 75);
    });
}

#[test]
fn a_slow_client_is_not_the_backends_silence() {
    sim(24, async {
        backend(|_, stream| async move {
            let mut rest = Vec::new();
            read_head(&stream, &mut rest).await;
            while rest.len() < 6 {
                rest.extend_from_slice(&stream.read().await.unwrap());
            }
            stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(&[("backend_timeout_ms", "1000")]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Length(6)), false);
        for (piece, end) in [("ab", false), ("cd", false), ("ef", true)] {
            sleep(Duration::from_secs(30)).await;
            tunnel.send(stream, piece.into(), end).await;
        }
        assert_eq!(tunnel.head(stream).await.0.status, 200);
    });
}

#[test]
fn a_body_that_stops_is_cut_visibly() {
    sim(25, async {
        backend(|_, stream| async move {
            read_head(&stream, &mut Vec::new()).await;
            stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
            stream.flushed().await.unwrap();
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        let (head, end) = tunnel.head(stream).await;
        assert_eq!((head.status, end), (200, false));
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::BROKEN));
        assert!(
            cancel.detail.as_str().starts_with("truncated") || cancel.detail.as_str().contains("body"),
            "{cancel:?}"
        );
    });
}

#[test]
fn what_is_not_http_is_broken() {
    sim(26, async {
        backend(|_, stream| async move {
            stream.queue(b"SSH-2.0-OpenSSH_9.2\r\n");
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::BROKEN));
    });
}

#[test]
fn a_cancelled_request_drops_its_backend_connection_at_once() {
    sim(27, async {
        let closed = Rc::new(Cell::new(None));
        let noting = Rc::clone(&closed);
        backend(move |_, stream| {
            let closed = Rc::clone(&noting);
            async move {
                read_head(&stream, &mut Vec::new()).await;
                let _ = stream.read().await;
                closed.set(Some(now()));
            }
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        sleep(Duration::from_secs(1)).await;
        let cancelled = now();
        tunnel.connection.borrow_mut().cancel(stream, &postern_tunnel::Cancel::new(Culprit::Client, CancelCode::GONE));
        tunnel.flush();
        sleep(Duration::from_secs(1)).await;
        let closed = closed.get().expect("the backend's connection is still open");
        assert!(closed.since(cancelled) < Duration::from_millis(10));
        assert_eq!(world.shared.counters.requests.value(), 0);
    });
}

/// Serves `requests` on each connection, then closes it without an answer when the next one comes.
fn fickle_backend(requests: usize) -> Rc<Cell<usize>> {
    let connections = Rc::new(Cell::new(0));
    let counting = Rc::clone(&connections);
    backend(move |_, stream| {
        counting.set(counting.get() + 1);
        async move {
            let mut rest = Vec::new();
            for _ in 0..requests {
                read_head(&stream, &mut rest).await;
                stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
            read_head(&stream, &mut rest).await;
        }
    });
    connections
}

#[test]
fn a_request_lost_on_a_kept_connection_is_repeated_on_a_fresh_one() {
    sim(28, async {
        let connections = fickle_backend(1);
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        assert_eq!(fetch(&tunnel).await, b"ok");
        assert_eq!(fetch(&tunnel).await, b"ok");
        assert_eq!((connections.get(), world.shared.counters.requests_retried.value()), (2, 1));
    });
}

#[test]
fn what_is_not_idempotent_is_never_repeated_and_a_fresh_connection_is_no_second_chance() {
    sim(29, async {
        let connections = fickle_backend(1);
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        assert_eq!(fetch(&tunnel).await, b"ok");
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::None), true);
        assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::BROKEN);
        assert_eq!(connections.get(), 1);
    });
    sim(30, async {
        let connections = fickle_backend(0);
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::BROKEN);
        assert_eq!(connections.get(), 1);
    });
}

#[test]
fn a_connection_that_the_backend_closed_while_idle_is_not_used() {
    sim(31, async {
        let connections = Rc::new(Cell::new(0));
        let counting = Rc::clone(&connections);
        backend(move |_, stream| {
            counting.set(counting.get() + 1);
            async move {
                read_head(&stream, &mut Vec::new()).await;
                stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                stream.flushed().await.unwrap();
            }
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        for _ in 0..3 {
            assert_eq!(fetch(&tunnel).await, b"ok");
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!((connections.get(), world.shared.counters.requests_retried.value()), (3, 0));
    });
}

#[test]
fn idle_connections_are_closed_after_a_minute() {
    sim(32, async {
        let open = Rc::new(Cell::new(0));
        let counting = Rc::clone(&open);
        backend(move |_, stream| {
            let open = Rc::clone(&counting);
            async move {
                open.set(open.get() + 1);
                answer_all(stream, "ok").await;
                open.set(open.get() - 1);
            }
        });
        let world = World::start(&[]).await;
        fetch(&world.relay.tunnel()).await;
        sleep(Duration::from_secs(58)).await;
        assert_eq!(open.get(), 1);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(open.get(), 0);
    });
}

#[test]
fn connections_are_bounded_and_requests_wait_their_turn() {
    sim(33, async {
        let (open, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let counting = (Rc::clone(&open), Rc::clone(&most));
        backend(move |_, stream| {
            let (open, most) = (Rc::clone(&counting.0), Rc::clone(&counting.1));
            async move {
                open.set(open.get() + 1);
                most.set(most.get().max(open.get()));
                let mut rest = Vec::new();
                while read_head(&stream, &mut rest).await.is_some() {
                    sleep(Duration::from_millis(100)).await;
                    stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
                open.set(open.get() - 1);
            }
        });
        let world = World::start(&[("backend_connections_max", "2")]).await;
        let tunnel = world.relay.tunnel();
        let streams: Vec<_> = (0..10).map(|_| tunnel.open(&get("/"), true)).collect();
        for stream in streams {
            assert_eq!(tunnel.head(stream).await.0.status, 200);
        }
        assert_eq!(most.get(), 2);
    });
}

#[test]
fn those_who_wait_too_long_are_told() {
    sim(34, async {
        backend(|_, stream| async move {
            read_head(&stream, &mut Vec::new()).await;
            sleep(Duration::from_secs(1_000)).await;
            drop(stream);
        });
        let world = World::start(&[("backend_connections_max", "1"), ("connect_timeout_ms", "2000")]).await;
        let tunnel = world.relay.tunnel();
        let _first = tunnel.open(&get("/"), true);
        sleep(Duration::from_millis(100)).await;
        let second = tunnel.open(&get("/"), true);
        let cancel = tunnel.cancelled(second).await;
        assert_eq!(
            (cancel.culprit, cancel.code, cancel.unprocessed),
            (Culprit::Connector, CancelCode::OVERLOADED, true)
        );
    });
}

#[test]
fn a_request_body_of_another_length_is_not_passed_on_as_whole() {
    sim(35, async {
        let got = Rc::new(Cell::new(false));
        let noting = Rc::clone(&got);
        backend(move |_, stream| {
            let got = Rc::clone(&noting);
            async move {
                let mut rest = Vec::new();
                read_head(&stream, &mut rest).await;
                while let Ok(more) = stream.read().await {
                    if more.is_empty() {
                        break;
                    }
                    rest.extend_from_slice(&more);
                }
                got.set(rest.len() >= 10);
            }
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Length(10)), false);
        tunnel.send(stream, pattern(5), true).await;
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Client, CancelCode::BROKEN));
        sleep(Duration::from_secs(1)).await;
        assert!(!got.get());
    });
}
