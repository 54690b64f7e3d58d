//! Heads from the tunnel are believed no more than a client's.

use postern_http::h1::{RequestParser, ResponseParser};
use postern_http::{Headers, Known, Limits, Method, RequestHead, ResponseHead, Rule};

fn sample_request() -> RequestHead {
    let text = "PROPFIND /a?b HTTP/1.1\r\nHost: a:1\r\nX-Thing: v\r\nAccept: w\r\nContent-Length: 300\r\nExpect: 100-continue\r\n\r\n";
    RequestParser::new(Limits::default()).parse(text.as_bytes()).unwrap().unwrap().0
}

fn encoded(head: &RequestHead) -> Vec<u8> {
    let mut out = Vec::new();
    head.encode(&mut out);
    out
}

fn decode(bytes: &[u8]) -> Result<RequestHead, Rule> {
    RequestHead::decode(bytes, &Limits::default()).map_err(|malformed| malformed.rule)
}

#[test]
fn the_layout_is_pinned() {
    let mut expected = vec![1, 0x21, 0];
    expected.extend_from_slice(b"\x08PROPFIND\x01\xac\x02\x03a:1\x00\x04/a?b\x02");
    expected.extend_from_slice(b"\x00\x07x-thing\x01v\x01\x01w");
    assert_eq!(encoded(&sample_request()), expected);

    let text = "HTTP/1.1 404 Nope\r\nServer: s\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (head, _) =
        ResponseParser::new(Limits::default()).parse(text.as_bytes(), &Method::Get, false).unwrap().unwrap();
    let mut out = Vec::new();
    head.encode(&mut out);
    let server = 1 + Known::ALL.iter().position(|&known| known == Known::Server).unwrap() as u8;
    assert_eq!(out, [&[1, 1, 1, 0x94, 2, 4][..], b"Nope", &[1, server, 1, b's']].concat());
}

#[test]
fn a_cut_or_extended_head_is_refused() {
    let bytes = encoded(&sample_request());
    assert_eq!(decode(&bytes), Ok(sample_request()));
    for cut in 0..bytes.len() {
        assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert_eq!(decode(&[&bytes[..], b"\0"].concat()), Err(Rule::Tunnel));
    let newer = [&[2], &bytes[1..]].concat();
    assert_eq!(decode(&newer), Err(Rule::TunnelVersion));
    assert_eq!(decode(&vec![1; 200 << 10]), Err(Rule::HeadTooLarge));
}

/// A GET of `/` on `a` with one field spelled out as bytes.
fn with_field(field: &[u8]) -> Result<RequestHead, Rule> {
    decode(&[&[1, 1, 1, 0, 1, b'a', 0, 1, b'/', 1], field].concat())
}

fn known(name: Known, value: &str) -> Vec<u8> {
    let number = 1 + Known::ALL.iter().position(|&known| known == name).unwrap() as u8;
    [&[number, value.len() as u8], value.as_bytes()].concat()
}

fn other(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

#[test]
fn fields_are_validated_again() {
    assert!(with_field(&other("x", "y\tz")).is_ok());
    assert!(with_field(&known(Known::Te, "trailers")).is_ok());
    let table = [
        (other("x", "a\r\nhost: b"), Rule::FieldValue),
        (other("x", "a\0"), Rule::FieldValue),
        (other("x", " a"), Rule::FieldValue),
        (other("x", "a\x7f"), Rule::FieldValue),
        (other("", "a"), Rule::FieldName),
        (other("x y", "a"), Rule::FieldName),
        (other("x:", "a"), Rule::FieldName),
        (other("x\r\n", "a"), Rule::FieldName),
        (other("X", "a"), Rule::FieldName),
        (other("host", "a"), Rule::FieldName),
        (known(Known::Host, "a"), Rule::Tunnel),
        (known(Known::ContentLength, "5"), Rule::Tunnel),
        (known(Known::TransferEncoding, "chunked"), Rule::Tunnel),
        (known(Known::Connection, "close"), Rule::Tunnel),
        (known(Known::Expect, "100-continue"), Rule::Tunnel),
        (known(Known::Te, "gzip"), Rule::Tunnel),
        (known(Known::Upgrade, "websocket"), Rule::Tunnel),
        (vec![255, 1, b'a'], Rule::Tunnel),
        (vec![1, 0x81, 0x00, b'a'], Rule::Tunnel),
        (vec![1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], Rule::Tunnel),
    ];
    for (field, rule) in table {
        assert_eq!(with_field(&field).err(), Some(rule), "{}", field.escape_ascii());
    }
}

#[test]
fn start_lines_are_validated_again() {
    let head = |method: &[u8], body: &[u8], authority: &str, form: u8, target: &str| {
        let mut bytes = [&[1, 1], method, body, &[authority.len() as u8], authority.as_bytes()].concat();
        bytes.extend_from_slice(&[form, target.len() as u8]);
        bytes.extend_from_slice(target.as_bytes());
        bytes.push(0);
        decode(&bytes).map(|_| ())
    };
    assert_eq!(head(&[1], &[0], "a", 0, "/a%2fb"), Ok(()));
    assert_eq!(head(&[6], &[0], "a", 1, "*"), Ok(()));
    assert_eq!(head(&[8], &[0], "a:1", 2, "a:1"), Ok(()));
    let table = [
        (head(&[0, 3, b'G', b' ', b'T'], &[0], "a", 0, "/"), Rule::Method),
        (head(&[0, 3, b'G', b'E', b'T'], &[0], "a", 0, "/"), Rule::Tunnel),
        (head(&[99], &[0], "a", 0, "/"), Rule::Tunnel),
        (head(&[1], &[3], "a", 0, "/"), Rule::Tunnel),
        (head(&[1], &[4], "a", 0, "/"), Rule::Tunnel),
        (head(&[1], &[9], "a", 0, "/"), Rule::Tunnel),
        (head(&[1], &[0], "A", 0, "/"), Rule::HostInvalid),
        (head(&[1], &[0], "a\r\n", 0, "/"), Rule::HostInvalid),
        (head(&[1], &[0], "a", 0, "/ HTTP/1.1\r\nx: y\r\n\r\n"), Rule::TargetByte),
        (head(&[1], &[0], "a", 0, "/../b"), Rule::PathDotSegment),
        (head(&[1], &[0], "a", 0, "/%5c"), Rule::PathBackslash),
        (head(&[1], &[0], "a", 1, "*"), Rule::TargetForm),
        (head(&[1], &[0], "a", 2, "a:1"), Rule::TargetForm),
        (head(&[8], &[0], "a:1", 0, "/"), Rule::TargetForm),
        (head(&[1], &[0], "a", 3, "/"), Rule::TargetForm),
        (head(&[8], &[0], "b:1", 2, "a:1"), Rule::TargetAuthority),
        (head(&[8], &[2], "a:1", 2, "a:1"), Rule::Tunnel),
    ];
    for (at, (result, rule)) in table.into_iter().enumerate() {
        assert_eq!(result, Err(rule), "row {at}");
    }
}

#[test]
fn responses_are_validated_again() {
    let head = |status: u16, body: &[u8], fields: &[u8]| {
        let bytes = [&[1, 1], &status.to_be_bytes()[..], body, &[0], fields].concat();
        ResponseHead::decode(&bytes, &Limits::default()).map(|_| ()).map_err(|malformed| malformed.rule)
    };
    let one = |field: Vec<u8>| [vec![1], field].concat();
    assert_eq!(head(200, &[3], &[0]), Ok(()));
    assert_eq!(head(101, &[4], &one(known(Known::Upgrade, "websocket"))), Ok(()));
    assert_eq!(head(304, &[0], &one(known(Known::ContentLength, "5"))), Ok(()));
    let refused = [
        head(99, &[0], &[0]),
        head(1000, &[0], &[0]),
        head(101, &[0], &[0]),
        head(404, &[4], &[0]),
        head(204, &[1, 5], &[0]),
        head(304, &[2], &[0]),
        head(103, &[3], &[0]),
        head(200, &[1, 5], &one(known(Known::ContentLength, "6"))),
        head(204, &[0], &one(known(Known::ContentLength, "6"))),
        head(304, &[0], &one(known(Known::ContentLength, "x"))),
        head(200, &[1, 5], &one(known(Known::Upgrade, "websocket"))),
        head(200, &[1, 5], &one(known(Known::TransferEncoding, "chunked"))),
    ];
    for (at, result) in refused.into_iter().enumerate() {
        assert_eq!(result, Err(Rule::Tunnel), "row {at}");
    }
    let reason = [&[1, 1, 0, 200, 0, 4], &b"a\r\nb"[..], &[0]].concat();
    assert!(ResponseHead::decode(&reason, &Limits::default()).is_err());
}

#[test]
fn trailers_are_validated_again() {
    let decode = |fields: &[u8]| {
        Headers::decode(&[&[1], fields].concat(), &Limits::default()).map_err(|malformed| malformed.rule)
    };
    let good = [vec![1], other("x-sum", "1")].concat();
    assert_eq!(decode(&good).unwrap().get_str("x-sum"), Some("1"));
    assert_eq!(decode(&[vec![1], known(Known::SetCookie, "a=b")].concat()), Err(Rule::TrailerForbidden));
    assert_eq!(decode(&[vec![1], known(Known::ContentLength, "1")].concat()), Err(Rule::TrailerForbidden));
    assert_eq!(decode(&[0xff, 0xff, 0x03]), Err(Rule::TooManyFields));
}
