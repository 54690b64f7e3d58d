//! What goes wrong in a tunnel and whose fault it is.

use crate::frame::{FrameKind, WireId};

/// Ends the tunnel. Every further `handle_input` returns the same error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TunnelError {
    /// The peer broke the protocol.
    #[error("the peer broke the tunnel protocol: {0}")]
    Peer(#[from] PeerMisbehaved),
    /// No version is spoken by both.
    #[error("the peer speaks tunnel protocol {peer_min} to {peer_max}, this end {own_min} to {own_max}")]
    Version {
        /// The peer's oldest.
        peer_min: u16,
        /// The peer's newest.
        peer_max: u16,
        /// This end's oldest.
        own_min: u16,
        /// This end's newest.
        own_max: u16,
    },
    /// The peer said nothing in time.
    #[error("no HELLO from the peer within {timeout_ms} ms")]
    HelloTimeout {
        /// What it was given.
        timeout_ms: u64,
    },
    /// The peer causes answers and does not read them.
    #[error("{queued} bytes wait to be sent and the peer does not read; the bound is {max}")]
    OutputOverflow {
        /// Bytes queued.
        queued: usize,
        /// The bound.
        max: usize,
    },
}

/// How the peer broke the protocol. Always fatal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the values are")]
pub enum PeerMisbehaved {
    #[error("{kind:?} before HELLO")]
    BeforeHello { kind: FrameKind },
    #[error("a second HELLO")]
    SecondHello,
    #[error("HELLO of a {role:?}, the same role as this end")]
    SameRole { role: crate::Role },
    #[error("HELLO states {field} {value}, outside {min} to {max}")]
    HelloOutOfRange { field: &'static str, value: u64, min: u64, max: u64 },
    #[error("unknown kind of frame {kind} (flags {flags:#x}, {length} bytes)")]
    FrameUnknown { kind: u8, flags: u8, length: usize },
    #[error("{kind:?} of {length} bytes, at most {max} are allowed")]
    FrameTooLong { kind: FrameKind, length: usize, max: usize },
    #[error("{kind:?} with stream id {stream}")]
    StreamOnWrongFrame { kind: FrameKind, stream: WireId },
    #[error("{kind:?}, which only the other end may send")]
    WrongDirection { kind: FrameKind },
    #[error("{kind:?} of {length} bytes has no valid {field}")]
    Malformed { kind: FrameKind, length: usize, field: &'static str },
    #[error("stream {stream} needs slot {slot}, this end has {max}")]
    TooManyStreams { stream: WireId, slot: usize, max: usize },
    #[error("OPEN of stream {stream}, which is still open")]
    StreamInUse { stream: WireId },
    #[error("OPEN of stream {stream}, the slot's next generation is {expected}")]
    OpenOutOfOrder { stream: WireId, expected: u32 },
    #[error("{kind:?} for stream {stream}, which was never opened")]
    StreamNeverOpened { kind: FrameKind, stream: WireId },
    #[error("{kind:?} for stream {stream} after its end")]
    AfterEnd { kind: FrameKind, stream: WireId },
    #[error("{kind:?} for stream {stream} before its HEAD")]
    BeforeHead { kind: FrameKind, stream: WireId },
    #[error("{kind:?} for stream {stream} after its HEAD")]
    AfterHead { kind: FrameKind, stream: WireId },
    #[error("{kind:?} for stream {stream}, which was upgraded")]
    AfterUpgrade { kind: FrameKind, stream: WireId },
    #[error("more than {max} interim responses on stream {stream}")]
    TooManyInformational { stream: WireId, max: u8 },
    #[error("{received} bytes on stream {stream}, whose credit is {credit}")]
    CreditExceeded { stream: WireId, received: usize, credit: u32 },
    #[error("CREDIT of {added} on stream {stream} that has {credit}, above the largest window {max}")]
    CreditOverflow { stream: WireId, credit: u32, added: u32, max: u32 },
    #[error("CREDIT of zero on stream {stream}")]
    CreditZero { stream: WireId },
    #[error("DATA without payload or end on stream {stream}")]
    DataEmpty { stream: WireId },
    #[error("too many frames for finished streams: {cost} bytes, {allowance} are allowed now")]
    LateFrames { cost: u64, allowance: u64 },
    #[error("reply to probe {nonce}, the last one sent was {sent}")]
    ProbeNeverSent { nonce: u64, sent: u64 },
    #[error("a configuration of more than {max} bytes")]
    ConfigTooLong { max: u32 },
    #[error("GO_AWAY counts {accepted} streams, {opened} were opened")]
    GoAwayCount { accepted: u64, opened: u64 },
    #[error("a second GO_AWAY that counts {accepted} streams, the first counted {before}")]
    GoAwayGrew { accepted: u64, before: u64 },
}

/// Why a stream cannot be opened. Nothing was queued: the request may go elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the values are")]
pub enum OpenRefused {
    #[error("the peer's HELLO has not come yet")]
    NotReady,
    #[error("only a relay opens streams")]
    WrongRole,
    #[error("the tunnel is being drained")]
    GoingAway,
    #[error("the tunnel has failed")]
    Failed,
    #[error("all {max} streams are open")]
    TooManyStreams { max: u16 },
    #[error("a head of {length} bytes, the peer takes {max}")]
    HeadTooLong { length: usize, max: u32 },
    #[error("{queued} bytes wait to be sent, the bound is {max}")]
    OutputFull { queued: usize, max: usize },
}

/// Why something cannot be sent on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the values are")]
pub enum SendError {
    /// The stream is finished or was cancelled by either end: an ordinary race, its `Cancelled` event was or will be polled.
    #[error("the stream is closed")]
    Closed,
    #[error("this half of the stream has ended")]
    Ended,
    #[error("a response head must come first")]
    HeadMissing,
    #[error("the response head was already sent")]
    HeadTwice,
    #[error("only the end that did not open the stream answers")]
    WrongRole,
    #[error("an upgraded stream carries bytes only")]
    Upgraded,
    #[error("a head of {length} bytes, the peer takes {max}")]
    HeadTooLong { length: usize, max: u32 },
    #[error("more than {max} interim responses")]
    TooManyInformational { max: u8 },
}
