//! Requests that go well: every framing, both directions, fast and slow.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use postern_http::{BodyKind, Known, Method};
use postern_io::{Stream, now, sleep, spawn, timeout};
use postern_tunnel::{Cancel, CancelCode, Culprit, Event};

use super::world::{World, answer_all, backend, fetch, get, pattern, read_head, request, sim};

#[test]
fn a_get_goes_through_and_its_connection_is_kept() {
    sim(1, async {
        backend(|number, stream| async move {
            assert_eq!(number, 0, "one connection is enough");
            answer_all(stream, "hello").await;
        });
        let world = World::start(&[]).await;
        for _ in 0..3 {
            assert_eq!(fetch(&world.relay.tunnel()).await, b"hello");
        }
        assert_eq!(world.shared.counters.requests_total.value(), 3);
        assert_eq!(world.shared.counters.requests.value(), 0);
        assert_eq!(world.shared.counters.response_bytes.value(), 15);
    });
}

#[test]
fn an_answer_says_how_long_the_backend_took() {
    sim(9, async {
        backend(|_, stream| async move {
            read_head(&stream, &mut Vec::new()).await.unwrap();
            sleep(Duration::from_millis(40)).await;
            stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
            sleep(Duration::from_millis(500)).await;
            stream.queue(b"ok");
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        tunnel.open(&get("/"), true);
        let took =
            tunnel.event(|event| if let Event::Head { backend_us, .. } = event { *backend_us } else { None }).await;
        assert!((40_000..60_000).contains(&took), "without the answer's body: {took}");
    });
}

#[test]
fn the_backend_sees_its_own_host_and_the_relays_fields() {
    sim(2, async {
        let (sender, mut seen) = postern_io::mailbox::mailbox(1);
        backend(move |_, stream| {
            let sender = sender.clone();
            async move {
                let head = read_head(&stream, &mut Vec::new()).await.unwrap();
                sender.send(head).unwrap();
                stream.queue(b"HTTP/1.1 204 No Content\r\n\r\n");
                sleep(Duration::from_secs(1)).await;
            }
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let mut head = get("/a%20b?c=d");
        head.headers.append(Known::XForwardedHost, "app1.example.com").unwrap();
        let stream = tunnel.open(&head, true);
        let (head, end) = tunnel.head(stream).await;
        assert_eq!((head.status, end), (204, true));
        let seen = seen.recv().await.unwrap();
        assert_eq!(seen, "GET /a%20b?c=d HTTP/1.1\r\nhost: 10.0.0.2\r\nx-forwarded-host: app1.example.com\r\n\r\n");
    });
}

/// Reads a body of known length and sends it back, chunked with a trailer if asked for.
async fn echo(stream: Stream, chunked: bool) {
    let mut rest = Vec::new();
    let head = read_head(&stream, &mut rest).await.unwrap();
    assert_eq!(head.contains("transfer-encoding: chunked"), chunked, "{head}");
    if !chunked {
        let length: usize = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
        stream.queue(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes());
        let mut left = length;
        loop {
            stream.queue(&rest);
            stream.writable().await.unwrap();
            left -= rest.len();
            if left == 0 {
                break;
            }
            rest = stream.read().await.unwrap().to_vec();
        }
    } else {
        // Chunks are echoed as they came: framing, data and trailer alike.
        stream.queue(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut tail = Vec::new();
        loop {
            stream.queue(&rest);
            stream.writable().await.unwrap();
            tail.extend_from_slice(&rest);
            if tail.ends_with(b"0\r\n\r\n") {
                break;
            }
            let keep = tail.len().saturating_sub(16);
            tail.drain(..keep);
            rest = stream.read().await.unwrap().to_vec();
        }
    }
    answer_all(stream, "again").await;
}

#[test]
fn bodies_come_back_unchanged_at_any_speed() {
    for (seed, pause_ms, chunked) in [(3, 0, false), (4, 20, false), (5, 0, true), (6, 20, true)] {
        sim(seed, async move {
            backend(move |_, stream| echo(stream, chunked));
            let world = World::start(&[]).await;
            let tunnel = world.relay.tunnel();
            let data = pattern(1_500_000);
            let kind = if chunked { BodyKind::Chunked } else { BodyKind::Length(data.len() as u64) };
            let stream = tunnel.open(&request(Method::Put, "/up", kind), false);
            let (sending, whole) = (std::rc::Rc::clone(&tunnel), data.clone());
            spawn(async move { sending.send(stream, whole, true).await }).detach();
            let (head, _) = tunnel.head(stream).await;
            assert_eq!(head.status, 200);
            let got = tunnel.body(stream, Duration::from_millis(pause_ms)).await;
            assert!(got == data, "seed {seed}: {} of {} bytes came back", got.len(), data.len());
            assert_eq!(fetch(&tunnel).await, b"again", "the connection is good for another request");
        });
    }
}

#[test]
fn a_slow_reader_holds_the_backend_back() {
    sim(7, async {
        let sent = std::rc::Rc::new(std::cell::Cell::new(0usize));
        let counting = std::rc::Rc::clone(&sent);
        backend(move |_, stream| {
            let sent = std::rc::Rc::clone(&counting);
            async move {
                read_head(&stream, &mut Vec::new()).await.unwrap();
                stream.queue(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n");
                let piece = pattern(50_000);
                while stream.writable().await.is_ok() && sent.get() < 50_000_000 {
                    stream.queue_bytes(&piece);
                    sent.set(sent.get() + piece.len());
                }
            }
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        tunnel.head(stream).await;
        sleep(Duration::from_secs(30)).await;
        assert!(sent.get() < 2_000_000, "{} bytes are somewhere although nobody reads", sent.get());
        // Another stream of the same tunnel is not held up.
        let begun = now();
        let other = tunnel.open(&get("/"), true);
        tunnel.head(other).await;
        assert!(now().since(begun) < Duration::from_millis(100));
    });
}

#[test]
fn interim_answers_trailers_and_early_hints_go_through() {
    sim(8, async {
        backend(|_, stream| async move {
            read_head(&stream, &mut Vec::new()).await.unwrap();
            stream.queue(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ntrailer: x-sum\r\n");
            stream.queue(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n");
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        tunnel.event(|event| matches!(event, Event::Informational { .. }).then_some(())).await;
        let (head, _) = tunnel.head(stream).await;
        assert_eq!(head.body, BodyKind::Chunked);
        let mut body = Vec::new();
        while body.len() < 3 {
            let data = tunnel.event(|event| match event {
                Event::Data { data, .. } => Some(data.clone()),
                _ => None,
            });
            body.extend_from_slice(&data.await);
        }
        assert_eq!(body, b"abc");
        let trailers = tunnel
            .event(|event| match event {
                Event::Trailers { trailers, .. } => Some(trailers.clone()),
                _ => None,
            })
            .await;
        let trailers = postern_http::Headers::decode(&trailers, &Default::default()).unwrap();
        assert_eq!(trailers.get_str("x-sum"), Some("9"));
    });
}

#[test]
fn after_an_upgrade_bytes_go_both_ways_until_both_ends_end() {
    sim(9, async {
        backend(|_, stream| async move {
            let mut rest = Vec::new();
            let head = read_head(&stream, &mut rest).await.unwrap();
            assert!(head.contains("upgrade: chat\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
            stream.queue(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: chat\r\nconnection: upgrade\r\n\r\nwelcome");
            loop {
                let bytes = stream.read().await.unwrap();
                if bytes.is_empty() {
                    break;
                }
                stream.queue_bytes(&bytes);
            }
            stream.queue(b"bye");
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let mut head = get("/chat");
        head.headers.append(Known::Upgrade, "chat").unwrap();
        head.upgrade = true;
        let stream = tunnel.open(&head, false);
        tunnel.event(|event| matches!(event, Event::Upgraded { .. }).then_some(())).await;
        tunnel.send(stream, Bytes::from_static(b" ping "), false).await;
        // Silence is nothing bad here.
        sleep(Duration::from_secs(500)).await;
        tunnel.send(stream, Bytes::from_static(b"pong "), true).await;
        assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"welcome ping pong bye");
    });
}

#[test]
fn an_early_answer_stops_the_upload_and_stands() {
    sim(10, async {
        backend(|_, stream| async move {
            read_head(&stream, &mut Vec::new()).await.unwrap();
            stream.queue(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
            sleep(Duration::from_secs(5)).await;
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Length(10_000_000)), false);
        let mut some = pattern(60_000);
        let _ = tunnel.connection.borrow_mut().send_data(stream, &mut some, false).unwrap();
        tunnel.flush();
        let (head, _) = tunnel.head(stream).await;
        assert_eq!(head.status, 413);
        assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"big");
        tunnel.event(|event| matches!(event, Event::Stopped { .. } | Event::Cancelled { .. }).then_some(())).await;
    });
}

#[test]
fn what_is_left_of_a_cancelled_requests_body_is_not_sent_any_more() {
    const PIECE_BYTES: usize = 16 << 10;
    // What a backend that does not read takes all the same: 128 KiB in its socket's queue, 256 KiB on the way, and a piece
    // more of each. The connector has another 256 KiB in its own queue then.
    const TAKEN_BYTES_MAX: usize = 512 << 10;
    sim(31, async {
        let got = Rc::new(Cell::new(0_usize));
        let counting = Rc::clone(&got);
        backend(move |_, stream| {
            let got = Rc::clone(&counting);
            async move {
                let mut rest = Vec::new();
                read_head(&stream, &mut rest).await;
                got.set(rest.len());
                // It reads on when the request is cancelled, and long before whatever is left would be given up.
                sleep(Duration::from_secs(6)).await;
                while let Ok(more) = stream.read().await
                    && !more.is_empty()
                {
                    got.set(got.get() + more.len());
                }
            }
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Length(64 << 20)), false);
        let sent = Cell::new(0_usize);
        let sending = async {
            while sent.get() < 8 << 20 {
                tunnel.send(stream, pattern(PIECE_BYTES), false).await;
                sent.set(sent.get() + PIECE_BYTES);
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(Duration::from_secs(5), sending).await.is_err(), "the backend took all of it");
        assert!(sent.get() > TAKEN_BYTES_MAX + 64 * 1024, "{} bytes", sent.get());
        tunnel.connection.borrow_mut().cancel(stream, &Cancel::new(Culprit::Client, CancelCode::GONE));
        tunnel.flush();
        sleep(Duration::from_secs(3)).await;
        assert!(got.get() > 256 << 10 && got.get() < TAKEN_BYTES_MAX, "{} of {} bytes", got.get(), sent.get());
    });
}
