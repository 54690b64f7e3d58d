//! The frame header: nine bytes, the same for every frame. `docs/tunnel-protocol.md` has the table.

use crate::error::PeerMisbehaved;
use crate::limits::{CONTROL_BYTES_MAX, DATA_BYTES_MAX, HEAD_BYTES_MAX, OPEN_META_BYTES_MAX};

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the protocol's table names them")]
pub enum FrameKind {
    Hello = 0,
    Open = 1,
    Head = 2,
    Informational = 3,
    Data = 4,
    Trailers = 5,
    Cancel = 6,
    Credit = 7,
    Upgrade = 8,
    Probe = 9,
    ProbeReply = 10,
    Config = 11,
    Revoke = 12,
    LaneRequest = 13,
    Generation = 14,
    GoAway = 15,
    Status = 16,
    Timing = 17,
    Check = 18,
    CheckAnswer = 19,
}

impl FrameKind {
    pub(crate) const ALL: [Self; 20] = [
        Self::Hello,
        Self::Open,
        Self::Head,
        Self::Informational,
        Self::Data,
        Self::Trailers,
        Self::Cancel,
        Self::Credit,
        Self::Upgrade,
        Self::Probe,
        Self::ProbeReply,
        Self::Config,
        Self::Revoke,
        Self::LaneRequest,
        Self::Generation,
        Self::GoAway,
        Self::Status,
        Self::Timing,
        Self::Check,
        Self::CheckAnswer,
    ];

    fn from_wire(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// Frames that belong to a stream; the others carry stream id 0. REVOKE states its scope in its payload.
    pub(crate) fn of_stream(self) -> bool {
        match self {
            Self::Open
            | Self::Head
            | Self::Informational
            | Self::Data
            | Self::Trailers
            | Self::Cancel
            | Self::Credit
            | Self::Upgrade
            | Self::Timing => true,
            Self::Hello
            | Self::Probe
            | Self::ProbeReply
            | Self::Config
            | Self::Revoke
            | Self::LaneRequest
            | Self::Generation
            | Self::GoAway
            | Self::Status
            | Self::Check
            | Self::CheckAnswer => false,
        }
    }

    fn payload_bytes_max(self) -> usize {
        match self {
            Self::Open => 1 + OPEN_META_BYTES_MAX + HEAD_BYTES_MAX as usize,
            Self::Head | Self::Informational | Self::Trailers | Self::Upgrade => HEAD_BYTES_MAX as usize,
            Self::Data | Self::Config | Self::CheckAnswer => DATA_BYTES_MAX,
            Self::Hello
            | Self::Cancel
            | Self::Credit
            | Self::Probe
            | Self::ProbeReply
            | Self::Revoke
            | Self::LaneRequest
            | Self::Generation
            | Self::GoAway
            | Self::Status
            | Self::Timing
            | Self::Check => CONTROL_BYTES_MAX,
        }
    }
}

/// The sender's half of the stream ends with this frame.
pub(crate) const END: u8 = 0x01;
/// Another part of the same configuration follows.
pub(crate) const MORE: u8 = 0x02;
/// CANCEL: nothing was done with the stream.
pub(crate) const UNPROCESSED: u8 = 0x04;
/// A receiver that does not know this kind of frame skips it.
pub(crate) const OPTIONAL: u8 = 0x80;

pub(crate) const HEADER_BYTES: usize = 9;

/// A stream's id as it travels. 0 is the tunnel itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireId(pub u32);

impl std::fmt::Display for WireId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: usize,
    pub(crate) kind: FrameKind,
    pub(crate) flags: u8,
    pub(crate) stream: WireId,
}

/// What a header says should happen to the bytes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    Known(Header),
    /// An optional frame of a kind that this end does not know: this many bytes are skipped.
    Skip(usize),
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        debug_assert!(self.length < 1 << 24, "the length field has 24 bits");
        let [_, l1, l2, l3] = (self.length as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.0.to_be_bytes();
        [l1, l2, l3, self.kind as u8, self.flags, s0, s1, s2, s3]
    }

    /// Reads a header and refuses what no frame may look like, before its payload is waited for.
    pub(crate) fn parse(bytes: [u8; HEADER_BYTES]) -> Result<Parsed, PeerMisbehaved> {
        let [l1, l2, l3, kind_byte, flags, s0, s1, s2, s3] = bytes;
        let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
        let stream = WireId(u32::from_be_bytes([s0, s1, s2, s3]));
        let Some(kind) = FrameKind::from_wire(kind_byte) else {
            return unknown(kind_byte, flags, length);
        };
        if length > kind.payload_bytes_max() {
            let max = kind.payload_bytes_max();
            return Err(PeerMisbehaved::FrameTooLong { kind, length, max });
        }
        if kind.of_stream() == (stream.0 == 0) {
            return Err(PeerMisbehaved::StreamOnWrongFrame { kind, stream });
        }
        Ok(Parsed::Known(Self { length, kind, flags, stream }))
    }
}

fn unknown(kind: u8, flags: u8, length: usize) -> Result<Parsed, PeerMisbehaved> {
    if flags & OPTIONAL != 0 && length <= DATA_BYTES_MAX {
        return Ok(Parsed::Skip(length));
    }
    Err(PeerMisbehaved::FrameUnknown { kind, flags, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in FrameKind::ALL {
            let stream = WireId(if kind.of_stream() { 0x1234_5678 } else { 0 });
            let header = Header { length: 300, kind, flags: END, stream };
            assert_eq!(Header::parse(header.encode()), Ok(Parsed::Known(header)));
        }
    }

    #[test]
    fn unknown_kinds_are_skipped_only_when_optional() {
        let mut bytes = [0, 0, 7, 99, OPTIONAL, 0, 0, 0, 0];
        assert_eq!(Header::parse(bytes), Ok(Parsed::Skip(7)));
        bytes[4] = 0;
        assert!(matches!(Header::parse(bytes), Err(PeerMisbehaved::FrameUnknown { kind: 99, .. })));
        bytes[4] = OPTIONAL;
        bytes[0] = 0xff;
        assert!(Header::parse(bytes).is_err(), "too long to skip");
    }
}
