//! What a response head must be, rule by rule.

use postern_http::h1::ResponseParser;
use postern_http::{BodyKind, Limits, Method, ResponseHead, Rule, Version};

fn parse_for(text: impl AsRef<[u8]>, method: &Method, upgrade: bool) -> Result<ResponseHead, Rule> {
    let text = text.as_ref();
    match ResponseParser::new(Limits::default()).parse(text, method, upgrade) {
        Ok(Some((head, consumed))) => {
            assert_eq!(consumed, text.len());
            Ok(head)
        }
        Ok(None) => panic!("incomplete: {:?}", text.escape_ascii().to_string()),
        Err(malformed) => Err(malformed.rule),
    }
}

fn parse(text: impl AsRef<[u8]>) -> Result<ResponseHead, Rule> {
    parse_for(text, &Method::Get, false)
}

#[test]
fn an_ordinary_response() {
    let head = parse(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 3\r\n\
         Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
    )
    .unwrap();
    let names: Vec<_> = head.headers.iter().map(|field| field.name()).collect();
    assert_eq!(names, ["server", "date", "set-cookie", "set-cookie"]);
    assert_eq!((head.status, head.reason(), head.body), (200, "OK", BodyKind::Length(3)));
    assert!(head.keep_alive && !head.is_interim());
}

#[test]
fn status_lines() {
    let table = [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.1 200 ", 200, "OK"),
        ("HTTP/1.1 200", 200, "OK"),
        ("HTTP/1.0 404 Nicht\tda \u{e4}", 404, "Nicht\tda \u{e4}"),
        ("HTTP/1.1 999 Odd", 999, "Odd"),
    ];
    for (line, status, reason) in table {
        let head = parse(format!("{line}\r\n\r\n")).unwrap();
        assert_eq!((head.status, head.reason()), (status, reason), "{line}");
    }
    let table = [
        ("HTTP/1.1 20 OK\r\n", Rule::StatusLine),
        ("HTTP/1.1 2000 OK\r\n", Rule::StatusLine),
        ("HTTP/1.1 099 OK\r\n", Rule::StatusLine),
        ("HTTP/1.1 +20 OK\r\n", Rule::StatusLine),
        ("HTTP/1.1  200 OK\r\n", Rule::StatusLine),
        ("HTTP/1.1 200\tOK\r\n", Rule::StatusLine),
        ("HTTP/1.1\r\n", Rule::StatusLine),
        ("ICY 200 OK\r\n", Rule::StatusLine),
        ("http/1.1 200 OK\r\n", Rule::StatusLine),
        ("<html>\r\n", Rule::StatusLine),
        ("\r\n", Rule::StatusLine),
        ("HTTP/2.0 200 OK\r\n", Rule::VersionUnsupported),
        ("HTTP/1.1 200 O\0K\r\n", Rule::StatusLine),
        ("HTTP/1.1 200 OK\n", Rule::BareLf),
        ("HTTP/1.1 200 OK\rX\r\n", Rule::BareCr),
    ];
    for (line, rule) in table {
        assert_eq!(parse(format!("{line}\r\n")).err(), Some(rule), "{line:?}");
    }
    // Not UTF-8: the registered phrase stands in.
    assert_eq!(parse(b"HTTP/1.1 200 \xff\r\n\r\n").unwrap().reason(), "OK");
}

#[test]
fn framing_depends_on_status_and_method() {
    let (get, head, connect) = (Method::Get, Method::Head, Method::Connect);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let five = "Content-Length: 5\r\n";
    let zero = "Content-Length: 0\r\n";
    let table = [
        (200, "", &get, Ok(BodyKind::UntilClose)),
        (200, five, &get, Ok(BodyKind::Length(5))),
        (200, chunked, &get, Ok(BodyKind::Chunked)),
        (200, five, &head, Ok(BodyKind::None)),
        (200, chunked, &head, Ok(BodyKind::None)),
        (200, "", &head, Ok(BodyKind::None)),
        (304, five, &get, Ok(BodyKind::None)),
        (304, chunked, &get, Ok(BodyKind::None)),
        (204, "", &get, Ok(BodyKind::None)),
        (204, zero, &get, Ok(BodyKind::None)),
        (204, five, &get, Err(Rule::BodyForbidden)),
        (204, chunked, &get, Err(Rule::BodyForbidden)),
        (100, "", &get, Ok(BodyKind::None)),
        (103, five, &get, Err(Rule::BodyForbidden)),
        (103, chunked, &get, Err(Rule::BodyForbidden)),
        (200, "", &connect, Ok(BodyKind::Upgrade)),
        (299, five, &connect, Err(Rule::BodyForbidden)),
        (403, five, &connect, Ok(BodyKind::Length(5))),
        (101, "", &get, Err(Rule::UnexpectedUpgrade)),
    ];
    for (status, lines, method, body) in table {
        let parsed = parse_for(format!("HTTP/1.1 {status} X\r\n{lines}\r\n"), method, false);
        assert_eq!(parsed.map(|head| head.body), body, "{status} {lines:?} to {method}");
    }
    let head = parse_for("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &head, false).unwrap();
    assert_eq!(head.headers.get_str("content-length"), Some("5"), "it describes what GET would have got");
    assert!(!parse("HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n").unwrap().headers.contains("content-length"));
}

#[test]
fn an_upgrade_keeps_its_name() {
    let text =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n";
    let head = parse_for(format!("{text}\r\n"), &Method::Get, true).unwrap();
    assert_eq!((head.body, head.keep_alive, head.is_interim()), (BodyKind::Upgrade, false, false));
    assert_eq!(head.headers.get_str("upgrade"), Some("websocket"));
    assert_eq!(
        parse_for(format!("{text}Content-Length: 5\r\n\r\n"), &Method::Get, true).err(),
        Some(Rule::BodyForbidden)
    );
    let head = parse("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(!head.headers.contains("upgrade"));
}

#[test]
fn ambiguous_framing_is_refused() {
    let table = [
        ("1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Rule::LengthAndEncoding),
        ("1.1", "Content-Length: 5\r\nContent-Length: 5\r\n", Rule::ContentLengthDuplicate),
        ("1.1", "Content-Length: five\r\n", Rule::ContentLength),
        ("1.1", "Transfer-Encoding: gzip, chunked\r\n", Rule::TransferEncoding),
        ("1.1", "Transfer-Encoding: gzip\r\n", Rule::TransferCoding),
        ("1.0", "Transfer-Encoding: chunked\r\n", Rule::TransferEncodingVersion),
        ("1.1", "X: a\r\n b\r\n", Rule::FieldFold),
        ("1.1", "X : a\r\n", Rule::FieldNameSpace),
        ("1.1", "X: a\0\r\n", Rule::FieldValue),
        ("1.1", "X: a\n", Rule::BareLf),
    ];
    for (version, lines, rule) in table {
        assert_eq!(parse(format!("HTTP/{version} 200 OK\r\n{lines}\r\n")).err(), Some(rule), "{lines:?}");
        // HEAD and 304 are no excuse.
        let parsed = parse_for(format!("HTTP/{version} 304 X\r\n{lines}\r\n"), &Method::Head, false);
        assert_eq!(parsed.err(), Some(rule), "{lines:?}");
    }
}

#[test]
fn persistence_depends_on_version_and_framing() {
    let table = [
        ("1.1", "Content-Length: 0\r\n", true),
        ("1.1", "Content-Length: 0\r\nConnection: close\r\n", false),
        ("1.1", "", false),
        ("1.0", "Content-Length: 0\r\n", false),
        ("1.0", "Content-Length: 0\r\nConnection: keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\n", false),
    ];
    for (version, lines, keep_alive) in table {
        let head = parse(format!("HTTP/{version} 200 OK\r\n{lines}\r\n")).unwrap();
        assert_eq!(head.keep_alive, keep_alive, "{version} {lines:?}");
        assert_eq!(head.version == Version::Http10, version == "1.0");
    }
}

#[test]
fn interim_heads_come_before_the_final_one() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let mut parser = ResponseParser::new(Limits::default());
    let (mut at, mut seen) = (0, Vec::new());
    while at < text.len() {
        let (head, consumed) = parser.parse(&text.as_bytes()[at..], &Method::Get, false).unwrap().unwrap();
        seen.push((head.status, head.is_interim(), head.headers.len()));
        at += consumed;
        parser.recycle(head);
    }
    assert_eq!(seen, [(100, true, 0), (103, true, 1), (200, false, 0)]);
}
