//! WebSockets over HTTP/1.1: how long they may last, and how they end.

use super::super::drain::DrainState;
use super::*;

/// A client whose WebSocket is open.
async fn opened() -> Client {
    opened_with("").await
}

/// The same, with further fields.
pub(super) async fn opened_with(fields: &str) -> Client {
    let client = Client::new().await;
    let offer = format!(
        "GET /switch HTTP/1.1\r\nhost: {HOST}\r\n{fields}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    client.stream.queue(offer.as_bytes());
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.extend_from_slice(&client.stream.read().await.unwrap());
    }
    let head = String::from_utf8(seen).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    client
}

/// Sends bytes and waits for their echo.
pub(super) async fn echoed(client: &Client, bytes: &[u8]) {
    client.stream.queue(bytes);
    let mut seen = Vec::new();
    while seen.len() < bytes.len() {
        seen.extend_from_slice(&client.stream.read().await.unwrap());
    }
    assert_eq!(seen, bytes);
}

/// Everything until the relay ends the connection.
pub(super) async fn rest(client: &Client) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = client.stream.read().await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
    }
}

const GOING_AWAY: [u8; 4] = [0x88, 2, 3, 0xe9];

#[test]
fn a_drain_waits_for_the_frames_end() {
    in_the_simulator(40, async {
        let worker = worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = opened().await;
        echoed(&client, &[0x81, 5, b'h', b'e']).await;
        worker.drain.advance(DrainState::Draining);
        worker.look(&mut false);
        sleep(Duration::from_millis(200)).await;
        client.stream.queue(b"llo");
        let begun = now();
        assert_eq!(rest(&client).await, [b"llo", &GOING_AWAY[..]].concat());
        assert!(now().since(begun) < Duration::from_millis(100));
        // The application is told too, and waited for a moment: the fake one sends back whatever comes.
        sleep(Duration::from_secs(3)).await;
        assert_eq!(tunnel.open_streams(), 0);
    });
}

#[test]
fn an_idle_one_is_told_before_it_ends() {
    in_the_simulator(41, async {
        let worker = worker_with(&[("websocket_idle_s", "60")]);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = opened().await;
        let begun = now();
        for _ in 0..4 {
            sleep(Duration::from_secs(50)).await;
            echoed(&client, &[0x81, 1, b'a']).await;
        }
        assert_eq!(rest(&client).await, GOING_AWAY);
        let lasted = now().since(begun).as_secs();
        assert!((260..265).contains(&lasted), "a minute after the last message: {lasted} s");
    });
}

#[test]
fn none_lasts_for_ever() {
    in_the_simulator(42, async {
        let worker = worker_with(&[("websocket_lifetime_s", "300")]);
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = opened().await;
        let begun = now();
        while now().since(begun) < Duration::from_secs(290) {
            echoed(&client, &[0x82, 0]).await;
            sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(rest(&client).await, GOING_AWAY);
        let lasted = now().since(begun).as_secs();
        assert!((300..305).contains(&lasted), "{lasted} s");
    });
}

#[test]
fn one_that_is_closing_is_left_alone() {
    in_the_simulator(43, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let client = opened().await;
        // Its own good-bye, which the fake application sends back: there is nothing to add.
        echoed(&client, &[0x88, 2, 3, 0xe8]).await;
        worker.drain.advance(DrainState::Draining);
        worker.look(&mut false);
        client.stream.finish();
        assert!(rest(&client).await.is_empty());
    });
}
