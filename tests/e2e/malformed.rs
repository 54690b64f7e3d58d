//! What is ambiguous or broken on the wire is refused with 400 and the connection closed; the application never sees it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use postern_tests::origin::Origin;
use postern_tests::world::World;

#[test]
fn ambiguous_requests_never_reach_the_application() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap().timeout(Duration::from_secs(5));
    let host = client.host.clone();
    let with = |lines: &str| format!("POST /head HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    let target = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let table = [
        ("CL and TE", with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")),
        ("two lengths", with("Content-Length: 4\r\nContent-Length: 5\r\n")),
        ("length not a number", with("Content-Length: +4\r\n")),
        ("unknown transfer coding", with("Transfer-Encoding: xchunked\r\n")),
        ("two hosts", with(&format!("Host: {host}\r\n"))),
        ("no host", "GET /head HTTP/1.1\r\n\r\n".to_owned()),
        ("folded header", with("X-A: b\r\n c\r\n")),
        ("space before the colon", with("X-A : b\r\n")),
        ("NUL in a value", with("X-A: b\0c\r\n")),
        ("bare LF", with("X-A: b\nX-B: c\r\n")),
        ("bare CR", with("X-A: b\rX-B: c\r\n")),
        ("no version", format!("GET /head\r\nHost: {host}\r\n\r\n")),
        ("bad version", format!("GET /head HTTP/1.7x\r\nHost: {host}\r\n\r\n")),
        ("space in the target", target("/head x")),
        ("dot segments", target("/bytes/../head")),
        ("encoded dot segments", target("/bytes/%2e%2e/head")),
        ("encoded NUL", target("/head%00")),
        ("encoded backslash", target("/head%5cx")),
        ("encoded slash", target("/head%2fx")),
        ("a broken chunk size", format!("{}zz\r\n", with("Transfer-Encoding: chunked\r\n"))),
    ];
    for (what, bytes) in table {
        let mut connection = client.connect().unwrap();
        connection.send(bytes.as_bytes()).unwrap();
        let answer = connection.answer("GET").unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", world.logs()));
        // RFC 9112, 6.1: what cannot be decoded is not implemented.
        let status = if what == "unknown transfer coding" { 501 } else { 400 };
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let (_, closed) = connection.drain();
        assert!(closed, "{what}: the connection stays open");
    }
    assert!(origin.heads().iter().all(|head| head.starts_with("POST /head")), "{:?}", origin.heads());
    assert_eq!(client.get("/bytes/3").unwrap().status, 200);
}

#[test]
fn noise_on_the_port_harms_nobody() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let dataplane = world.dataplane();
    let pieces: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01\x00\x00\x00",
        b"\x16\x03\x01\x00\x05\x01\x00\xff\xff\xff",
        &[0; 4096],
        &[0xff; 100_000],
    ];
    for piece in pieces {
        let mut socket = TcpStream::connect(world.relay_address).unwrap();
        // It may be refused while it is still sent.
        let _ = socket.write_all(piece);
        assert_eq!(client.get("/bytes/3").unwrap().status, 200);
    }
    assert_eq!(world.dataplane(), dataplane, "{}", world.logs());
}
