//! HTTP/2 as users have it: their programs against the whole chain.

use std::process::Command;
use std::time::Duration;

use postern_tests::frames::{self, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS};
use postern_tests::nginx::Nginx;
use postern_tests::origin::Origin;
use postern_tests::pattern;
use postern_tests::world::World;

fn curl(world: &World, host: &str, arguments: &[&str]) -> (String, Vec<u8>) {
    let (name, _) = host.split_once(':').unwrap();
    let head = world.path("curl.head");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--http2", "--max-time", "20", "--dump-header"])
        .arg(&head)
        .args(world.curl(name))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), world.logs());
    (std::fs::read_to_string(head).unwrap(), output.stdout)
}

#[test]
fn curl_speaks_it_by_itself() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let url = |path: &str| format!("https://{}{path}", client.host);

    let (head, body) = curl(&world, &client.host, &[&url("/bytes/100000")]);
    assert!(head.starts_with("HTTP/2 200") && head.contains("content-length: 100000"), "{head}");
    assert_eq!(body, pattern::bytes(100_000));

    let upload = world.path("upload");
    std::fs::write(&upload, pattern::bytes(3_000_000)).unwrap();
    let data = format!("@{}", upload.display());
    let (_, answer) = curl(&world, &client.host, &["--data-binary", &data, &url("/sha")]);
    let sum = format!("{} 3000000", pattern::sha256(&pattern::bytes(3_000_000)));
    assert_eq!(String::from_utf8(answer).unwrap(), sum);

    let (head, body) = curl(&world, &client.host, &["--head", &url("/bytes/5000")]);
    assert!(head.contains("content-length: 5000") && body.len() < 500, "{head}");
    let (head, _) = curl(&world, &client.host, &[&url("/hints")]);
    assert!(head.starts_with("HTTP/2 103") && head.contains("HTTP/2 200"), "{head}");
    let (head, _) = curl(&world, &client.host, &[&url("/chunked/40000")]);
    assert!(head.contains("x-sum: 40000"), "trailers arrive: {head}");
    for status in [204, 304] {
        let (head, body) = curl(&world, &client.host, &[&url(&format!("/status/{status}"))]);
        assert!(head.starts_with(&format!("HTTP/2 {status}")) && body.is_empty(), "{head}");
    }
}

#[test]
fn the_application_sees_an_ordinary_request() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let url = format!("https://{}/head?a=b%20c", client.host);
    let more = ["--cookie", "a=1; b=2", "--header", "X-Own: kept", "--header", "X-Forwarded-For: 10.9.8.7", &url];
    let (_, seen) = curl(&world, &client.host, &more);
    let seen = String::from_utf8(seen).unwrap().to_lowercase();
    assert!(seen.starts_with("get /head?a=b%20c http/1.1\r\n"), "{seen}");
    assert!(seen.contains("x-own: kept") && seen.contains("cookie: a=1; b=2"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: https") && !seen.contains("10.9.8.7"), "{seen}");
    assert!(seen.contains(&format!("x-forwarded-host: {}", client.host)), "{seen}");
}

#[test]
fn nghttp_and_h2load_are_answered_completely() {
    let world = World::usual().unwrap();
    let nginx = Nginx::start(world.folder()).unwrap();
    let client = world.publish("web", &format!("http://{}/", nginx.address())).unwrap();
    let (name, port) = client.host.split_once(':').unwrap();
    let connect_to = format!("{}:{port}", world.relay_address.ip());
    let output = Command::new("h2load")
        .args(["--requests=20000", "--clients=8", "--max-concurrent-streams=32", "--connect-to", &connect_to])
        .arg(format!("--log-file={}", world.path("h2load.log").display()))
        .arg(format!("https://{name}:{port}/small"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let statuses = std::fs::read_to_string(world.path("h2load.log")).unwrap();
    let other: Vec<_> = statuses.lines().filter(|line| line.split_whitespace().nth(1) != Some("200")).collect();
    assert!(said.contains("20000 succeeded, 0 failed, 0 errored"), "{said}\n{other:?}\n{}", world.logs());
    let output = Command::new("nghttp")
        .args([
            "--null-out",
            "--verbose",
            "--timeout=20",
            "--multiply=20",
            "--header",
            &format!(":authority: {}", client.host),
        ])
        .arg(format!("https://{}/10m", world.relay_address))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // nghttp asks for the address, so the server name is not the host's: what matters is that it says so politely.
    assert!(said.contains(":status: 421") || said.contains(":status: 200"), "{said}");
}

#[test]
fn hosts_share_no_connection_and_errors_concern_one_request() {
    let world = World::usual().unwrap();
    let (one, two) = (Origin::start().unwrap(), Origin::start().unwrap());
    let client = world.publish("one", &one.url()).unwrap();
    world.publish("two", &two.url()).unwrap();
    let mut connection = Frames::connect(&client, &[]).unwrap();
    let other = client.host.replacen("one", "two", 1);
    let block = frames::request("GET", &other, "/bytes/10", &[]);
    connection.frame(HEADERS, END_STREAM | END_HEADERS, 1, &block).unwrap();
    assert_eq!(connection.status(1).unwrap(), 421);
    connection.get(3, "/a/%2e%2e/b").unwrap();
    assert_eq!(connection.status(3).unwrap(), 400);
    let block = frames::request("GET", &client.host, "/bytes/10", &[("transfer-encoding", "chunked")]);
    connection.frame(HEADERS, END_STREAM | END_HEADERS, 5, &block).unwrap();
    let answer = connection.until(|frame| frame.stream == 5).unwrap();
    assert!(answer.error() == Some(frames::PROTOCOL_ERROR) || answer.status() == Some(400), "{answer:?}");
    connection.get(7, "/bytes/10").unwrap();
    assert_eq!(connection.status(7).unwrap(), 200);
}

#[test]
fn an_answer_that_breaks_off_never_looks_complete() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = Frames::connect(&client, &[(4, 1 << 30)]).unwrap();
    connection.frame(frames::WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes()).unwrap();
    connection.get(1, "/short").unwrap();
    assert_eq!(connection.status(1).unwrap(), 200);
    let end = connection.until(|frame| frame.stream == 1 && (frame.kind != DATA || frame.flags & END_STREAM != 0));
    assert_eq!(end.unwrap().kind, frames::RST_STREAM);
    connection.get(3, "/bytes/10").unwrap();
    assert_eq!(connection.status(3).unwrap(), 200);
}

#[test]
fn a_drain_says_so_and_finishes_what_was_begun() {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let mut connection = Frames::connect(&client, &[]).unwrap();
    let block = frames::request("POST", &client.host, "/echo", &[]);
    connection.frame(HEADERS, END_HEADERS, 1, &block).unwrap();
    connection.frame(DATA, 0, 1, b"one ").unwrap();
    connection.until(|frame| frame.kind == DATA && frame.stream == 1).unwrap();
    world.relay().signal(nix::sys::signal::Signal::SIGTERM);
    let away = connection.until(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(away.error(), Some(frames::NO_ERROR));
    connection.frame(DATA, END_STREAM, 1, b"two").unwrap();
    let mut body = Vec::new();
    loop {
        let frame = connection.read().unwrap().expect("the answer ends before the connection does");
        if frame.kind == frames::PING && frame.flags == 0 {
            connection.frame(frames::PING, frames::ACK, 0, &frame.payload).unwrap();
        }
        if frame.kind == DATA {
            body.extend_from_slice(&frame.payload);
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
    }
    assert_eq!(body, b"two");
    let code = connection.closed_within(Duration::from_secs(5)).unwrap();
    assert!(code.is_none_or(|code| code == frames::NO_ERROR), "closed with {code:?}");
}
