//! Without TLS: what is published so is served, everything else is sent on to where it is.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Output;
use std::time::Duration;

use postern_tests::origin::Origin;
use postern_tests::world::{Options, World, free_address};

const HOST: &str = "plain.example.test";

/// A relay that listens without TLS, too.
fn world() -> (World, SocketAddr) {
    let address = free_address(Ipv4Addr::LOCALHOST).unwrap();
    let relay = vec!["--listen-http".into(), address.to_string()];
    (World::start(Options { relay, ..Options::default() }).unwrap(), address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The answer to a request on a connection of its own.
fn ask(address: SocketAddr, request: &str, host: &str, more: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn publish(world: &World, internal: &str, external: &str, preauth: &str) -> Output {
    let names = ["--external", external, "--internal", internal, "--preauth", preauth];
    world.cli_output(&[&["app", "publish", "plain"], names.as_slice()].concat()).unwrap()
}

/// What went well, and what it was warned of.
fn warned(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn an_application_published_without_tls_is_served_without_and_told_so() {
    let (world, address) = world();
    let origin = Origin::start().unwrap();
    let said = warned(&publish(&world, &origin.url(), &format!("http://{HOST}/"), "passthrough"));
    assert!(said.contains("plain text"), "{said}");
    world
        .expect_within(Duration::from_secs(10), "it is served", |_| ask(address, "GET /", HOST, "").contains(" 200 "))
        .unwrap();
    let forged = "X-Forwarded-Proto: https\r\nForwarded: proto=https\r\n";
    let seen = ask(address, "GET /head", HOST, forged).to_lowercase();
    assert!(seen.contains("x-forwarded-proto: http\r\n") && seen.contains(";proto=http\r\n"), "{seen}");
    assert!(!seen.contains("https"), "{seen}");
    // By TLS as well, and the application knows.
    let client = world.client(&format!("{HOST}:{}", world.relay_address.port())).unwrap();
    let seen = client.connect().unwrap().request("GET", "/head", &[], b"").unwrap();
    assert!(seen.text().to_lowercase().contains("x-forwarded-proto: https"), "{}", seen.text());
}

#[test]
fn an_application_published_with_tls_is_not_served_without() {
    let (world, address) = world();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let host = client.host.split_once(':').unwrap().0;
    for (request, named) in [
        ("GET /a//b?c=%20d", host),
        ("POST /a//b?c=%20d", "APP.example.test:8080"),
        ("GET http://app.example.test/a//b?c=%20d", host),
    ] {
        let answer = ask(address, request, named, "");
        assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
        assert!(
            answer.to_lowercase().contains(&format!("\r\nlocation: https://{}/a//b?c=%20d\r\n", client.host)),
            "{answer}"
        );
        assert!(!answer.contains("set-cookie"), "{answer}");
    }
    for (request, host, status) in
        [("GET /", "other.example.test", 421), ("OPTIONS *", host, 404), ("GET /\t", host, 400)]
    {
        let answer = ask(address, request, host, "");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    // The beginning of a handshake.
    let mut stream = connect(address);
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn asking_who_users_are_moves_an_application_to_tls_in_the_same_step() {
    let (world, address) = world();
    let origin = Origin::start().unwrap();
    let plain = format!("http://{HOST}/");
    let refused = publish(&world, &origin.url(), &plain, "oidc");
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && words.contains("plain text") && words.contains("write https://"), "{words}");
    warned(&publish(&world, &origin.url(), &plain, "passthrough"));
    world
        .expect_within(Duration::from_secs(10), "it is served", |_| ask(address, "GET /", HOST, "").contains(" 200 "))
        .unwrap();

    // A connection that stays over the switch: what it asks for next is asked for without TLS still.
    let mut kept = connect(address);
    let mut get = || {
        write!(kept, "HEAD /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n").unwrap();
        let mut first = [0; 4096];
        let read = kept.read(&mut first).unwrap();
        String::from_utf8_lossy(&first[..read]).into_owned()
    };
    assert!(get().starts_with("HTTP/1.1 "), "it is served");
    // And a WebSocket, with a token that would let it in by TLS.
    let shown = world.json(&["access", "token", "create", "robot", "--app", "plain"]).unwrap();
    let token = shown["token"].as_str().unwrap().to_owned();
    let mut live = connect(address);
    let fields = format!("Authorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    write!(live, "GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{fields}{key}\r\n").unwrap();
    let mut first = [0; 4096];
    let read = live.read(&mut first).unwrap();
    assert!(first[..read].starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&first[..read]));
    let said = warned(&world.cli_output(&["app", "set", "plain", "--preauth", "oidc"]).unwrap());
    assert!(said.contains(&format!("https://{HOST}/ from now on")), "{said}");
    let shown = world.json(&["app", "show", "plain"]).unwrap().to_string();
    assert!(shown.contains(&format!("https://{HOST}/")) && !shown.contains(&plain), "{shown}");
    live.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut rest = Vec::new();
    let ended = live.read_to_end(&mut rest).map_err(|error| error.kind());
    assert!(matches!(ended, Ok(_) | Err(ErrorKind::ConnectionReset)), "it goes on in plain text: {ended:?}");
    for answer in [get(), ask(address, "GET /x", HOST, "")] {
        assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
        assert!(answer.to_lowercase().contains(&format!("location: https://{HOST}/x\r\n")), "{answer}");
    }

    // A port of its own says nothing of which one speaks TLS; and nobody goes back to plain text while users are asked.
    let odd = format!("http://{HOST}:8080/");
    let refused = world.cli(&["app", "set", "plain", "--external", &odd]).unwrap_err().to_string();
    assert!(refused.contains("plain text"), "{refused}");
    world.cli(&["app", "set", "plain", "--external", &odd, "--preauth", "passthrough"]).unwrap();
    let refused = world.cli(&["app", "set", "plain", "--preauth", "oidc"]).unwrap_err().to_string();
    assert!(refused.contains("write https://"), "{refused}");
    world.cli(&["app", "set", "plain", "--preauth", "oidc", "--external", &format!("https://{HOST}:8443/")]).unwrap();
    let answer = ask(address, "GET /x", HOST, "");
    assert!(answer.to_lowercase().contains(&format!("location: https://{HOST}:8443/x\r\n")), "{answer}");
    // Where people sign in is never without TLS.
    let refused =
        world.cli(&["identity", "publish", "--external", "http://login.example.test/"]).unwrap_err().to_string();
    assert!(refused.contains("https://HOST"), "{refused}");
}
