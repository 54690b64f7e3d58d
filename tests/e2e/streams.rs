//! What is more than a question and its answer: calls of gRPC, events as they happen, interim answers, parts of files, and
//! methods whose content never ends.

use std::time::Duration;

use postern_tests::client::{Answer, Client};
use postern_tests::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, request};
use postern_tests::grpc::{self, Grpc, PYTHON_VARIABLE};
use postern_tests::nginx::Nginx;
use postern_tests::played::Played;
use postern_tests::world::World;
use postern_tests::{pass_over, pattern};

fn scene() -> (World, Played, Client) {
    let world = World::usual().unwrap();
    let played = Played::start().unwrap();
    let client = world.publish("app", &played.url()).unwrap();
    (world, played, client)
}

/// grpcio as service and as client, HTTP/2 from end to end: `tests/peers/grpc/client.py` says what is checked.
#[test]
fn every_kind_of_grpc_call_is_as_without_us() {
    let Some(python) = grpc::python() else {
        return pass_over(&format!("{PYTHON_VARIABLE} names no Python with grpcio"));
    };
    let world = World::usual().unwrap();
    let service = Grpc::start(&python, world.folder()).unwrap();
    let client = world.publish_with("grpc", &service.url(), &["--set", "backend_http=h2c"]).unwrap();
    let output = service.calls(&client, &world.authority()).unwrap();
    let (done, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "after {done}: {said}\n{}", world.logs());
    assert_eq!(done.lines().count(), 13, "{done}");
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    let (_world, played, client) = scene();
    let event = |nth: usize| format!("id: {nth}\ndata: {}\n\n", "x".repeat(nth * 10));
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n";

    let mut connection = client.connect().unwrap();
    connection.send_head("GET", "/events", &[("Accept", "text/event-stream"), ("Last-Event-ID", "7")]).unwrap();
    let mut taken = played.next().unwrap();
    assert_eq!(taken.field("last-event-id"), Some("7"));
    taken.send(head).unwrap();
    assert_eq!(connection.head("GET").unwrap().status, 200, "the head comes before there is an event");
    for nth in 0..50 {
        taken.send(event(nth).as_bytes()).unwrap();
        connection.until(event(nth).as_bytes()).unwrap();
    }
    // Who goes away is told of to the application.
    drop(connection);
    assert!(taken.ends());

    let mut connection = Frames::connect(&client, &[]).unwrap();
    connection.get(1, "/events").unwrap();
    let mut taken = played.next().unwrap();
    taken.send(head).unwrap();
    assert_eq!(connection.status(1).unwrap(), 200);
    for nth in 0..50 {
        taken.send(event(nth).as_bytes()).unwrap();
        let mut came = Vec::new();
        while came.len() < event(nth).len() {
            came.extend(connection.until(|frame| frame.kind == DATA && frame.stream == 1).unwrap().payload);
        }
        assert_eq!(String::from_utf8(came).unwrap(), event(nth));
    }
    connection.frame(RST_STREAM, 0, 1, &8u32.to_be_bytes()).unwrap();
    assert!(taken.ends());
}

#[test]
fn early_hints_come_before_the_answer_is_thought_of() {
    let (_world, played, client) = scene();
    let mut connection = client.connect().unwrap();
    connection.send_head("GET", "/page", &[]).unwrap();
    let mut taken = played.next().unwrap();
    for name in ["a", "b"] {
        let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: </{name}.css>; rel=preload; as=style\r\n\r\n");
        taken.send(hints.as_bytes()).unwrap();
        let came = String::from_utf8(connection.until(b"\r\n\r\n").unwrap()).unwrap().to_lowercase();
        assert!(came.starts_with("http/1.1 103 early hints\r\n"), "{came}");
        assert!(came.contains(&format!("link: </{name}.css>; rel=preload; as=style\r\n")), "{came}");
    }
    taken.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    assert_eq!(connection.answer("GET").unwrap().text(), "ok");

    let mut connection = Frames::connect(&client, &[]).unwrap();
    connection.get(1, "/page").unwrap();
    let mut taken = played.next().unwrap();
    taken.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n").unwrap();
    assert_eq!(connection.status(1).unwrap(), 103);
    taken.send(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(connection.status(1).unwrap(), 204);
}

#[test]
fn whoever_waits_to_go_on_is_told_by_the_application_alone() {
    let (_world, played, client) = scene();
    let fields = [("Content-Length", "5"), ("Expect", "100-continue")];
    let mut connection = client.connect().unwrap();
    connection.send_head("PUT", "/file", &fields).unwrap();
    let mut taken = played.next().unwrap();
    assert_eq!((taken.field("expect"), taken.field("content-length")), (Some("100-continue"), Some("5")));
    taken.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").unwrap();
    let answer = connection.answer("PUT").unwrap();
    assert_eq!((answer.status, answer.informational.as_slice(), &*answer.text()), (403, &[][..], "no"));

    let mut connection = Frames::connect(&client, &[]).unwrap();
    let expecting = request("PUT", &client.host, "/file", &[("content-length", "5"), ("expect", "100-continue")]);
    connection.frame(HEADERS, END_HEADERS, 1, &expecting).unwrap();
    let mut taken = played.next().unwrap();
    assert_eq!(taken.field("expect"), Some("100-continue"));
    taken.send(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    assert_eq!(connection.status(1).unwrap(), 100);
    connection.frame(DATA, END_STREAM, 1, b"hello").unwrap();
    assert_eq!(taken.exactly(5).unwrap(), b"hello");
    taken.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(connection.status(1).unwrap(), 201);
}

#[test]
fn parts_of_a_file_are_those_that_were_asked_for() {
    let world = World::usual().unwrap();
    let nginx = Nginx::start(world.folder()).unwrap();
    let client = world.publish("files", &format!("http://{}/", nginx.address())).unwrap();
    let mut connection = client.connect().unwrap();
    let mut ask = |fields: &[(&str, &str)]| -> Answer { connection.request("GET", "/16k", fields, b"").unwrap() };
    let whole = pattern::bytes(16 * 1024);
    let plain = ask(&[]);
    assert_eq!((plain.status, plain.header("accept-ranges")), (200, Some("bytes")));
    let etag = plain.header("etag").unwrap().to_owned();

    for (range, said, from, to) in [
        ("bytes=0-99", "bytes 0-99/16384", 0, 100),
        ("bytes=16000-", "bytes 16000-16383/16384", 16_000, 16_384),
        ("bytes=-1", "bytes 16383-16383/16384", 16_383, 16_384),
    ] {
        let part = ask(&[("Range", range)]);
        assert_eq!((part.status, part.header("content-range")), (206, Some(said)), "{range}");
        assert!(part.body == whole[from..to], "{range}");
    }
    let many = ask(&[("Range", "bytes=0-9,100-109,-5")]);
    let kind = many.header("content-type").unwrap().to_owned();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap_or_else(|| panic!("{kind}"));
    assert_eq!(many.status, 206);
    for (said, part) in [("0-9", &whole[..10]), ("100-109", &whole[100..110]), ("16379-16383", &whole[16_379..])] {
        let mut wanted = format!("Content-Range: bytes {said}/16384\r\n\r\n").into_bytes();
        wanted.extend_from_slice(part);
        wanted.extend_from_slice(format!("\r\n--{boundary}").as_bytes());
        assert!(many.body.windows(wanted.len()).any(|window| window == wanted), "{said}: {:?}", many.text());
    }
    let same = ask(&[("Range", "bytes=0-9"), ("If-Range", &etag)]);
    assert_eq!((same.status, same.body.len()), (206, 10));
    let changed = ask(&[("Range", "bytes=0-9"), ("If-Range", "\"another\"")]);
    assert_eq!((changed.status, changed.body.len()), (200, whole.len()));
    let beyond = ask(&[("Range", "bytes=20000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */16384")));
    let kept = ask(&[("If-None-Match", &etag)]);
    assert_eq!((kept.status, kept.header("etag"), kept.body.len()), (304, Some(&*etag), 0));
}

#[test]
fn methods_are_the_applications_own_business() {
    let (_world, played, client) = scene();
    let properties = b"<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><allprop/></propfind>";
    for method in
        ["PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "VERSION-CONTROL", "M-SEARCH"]
    {
        let asking = client.clone();
        let asked = std::thread::spawn(move || {
            let fields = [("Depth", "1"), ("If", "(<urn:uuid:1>)"), ("Content-Type", "application/xml")];
            asking.connect().unwrap().request(method, "/dav/a%20b/", &fields, properties).unwrap()
        });
        let mut taken = played.next().unwrap();
        assert!(taken.head.starts_with(&format!("{method} /dav/a%20b/ HTTP/1.1\r\n")), "{}", taken.head);
        assert_eq!((taken.field("depth"), taken.field("if")), (Some("1"), Some("(<urn:uuid:1>)")));
        assert_eq!(taken.content().unwrap().bytes, properties);
        taken.send(b"HTTP/1.1 207 Multi-Status\r\nDAV: 1, 2\r\nContent-Length: 6\r\n\r\n<many>").unwrap();
        let answer = asked.join().unwrap();
        assert_eq!((answer.status, answer.header("dav"), &*answer.text()), (207, Some("1, 2"), "<many>"), "{method}");
    }
}

/// As an RD Gateway is spoken to: one request whose answer never ends, one whose content never does, and each goes on because of
/// what the other carries. The second has its answer's head before it has sent anything, or has none at all.
#[test]
fn content_that_never_ends_goes_both_ways() {
    let (_world, played, client) = scene();
    let channel = ("RDG-Connection-Id", "{5a2b1c3d-0000-0000-0000-000000000001}");
    let mut out = client.connect().unwrap();
    out.send_head("RDG_OUT_DATA", "/remoteDesktopGateway/", &[channel]).unwrap();
    let mut taken_out = played.next().unwrap();
    assert!(taken_out.head.starts_with("RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\n"), "{}", taken_out.head);
    assert_eq!(taken_out.field("rdg-connection-id"), Some(channel.1));
    taken_out.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n").unwrap();
    assert_eq!(out.head("RDG_OUT_DATA").unwrap().status, 200);
    for answers in [true, false] {
        let mut inwards = client.connect().unwrap();
        inwards
            .send_head("RDG_IN_DATA", "/remoteDesktopGateway/", &[channel, ("Transfer-Encoding", "chunked")])
            .unwrap();
        let mut taken_in = played.next().unwrap();
        assert!(taken_in.head.starts_with("RDG_IN_DATA /remoteDesktopGateway/ HTTP/1.1\r\n"), "{}", taken_in.head);
        if answers {
            taken_in.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            assert_eq!(inwards.head("RDG_IN_DATA").unwrap().status, 200);
        }
        for nth in 0..200 {
            let piece = format!("{answers} {nth} {}\n", "x".repeat(nth));
            inwards.send_chunk(piece.as_bytes()).unwrap();
            let mut came = Vec::new();
            while came.len() < piece.len() {
                came.extend(taken_in.chunk().unwrap());
            }
            assert_eq!(String::from_utf8(came).unwrap(), piece);
            taken_out.send(piece.as_bytes()).unwrap();
            out.until(piece.as_bytes()).unwrap();
        }
        drop(inwards);
        assert!(taken_in.ends());
    }
    let (_, closed) = out.drain_within(Duration::from_millis(200)).unwrap();
    assert!(!closed, "the answer goes on when the other request is over");
}
