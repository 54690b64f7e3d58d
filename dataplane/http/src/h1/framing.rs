//! How a message's content is delimited (RFC 9112 §6), read from its fields without ever guessing.

use crate::head::Version;
use crate::headers::Headers;
use crate::known::Known;
use crate::malformed::Rule;
use crate::scan;

/// What the framing fields say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stated {
    Nothing,
    Length(u64),
    Chunked,
}

/// Reads `Content-Length` and `Transfer-Encoding`.
pub(crate) fn stated(headers: &Headers, version: Version) -> Result<Stated, Rule> {
    let length = content_length(headers)?;
    let chunked = is_chunked(headers, version)?;
    match (length, chunked) {
        (Some(_), true) => Err(Rule::LengthAndEncoding),
        (Some(length), false) => Ok(Stated::Length(length)),
        (None, true) => Ok(Stated::Chunked),
        (None, false) => Ok(Stated::Nothing),
    }
}

/// One field of decimal digits. Equal duplicates are refused too: what comes next may read them otherwise.
fn content_length(headers: &Headers) -> Result<Option<u64>, Rule> {
    let mut values = headers.values(Known::ContentLength);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Rule::ContentLengthDuplicate);
    }
    scan::decimal(value).map(Some).ok_or(Rule::ContentLength)
}

/// One field that says `chunked` and nothing else.
fn is_chunked(headers: &Headers, version: Version) -> Result<bool, Rule> {
    let mut values = headers.values(Known::TransferEncoding);
    let Some(value) = values.next() else { return Ok(false) };
    if version != Version::Http11 {
        return Err(Rule::TransferEncodingVersion);
    }
    if values.next().is_some() {
        return Err(Rule::TransferEncoding);
    }
    match value {
        _ if value.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ if scan::is_token(value) => Err(Rule::TransferCoding),
        _ => Err(Rule::TransferEncoding),
    }
}
