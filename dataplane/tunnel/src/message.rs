//! Payloads of frames as types, each with its encoding. Integers are big-endian; bytes after the last known field are
//! ignored, so that a newer minor version may append to a payload.

pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod hello;
pub(crate) mod open;

use crate::error::PeerMisbehaved;
use crate::frame::FrameKind;

/// Reads a payload field by field; a missing field is the peer's fault and says which.
pub(crate) struct Reader<'a> {
    kind: FrameKind,
    length: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(kind: FrameKind, payload: &'a [u8]) -> Self {
        Self { kind, length: payload.len(), rest: payload }
    }

    pub(crate) fn malformed(&self, field: &'static str) -> PeerMisbehaved {
        PeerMisbehaved::Malformed { kind: self.kind, length: self.length, field }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], PeerMisbehaved> {
        let Some((array, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.malformed(field));
        };
        self.rest = rest;
        Ok(*array)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, PeerMisbehaved> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, PeerMisbehaved> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, PeerMisbehaved> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, PeerMisbehaved> {
        self.array(field).map(u64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self, field: &'static str) -> Result<u128, PeerMisbehaved> {
        self.array(field).map(u128::from_be_bytes)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// A length in one byte, then that many bytes.
    pub(crate) fn short(&mut self, field: &'static str) -> Result<&'a [u8], PeerMisbehaved> {
        let length = usize::from(self.u8(field)?);
        let Some((short, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.malformed(field));
        };
        self.rest = rest;
        Ok(short)
    }

    /// Like [`Self::short`], UTF-8.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, PeerMisbehaved> {
        let bytes = self.short(field)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed(field))
    }
}

/// Writes what [`Reader::text`] reads, cut at a character so that it fits.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str, max: usize) {
    let text = &text[..text.floor_char_boundary(max.min(255))];
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}
