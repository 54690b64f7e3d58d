//! What goes out on the wire.

use postern_http::h1::{
    LengthMismatch, RequestParser, ResponseContext, encode_continue, encode_interim, encode_request, encode_response,
};
use postern_http::{
    Authority, BodyKind, Headers, Known, Limits, Method, PathRules, RequestHead, ResponseHead, Target, Version,
};

fn request(method: Method, target: &str) -> RequestHead {
    let target = Target::parse(target.as_bytes(), &method, PathRules::default()).unwrap();
    RequestHead::new(method, Authority::parse(b"app.internal:8080").unwrap(), target)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn response_text(head: &ResponseHead, method: &Method, version: Version, keep_alive: bool) -> (String, bool, bool) {
    let mut out = Vec::new();
    let body = encode_response(head, ResponseContext { method, version, keep_alive }, &mut out);
    (text(out), body.keep_alive(), body.takes_content())
}

#[test]
fn requests() {
    let mut head = request(Method::Get, "/a?b");
    head.headers.append("accept", "*/*").unwrap();
    let mut out = Vec::new();
    encode_request(&head, &mut out);
    assert_eq!(text(out), "GET /a?b HTTP/1.1\r\nhost: app.internal:8080\r\naccept: */*\r\n\r\n");

    head = request(Method::Post, "/");
    head.body = BodyKind::Length(5);
    head.expect_continue = true;
    head.keep_alive = false;
    head.headers.append_static(Known::Te, "trailers");
    let mut out = Vec::new();
    let mut body = encode_request(&head, &mut out);
    body.write(b"hello", &mut out).unwrap();
    body.end(None, &mut out).unwrap();
    assert_eq!(
        text(out),
        "POST / HTTP/1.1\r\nhost: app.internal:8080\r\nte: trailers\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\
         connection: close, te\r\n\r\nhello"
    );

    head = request(Method::Get, "/ws");
    head.upgrade = true;
    head.headers.append_static(Known::Upgrade, "websocket");
    let mut out = Vec::new();
    encode_request(&head, &mut out);
    assert_eq!(
        text(out),
        "GET /ws HTTP/1.1\r\nhost: app.internal:8080\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    );
}

#[test]
fn chunked_content_with_trailers() {
    let mut head = request(Method::Put, "/");
    head.body = BodyKind::Chunked;
    let mut out = Vec::new();
    let mut body = encode_request(&head, &mut out);
    out.clear();
    body.write(b"", &mut out).unwrap();
    body.write(b"abc", &mut out).unwrap();
    body.begin(0x1a0, &mut out).unwrap();
    out.extend_from_slice(b"(sent apart)");
    body.close(0x1a0, &mut out);
    let mut trailers = Headers::default();
    trailers.append("x-sum", "1").unwrap();
    body.end(Some(&trailers), &mut out).unwrap();
    assert_eq!(text(out), "3\r\nabc\r\n1a0\r\n(sent apart)\r\n0\r\nx-sum: 1\r\n\r\n");
}

#[test]
fn a_length_is_kept_to_the_byte() {
    let mut head = request(Method::Put, "/");
    head.body = BodyKind::Length(4);
    let mut out = Vec::new();
    let mut body = encode_request(&head, &mut out);
    body.write(b"abc", &mut out).unwrap();
    assert_eq!(body.write(b"de", &mut out), Err(LengthMismatch));
    assert_eq!(body.end(None, &mut out), Err(LengthMismatch));
    head.body = BodyKind::None;
    assert_eq!(encode_request(&head, &mut out).write(b"x", &mut out), Err(LengthMismatch));
}

#[test]
fn responses_by_version_and_method() {
    let (get, head) = (Method::Get, Method::Head);
    let (old, new) = (Version::Http10, Version::Http11);
    let table = [
        (200, BodyKind::Length(3), &get, new, true, "content-length: 3\r\n", true, true),
        (200, BodyKind::Length(3), &get, new, false, "content-length: 3\r\nconnection: close\r\n", false, true),
        (200, BodyKind::Length(3), &get, old, true, "content-length: 3\r\nconnection: keep-alive\r\n", true, true),
        (200, BodyKind::Length(3), &get, old, false, "content-length: 3\r\nconnection: close\r\n", false, true),
        (200, BodyKind::Chunked, &get, new, true, "transfer-encoding: chunked\r\n", true, true),
        (200, BodyKind::Chunked, &get, old, true, "connection: close\r\n", false, true),
        (200, BodyKind::UntilClose, &get, new, true, "transfer-encoding: chunked\r\n", true, true),
        (200, BodyKind::UntilClose, &get, old, true, "connection: close\r\n", false, true),
        (200, BodyKind::None, &get, new, true, "content-length: 0\r\n", true, true),
        (200, BodyKind::Length(3), &head, new, true, "content-length: 3\r\n", true, false),
        (200, BodyKind::Chunked, &head, new, true, "", true, false),
        (200, BodyKind::None, &head, new, true, "", true, false),
        (204, BodyKind::None, &get, new, true, "", true, false),
        (204, BodyKind::Length(3), &get, new, true, "", true, false),
        (304, BodyKind::None, &get, new, true, "", true, false),
        (101, BodyKind::Upgrade, &get, new, true, "connection: upgrade\r\n", false, true),
        (200, BodyKind::Upgrade, &Method::Connect, new, true, "", false, true),
    ];
    for (status, body, method, version, keep_alive, lines, kept, content) in table {
        let head = ResponseHead::new(status, body);
        let (written, kept_now, content_now) = response_text(&head, method, version, keep_alive);
        let expected = format!("HTTP/1.1 {status} {}\r\n{lines}\r\n", head.reason());
        assert_eq!(
            (written, kept_now, content_now),
            (expected, kept, content),
            "{status} {body:?} {method} {version:?}"
        );
    }
}

#[test]
fn a_described_length_is_written_only_where_no_content_follows() {
    let mut head = ResponseHead::new(200, BodyKind::None);
    head.headers.append("content-length", "5").unwrap();
    head.headers.append("x", "y").unwrap();
    let written = |head: &ResponseHead, method| response_text(head, method, Version::Http11, true).0;
    assert_eq!(written(&head, &Method::Head), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\n");
    assert_eq!(written(&head, &Method::Get), "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n");
    head.status = 304;
    assert_eq!(written(&head, &Method::Get), "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\nx: y\r\n\r\n");
    head.status = 204;
    assert_eq!(written(&head, &Method::Head), "HTTP/1.1 204 No Content\r\nx: y\r\n\r\n");
    head.status = 103;
    let mut out = Vec::new();
    encode_interim(&head, Version::Http11, &mut out);
    assert_eq!(text(out), "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n");
}

#[test]
fn interim_responses_are_not_for_http_1_0() {
    let mut out = Vec::new();
    encode_interim(&ResponseHead::new(103, BodyKind::None), Version::Http10, &mut out);
    assert!(out.is_empty());
    encode_continue(&mut out);
    assert_eq!(text(out), "HTTP/1.1 100 Continue\r\n\r\n");
}

#[test]
fn what_a_browser_sends_is_forwarded_unchanged() {
    let fields = "user-agent: Mozilla/5.0 (X11; Linux x86_64)\r\naccept: text/html, */*;q=0.8\r\naccept-language: de,en;q=0.5\r\n\
                  cookie: a=b; c=\"d\"\r\nsec-fetch-mode: navigate\r\nx-unknown: \t.\r\n";
    let text_in = format!(
        "GET /p%C3%A4th/..a?q=%%20 HTTP/1.1\r\nHost: app.example.com\r\nConnection: keep-alive\r\n{fields}\r\n"
    );
    let (head, _) = RequestParser::new(Limits::default()).parse(text_in.as_bytes()).unwrap().unwrap();
    let mut out = Vec::new();
    encode_request(&head, &mut out);
    let fields = fields.replace("\t.", ".");
    assert_eq!(text(out), format!("GET /p%C3%A4th/..a?q=%%20 HTTP/1.1\r\nhost: app.example.com\r\n{fields}\r\n"));
}
