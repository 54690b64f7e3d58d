//! Backends that speak HTTP/2 without TLS (h2c); over TLS nothing but the choice differs.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use postern_http::{BodyKind, Headers, Known, Limits, Method, RequestHead, ResponseHead};
use postern_io::duplex::Duplex;
use postern_io::sim::{self as network, Faults};
use postern_io::{Stream, sleep, spawn};
use postern_tunnel::{Cancel, CancelCode, Culprit, Event};

use super::world::{World, backend, fetch, get, pattern, read_head, request, sim};

const H2C: &[(&str, &str)] = &[("backend_http", "h2c")];

type Exchange = (Request<RecvStream>, SendResponse<Bytes>);

/// Serves one connection; every request is a task of its own.
async fn serve<F: Future<Output = ()> + 'static>(stream: Stream, answer: impl Fn(Exchange) -> F) {
    let mut connection = h2::server::handshake(Duplex::new(stream)).await.unwrap();
    while let Some(Ok(exchange)) = connection.accept().await {
        spawn(answer(exchange)).detach();
    }
}

/// Sends the content back, and as a trailer how much it was.
async fn echo((request, mut respond): Exchange) {
    let mut send = respond.send_response(Response::new(()), false).unwrap();
    let mut body = request.into_body();
    let mut count = 0;
    while let Some(data) = body.data().await {
        let mut data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        count += data.len();
        while !data.is_empty() {
            send.reserve_capacity(data.len());
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
            send.send_data(data.split_to(room.min(data.len())), false).unwrap();
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-count", count.into());
    if let Some(sent) = body.trailers().await.unwrap() {
        trailers.extend(sent);
    }
    send.send_trailers(trailers).unwrap();
}

async fn say((request, mut respond): Exchange, words: &'static str) {
    let response = Response::builder().header("x-path", request.uri().path()).header("content-length", words.len());
    let mut send = respond.send_response(response.body(()).unwrap(), false).unwrap();
    send.send_data(Bytes::from_static(words.as_bytes()), true).unwrap();
}

#[test]
fn requests_share_one_connection_and_come_back_whole() {
    for seed in 1..4 {
        sim(seed, async {
            network::set_faults(Faults {
                delay: (Duration::from_micros(10), Duration::from_millis(2)),
                piece_bytes_max: 2_000,
                reset_one_in: 0,
            });
            backend(|number, stream| async move {
                assert_eq!(number, 0, "one connection is enough");
                serve(stream, echo).await;
            });
            let world = World::start(H2C).await;
            let tunnel = world.relay.tunnel();
            let exchanges: Vec<_> = (0..20)
                .map(|nth| {
                    let tunnel = Rc::clone(&tunnel);
                    spawn(async move {
                        let content = pattern(nth * 7_000);
                        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Chunked), false);
                        let sending = (Rc::clone(&tunnel), content.clone());
                        let sender = spawn(async move { sending.0.send(stream, sending.1, true).await });
                        let (head, end) = tunnel.head(stream).await;
                        assert_eq!((head.status, head.body, end), (200, BodyKind::Chunked, false));
                        assert!(tunnel.body(stream, Duration::ZERO).await == content, "content changed on its way");
                        sender.await;
                    })
                })
                .collect();
            for exchange in exchanges {
                exchange.await;
            }
        });
    }
}

#[test]
fn content_is_translated_with_and_without_trailers() {
    for trailers in [false, true] {
        sim(30, async move {
            backend(move |_, stream| {
                serve(stream, move |(_, mut respond): Exchange| async move {
                    let response = Response::builder().header("content-type", "text/html").header("etag", "\"a\"");
                    let mut send = respond.send_response(response.body(()).unwrap(), false).unwrap();
                    send.send_data(Bytes::from_static(b"<a href=http://10.0.0.2/x>"), !trailers).unwrap();
                    if trailers {
                        let mut fields = HeaderMap::new();
                        fields.insert("x-sum", 9_u32.into());
                        send.send_trailers(fields).unwrap();
                    }
                })
            });
            let world = World::start(&[("backend_http", "h2c"), ("translate_body", "on")]).await;
            let tunnel = world.relay.tunnel();
            let stream = tunnel.open(&get("/"), true);
            let (head, _) = tunnel.head(stream).await;
            assert_eq!(head.body, BodyKind::Chunked);
            assert!(head.headers.get_str(Known::Etag).is_some_and(|tag| tag.starts_with("W/\"a~ps")));
            assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"<a href=https://app1.example.com/x>");
        });
    }
}

#[test]
fn trailers_and_interim_answers_pass_both_ways() {
    sim(5, async {
        backend(|_, stream| {
            serve(stream, |(request, mut respond)| async move {
                let hints = Response::builder().status(103).header("link", "</style.css>").body(()).unwrap();
                respond.send_informational(hints).unwrap();
                echo((request, respond)).await;
            })
        });
        let world = World::start(H2C).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Chunked), false);
        tunnel.send(stream, pattern(10), false).await;
        let mut trailers = Headers::default();
        trailers.append("grpc-status", "0").unwrap();
        let mut encoded = Vec::new();
        trailers.encode(&mut encoded);
        tunnel.connection.borrow_mut().send_trailers(stream, &encoded).unwrap();
        tunnel.flush();
        let hints = tunnel
            .event(|event| if let Event::Informational { head, .. } = event { Some(head.clone()) } else { None })
            .await;
        let hints = ResponseHead::decode(&hints, &Limits::default()).unwrap();
        assert_eq!((hints.status, hints.headers.get_str(Known::Link)), (103, Some("</style.css>")));
        let (head, _) = tunnel.head(stream).await;
        assert_eq!(head.status, 200);
        let trailers = tunnel
            .event(|event| if let Event::Trailers { trailers, .. } = event { Some(trailers.clone()) } else { None })
            .await;
        let trailers = Headers::decode(&trailers, &Limits::default()).unwrap();
        assert_eq!((trailers.get_str("x-count"), trailers.get_str("grpc-status")), (Some("10"), Some("0")));
    });
}

#[test]
fn a_connection_that_says_good_bye_is_replaced() {
    sim(6, async {
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        backend(move |number, stream| {
            counted.set(number + 1);
            async move {
                let mut connection = h2::server::handshake(Duplex::new(stream)).await.unwrap();
                while let Some(Ok(exchange)) = connection.accept().await {
                    say(exchange, "hello").await;
                    connection.graceful_shutdown();
                }
            }
        });
        let world = World::start(H2C).await;
        for _ in 0..5 {
            assert_eq!(fetch(&world.relay.tunnel()).await, b"hello");
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(connections.get(), 5);
    });
}

#[test]
fn what_the_backend_did_not_look_at_is_asked_again() {
    sim(7, async {
        backend(|number, stream| {
            serve(stream, move |(request, mut respond)| async move {
                if number == 0 {
                    return respond.send_reset(Reason::REFUSED_STREAM);
                }
                say((request, respond), "hello").await;
            })
        });
        let world = World::start(H2C).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::None), true);
        assert_eq!(tunnel.head(stream).await.0.status, 200);
        assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"hello");
        assert_eq!(world.shared.counters.requests_retried.value(), 1);
    });
}

#[test]
fn an_answer_that_breaks_off_is_cancelled() {
    sim(8, async {
        backend(|_, stream| {
            serve(stream, |(_request, mut respond)| async move {
                let response = Response::builder().header("content-length", 100).body(()).unwrap();
                let mut send = respond.send_response(response, false).unwrap();
                send.send_data(Bytes::from_static(b"half"), false).unwrap();
                sleep(Duration::from_millis(20)).await;
                send.send_reset(Reason::INTERNAL_ERROR);
            })
        });
        let world = World::start(H2C).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        assert_eq!(tunnel.head(stream).await.0.body, BodyKind::Length(100));
        let cancel = tunnel.cancelled(stream).await;
        assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::BROKEN));
    });
}

#[test]
fn a_silent_backend_is_given_up_and_its_connection_too() {
    sim(9, async {
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        backend(move |number, stream| {
            counted.set(number + 1);
            serve(stream, move |exchange| async move {
                if number == 0 {
                    sleep(Duration::from_secs(1000)).await;
                }
                say(exchange, "hello").await;
            })
        });
        let world = World::start(&[("backend_http", "h2c"), ("backend_timeout_ms", "2000")]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        assert_eq!(tunnel.cancelled(stream).await.code, CancelCode::TIMEOUT);
        assert_eq!(fetch(&tunnel).await, b"hello");
        assert_eq!(connections.get(), 2);
    });
}

#[test]
fn giving_a_request_up_resets_it_at_the_backend() {
    sim(10, async {
        let reset = Rc::new(Cell::new(None));
        let seen = Rc::clone(&reset);
        backend(move |_, stream| {
            let seen = Rc::clone(&seen);
            serve(stream, move |(_request, mut respond)| {
                let seen = Rc::clone(&seen);
                async move { seen.set(std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok()) }
            })
        });
        let world = World::start(H2C).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        sleep(Duration::from_millis(50)).await;
        tunnel.connection.borrow_mut().cancel(stream, &Cancel::new(Culprit::Client, CancelCode::GONE));
        tunnel.flush();
        sleep(Duration::from_millis(50)).await;
        assert_eq!(reset.get(), Some(Reason::CANCEL));
    });
}

#[test]
fn an_upgrade_takes_http_1() {
    sim(11, async {
        backend(|_, stream| async move {
            let mut rest = Vec::new();
            let head = read_head(&stream, &mut rest).await.unwrap();
            assert!(head.starts_with("GET /live HTTP/1.1") && head.contains("upgrade: websocket"), "{head}");
            stream.queue(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
            let data = stream.read().await.unwrap();
            stream.queue(&data);
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(H2C).await;
        let tunnel = world.relay.tunnel();
        let mut head = RequestHead { upgrade: true, ..get("/live") };
        head.headers.append(Known::Upgrade, "websocket").unwrap();
        let stream = tunnel.open(&head, false);
        tunnel.event(|event| matches!(event, Event::Upgraded { .. }).then_some(())).await;
        tunnel.send(stream, pattern(1), false).await;
        let echoed =
            tunnel.event(|event| if let Event::Data { data, .. } = event { Some(data.clone()) } else { None }).await;
        assert_eq!(echoed, pattern(1));
    });
}

#[test]
fn more_requests_than_a_connection_takes_use_another() {
    sim(12, async {
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        backend(move |number, stream| {
            counted.set(number + 1);
            async move {
                let mut builder = h2::server::Builder::new();
                let begun = builder.max_concurrent_streams(4).handshake(Duplex::new(stream)).await;
                let mut connection: h2::server::Connection<_, Bytes> = begun.unwrap();
                while let Some(Ok(exchange)) = connection.accept().await {
                    spawn(async move {
                        sleep(Duration::from_millis(100)).await;
                        say(exchange, "hello").await;
                    })
                    .detach();
                }
            }
        });
        let world = World::start(H2C).await;
        let tunnel = world.relay.tunnel();
        // Teaches the connector how many requests a connection takes.
        assert_eq!(fetch(&tunnel).await, b"hello");
        let streams: Vec<_> = (0..12).map(|_| tunnel.open(&get("/"), true)).collect();
        for stream in streams {
            assert_eq!(tunnel.head(stream).await.0.status, 200);
        }
        assert!(connections.get() <= 4, "{} connections", connections.get());
    });
}
