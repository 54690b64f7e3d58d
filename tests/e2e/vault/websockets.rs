//! A WebSocket of someone who is known: the application is told who it is and signs them on, at its own address.

use postern_tests::client::Client;
use postern_tests::frames::{DATA, END_HEADERS, Frames, HEADERS, field};
use postern_tests::origin::Origin;
use postern_tests::origin::websocket::{frame, masked_frame};

use super::{Scene, said};

const TEXT: u8 = 0x81;
/// `ABERG:annas pass`.
const BASIC: &str = "authorization: Basic QUJFUkc6YW5uYXMgcGFzcw==";

/// What the application saw of the last handshake.
fn assert_told(origin: &Origin, client: &Client) {
    let head = origin.heads().pop().unwrap();
    let lower = head.to_lowercase();
    assert!(lower.starts_with("get /ws?room=1 http/1.1\r\n") && lower.contains("\r\nupgrade: websocket\r\n"), "{head}");
    let own = origin.url();
    let own = own.trim_end_matches('/');
    let host = own.trim_start_matches("http://");
    for wanted in [format!("host: {host}"), format!("origin: {own}"), "x-postern-user: anna".to_owned()] {
        assert_eq!(lower.matches(&format!("\r\n{wanted}\r\n")).count(), 1, "{wanted}: {head}");
    }
    assert!(lower.contains(&format!("x-forwarded-host: {}\r\n", client.host)), "{head}");
    assert!(lower.contains(&format!("\r\n{}\r\n", BASIC.to_lowercase())) && head.contains(&BASIC[21..]), "{head}");
    for kept_out in ["mallory", "__host-postern", "Z3Vlc3M="] {
        assert!(!head.contains(kept_out) && !lower.contains(kept_out), "{kept_out}: {head}");
    }
    assert!(lower.contains("cookie: own=1\r\n"), "the application's own cookies come along: {head}");
}

#[test]
fn the_upgrade_carries_who_it_is_and_signs_them_on() {
    let scene = Scene::start(&["anna"]);
    let origin = Origin::start().unwrap();
    let settings = ["sso=basic", "backend_plaintext=allow"];
    let client = scene.publish("live", &origin.url(), &["anna"], &settings);
    said(&scene.set("live", &["--user", "anna", "--name", "ABERG"], "annas pass"), true);
    let (anna, status, answer) = scene.signed_in(&client, "anna", "/bytes/3");
    assert_eq!(status, 200, "{answer}");
    let cookie = format!("own=1; {}", anna.cookie(&client.host));
    let external = format!("https://{}", client.host);

    let forged = ("X-Postern-User", "mallory");
    let fields = [("Cookie", &*cookie), ("Origin", &external), ("Authorization", "Basic Z3Vlc3M="), forged];
    let (mut connection, _) = client.websocket("/ws?room=1", &fields).unwrap();
    assert_told(&origin, &client);
    connection.send(&masked_frame(TEXT, b"hello")).unwrap();
    assert_eq!(connection.exactly(7).unwrap(), frame(TEXT, b"hello"));

    let mut connection = Frames::connect(&client, &[]).unwrap();
    let head = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", &*client.host),
        (":path", "/ws?room=1"),
        ("sec-websocket-version", "13"),
        ("origin", &external),
        ("cookie", &*cookie),
        ("authorization", "Basic Z3Vlc3M="),
        ("x-postern-user", "mallory"),
    ];
    let block: Vec<u8> = head.iter().flat_map(|(name, value)| field(name, value)).collect();
    connection.frame(HEADERS, END_HEADERS, 1, &block).unwrap();
    assert_eq!(connection.status(1).unwrap(), 200, "{}", scene.world.logs());
    assert_told(&origin, &client);
    connection.frame(DATA, 0, 1, &masked_frame(TEXT, b"hello")).unwrap();
    let echoed = connection.until(|frame| frame.kind == DATA && frame.stream == 1).unwrap();
    assert_eq!(echoed.payload, frame(TEXT, b"hello"));
}
