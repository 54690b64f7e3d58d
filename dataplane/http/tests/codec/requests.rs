//! What a request head must be, rule by rule.

use postern_http::h1::RequestParser;
use postern_http::{BodyKind, Limits, Method, RequestHead, Rule, Scheme, Version};

fn parse(text: impl AsRef<[u8]>) -> Result<RequestHead, Rule> {
    let text = text.as_ref();
    match RequestParser::new(Limits::default()).parse(text) {
        Ok(Some((head, consumed))) => {
            assert_eq!(consumed, text.len());
            Ok(head)
        }
        Ok(None) => panic!("incomplete: {:?}", text.escape_ascii().to_string()),
        Err(malformed) => Err(malformed.rule),
    }
}

/// A GET of `/` with these further lines.
fn with(lines: &str) -> Result<RequestHead, Rule> {
    parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

fn names(head: &RequestHead) -> Vec<&str> {
    head.headers.iter().map(|field| field.name()).collect()
}

#[test]
fn an_ordinary_request() {
    let head = parse(
        "POST /a%20b/c?d=e%zz HTTP/1.1\r\nHost: App.Example.com:8443\r\nUser-Agent: x/1 (y)\r\nAccept:*/*\r\n\
         Content-Length: 12\r\nX-Obs:  \u{e4}\t \r\nCookie: a=b; c=d\r\ncookie: e=f\r\n\r\n",
    )
    .unwrap();
    assert_eq!(head.method, Method::Post);
    assert_eq!((head.target.path(), head.target.query()), ("/a%20b/c", Some("d=e%zz")));
    assert_eq!((head.authority.host(), head.authority.port()), ("app.example.com", Some(8443)));
    assert_eq!((head.version, head.body, head.keep_alive), (Version::Http11, BodyKind::Length(12), true));
    assert_eq!(names(&head), ["user-agent", "accept", "x-obs", "cookie", "cookie"]);
    assert_eq!(head.headers.get("x-obs"), Some("\u{e4}".as_bytes()));
    assert_eq!(head.headers.get_all("cookie").collect::<Vec<_>>(), [b"a=b; c=d", &b"e=f"[..]]);
    assert!(!head.upgrade && !head.expect_continue && head.scheme.is_none());
}

#[test]
fn what_smuggles_or_confuses_is_refused() {
    let table: &[(&str, Rule)] = &[
        // Framing.
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Rule::LengthAndEncoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Rule::LengthAndEncoding),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Rule::ContentLengthDuplicate),
        ("Content-Length: 5\r\ncontent-length: 5\r\n", Rule::ContentLengthDuplicate),
        ("Content-Length: 5, 5\r\n", Rule::ContentLength),
        ("Content-Length: +5\r\n", Rule::ContentLength),
        ("Content-Length: -1\r\n", Rule::ContentLength),
        ("Content-Length: 0x5\r\n", Rule::ContentLength),
        ("Content-Length: 5 5\r\n", Rule::ContentLength),
        ("Content-Length: 5.0\r\n", Rule::ContentLength),
        ("Content-Length:\r\n", Rule::ContentLength),
        ("Content-Length: 18446744073709551616\r\n", Rule::ContentLength),
        ("Content-Length: \u{665}\r\n", Rule::ContentLength),
        ("Transfer-Encoding: xchunked\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: gzip\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: identity\r\n", Rule::TransferCoding),
        ("Transfer-Encoding: chunked, identity\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: gzip, chunked\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: chunked, chunked\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: , chunked\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: chunked;q=1\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: \"chunked\"\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: chun ked\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding:\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Rule::TransferEncoding),
        ("Transfer-Encoding: \x0bchunked\r\n", Rule::FieldValue),
        ("Transfer-Encoding: chunked\x0c\r\n", Rule::FieldValue),
        ("Transfer-Encoding:\r\n chunked\r\n", Rule::FieldFold),
        ("Transfer-Encoding : chunked\r\n", Rule::FieldNameSpace),
        ("Transfer\tEncoding: chunked\r\n", Rule::FieldName),
        ("Transfer-Encoding\0: chunked\r\n", Rule::FieldName),
        // Lines.
        ("X: a\n", Rule::BareLf),
        ("X: a\nTransfer-Encoding: chunked\r\n", Rule::BareLf),
        ("X: a\rTransfer-Encoding: chunked\r\n", Rule::BareCr),
        ("X: a\r\r\n", Rule::BareCr),
        ("X: a\r\n folded\r\n", Rule::FieldFold),
        ("X: a\r\n\tfolded\r\n", Rule::FieldFold),
        ("X: a\0b\r\n", Rule::FieldValue),
        ("X: a\x1bb\r\n", Rule::FieldValue),
        ("X: a\x7fb\r\n", Rule::FieldValue),
        ("X\r\n", Rule::FieldColon),
        (": a\r\n", Rule::FieldNameEmpty),
        ("X : a\r\n", Rule::FieldNameSpace),
        ("X\t: a\r\n", Rule::FieldNameSpace),
        ("X[1]: a\r\n", Rule::FieldName),
        ("X\u{e4}: a\r\n", Rule::FieldName),
        ("\"X\": a\r\n", Rule::FieldName),
        // Host.
        ("Host: a\r\n", Rule::HostDuplicate),
        ("Host: b\r\n", Rule::HostDuplicate),
        ("hOST:\r\n", Rule::HostDuplicate),
        // Connection.
        ("Connection: close x\r\n", Rule::Connection),
        ("Connection: \"close\"\r\n", Rule::Connection),
        // Expect.
        ("Expect: 200-ok\r\n", Rule::Expectation),
        ("Expect: 100-continue, x\r\n", Rule::Expectation),
        ("Expect:\r\n", Rule::Expectation),
        ("Expect: 100-continue\r\nExpect: 100-continue\r\n", Rule::Expectation),
    ];
    for (lines, rule) in table {
        assert_eq!(with(lines).err(), Some(*rule), "{lines:?}");
        // Nor may it hide behind other fields.
        assert_eq!(
            with(&format!("Accept: */*\r\nX-A: {}\r\n{lines}X-B: c\r\n", "b".repeat(99))).err(),
            Some(*rule),
            "{lines:?}"
        );
    }
}

#[test]
fn start_lines_are_exact() {
    let table: &[(&str, Rule)] = &[
        ("GET  / HTTP/1.1\r\n", Rule::RequestLine),
        ("GET /  HTTP/1.1\r\n", Rule::RequestLine),
        ("GET / HTTP/1.1 \r\n", Rule::RequestLine),
        (" GET / HTTP/1.1\r\n", Rule::RequestLine),
        ("GET\t/ HTTP/1.1\r\n", Rule::RequestLine),
        ("GET /\tHTTP/1.1\r\n", Rule::RequestLine),
        ("GET / x HTTP/1.1\r\n", Rule::RequestLine),
        ("GET /\r\n", Rule::RequestLine),
        ("GET\r\n", Rule::RequestLine),
        ("\r\n\r\nGET / HTTP/1.1\r\n", Rule::RequestLine),
        ("GET / HTTP/1.1\n", Rule::BareLf),
        ("\nGET / HTTP/1.1\r\n", Rule::BareLf),
        ("GET / HTTP/1.1\rX\r\n", Rule::BareCr),
        ("GET / http/1.1\r\n", Rule::RequestLine),
        ("GET / HTTP/1.10\r\n", Rule::RequestLine),
        ("GET / HTTP/11\r\n", Rule::RequestLine),
        ("GET / HTTPS/1.1\r\n", Rule::RequestLine),
        ("GET / HTTP/1.2\r\n", Rule::VersionUnsupported),
        ("GET / HTTP/0.9\r\n", Rule::VersionUnsupported),
        ("GET / HTTP/2.0\r\n", Rule::VersionUnsupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n", Rule::VersionUnsupported),
        ("GE(T / HTTP/1.1\r\n", Rule::Method),
        ("G\0T / HTTP/1.1\r\n", Rule::Method),
        ("\x16\x03\x01\x02\0\r\n", Rule::Method),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n", Rule::Method),
        ("GET /\x01 HTTP/1.1\r\n", Rule::TargetByte),
        ("GET /\x7f HTTP/1.1\r\n", Rule::TargetByte),
        ("GET /\u{e4} HTTP/1.1\r\n", Rule::TargetByte),
        ("GET /#x HTTP/1.1\r\n", Rule::TargetFragment),
        ("GET a HTTP/1.1\r\n", Rule::TargetForm),
        ("GET * HTTP/1.1\r\n", Rule::TargetForm),
        ("GET a:443 HTTP/1.1\r\n", Rule::TargetForm),
        ("CONNECT / HTTP/1.1\r\n", Rule::TargetForm),
        ("GET /../x HTTP/1.1\r\n", Rule::PathDotSegment),
        ("GET /a/%2E%2e/x HTTP/1.1\r\n", Rule::PathDotSegment),
        ("GET /a%5c..%5cx HTTP/1.1\r\n", Rule::PathBackslash),
        ("GET /a%00 HTTP/1.1\r\n", Rule::PathControl),
        ("GET /a%2fb HTTP/1.1\r\n", Rule::PathEncodedSlash),
        ("GET /a%xy HTTP/1.1\r\n", Rule::PathEscape),
        ("GET http://b/ HTTP/1.1\r\n", Rule::TargetAuthority),
        ("GET http://a:80/ HTTP/1.1\r\n", Rule::TargetAuthority),
        ("CONNECT b:443 HTTP/1.1\r\n", Rule::TargetAuthority),
    ];
    for (line, rule) in table {
        assert_eq!(parse(format!("{line}Host: a\r\n\r\n")).err(), Some(*rule), "{line:?}");
    }
    // HTTP/0.9 has no further lines.
    assert_eq!(parse("GET /\r\n").err(), Some(Rule::RequestLine));
}

#[test]
fn one_empty_line_may_come_first() {
    let head = parse("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.target.as_str(), "/x");
}

#[test]
fn host_is_required_and_checked() {
    assert_eq!(parse("GET / HTTP/1.1\r\n\r\n").err(), Some(Rule::HostMissing));
    assert_eq!(parse("GET http://a/ HTTP/1.1\r\n\r\n").err(), Some(Rule::HostMissing));
    for host in ["", "a b", "a/b", "a@b", "a:", "a:0", "a,b", "[::1", "a%2eb", "http://a", "\u{e4}", "a\\b", "a?b"] {
        assert_eq!(parse(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).err(), Some(Rule::HostInvalid), "{host}");
    }
    let head = parse("GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(head.authority.is_empty() && !head.keep_alive && head.version == Version::Http10);
}

#[test]
fn the_absolute_form_agrees_with_host() {
    let head = parse("GET HTTPS://A:8443/x?y HTTP/1.1\r\nHost: a:8443\r\n\r\n").unwrap();
    assert_eq!((head.scheme, head.authority.as_str(), head.target.as_str()), (Some(Scheme::Https), "a:8443", "/x?y"));
    let head = parse("GET http://a/x HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((head.scheme, head.authority.as_str()), (Some(Scheme::Http), "a"));
    for (target, host) in
        [("GET http://b/x", "a"), ("GET http://a:81/x", "a"), ("GET https://a/x", "a:443"), ("CONNECT b:443", "a:443")]
    {
        let text = format!("{target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(parse(text).err(), Some(Rule::TargetAuthority), "{target}, {host}");
    }
    let head = parse("CONNECT a:443 HTTP/1.1\r\nHost: A:443\r\n\r\n").unwrap();
    assert_eq!((head.authority.as_str(), head.body), ("a:443", BodyKind::None));
    for line in ["Content-Length: 0", "Transfer-Encoding: chunked"] {
        let text = format!("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n{line}\r\n\r\n");
        assert_eq!(parse(text).err(), Some(Rule::BodyForbidden));
    }
}

#[test]
fn http_1_0_has_no_transfer_encoding() {
    let text = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(text).err(), Some(Rule::TransferEncodingVersion));
    let head = parse("POST / HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\n").unwrap();
    assert_eq!((head.keep_alive, head.body), (true, BodyKind::Length(3)));
}

#[test]
fn framing_and_persistence_are_typed() {
    for value in ["chunked", "Chunked", "CHUNKED", "\tchunked \t"] {
        let head = with(&format!("Transfer-Encoding: {value}\r\n")).unwrap();
        assert_eq!((head.body, head.headers.len()), (BodyKind::Chunked, 0), "{value:?}");
    }
    assert_eq!(with("Content-Length: 0\r\n").unwrap().body, BodyKind::Length(0));
    assert_eq!(with("Content-Length: 007\r\n").unwrap().body, BodyKind::Length(7));
    assert_eq!(with("").unwrap().body, BodyKind::None);
    assert!(!with("Connection: close\r\n").unwrap().keep_alive);
    assert!(!with("Connection: keep-alive, CLOSE\r\n").unwrap().keep_alive);
    assert!(with("Connection: keep-alive\r\n").unwrap().keep_alive);
}

#[test]
fn only_end_to_end_fields_remain() {
    let head = with(
        "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nx-hop: 2\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\
         Proxy-Authorization: y\r\nTE: trailers, deflate\r\nHTTP2-Settings: AAA\r\nUpgrade: websocket\r\nAccept: z\r\n",
    )
    .unwrap();
    assert_eq!(names(&head), ["accept", "te"]);
    assert_eq!(head.headers.get_str("te"), Some("trailers"));
    assert_eq!(names(&with("TE: gzip\r\nConnection: te\r\n").unwrap()), [""; 0]);
}

#[test]
fn upgrades_are_offered_only_where_they_are_safe() {
    let head = with("Connection: Upgrade\r\nUpgrade: WebSocket\r\n").unwrap();
    assert!(head.upgrade);
    assert_eq!(head.headers.get_str("upgrade"), Some("WebSocket"));
    let ignored = [
        "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\n",
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c-14\r\n",
        "Connection: Upgrade\r\nUpgrade: H2\r\n",
        "Connection: Upgrade\r\nUpgrade: HTTP2-draft/1\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
        "Connection: Upgrade\r\nUpgrade:\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
    ];
    for lines in ignored {
        let head = with(lines).unwrap();
        assert!(!head.upgrade && head.headers.is_empty(), "{lines:?}");
    }
}

#[test]
fn expectations_need_content_and_http_1_1() {
    assert!(with("Content-Length: 1\r\nExpect: 100-Continue\r\n").unwrap().expect_continue);
    assert!(!with("Expect: 100-continue\r\n").unwrap().expect_continue);
    assert!(!with("Content-Length: 0\r\nExpect: 100-continue\r\n").unwrap().expect_continue);
    let head = parse("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert!(!head.expect_continue && head.headers.is_empty());
}

#[test]
fn limits_hold_to_the_byte() {
    let limits =
        Limits { head_bytes_max: 100, fields_max: 3, target_bytes_max: 10, body_bytes_max: 5, ..Limits::default() };
    let run = |text: &str| RequestParser::new(limits).parse(text.as_bytes()).map_err(|malformed| malformed.rule);
    let start = "GET /123456789 HTTP/1.1\r\nHost: a\r\nX: ";
    let fill = |bytes: usize| format!("{start}{}\r\n\r\n", "y".repeat(bytes - start.len() - 4));
    assert_eq!(run(&fill(100)).unwrap().unwrap().1, 100);
    assert_eq!(run(&fill(101)).err(), Some(Rule::HeadTooLarge));
    assert_eq!(run(&fill(101)[..100]), Ok(None));
    assert_eq!(run("GET /1234567890 HTTP/1.1\r\n").err(), Some(Rule::TargetTooLong));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(count - 1));
    assert!(run(&fields(3)).unwrap().is_some());
    assert_eq!(run(&fields(4)).err(), Some(Rule::TooManyFields));
    assert!(run("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").unwrap().is_some());
    assert_eq!(run("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n").err(), Some(Rule::ContentTooLarge));
}

#[test]
fn the_default_limits_are_those_documented() {
    let big = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(32 << 10));
    assert_eq!(parse(&big).err(), Some(Rule::HeadTooLarge));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(8 << 10));
    assert_eq!(parse(&long).err(), Some(Rule::TargetTooLong));
    assert_eq!(with(&"x: y\r\n".repeat(128)).err(), Some(Rule::TooManyFields));
}

#[test]
fn any_method_token_passes() {
    for method in ["RDG_IN_DATA", "RDG_OUT_DATA", "PROPFIND", "get", "M-SEARCH"] {
        let head = parse(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap();
        assert_eq!(head.method.as_str(), method);
    }
    assert_eq!(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().target.as_str(), "*");
}

#[test]
fn pipelined_requests_come_in_order_and_memory_is_reused() {
    let text = b"GET /1 HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\nRDG_IN_DATA /2 HTTP/1.0\r\nHost: bc\r\n\r\n\r\nGET /3 HTTP/1.1\r\nHost: d\r\n\r\nrest";
    let mut parser = RequestParser::new(Limits::default());
    let (mut at, mut seen) = (0, Vec::new());
    while let Some((head, consumed)) = parser.parse(&text[at..]).unwrap() {
        at += consumed;
        seen.push(format!("{} {} {} {}", head.method, head.authority, head.target, head.headers.len()));
        parser.recycle(head);
        assert!(parser.is_idle());
    }
    assert_eq!(seen, ["GET a /1 1", "RDG_IN_DATA bc /2 0", "GET d /3 0"]);
    assert_eq!(&text[at..], b"rest");
}
