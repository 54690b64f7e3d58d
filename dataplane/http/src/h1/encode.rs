//! Messages to bytes, appended to the caller's buffer so that a head and a small body leave together.

use crate::head::{BodyKind, RequestHead, ResponseHead, Version};
use crate::headers::Headers;
use crate::known::Known;
use crate::method::Method;
use crate::scan;
use crate::status;

/// What a response's form depends on besides itself.
#[derive(Debug, Clone, Copy)]
pub struct ResponseContext<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The client's version.
    pub version: Version,
    /// Whether the connection is to serve another request.
    pub keep_alive: bool,
}

/// How a message's content is written; made by [`encode_request`] and [`encode_response`].
///
/// Content goes out either by [`BodyEncoder::write`], which copies it, or between [`BodyEncoder::begin`] and
/// [`BodyEncoder::close`], where the caller sends it from where it lies. Then [`BodyEncoder::end`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyEncoder {
    form: Form,
    keep_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    /// Bytes still to come.
    Length(u64),
    Chunked,
    Raw,
}

/// Content is longer or shorter than the head said. The connection must be aborted: the other side would take what
/// follows for content, or a part for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("content of another length than its head says")]
pub struct LengthMismatch;

/// Follows the data of every chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Writes a request to a backend, in HTTP/1.1 whatever the client speaks. `Connection: close` is asked for when
/// `head.keep_alive` does not hold.
///
/// # Panics
/// When the content is `UntilClose` or `Upgrade`, which no request can have.
pub fn encode_request(head: &RequestHead, out: &mut Vec<u8>) -> BodyEncoder {
    out.reserve(head.headers.text_bytes() + head.target.as_str().len() + START_BYTES);
    for part in
        [head.method.as_str(), " ", head.target.as_str(), " HTTP/1.1\r\nhost: ", head.authority.as_str(), "\r\n"]
    {
        out.extend_from_slice(part.as_bytes());
    }
    head.headers.write_text(out);
    let form = match head.body {
        BodyKind::None => Form::Nothing,
        BodyKind::Length(length) => Form::Length(length),
        BodyKind::Chunked => Form::Chunked,
        BodyKind::UntilClose | BodyKind::Upgrade => panic!("a request states where its content ends"),
    };
    write_framing(form, out);
    if head.expect_continue {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    write_connection(
        [(!head.keep_alive, "close"), (head.upgrade, "upgrade"), (head.headers.contains(Known::Te), "te")],
        out,
    );
    out.extend_from_slice(b"\r\n");
    BodyEncoder { form, keep_alive: head.keep_alive }
}

/// Writes a final response, a 101 included, to a client. Content of unstated length is sent chunked, or to an HTTP/1.0
/// client until close, so that it is never cut unnoticed where that can be helped.
pub fn encode_response(head: &ResponseHead, context: ResponseContext<'_>, out: &mut Vec<u8>) -> BodyEncoder {
    let form = response_form(head, context);
    let old = context.version == Version::Http10;
    let delimited_by_close = form == Form::Raw && head.body != BodyKind::Upgrade;
    let keep_alive = context.keep_alive && form != Form::Raw;
    write_start(head, out);
    write_fields(head, context.method, out);
    write_framing(form, out);
    write_connection(
        [
            (head.status == 101 || head.status == 426, "upgrade"),
            (delimited_by_close || (!keep_alive && head.body != BodyKind::Upgrade), "close"),
            (keep_alive && old, "keep-alive"),
        ],
        out,
    );
    out.extend_from_slice(b"\r\n");
    BodyEncoder { form, keep_alive }
}

/// Writes an interim response (100, 103), unless the client's version knows none.
pub fn encode_interim(head: &ResponseHead, version: Version, out: &mut Vec<u8>) {
    if version == Version::Http11 {
        write_start(head, out);
        write_fields(head, &Method::Get, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes `100 Continue`.
pub fn encode_continue(out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// Writes the line before a chunk of `size` bytes. Zero writes nothing: it would end the content.
pub fn encode_chunk_start(size: usize, out: &mut Vec<u8>) {
    if size == 0 {
        return;
    }
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut rest = size;
    while rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Writes a whole chunk. Empty data writes nothing.
pub fn encode_chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        encode_chunk_start(data.len(), out);
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
    }
}

/// Writes the last chunk and the trailer section.
pub fn encode_last_chunk(trailers: Option<&Headers>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write_text(out);
    }
    out.extend_from_slice(b"\r\n");
}

impl BodyEncoder {
    /// Whether the connection serves another message after this one.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether content can be written: not for HEAD, 204, 304 and messages that state none.
    pub fn takes_content(&self) -> bool {
        self.form != Form::Nothing
    }

    /// Announces `bytes` of content, which the caller sends next.
    pub fn begin(&mut self, bytes: usize, out: &mut Vec<u8>) -> Result<(), LengthMismatch> {
        match &mut self.form {
            Form::Nothing if bytes > 0 => return Err(LengthMismatch),
            Form::Length(left) => *left = left.checked_sub(bytes as u64).ok_or(LengthMismatch)?,
            Form::Chunked => encode_chunk_start(bytes, out),
            Form::Nothing | Form::Raw => {}
        }
        Ok(())
    }

    /// What follows content that was announced.
    pub fn close(&self, bytes: usize, out: &mut Vec<u8>) {
        if self.form == Form::Chunked && bytes > 0 {
            out.extend_from_slice(CHUNK_END);
        }
    }

    /// Writes content by copying it.
    pub fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), LengthMismatch> {
        self.begin(data.len(), out)?;
        out.extend_from_slice(data);
        self.close(data.len(), out);
        Ok(())
    }

    /// Ends the content. Trailers are lost when it is not chunked: no other form can carry them.
    pub fn end(&mut self, trailers: Option<&Headers>, out: &mut Vec<u8>) -> Result<(), LengthMismatch> {
        match std::mem::replace(&mut self.form, Form::Nothing) {
            Form::Length(1..) => return Err(LengthMismatch),
            Form::Chunked => encode_last_chunk(trailers, out),
            Form::Nothing | Form::Length(0) | Form::Raw => {}
        }
        Ok(())
    }
}

fn response_form(head: &ResponseHead, context: ResponseContext<'_>) -> Form {
    if head.body == BodyKind::Upgrade {
        return Form::Raw;
    }
    if status::has_no_content(head.status) || *context.method == Method::Head {
        return Form::Nothing;
    }
    match head.body {
        BodyKind::None => Form::Length(0),
        BodyKind::Length(length) => Form::Length(length),
        BodyKind::Chunked | BodyKind::UntilClose if context.version == Version::Http10 => Form::Raw,
        BodyKind::Chunked | BodyKind::UntilClose => Form::Chunked,
        BodyKind::Upgrade => Form::Raw,
    }
}

/// A length among the fields may only describe content that is not sent, in an answer to HEAD and a 304: anywhere else
/// it would contradict the framing. An answer to HEAD that was made here states its length in `body`.
fn write_fields(head: &ResponseHead, method: &Method, out: &mut Vec<u8>) {
    let head_answer = *method == Method::Head && !status::has_no_content(head.status);
    let has_length = head.headers.contains(Known::ContentLength);
    if has_length && !head_answer && head.status != 304 {
        let mut headers = head.headers.clone();
        headers.remove(Known::ContentLength);
        headers.write_text(out);
        return;
    }
    head.headers.write_text(out);
    if let (BodyKind::Length(length), true, false) = (head.body, head_answer, has_length) {
        write_framing(Form::Length(length), out);
    }
}

fn write_start(head: &ResponseHead, out: &mut Vec<u8>) {
    out.reserve(head.headers.text_bytes() + START_BYTES);
    out.extend_from_slice(b"HTTP/1.1 ");
    scan::push_decimal(out, u64::from(head.status));
    for part in [" ", head.reason(), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn write_framing(form: Form, out: &mut Vec<u8>) {
    match form {
        Form::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            scan::push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Form::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Form::Nothing | Form::Raw => {}
    }
}

fn write_connection(options: [(bool, &str); 3], out: &mut Vec<u8>) {
    let mut before = "connection: ";
    for (_, option) in options.into_iter().filter(|(said, _)| *said) {
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(option.as_bytes());
        before = ", ";
    }
    if before == ", " {
        out.extend_from_slice(b"\r\n");
    }
}

/// Start line and the fields that the encoder itself writes.
const START_BYTES: usize = 256;
