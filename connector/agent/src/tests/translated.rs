//! Answers whose content is translated on its way.

use std::time::Duration;

use postern_http::{BodyKind, Known};
use postern_io::sleep;
use postern_tunnel::{CancelCode, Culprit};

use super::world::{World, backend, get, read_head, sim};

const OFF: &[(&str, &str)] = &[];
const ON: &[(&str, &str)] = &[("translate_body", "on")];
const LINK: &str = "<a href=\"http://10.0.0.2/x\">";
const TRANSLATED: &str = "<a href=\"https://app1.example.com/x\">";
const HTML: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";

#[test]
fn links_come_out_and_the_length_is_not_stated() {
    for (seed, settings, expected) in [(1, ON, TRANSLATED), (2, OFF, LINK)] {
        sim(seed, async move {
            backend(|_, stream| async move {
                let mut rest = Vec::new();
                while read_head(&stream, &mut rest).await.is_some() {
                    stream.queue(format!("{HTML}content-length: {}\r\n\r\n{LINK}", LINK.len()).as_bytes());
                }
            });
            let world = World::start(settings).await;
            let tunnel = world.relay.tunnel();
            // The connection is good for another one.
            for _ in 0..2 {
                let stream = tunnel.open(&get("/"), true);
                let (head, end) = tunnel.head(stream).await;
                let length = BodyKind::Length(LINK.len() as u64);
                assert_eq!((head.body, end), (if settings.is_empty() { length } else { BodyKind::Chunked }, false));
                assert_eq!(tunnel.body(stream, Duration::ZERO).await, expected.as_bytes());
            }
            assert_eq!(world.shared.counters.backend_connections.value(), 1);
        });
    }
}

#[test]
fn what_came_is_sent_on_before_the_rest_comes() {
    sim(3, async {
        backend(|_, stream| async move {
            read_head(&stream, &mut Vec::new()).await.unwrap();
            stream.queue(format!("{HTML}\r\n{LINK}<p>").as_bytes());
            sleep(Duration::from_secs(30)).await;
            stream.queue(b"<a hr");
            sleep(Duration::from_secs(30)).await;
            stream.queue(b"ef=http://10.0.0.2/y>");
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(ON).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        tunnel.head(stream).await;
        let expected = format!("{TRANSLATED}<p>");
        let mut first = Vec::new();
        while first.len() < expected.len() {
            let data = tunnel.event(|event| match event {
                postern_tunnel::Event::Data { data, .. } => Some(data.clone()),
                _ => None,
            });
            first.extend_from_slice(&postern_io::timeout(Duration::from_secs(5), data).await.unwrap());
        }
        assert_eq!(first, expected.as_bytes());
        assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"<a href=https://app1.example.com/y>");
    });
}

#[test]
fn trailers_follow_what_is_left_and_digests_do_not() {
    sim(4, async {
        backend(|_, stream| async move {
            read_head(&stream, &mut Vec::new()).await.unwrap();
            stream.queue(format!("{HTML}transfer-encoding: chunked\r\n\r\n2\r\n<a\r\n0\r\n").as_bytes());
            stream.queue(b"content-digest: x\r\nx-sum: 9\r\n\r\n");
            sleep(Duration::from_secs(1)).await;
        });
        let world = World::start(ON).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        tunnel.head(stream).await;
        let data = tunnel.event(|event| match event {
            postern_tunnel::Event::Data { data, .. } => Some(data.clone()),
            _ => None,
        });
        assert_eq!(data.await, &b"<a"[..]);
        let trailers = tunnel.event(|event| match event {
            postern_tunnel::Event::Trailers { trailers, .. } => Some(trailers.clone()),
            _ => None,
        });
        let trailers = postern_http::Headers::decode(&trailers.await, &Default::default()).unwrap();
        assert_eq!((trailers.get_str("x-sum"), trailers.get_str("content-digest")), (Some("9"), None));
    });
}

#[test]
fn a_broken_coding_breaks_the_answer() {
    // Not gzip; gzip that ends in the middle of its header.
    for (seed, content) in [(5, &b"<html>"[..]), (6, &b"\x1f\x8b\x08"[..])] {
        sim(seed, async move {
            backend(move |_, stream| async move {
                read_head(&stream, &mut Vec::new()).await.unwrap();
                let head = format!("{HTML}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", content.len());
                stream.queue(head.as_bytes());
                stream.queue(content);
                sleep(Duration::from_secs(1)).await;
            });
            let world = World::start(ON).await;
            let tunnel = world.relay.tunnel();
            let stream = tunnel.open(&get("/"), true);
            let cancel = tunnel.cancelled(stream).await;
            assert_eq!((cancel.culprit, cancel.code), (Culprit::Backend, CancelCode::BROKEN));
            assert!(cancel.detail.as_str().contains("gzip"), "{}", cancel.detail.as_str());
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
                stream.queue(format!("{HTML}\r\n").as_bytes());
                let piece = LINK.repeat(2000);
                while stream.writable().await.is_ok() && sent.get() < 50_000_000 {
                    stream.queue(piece.as_bytes());
                    sent.set(sent.get() + piece.len());
                }
            }
        });
        let world = World::start(ON).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        tunnel.head(stream).await;
        sleep(Duration::from_secs(30)).await;
        assert!(sent.get() < 2_000_000, "{} bytes are somewhere although nobody reads", sent.get());
    });
}

#[test]
fn the_backend_is_asked_for_all_of_it_in_what_can_be_read() {
    sim(8, async {
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
        let world = World::start(ON).await;
        let tunnel = world.relay.tunnel();
        let mut head = get("/");
        head.headers.append(Known::Range, "bytes=0-9").unwrap();
        head.headers.append(Known::AcceptEncoding, "dcb, gzip").unwrap();
        tunnel.head(tunnel.open(&head, true)).await;
        let seen = seen.recv().await.unwrap();
        assert!(!seen.contains("range:") && seen.contains("accept-encoding: gzip\r\n"), "{seen}");
    });
}
