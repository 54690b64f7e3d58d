//! Content: what is decoded, and what is refused.

use bytes::Bytes;
use postern_http::h1::{BodyDecoder, BodyEvent};
use postern_http::{BodyKind, Headers, Limits, Rule};

struct Decoded {
    content: Vec<u8>,
    trailers: Option<Headers>,
    done: bool,
    rest: Bytes,
}

fn decode_with(kind: BodyKind, text: &str, limits: Limits) -> Result<Decoded, Rule> {
    let mut decoder = BodyDecoder::new(kind, limits);
    let mut rest = Bytes::copy_from_slice(text.as_bytes());
    let (mut content, mut trailers) = (Vec::new(), None);
    loop {
        match decoder.decode(&mut rest).map_err(|malformed| malformed.rule)? {
            None => break,
            Some(BodyEvent::Data(data)) => content.extend_from_slice(&data),
            Some(BodyEvent::Trailers(fields)) => trailers = Some(fields),
            Some(BodyEvent::End) => break,
        }
    }
    Ok(Decoded { content, trailers, done: decoder.is_done(), rest })
}

fn chunked(text: &str) -> Result<Decoded, Rule> {
    decode_with(BodyKind::Chunked, text, Limits::default())
}

#[test]
fn each_kind_ends_where_it_should() {
    let table = [
        (BodyKind::None, "next", "", true, "next"),
        (BodyKind::Length(0), "next", "", true, "next"),
        (BodyKind::Length(3), "abcnext", "abc", true, "next"),
        (BodyKind::Length(8), "abc", "abc", false, ""),
        (BodyKind::UntilClose, "abc", "abc", false, ""),
        (BodyKind::Upgrade, "abc", "abc", false, ""),
        (BodyKind::Chunked, "3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\nnext", "abcd", true, "next"),
        (BodyKind::Chunked, "0\r\n\r\n", "", true, ""),
        (BodyKind::Chunked, "3\r\nab", "ab", false, ""),
    ];
    for (kind, text, content, done, rest) in table {
        let decoded = decode_with(kind, text, Limits::default()).unwrap();
        assert_eq!(
            (decoded.content, decoded.done, decoded.rest),
            (content.into(), done, Bytes::from(rest)),
            "{kind:?} {text:?}"
        );
        assert!(decoded.trailers.is_none());
    }
}

#[test]
fn content_is_not_copied() {
    let mut input = Bytes::from_static(b"5\r\nhello\r\n0\r\n\r\n");
    let at = input[3..].as_ptr();
    let mut decoder = BodyDecoder::new(BodyKind::Chunked, Limits::default());
    let Ok(Some(BodyEvent::Data(data))) = decoder.decode(&mut input) else { panic!("data") };
    assert_eq!((data.as_ptr(), &data[..]), (at, &b"hello"[..]));
}

#[test]
fn an_early_end_is_an_error() {
    let whole = "3\r\nabc\r\n0\r\nx: y\r\n\r\n";
    for cut in 0..whole.len() {
        let mut decoder = BodyDecoder::new(BodyKind::Chunked, Limits::default());
        let mut input = Bytes::copy_from_slice(&whole.as_bytes()[..cut]);
        while decoder.decode(&mut input).unwrap().is_some() {}
        assert_eq!(decoder.end_of_input().unwrap_err().rule, Rule::TruncatedBody, "cut at {cut}");
    }
    let mut decoder = BodyDecoder::new(BodyKind::Length(2), Limits::default());
    assert!(decoder.decode(&mut Bytes::from_static(b"a")).unwrap().is_some());
    assert_eq!(decoder.end_of_input().unwrap_err().rule, Rule::TruncatedBody);
    for kind in [BodyKind::UntilClose, BodyKind::Upgrade, BodyKind::None, BodyKind::Length(0)] {
        let mut decoder = BodyDecoder::new(kind, Limits::default());
        decoder.end_of_input().unwrap();
        assert!(decoder.is_done());
    }
}

#[test]
fn odd_chunks_are_refused() {
    let table = [
        ("3\r\nabcd\r\n", Rule::ChunkEnd),
        ("3\r\nabc\n", Rule::ChunkEnd),
        ("3\r\nabc\rX", Rule::ChunkEnd),
        ("3\r\nabc0\r\n\r\n", Rule::ChunkEnd),
        ("3\nabc\r\n", Rule::BareLf),
        ("0\r\n\n", Rule::BareLf),
        ("+3\r\nabc\r\n", Rule::ChunkSize),
        ("0x3\r\nabc\r\n", Rule::ChunkSize),
        (" 3\r\nabc\r\n", Rule::ChunkSize),
        ("3 \r\nabc\r\n", Rule::ChunkSize),
        ("\r\n3\r\nabc\r\n", Rule::ChunkSize),
        ("fffffffffffffffff\r\n", Rule::ChunkSize),
        ("3;a b\r\nabc\r\n", Rule::ChunkExtension),
        ("3;\nabc\r\n", Rule::BareLf),
        ("0\r\nx\r\n\r\n", Rule::FieldColon),
        ("0\r\n folded\r\n\r\n", Rule::FieldFold),
        ("0\r\nx: \0\r\n\r\n", Rule::FieldValue),
    ];
    for (text, rule) in table {
        assert_eq!(chunked(text).err(), Some(rule), "{text:?}");
    }
    let long = format!("1;{}\r\nx\r\n", "a".repeat(300));
    assert_eq!(chunked(&long).err(), Some(Rule::ChunkLine));
}

#[test]
fn trailers_are_filtered() {
    let decoded = chunked("1\r\na\r\n0\r\nGrpc-Status: 0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\nnext").unwrap();
    let trailers = decoded.trailers.unwrap();
    assert_eq!(trailers.get_str("grpc-status"), Some("0"));
    assert_eq!((trailers.get_all("x-sum").count(), decoded.rest), (2, Bytes::from("next")));

    let dropped = "0\r\nDate: x\r\nSet-Cookie: a=b\r\nAuthorization: x\r\nX-Forwarded-For: x\r\nx_real_ip: x\r\nX-Postern-User: x\r\nRemote_User: x\r\n\r\n";
    let decoded = chunked(dropped).unwrap();
    assert!(decoded.done && decoded.trailers.is_none());

    for name in ["Content-Length", "Transfer-Encoding", "Host", "Connection", "Upgrade", "TE", "Trailer", "Expect"] {
        assert_eq!(chunked(&format!("0\r\n{name}: 5\r\n\r\n")).err(), Some(Rule::TrailerForbidden), "{name}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { body_bytes_max: 4, trailer_bytes_max: 16, fields_max: 2, ..Limits::default() };
    let run = |kind, text: &str| decode_with(kind, text, limits).map(|decoded| decoded.done);
    assert_eq!(run(BodyKind::Chunked, "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"), Ok(true));
    assert_eq!(run(BodyKind::Chunked, "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"), Err(Rule::ContentTooLarge));
    assert_eq!(run(BodyKind::UntilClose, "abcde"), Err(Rule::ContentTooLarge));
    assert_eq!(run(BodyKind::Upgrade, "abcde"), Ok(false));
    assert_eq!(run(BodyKind::Chunked, "0\r\nx: 123456789\r\n\r\n"), Ok(true));
    assert_eq!(run(BodyKind::Chunked, "0\r\nx: 1234567890\r\n\r\n"), Err(Rule::TrailersTooLarge));
    assert_eq!(run(BodyKind::Chunked, "0\r\na:\r\nb:\r\n\r\n"), Ok(true));
    assert_eq!(run(BodyKind::Chunked, "0\r\na:\r\nb:\r\nc:\r\n\r\n"), Err(Rule::TooManyFields));
}
