//! Requests of HTTP/2 that would become two in HTTP/1.1, or one with another host, length or line: none of them reaches the
//! application. They are answered with a status, or their stream or connection is reset, as RFC 9113 §8.1.1 has it.

use postern_tests::frames::{self, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, RST_STREAM};
use postern_tests::recorder::Recorded;

use super::Scene;

const STATUSES: [u16; 6] = [400, 404, 417, 421, 431, 501];

/// What follows the head.
enum Rest<'a> {
    /// Nothing.
    End,
    Content(&'a str),
    /// Content, and the fields of a trailer section.
    Trailers(&'a str, Vec<(&'a str, &'a str)>),
}

impl Scene {
    /// Sends one request on a connection of its own. Who asks next on it is served, unless all of it was closed.
    fn refuses_http2(&self, what: &str, fields: &[(&str, &str)], rest: &Rest<'_>) {
        let before = self.recorder.requests().len();
        let mut attacker = Frames::connect(&self.client, &[]).unwrap();
        let block = |fields: &[(&str, &str)]| -> Vec<u8> {
            fields.iter().flat_map(|(name, value)| frames::field(name, value)).collect()
        };
        let frame = |kind: u8, flags: u8, payload: &[u8]| Frame::new(kind, flags, 1, payload).encode();
        // All at once, so that nothing can be answered before its end is known.
        let sent = match rest {
            Rest::End => frame(HEADERS, END_HEADERS | END_STREAM, &block(fields)),
            Rest::Content(content) => {
                [frame(HEADERS, END_HEADERS, &block(fields)), frame(DATA, END_STREAM, content.as_bytes())].concat()
            }
            Rest::Trailers(content, trailers) => [
                frame(HEADERS, END_HEADERS, &block(fields)),
                frame(DATA, 0, content.as_bytes()),
                frame(HEADERS, END_HEADERS | END_STREAM, &block(&trailers[..])),
            ]
            .concat(),
        };
        attacker.send(&sent).unwrap();
        let ending = attacker
            .until(|frame| frame.kind == GOAWAY || frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM));
        let open = match ending {
            Ok(frame) if frame.kind == HEADERS => {
                let status = frame.status().unwrap_or_else(|| panic!("{what}: {frame:?}"));
                assert!(STATUSES.contains(&status), "{what}: {status}\n{}", self.world.logs());
                true
            }
            Ok(frame) => frame.kind == RST_STREAM,
            // The connection ended without a word.
            Err(_) => false,
        };
        if open {
            attacker.get(3, "/next").unwrap();
            assert_eq!(attacker.status(3).unwrap(), 200, "{what}: the connection goes on");
        }
        // A head alone may have been a whole request before it turned out that more follows it.
        let requests = self.since(what, before);
        let (next, attacked): (Vec<_>, Vec<_>) =
            requests.iter().partition(|request| request.line == "GET /next HTTP/1.1");
        assert_eq!(next.len(), usize::from(open), "{what}: {requests:?}");
        let is_head = |request: &&Recorded| request.line == "POST /attack HTTP/1.1" && request.content.is_empty();
        assert!(attacked.len() <= 1 && attacked.iter().all(is_head), "{what}: {requests:?}");
    }

    /// A GET's pseudo fields, of which those named differ; None leaves one out.
    fn pseudo<'a>(&'a self, others: &[(&'a str, Option<&'a str>)]) -> Vec<(&'a str, &'a str)> {
        let usual =
            [(":method", "GET"), (":scheme", "https"), (":authority", &*self.client.host), (":path", "/attack")];
        let of = |name: &str| others.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        usual.into_iter().filter_map(|(name, value)| Some((name, of(name).unwrap_or(Some(value))?))).collect()
    }
}

#[test]
fn pseudo_fields_that_hold_another_request() {
    let scene = Scene::start();
    let host = scene.client.host.clone();
    let injected = format!("/attack HTTP/1.1\r\nHost: {host}\r\n\r\nGET /smuggled");
    let absolute = format!("https://{host}/attack");
    let users = format!("eve@{host}");
    let table: Vec<(&str, Option<&str>)> = vec![
        (":path", Some(injected.as_str())),
        (":path", Some("/attack HTTP/1.1")),
        (":path", Some("/a\tb")),
        (":path", Some("/a\0b")),
        (":path", Some("attack")),
        (":path", Some("")),
        (":path", Some("*")),
        (":path", Some(absolute.as_str())),
        (":path", Some("/a/../b")),
        (":path", Some("/a%5cb")),
        (":path", Some("/a%0d%0aX:1")),
        (":path", None),
        (":method", Some("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nGET")),
        (":method", Some("GET /smuggled")),
        (":method", Some("G(T")),
        (":method", Some("")),
        (":method", None),
        (":scheme", Some("ftp")),
        (":scheme", Some("https://evil.example/x?")),
        (":scheme", Some("")),
        (":scheme", None),
        (":authority", Some("evil.example")),
        (":authority", Some("app.example.test\r\nX-Postern-User: eve")),
        (":authority", Some("app.example.test/smuggled?")),
        (":authority", Some(users.as_str())),
        (":authority", Some("")),
        (":authority", None),
    ];
    for other in table {
        scene.refuses_http2(&format!("{other:?}"), &scene.pseudo(&[other]), &Rest::End);
    }
    let twice = [scene.pseudo(&[]), vec![(":path", "/smuggled")]].concat();
    scene.refuses_http2("a path twice", &twice, &Rest::End);
    let behind = [scene.pseudo(&[(":path", None)]), vec![("x-a", "b"), (":path", "/attack")]].concat();
    scene.refuses_http2("a path behind a field", &behind, &Rest::End);
    let unknown = [scene.pseudo(&[]), vec![(":smuggled", "x")]].concat();
    scene.refuses_http2("an unknown one", &unknown, &Rest::End);
    let answers = [scene.pseudo(&[]), vec![(":status", "200")]].concat();
    scene.refuses_http2("one of answers", &answers, &Rest::End);
    scene.serves("after all of them");
}

#[test]
fn fields_that_would_be_framing_or_lines_in_http_1() {
    let scene = Scene::start();
    let host = scene.client.host.clone();
    let table: Vec<Vec<(&str, &str)>> = vec![
        vec![("transfer-encoding", "chunked")],
        vec![("transfer-encoding", "identity")],
        vec![("connection", "close")],
        vec![("connection", "keep-alive, content-length")],
        vec![("keep-alive", "timeout=5")],
        vec![("proxy-connection", "keep-alive")],
        vec![("upgrade", "h2c")],
        vec![("http2-settings", "AAMAAABkAAQAAP__")],
        vec![("te", "gzip")],
        vec![("content-length", "5")],
        vec![("content-length", "+0")],
        vec![("content-length", "0"), ("content-length", "5")],
        vec![("content-length", "0"), ("content-length", "0")],
        vec![("content-length", "")],
        vec![("host", "evil.example")],
        vec![("host", host.as_str()), ("host", host.as_str())],
        vec![("x-a", "b\r\nTransfer-Encoding: chunked")],
        vec![("x-a", "b\nX-Postern-User: eve")],
        vec![("x-a", "b\rX-Postern-User: eve")],
        vec![("x-a", "b\0c")],
        vec![("x-a", " b")],
        vec![("x-a", "b\t")],
        vec![("x-a: b\r\ntransfer-encoding", "chunked")],
        vec![("transfer-encoding: chunked\r\nx-a", "b")],
        vec![("x-a\n", "b")],
        vec![("X-Upper", "b")],
        vec![("x a", "b")],
        vec![("x:a", "b")],
        vec![("x-a\0", "b")],
        vec![("", "b")],
        vec![("expect", "200-ok")],
    ];
    for fields in table {
        scene.refuses_http2(&format!("{fields:?}"), &[scene.pseudo(&[]), fields].concat(), &Rest::End);
    }
    let many = [scene.pseudo(&[]), vec![("x", "y"); 200]].concat();
    scene.refuses_http2("too many fields", &many, &Rest::End);
    scene.serves("after all of them");
}

#[test]
fn content_that_is_not_as_long_as_it_says() {
    let scene = Scene::start();
    let hidden = format!("hello{}", scene.smuggled());
    let post =
        |fields: &[(&'static str, &'static str)]| [&scene.pseudo(&[(":method", Some("POST"))])[..], fields].concat();
    scene.refuses_http2("more", &post(&[("content-length", "5")]), &Rest::Content(&hidden));
    scene.refuses_http2("less", &post(&[("content-length", "500")]), &Rest::Content(&hidden));
    scene.refuses_http2("none", &post(&[("content-length", "0")]), &Rest::Content(&hidden));
    scene.refuses_http2("H2.TE", &post(&[("transfer-encoding", "chunked")]), &Rest::Content("0\r\n\r\nGET /smuggled"));
    for trailers in [
        vec![("content-length", "5")],
        vec![("transfer-encoding", "chunked")],
        vec![("host", "evil.example")],
        vec![("x-a", "b\r\nX-Postern-User: eve")],
        vec![("X-Upper", "b")],
    ] {
        let what = format!("trailers {trailers:?}");
        scene.refuses_http2(&what, &post(&[]), &Rest::Trailers("hello", trailers));
    }
    scene.serves("after all of them");
}

#[test]
fn connect_reaches_no_host() {
    let scene = Scene::start();
    let own: &str = &scene.client.host;
    for authority in [own, "evil.example:443", "127.0.0.1:22", &scene.recorder.address().to_string()] {
        let fields = [(":method", "CONNECT"), (":authority", authority)];
        scene.refuses_http2(&format!("CONNECT {authority}"), &fields, &Rest::End);
    }
    for protocol in ["connect-udp", "connect-tcp", "h2c", "websocket\r\nx: y", ""] {
        let fields = [scene.pseudo(&[(":method", Some("CONNECT"))]), vec![(":protocol", protocol)]].concat();
        scene.refuses_http2(&format!("CONNECT by {protocol:?}"), &fields, &Rest::End);
    }
    let get = [scene.pseudo(&[]), vec![(":protocol", "websocket")]].concat();
    scene.refuses_http2("GET with a protocol", &get, &Rest::End);
    scene.serves("after all of them");
}

#[test]
fn what_is_left_of_trailers_says_nothing_of_the_request() {
    let scene = Scene::start();
    let before = scene.recorder.requests().len();
    let mut client = Frames::connect(&scene.client, &[]).unwrap();
    client.frame(HEADERS, END_HEADERS, 1, &frames::request("POST", &scene.client.host, "/attack", &[])).unwrap();
    client.frame(DATA, 0, 1, b"hello").unwrap();
    let trailers = [(":path", "/smuggled"), ("x-sum", "1"), ("x-postern-user", "eve"), ("cookie", "a=b")];
    let block: Vec<u8> = trailers.iter().flat_map(|(name, value)| frames::field(name, value)).collect();
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block).unwrap();
    assert_eq!(client.status(1).unwrap(), 200, "{}", scene.world.logs());
    let [request] = &scene.saw("trailers", before, 1)[..] else { panic!("there is one") };
    assert_eq!((request.line.as_str(), request.content.as_slice()), ("POST /attack HTTP/1.1", &b"hello"[..]));
    assert_eq!(request.trailers, ["x-sum: 1"]);
}

#[test]
fn what_looks_like_a_request_in_content_is_content() {
    let scene = Scene::start();
    let hidden = format!("0\r\n\r\n{}", scene.smuggled());
    let length = hidden.len().to_string();
    for fields in [vec![], vec![("content-length", length.as_str())]] {
        let before = scene.recorder.requests().len();
        let mut client = Frames::connect(&scene.client, &[]).unwrap();
        let block = frames::request("POST", &scene.client.host, "/attack", &fields);
        client.frame(HEADERS, END_HEADERS, 1, &block).unwrap();
        // In pieces, so that one begins where chunks seem to end.
        client.frame(DATA, 0, 1, &hidden.as_bytes()[..5]).unwrap();
        client.frame(DATA, END_STREAM, 1, &hidden.as_bytes()[5..]).unwrap();
        assert_eq!(client.status(1).unwrap(), 200, "{fields:?}: {}", scene.world.logs());
        client.get(3, "/next").unwrap();
        assert_eq!(client.status(3).unwrap(), 200);
        let requests = scene.saw("content", before, 2);
        assert_eq!(String::from_utf8_lossy(&requests[0].content), hidden);
        let framed = (requests[0].all("content-length").len(), requests[0].all("transfer-encoding").len());
        assert_eq!(framed, if fields.is_empty() { (0, 1) } else { (1, 0) }, "{:?}", requests[0]);
    }
}
