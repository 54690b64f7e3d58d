//! WebSockets through the whole chain, over HTTP/1.1 and over HTTP/2.

use std::time::Duration;

use nix::sys::signal::Signal;
use postern_tests::client::{Client, Connection};
use postern_tests::frames::{self, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, WINDOW_UPDATE};
use postern_tests::origin::Origin;
use postern_tests::origin::websocket::{frame, masked_frame};
use postern_tests::pattern;
use postern_tests::within;
use postern_tests::world::World;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const NORMAL: [u8; 2] = 1000u16.to_be_bytes();
const GOING_AWAY: [u8; 2] = 1001u16.to_be_bytes();

fn scene() -> (World, Origin, Client) {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    (world, origin, client)
}

fn opened(client: &Client) -> Connection {
    let fields = [("Cookie", "session=1"), ("Origin", &format!("https://{}", client.host))];
    let (connection, head) = client.websocket("/ws?room=1", &fields).unwrap();
    let field = |name: &str| head.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((field("set-cookie"), field("upgrade")), (Some("ws=1"), Some("websocket")));
    connection
}

fn assert_handshake_arrived(origin: &Origin) {
    let head = origin.heads().pop().unwrap().to_lowercase();
    assert!(head.starts_with("get /ws?room=1 http/1.1"), "{head}");
    for wanted in ["cookie: session=1", "sec-websocket-version: 13", "upgrade: websocket", "sec-websocket-key: "] {
        assert!(head.contains(wanted), "{wanted} is missing: {head}");
    }
    assert!(head.contains(&format!("origin: {}", origin.url().trim_end_matches('/'))), "{head}");
}

#[test]
fn over_http_1_messages_of_every_size_pass() {
    let (_world, origin, client) = scene();
    let mut connection = opened(&client);
    assert_handshake_arrived(&origin);
    for size in [0, 5, 126, 70_000, 3_000_000] {
        let message = pattern::bytes(size);
        connection.send(&masked_frame(BINARY, &message)).unwrap();
        assert!(connection.exactly(frame(BINARY, &message).len()).unwrap() == frame(BINARY, &message), "{size} bytes");
    }
    connection.send(&masked_frame(CLOSE, &NORMAL)).unwrap();
    let (rest, closed) = connection.drain();
    assert_eq!((rest, closed), (frame(CLOSE, &NORMAL), true));
    assert_eq!(origin.goodbyes(), [1000]);
}

#[test]
fn over_http_1_a_drain_ends_it_with_a_word_to_both() {
    let (mut world, origin, client) = scene();
    let mut connection = opened(&client);
    connection.send(&masked_frame(TEXT, b"hello")).unwrap();
    assert_eq!(connection.exactly(7).unwrap(), frame(TEXT, b"hello"));
    world.relay().signal(Signal::SIGTERM);
    let (rest, closed) = connection.drain();
    assert_eq!((rest, closed), (frame(CLOSE, &GOING_AWAY), true));
    assert!(within(Duration::from_secs(3), || origin.goodbyes() == [1001]), "{:?}", origin.goodbyes());
}

#[test]
fn over_http_2_it_is_one_stream_among_others() {
    let (world, origin, client) = scene();
    let mut connection = Frames::connect(&client, &[(4, 1 << 24)]).unwrap();
    let settings = connection.until(|frame| frame.kind == frames::SETTINGS && frame.flags == 0).unwrap();
    let offers = settings.payload.chunks(6).any(|pair| pair == [0, 8, 0, 0, 0, 1]);
    assert!(offers, "SETTINGS_ENABLE_CONNECT_PROTOCOL: {:?}", settings.payload);
    connection.frame(WINDOW_UPDATE, 0, 0, &(1u32 << 24).to_be_bytes()).unwrap();
    let more = [
        (":protocol", "websocket"),
        ("sec-websocket-version", "13"),
        ("origin", &format!("https://{}", client.host)),
        ("cookie", "session=1"),
    ];
    let mut block = frames::field(":method", "CONNECT");
    block.extend(frames::request("", &client.host, "/ws?room=1", &[]).split_off(frames::field(":method", "").len()));
    // Pseudo fields come first.
    block.extend(more.iter().flat_map(|(name, value)| frames::field(name, value)));
    connection.frame(HEADERS, END_HEADERS, 1, &block).unwrap();
    assert_eq!(connection.status(1).unwrap(), 200, "{}", world.logs());
    assert_handshake_arrived(&origin);
    let mut next = 3;
    for size in [0, 5, 126, 50_000] {
        let message = pattern::bytes(size);
        for piece in masked_frame(BINARY, &message).chunks(16_000) {
            connection.frame(DATA, 0, 1, piece).unwrap();
        }
        let wanted = frame(BINARY, &message);
        let mut seen = Vec::new();
        while seen.len() < wanted.len() {
            seen.extend(connection.until(|frame| frame.kind == DATA && frame.stream == 1).unwrap().payload);
        }
        assert!(seen == wanted, "{size} bytes");
        connection.get(next, "/bytes/10").unwrap();
        assert_eq!(connection.status(next).unwrap(), 200, "beside it requests are answered");
        next += 2;
    }
    connection.frame(DATA, 0, 1, &masked_frame(CLOSE, &NORMAL)).unwrap();
    let mut seen = Vec::new();
    loop {
        let piece = connection.until(|frame| frame.stream == 1).unwrap();
        assert_eq!(piece.kind, DATA);
        seen.extend(piece.payload);
        if piece.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(seen, frame(CLOSE, &NORMAL));
    assert_eq!(origin.goodbyes(), [1000]);
}
