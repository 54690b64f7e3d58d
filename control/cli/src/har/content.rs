//! Recorded content as text: out of its coding where that is known, without the secrets that the coding hid. What is no text is base64.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use postern_model::trace::redact;
use postern_model::trace::{TracedBody, TracedHeaders};

/// What is shown of a content.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) text: Option<String>,
    /// `base64`, where the text is no text.
    pub(super) encoding: Option<&'static str>,
    /// What is missing.
    pub(super) comment: Option<String>,
    /// Without its coding, where all of it is here.
    pub(super) size: Option<usize>,
}

/// Of one content; `decoded` counts what was taken out of codings so far, of all.
pub(super) fn of(body: &TracedBody, headers: &TracedHeaders, decoded: &mut usize) -> Decoded {
    if let Some(why) = &body.withheld {
        return Decoded { comment: Some(format!("not recorded: {why}")), ..Decoded::default() };
    }
    let bytes = body.bytes();
    let coding = headers.coding();
    if coding.is_empty() {
        return shown(&bytes, body.cut, body.cut.then(|| "only its beginning was recorded".into()));
    }
    if *decoded >= DECODED_BYTES_IN_ALL_MAX {
        let comment = "not shown: its coding is not taken off any more, for so much was decoded already";
        return Decoded { comment: Some(comment.into()), ..Decoded::default() };
    }
    let Some((plain, whole)) = without_coding(&coding, &bytes) else {
        // What it hides, or what a server only says is in it, was looked through by nobody.
        let comment = format!("not shown: its coding, {}, is not known, or it is not in it", printable(&coding));
        return Decoded { comment: Some(comment), ..Decoded::default() };
    };
    *decoded += plain.len();
    let kind = headers.get("content-type").unwrap_or_default();
    match redact::content(kind, &plain) {
        Ok(content) => {
            let cut = body.cut || !whole;
            shown(&content, cut, cut.then(|| "only its beginning is shown".into()))
        }
        Err(why) => Decoded { comment: Some(format!("not shown: {why}")), ..Decoded::default() },
    }
}

fn shown(bytes: &[u8], cut: bool, comment: Option<String>) -> Decoded {
    let size = (!cut).then_some(bytes.len());
    match text(bytes, cut) {
        Some(text) => Decoded { text: Some(text.to_owned()), encoding: None, comment, size },
        None => Decoded { text: Some(STANDARD.encode(bytes)), encoding: Some("base64"), comment, size },
    }
}

/// UTF-8 without what no text has; a character may have been cut at the end.
fn text(bytes: &[u8], cut: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

/// The content and whether that is all of it; `None` where the coding is not known, or is another one.
fn without_coding(coding: &str, bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    match coding {
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(bytes)),
        // Some servers leave out zlib's own head.
        "deflate" => read(ZlibDecoder::new(bytes)).or_else(|| read(DeflateDecoder::new(bytes))),
        "br" => read(brotli::Decompressor::new(bytes, BUFFER_BYTES)),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).ok()?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
            read(decoder)
        }
        _ => None,
    }
}

/// As much as there is, up to the bound: what was cut ends with an error.
fn read(decoder: impl Read) -> Option<(Vec<u8>, bool)> {
    let mut plain = Vec::new();
    let ended = decoder.take(DECODED_BYTES_MAX).read_to_end(&mut plain);
    let whole = ended.is_ok() && (plain.len() as u64) < DECODED_BYTES_MAX;
    (whole || !plain.is_empty()).then_some((plain, whole))
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Of one content.
const DECODED_BYTES_MAX: u64 = 256 << 10;
/// Of all in one archive: what is held in memory.
pub(super) const DECODED_BYTES_IN_ALL_MAX: usize = 128 << 20;
const BUFFER_BYTES: usize = 4 << 10;
/// What browsers take (RFC 9659): 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
