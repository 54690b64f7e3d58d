//! What a tunnel tells its owner.

use bytes::Bytes;

use crate::message::check::{Check, CheckAnswer};
use crate::message::control::{Cancel, Generation, GoAway, LaneRequest, ProbeReply, RevokeScope, Status};
use crate::message::hello::PeerHello;
use crate::message::open::OpenMeta;
use crate::stream::StreamId;

/// From `Connection::poll_event`, in the order in which things arrived.
///
/// The peer's half of a stream ends exactly once: with `end: true` on `Open`, `Head` or `Data`, with `Trailers`, or by
/// `Cancelled`, which ends both halves. All `Bytes` are slices of the input and keep all of it alive: a piece that cannot
/// be passed on in the same turn should be copied, unless it is most of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer introduced itself; a relay may open streams from now on.
    Hello(Box<PeerHello>),
    /// Connector: a stream was opened.
    Open {
        /// Its id.
        stream: StreamId,
        /// What it is for.
        meta: OpenMeta,
        /// The request head as the relay encoded it.
        head: Bytes,
        /// No body follows.
        end: bool,
    },
    /// Relay: the final response head.
    Head {
        /// Of this stream.
        stream: StreamId,
        /// As the connector encoded it.
        head: Bytes,
        /// No body follows.
        end: bool,
        /// How long the backend took for it, µs, if the connector said so.
        backend_us: Option<u32>,
    },
    /// Relay: an interim response.
    Informational {
        /// Of this stream.
        stream: StreamId,
        /// As the connector encoded it.
        head: Bytes,
    },
    /// Payload. Once it is used or thrown away: `consumed(stream, data.len())`.
    Data {
        /// Of this stream.
        stream: StreamId,
        /// Empty only together with `end`.
        data: Bytes,
        /// It was the last.
        end: bool,
    },
    /// The end of the payload, with trailers.
    Trailers {
        /// Of this stream.
        stream: StreamId,
        /// As the peer encoded them.
        trailers: Bytes,
    },
    /// Relay: the backend switched protocols; both directions carry bytes only from now on.
    Upgraded {
        /// Of this stream.
        stream: StreamId,
        /// The response head that says so.
        head: Bytes,
        /// How long the backend took for it, µs, if the connector said so.
        backend_us: Option<u32>,
    },
    /// The peer ended the stream; its id means nothing any more.
    Cancelled {
        /// This stream.
        stream: StreamId,
        /// Why, and by whose fault.
        cancel: Cancel,
    },
    /// Relay: the connector wants no more of the request. Its answer came whole before and stands.
    Stopped {
        /// This stream.
        stream: StreamId,
        /// Why.
        cancel: Cancel,
    },
    /// `send_data` took less than it was offered, or `capacity` was 0, and there is room now.
    Writable {
        /// For this stream.
        stream: StreamId,
    },
    /// Connector: a signed group configuration. The signature is still to be checked.
    Config(Bytes),
    /// Connector: cut what this names.
    Revoke(RevokeScope<StreamId>),
    /// Connector: dial raw lanes.
    LaneRequest(LaneRequest),
    /// Connector: the relay has a new generation.
    Generation(Generation),
    /// The peer drains the tunnel. Streams that it did not accept were reported as cancelled and unprocessed before this.
    GoAway(GoAway),
    /// Relay: how the connector is.
    Status(Status),
    /// Connector: look whether this application can be reached from here.
    Check(Check),
    /// Relay: what the connector found.
    CheckAnswer(CheckAnswer),
    /// A probe came back.
    ProbeReply(ProbeReply),
}

impl Event {
    /// The stream it is about, where it is about one that this end may have given up.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Open { stream, .. }
            | Self::Head { stream, .. }
            | Self::Informational { stream, .. }
            | Self::Data { stream, .. }
            | Self::Trailers { stream, .. }
            | Self::Upgraded { stream, .. }
            | Self::Cancelled { stream, .. }
            | Self::Stopped { stream, .. }
            | Self::Writable { stream } => Some(*stream),
            Self::Hello(_)
            | Self::Config(_)
            | Self::Revoke(_)
            | Self::LaneRequest(_)
            | Self::Generation(_)
            | Self::GoAway(_)
            | Self::Status(_)
            | Self::Check(_)
            | Self::CheckAnswer(_)
            | Self::ProbeReply(_) => None,
        }
    }
}
