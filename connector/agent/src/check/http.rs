//! One GET, by hand: within a time, and no more of the answer than a page. What of it is HTTP/1.1 is here.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use postern_http::h1::{BodyDecoder, BodyEvent, ResponseParser, encode_request};
use postern_http::{Known, Limits, Malformed, Method, PathRules, RequestHead, ResponseHead, Target, Version};
use zeroize::Zeroizing;

use super::http2;
use crate::backend::Backend;
use crate::limits::{ASKED_BYTES_MAX, BACKEND_HEAD_BYTES_MAX};
pub(super) use crate::timed::{Wire, is_slow};

/// A connection, and what is spoken on it.
pub(super) struct Spoken {
    pub(super) wire: Box<dyn Wire>,
    pub(super) http2: bool,
}

/// What is said besides the path.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) authorization: Option<&'a str>,
    /// The field's value.
    pub(super) cookies: Option<Zeroizing<Vec<u8>>>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) head: ResponseHead,
    pub(super) content: Vec<u8>,
    /// There is more content than was read.
    pub(super) cut: bool,
    pub(super) first_byte: Duration,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("no answer in time")]
    Slow,
    #[error("it answers in TLS")]
    SpeaksTls,
    #[error("the answer is not HTTP: {}", .0.code())]
    Malformed(Malformed),
    #[error("the answer is not HTTP/2: {0}")]
    NotHttp2(String),
    #[error("it answers in HTTP/1.1, which was not asked")]
    SpeaksHttp1,
    #[error("the connection ended before the answer was whole")]
    Ended,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if is_slow(&error) {
            Self::Slow
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Ended
        } else {
            Self::Broken(error)
        }
    }
}

impl Got {
    pub(super) fn version(&self) -> &'static str {
        match self.head.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
        }
    }
}

/// Asks for `target`.
pub(super) fn get(spoken: Spoken, backend: &Backend, target: &str, said: &Said<'_>) -> Result<Got, Trouble> {
    let head = head(backend, target, said)?;
    let Spoken { mut wire, http2 } = spoken;
    let asked = Instant::now();
    if http2 {
        return http2::get(wire, backend, &head, asked);
    }
    let mut request = Zeroizing::new(Vec::with_capacity(head.headers.text_bytes() + 1024));
    encode_request(&head, &mut request);
    wire.write_all(&request)?;
    wire.flush()?;
    answer(&mut *wire, asked)
}

/// Offers to go on as a WebSocket (RFC 6455 §4.1) and gives the status of the answer: 101 takes it.
pub(super) fn offer_websocket(
    spoken: Spoken,
    backend: &Backend,
    target: &str,
    said: &Said<'_>,
) -> Result<u16, Trouble> {
    let mut head = head(backend, target, said)?;
    head.keep_alive = true;
    head.upgrade = true;
    head.headers.append_static(Known::Upgrade, "websocket");
    let scheme = if backend.internal.tls { "https" } else { "http" };
    let origin = format!("{scheme}://{}", backend.authority.as_str());
    for (name, value) in
        [("origin", origin.as_str()), ("sec-websocket-version", "13"), ("sec-websocket-key", WEBSOCKET_KEY)]
    {
        let set = head.headers.append(name, value);
        debug_assert!(set.is_ok(), "{name} is a field");
    }
    let mut wire = spoken.wire;
    let mut request = Zeroizing::new(Vec::with_capacity(head.headers.text_bytes() + 1024));
    encode_request(&head, &mut request);
    wire.write_all(&request)?;
    wire.flush()?;
    let limits = Limits { head_bytes_max: BACKEND_HEAD_BYTES_MAX, ..Limits::default() };
    let (mut parser, mut input) = (ResponseParser::new(limits), Vec::new());
    loop {
        more(&mut *wire, &mut input)?;
        if let Some(head) = parse(&mut parser, &mut input, true)? {
            return Ok(head.status);
        }
    }
}

fn head(backend: &Backend, target: &str, said: &Said<'_>) -> Result<RequestHead, Trouble> {
    let rules = PathRules { allow_encoded_slash: true };
    let target =
        Target::parse(target.as_bytes(), &Method::Get, rules).map_err(|rule| Trouble::Malformed(rule.into()))?;
    let mut head = RequestHead::new(Method::Get, backend.host_seen(), target);
    head.keep_alive = false;
    head.headers.append_static(Known::UserAgent, SOFTWARE);
    head.headers.append_static(Known::Accept, "text/html, */*;q=0.5");
    if let Some(authorization) = said.authorization {
        let set = head.headers.set(Known::Authorization, authorization);
        debug_assert!(set.is_ok(), "it is made of base64");
    }
    if let Some(cookies) = &said.cookies {
        // The application made them up: what is no field value is not sent back.
        let _ = head.headers.set(Known::Cookie, cookies.as_slice());
    }
    Ok(head)
}

fn answer(wire: &mut dyn Wire, asked: Instant) -> Result<Got, Trouble> {
    let limits = Limits { head_bytes_max: BACKEND_HEAD_BYTES_MAX, ..Limits::default() };
    let mut parser = ResponseParser::new(limits);
    let (mut input, mut first_byte) = (Vec::new(), None);
    let head = loop {
        more(wire, &mut input)?;
        first_byte.get_or_insert_with(|| asked.elapsed());
        if input.first() == Some(&TLS_ALERT) {
            return Err(Trouble::SpeaksTls);
        }
        if let Some(head) = parse(&mut parser, &mut input, false)? {
            break head;
        }
    };
    let (content, cut) = content(wire, &head, input, limits)?;
    Ok(Got { head, content, cut, first_byte: first_byte.unwrap_or_default() })
}

/// The final head, if all of it is there.
fn parse(
    parser: &mut ResponseParser,
    input: &mut Vec<u8>,
    offered_upgrade: bool,
) -> Result<Option<ResponseHead>, Trouble> {
    while let Some((head, bytes)) = parser.parse(input, &Method::Get, offered_upgrade).map_err(Trouble::Malformed)? {
        input.drain(..bytes);
        if !head.is_interim() {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn content(
    wire: &mut dyn Wire,
    head: &ResponseHead,
    input: Vec<u8>,
    limits: Limits,
) -> Result<(Vec<u8>, bool), Trouble> {
    let mut decoder = BodyDecoder::new(head.body, limits);
    let (mut content, mut input) = (Vec::new(), Bytes::from(input));
    loop {
        match decoder.decode(&mut input).map_err(Trouble::Malformed)? {
            Some(BodyEvent::Data(data)) => {
                let room = ASKED_BYTES_MAX - content.len();
                content.extend_from_slice(&data[..data.len().min(room)]);
                if content.len() == ASKED_BYTES_MAX {
                    return Ok((content, true));
                }
            }
            Some(BodyEvent::Trailers(_)) => {}
            Some(BodyEvent::End) => return Ok((content, false)),
            None => {
                let mut next = Vec::new();
                match more(wire, &mut next) {
                    Ok(()) => input = Bytes::from(next),
                    // Some end a page so; others that only look so are cut, which is worth no more than a word.
                    Err(Trouble::Ended) => return Ok((content, decoder.end_of_input().is_err())),
                    // It may have no end: a stream of events, a poll.
                    Err(Trouble::Slow) => return Ok((content, true)),
                    Err(trouble) => return Err(trouble),
                }
            }
        }
    }
}

fn more(wire: &mut dyn Wire, input: &mut Vec<u8>) -> Result<(), Trouble> {
    let mut buffer = [0; 16 * 1024];
    match wire.read(&mut buffer)? {
        0 => Err(Trouble::Ended),
        bytes => {
            input.extend_from_slice(&buffer[..bytes]);
            Ok(())
        }
    }
}

/// Any sixteen bytes, in base64: who takes the offer is sent nothing more.
const WEBSOCKET_KEY: &str = "cG9zdGVybi1hcHBjaGVjaw==";
const SOFTWARE: &str = concat!("postern-connector/", env!("CARGO_PKG_VERSION"), " (app check)");
/// The first byte of a server that expected a ClientHello.
pub(super) const TLS_ALERT: u8 = 0x15;
