//! A connection carries another protocol from the application's 101 on, and not before: whoever only pretends to switch stays with
//! requests, each of which is looked at.

use std::time::Duration;

use postern_tests::frames::{self, END_HEADERS, Frames, HEADERS};
use postern_tests::origin::websocket::masked_frame;

use super::Stage;

const WEBSOCKET: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
const MOMENT: Duration = Duration::from_millis(300);
const TEXT: u8 = 0x81;

#[test]
fn without_a_101_what_follows_is_a_request_like_others() {
    let mut stage = Stage::start();
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        // As a server answers whose version was not asked for.
        "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nok",
    ];
    for answer in answers {
        let fields = [&WEBSOCKET[..2], &[("Sec-WebSocket-Version", "777"), WEBSOCKET[3]]].concat();
        stage.connection.send_head("GET", "/ws", &fields).unwrap();
        // It is sent before anybody has agreed to anything.
        let hidden = "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        stage.connection.send(hidden.as_bytes()).unwrap();
        let mut taken = stage.played.next().unwrap();
        assert_eq!(taken.field("upgrade"), Some("websocket"), "{}", taken.head);
        assert!(stage.played.is_quiet(MOMENT));
        taken.send(answer.as_bytes()).unwrap();
        let got = stage.connection.answer("GET").unwrap();
        assert!(got.status != 101 && got.text() == "ok", "{got:?}");
        assert_eq!(stage.connection.answer("GET").unwrap().status, 421, "it is another host's: {answer}");
        stage.connection.send_head("GET", "/seen", &[("X-Postern-User", "eve")]).unwrap();
        // On a connection of the pool, the same one or another.
        if !taken.again().unwrap_or(false) {
            taken = stage.played.next().unwrap();
        }
        assert!(taken.head.starts_with("GET /seen ") && taken.field("x-postern-user").is_none(), "{}", taken.head);
        taken.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nseen").unwrap();
        assert_eq!(stage.connection.answer("GET").unwrap().text(), "seen");
        stage.connection.send(&masked_frame(TEXT, b"hello")).unwrap();
        stage.connection.send(b"\r\n\r\n").unwrap();
        assert_eq!(stage.connection.answer("GET").unwrap().status, 400, "a frame is no request: {answer}");
        assert!(stage.connection.drain().1 && stage.played.is_quiet(MOMENT));
        stage.connection = stage.client.connect().unwrap();
    }
}

#[test]
fn a_101_with_content_is_no_switch() {
    let mut stage = Stage::start();
    for lines in ["Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"] {
        stage.connection.send_head("GET", "/ws", &WEBSOCKET).unwrap();
        let mut taken = stage.played.next().unwrap();
        let answer =
            format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{lines}\r\nok");
        taken.send(answer.as_bytes()).unwrap();
        let got = stage.connection.answer("GET").unwrap();
        assert!(got.status == 502 && got.text().contains("backend-broken"), "{lines}: {got:?}");
        assert!(taken.ends());
        stage.goes_on(lines);
    }
}

#[test]
fn what_was_switched_serves_nobody_else() {
    let mut stage = Stage::start();
    stage.connection.send_head("GET", "/ws", &WEBSOCKET).unwrap();
    let mut taken = stage.played.next().unwrap();
    taken.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert_eq!(stage.connection.head("GET").unwrap().status, 101);
    // Whatever looks like a request is bytes of the other protocol now, in a connection that is this client's alone.
    let bytes = b"GET /inside HTTP/1.1\r\nHost: x\r\n\r\n";
    stage.connection.send(bytes).unwrap();
    assert_eq!(taken.exactly(bytes.len()).unwrap(), bytes);
    taken.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison").unwrap();
    stage.connection.until(b"poison").unwrap();
    stage.connection = stage.client.connect().unwrap();
    stage.goes_on("beside what was switched");
    assert!(stage.played.is_quiet(MOMENT));
}

#[test]
fn over_http_2_only_a_101_opens_a_websocket() {
    let stage = Stage::start();
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502),
        ("HTTP/1.1 204 No Content\r\n\r\n", 502),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nok", 403),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", 502),
        // Made for another handshake: the RFC's example.
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            502,
        ),
    ] {
        let mut client = Frames::connect(&stage.client, &[]).unwrap();
        let fields = [
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":authority", &*client.host),
            (":path", "/ws"),
            (":protocol", "websocket"),
            ("sec-websocket-version", "13"),
        ];
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| frames::field(name, value)).collect();
        client.frame(HEADERS, END_HEADERS, 1, &block).unwrap();
        let mut taken = stage.played.next().unwrap();
        assert!(taken.head.starts_with("GET /ws HTTP/1.1\r\n"), "{}", taken.head);
        taken.send(answer.as_bytes()).unwrap();
        assert_eq!(client.status(1).unwrap(), status, "{answer}: {}", stage.world.logs());
        client.get(3, "/next").unwrap();
        // On a connection of the pool, the same one or another.
        if !taken.again().unwrap_or(false) {
            taken = stage.played.next().unwrap();
        }
        assert!(taken.head.starts_with("GET /next HTTP/1.1\r\n"), "{}", taken.head);
        taken.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmine").unwrap();
        assert_eq!(client.status(3).unwrap(), 200, "{answer}");
    }
}
