//! What must hold for any bytes at all. The fuzz targets and the corpus replay call these; none may panic.

pub(crate) mod ours;

use bytes::Bytes;
use postern_http::h1::{self, BodyDecoder, BodyEvent, RequestParser, ResponseContext, ResponseParser};
use postern_http::{BodyKind, Headers, Limits, Malformed, Method, PathRules, RequestHead, ResponseHead, Version};

/// A request, its content and what follows: the same however the input is cut, and stable through tunnel and encoder.
pub(crate) fn request(data: &[u8]) {
    let whole = parse_request(data, data.len());
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(parse_request(data, step), whole, "cut every {step} bytes");
    }
    let Ok(Some((head, consumed))) = whole else { return };
    assert!(consumed <= data.len());
    request_survives_the_tunnel(&head);
    request_survives_the_encoder(&head);
    decode_both_ways(head.body, &data[consumed..]);
}

/// A response to a request chosen by the first byte.
pub(crate) fn response(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let method = [Method::Get, Method::Head, Method::Connect, Method::Post][usize::from(choice & 3)].clone();
    let upgrade = choice & 4 != 0;
    let whole = parse_response(data, data.len(), &method, upgrade);
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(parse_response(data, step, &method, upgrade), whole, "cut every {step} bytes");
    }
    let Ok(Some((head, consumed))) = whole else { return };
    let mut encoded = Vec::new();
    head.encode(&mut encoded);
    let decoded = ResponseHead::decode(&encoded, &roomy()).expect("what was parsed can be decoded");
    assert_eq!(ResponseHead { keep_alive: head.keep_alive, ..decoded }, head);
    response_survives_the_encoder(&head, &method, upgrade);
    decode_both_ways(head.body, &data[consumed..]);
}

/// Chunked content: the same however it is cut, and the same once encoded again.
pub(crate) fn chunked(data: &[u8]) {
    let Some((content, trailers)) = decode_both_ways(BodyKind::Chunked, data) else { return };
    let mut again = Vec::new();
    content.chunks(5).for_each(|chunk| h1::encode_chunk(chunk, &mut again));
    h1::encode_last_chunk(trailers.as_ref(), &mut again);
    let decoded = decode(BodyKind::Chunked, &again, again.len());
    assert_eq!(decoded, Ok((content, trailers, Some(again.len()))));
}

/// Heads and trailers from the tunnel: there is one encoding of each, and the encoders of HTTP/1.1 accept it.
pub(crate) fn wire(data: &[u8]) {
    if let Ok(head) = RequestHead::decode(data, &Limits::default()) {
        let mut again = Vec::new();
        head.encode(&mut again);
        assert_eq!(again, data, "one encoding of {head:?}");
        request_survives_the_encoder(&head);
    }
    if let Ok(head) = ResponseHead::decode(data, &Limits::default()) {
        let mut again = Vec::new();
        head.encode(&mut again);
        assert_eq!(again, data, "one encoding of {head:?}");
        response_survives_the_encoder(&head, &Method::Get, true);
        response_survives_the_encoder(&head, &Method::Head, true);
    }
    if let Ok(trailers) = Headers::decode(data, &Limits::default()) {
        let mut again = Vec::new();
        trailers.encode(&mut again);
        assert_eq!(again, data, "one encoding of {trailers:?}");
    }
}

fn parse_request(data: &[u8], step: usize) -> Result<Option<(RequestHead, usize)>, Malformed> {
    let rules = PathRules { allow_encoded_slash: data.len().is_multiple_of(2) };
    let mut parser = RequestParser::new(Limits::default()).with_path_rules(rules);
    for end in (0..data.len()).step_by(step.max(1)).skip(1).chain([data.len()]) {
        if let Some(done) = parser.parse(&data[..end])? {
            return Ok(Some(done));
        }
    }
    Ok(None)
}

fn parse_response(
    data: &[u8],
    step: usize,
    method: &Method,
    upgrade: bool,
) -> Result<Option<(ResponseHead, usize)>, Malformed> {
    let mut parser = ResponseParser::new(Limits::default());
    for end in (0..data.len()).step_by(step.max(1)).skip(1).chain([data.len()]) {
        if let Some(done) = parser.parse(&data[..end], method, upgrade)? {
            return Ok(Some(done));
        }
    }
    Ok(None)
}

fn request_survives_the_tunnel(head: &RequestHead) {
    let mut encoded = Vec::new();
    head.encode(&mut encoded);
    let decoded = RequestHead::decode(&encoded, &roomy()).expect("what was parsed can be decoded");
    assert_eq!(RequestHead { keep_alive: head.keep_alive, ..decoded }, *head);
}

fn request_survives_the_encoder(head: &RequestHead) {
    if head.authority.is_empty() {
        return;
    }
    let mut text = Vec::new();
    h1::encode_request(head, &mut text);
    let mut parser = RequestParser::new(roomy()).with_path_rules(PathRules { allow_encoded_slash: true });
    let (again, consumed) = parser.parse(&text).expect("our own encoding is valid").expect("and whole");
    assert_eq!(consumed, text.len());
    let expect_continue = again.expect_continue;
    assert!(!expect_continue || head.expect_continue);
    assert_eq!(
        RequestHead { version: head.version, scheme: head.scheme, expect_continue: head.expect_continue, ..again },
        *head
    );
}

fn response_survives_the_encoder(head: &ResponseHead, method: &Method, upgrade: bool) {
    let mut text = Vec::new();
    if head.is_interim() {
        h1::encode_interim(head, Version::Http11, &mut text);
    } else {
        let context = ResponseContext { method, version: Version::Http11, keep_alive: true };
        h1::encode_response(head, context, &mut text);
    }
    // A 2xx of an upgrade belongs to CONNECT.
    let connect = Method::Connect;
    let method = if head.body == BodyKind::Upgrade && head.status != 101 { &connect } else { method };
    let parsed = ResponseParser::new(roomy()).parse(&text, method, upgrade);
    let (again, consumed) = parsed.expect("our own encoding is valid").expect("and whole");
    assert_eq!((consumed, again.status), (text.len(), head.status));
    assert_eq!(again.reason(), head.reason());
    let upgraded = head.body == BodyKind::Upgrade;
    if !upgraded && (head.body.is_empty() || *method == Method::Head) {
        assert!(again.body.is_empty(), "no content is announced: {:?}", again.body);
    }
}

/// Content, trailers, and how much of the input was used; the last only if the content came to its end.
type Decoded = Result<(Vec<u8>, Option<Headers>, Option<usize>), Malformed>;

fn decode_both_ways(kind: BodyKind, data: &[u8]) -> Option<(Vec<u8>, Option<Headers>)> {
    let whole = decode(kind, data, data.len());
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(decode(kind, data, step), whole, "cut every {step} bytes");
    }
    let (content, trailers, used) = whole.ok()?;
    used.map(|_| (content, trailers))
}

fn decode(kind: BodyKind, data: &[u8], step: usize) -> Decoded {
    let mut decoder = BodyDecoder::new(kind, Limits::default());
    let (mut content, mut trailers, mut used) = (Vec::new(), None, 0);
    for piece in data.chunks(step.max(1)) {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode(&mut input)? {
                None => break,
                Some(BodyEvent::Data(data)) => {
                    assert!(!data.is_empty());
                    content.extend_from_slice(&data);
                }
                Some(BodyEvent::Trailers(fields)) => assert!(trailers.replace(fields).is_none(), "trailers come once"),
                Some(BodyEvent::End) => {
                    assert!(decoder.is_done());
                    return Ok((content, trailers, Some(used + piece.len() - input.len())));
                }
            }
        }
        used += piece.len();
    }
    Ok((content, trailers, decoder.is_done().then_some(used)))
}

/// Our own encoding may be a little larger than what it was made from, and says framing and `Connection` of its own.
fn roomy() -> Limits {
    let limits = Limits::default();
    Limits { head_bytes_max: 1 << 20, fields_max: limits.fields_max + 2, ..limits }
}
