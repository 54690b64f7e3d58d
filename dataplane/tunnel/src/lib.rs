//! The protocol between relay and connector, `postern-tunnel/1`: many streams over one ordered connection, both ends,
//! without I/O; and the ClientHello parser that decides what a connection is before any TLS state exists.
//!
//! `docs/tunnel-protocol.md` has the frames on the wire. [`Connection`] documents the order of calls.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm,
        reason = "a test that unwraps or meets the unexpected fails loudly"
    )
)]

pub mod client_hello;
mod connection;
mod decoder;
mod error;
mod event;
mod frame;
#[doc(hidden)]
pub mod fuzz;
mod limits;
mod message;
mod output;
mod stream;
mod window;

#[cfg(test)]
mod tests;

pub use connection::{Connection, Sent, Usage};
pub use error::{OpenRefused, PeerMisbehaved, SendError, TunnelError};
pub use event::Event;
pub use frame::{FrameKind, WireId};
pub use limits::{HEAD_BYTES_MAX, Limits, OUTPUT_BUDGET_MIN, STREAMS_MAX, UNCOPIED_BYTES_MIN, WINDOW_MAX, WINDOW_MIN};
pub use message::check::{CHECK_ANSWER_BYTES_MAX, CHECK_BYTES_MAX, Check, CheckAnswer};
pub use message::control::{
    Cancel, CancelCode, Culprit, Detail, Generation, GoAway, GoAwayReason, LaneRequest, ProbeReply, RevokeScope, Status,
};
pub use message::hello::{Hello, Identity, PeerHello, Role, VERSION_MAX, VERSION_MIN};
pub use message::open::{ExternalScheme, OpenMeta, SSO_LOGIN_BYTES_MAX, SessionKey, SsoLogin, StreamKind};
pub use output::Output;
pub use stream::StreamId;
