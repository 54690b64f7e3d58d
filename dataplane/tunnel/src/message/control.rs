//! Payloads of the frames that end, announce or report.

use std::time::Duration;

use postern_model::ids::{AppId, TenantId};

use super::{Reader, put_text};
use crate::error::PeerMisbehaved;
use crate::frame::{FrameKind, WireId};
use crate::limits::DETAIL_BYTES_MAX;
use crate::message::open::SessionKey;

/// Whose fault the end of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Culprit {
    /// The user's side.
    Client = 1,
    /// The relay.
    Relay = 2,
    /// The connector.
    Connector = 3,
    /// The private application.
    Backend = 4,
}

/// Why a stream was cancelled. Values from 256 on belong to the applications of the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CancelCode(pub u16);

impl CancelCode {
    /// The rest of the stream is not wanted; nothing is wrong.
    pub const UNWANTED: Self = Self(0);
    /// The other side of the request went away.
    pub const GONE: Self = Self(1);
    /// Nothing came in time.
    pub const TIMEOUT: Self = Self(2);
    /// The backend could not be reached.
    pub const UNREACHABLE: Self = Self(3);
    /// What came is not valid or was cut.
    pub const BROKEN: Self = Self(4);
    /// Too much to do already.
    pub const OVERLOADED: Self = Self(5);
    /// The app is not known here.
    pub const APP_UNKNOWN: Self = Self(6);
    /// The permission was taken back.
    pub const REVOKED: Self = Self(7);
    /// This end is being drained.
    pub const GOING_AWAY: Self = Self(8);
    /// A bug.
    pub const INTERNAL: Self = Self(9);
    /// The backend's host answered, and nothing listens there.
    pub const REFUSED: Self = Self(10);
    /// TLS with the backend failed.
    pub const TLS: Self = Self(11);
    /// This connector cannot sign users on, or was not told whom. With [`Culprit::Client`]: the user's password cannot be used any
    /// more, and another one can.
    pub const SSO_UNAVAILABLE: Self = Self(12);
    /// This user cannot be signed on to the application.
    pub const SSO_REFUSED: Self = Self(13);
    /// Signing on failed, whoever the user is.
    pub const SSO_FAILED: Self = Self(14);
    /// There is no password to sign this user on with.
    pub const SSO_CREDENTIAL_MISSING: Self = Self(15);
    /// The backend did not take the user's password, or did not lately.
    pub const SSO_CREDENTIAL_REFUSED: Self = Self(16);
}

/// The end of a stream, both ways, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// Whose fault it is.
    pub culprit: Culprit,
    /// Why.
    pub code: CancelCode,
    /// The sender did nothing with the stream: it may be tried elsewhere whatever its method.
    pub unprocessed: bool,
    /// For people; at most 255 bytes.
    pub detail: Detail,
}

impl Cancel {
    /// A cancel without free text.
    #[must_use]
    pub fn new(culprit: Culprit, code: CancelCode) -> Self {
        Self { culprit, code, unprocessed: false, detail: Detail::default() }
    }

    /// The same, saying more to people. Cut to 255 bytes.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        self.detail = Detail::new(detail);
        self
    }

    /// The same, stating that nothing was done with the stream.
    #[must_use]
    pub fn unprocessed(mut self) -> Self {
        self.unprocessed = true;
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.detail.as_str().len());
        out.push(self.culprit as u8);
        out.extend(self.code.0.to_be_bytes());
        put_text(&mut out, self.detail.as_str(), DETAIL_BYTES_MAX);
        out
    }

    pub(crate) fn decode(payload: &[u8], unprocessed: bool) -> Result<Self, PeerMisbehaved> {
        let mut reader = Reader::new(FrameKind::Cancel, payload);
        let culprit = match reader.u8("culprit")? {
            1 => Culprit::Client,
            2 => Culprit::Relay,
            3 => Culprit::Connector,
            4 => Culprit::Backend,
            _ => return Err(reader.malformed("culprit")),
        };
        Ok(Self {
            culprit,
            code: CancelCode(reader.u16("code")?),
            unprocessed,
            detail: Detail::new(reader.text("detail")?),
        })
    }
}

/// Short free text; empty costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail(Option<Box<str>>);

impl Detail {
    /// Cut to 255 bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let cut = &text[..text.floor_char_boundary(DETAIL_BYTES_MAX)];
        Self((!cut.is_empty()).then(|| cut.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// What a REVOKE cuts, on the wire and in `Connection::revoke`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeScope<Stream> {
    /// Every stream and lane of an app.
    App(AppId),
    /// Every stream and lane of a user's session.
    Session(SessionKey),
    /// One stream.
    Stream(Stream),
}

impl<Stream> RevokeScope<Stream> {
    pub(crate) fn encode(&self, wire: impl FnOnce(&Stream) -> WireId) -> Vec<u8> {
        let mut out = Vec::with_capacity(17);
        match self {
            Self::App(app) => {
                out.push(0);
                out.extend(app.tenant.0.to_be_bytes());
                out.extend(app.seq.to_be_bytes());
            }
            Self::Session(session) => {
                out.push(1);
                out.extend(session.0.to_be_bytes());
            }
            Self::Stream(stream) => {
                out.push(2);
                out.extend(wire(stream).0.to_be_bytes());
            }
        }
        out
    }
}

pub(crate) fn decode_revoke(payload: &[u8]) -> Result<RevokeScope<WireId>, PeerMisbehaved> {
    let mut reader = Reader::new(FrameKind::Revoke, payload);
    match reader.u8("scope")? {
        0 => {
            let tenant = TenantId(reader.u32("app")?);
            Ok(RevokeScope::App(AppId::new(tenant, reader.u32("app")?)))
        }
        1 => Ok(RevokeScope::Session(SessionKey(reader.u128("session")?))),
        2 => Ok(RevokeScope::Stream(WireId(reader.u32("stream")?))),
        _ => Err(reader.malformed("scope")),
    }
}

/// Relay to connector: dial raw lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRequest {
    /// How many lanes are wanted beyond those there are.
    pub count: u16,
    /// The worker they are for: its index in the relay's current generation.
    pub worker: u16,
}

impl LaneRequest {
    pub(crate) fn encode(self) -> [u8; 4] {
        let [c0, c1] = self.count.to_be_bytes();
        let [w0, w1] = self.worker.to_be_bytes();
        [c0, c1, w0, w1]
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut reader = Reader::new(FrameKind::LaneRequest, payload);
        Ok(Self { count: reader.u16("count")?, worker: reader.u16("worker")? })
    }
}

/// Relay to connector: the relay has a new generation; dial its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub generation: u32,
    /// Its workers.
    pub workers: u16,
}

impl Generation {
    pub(crate) fn encode(self) -> [u8; 6] {
        let [g0, g1, g2, g3] = self.generation.to_be_bytes();
        let [w0, w1] = self.workers.to_be_bytes();
        [g0, g1, g2, g3, w0, w1]
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut reader = Reader::new(FrameKind::Generation, payload);
        let generation = reader.u32("generation")?;
        let workers = reader.u16("workers")?;
        if workers == 0 {
            return Err(reader.malformed("workers"));
        }
        Ok(Self { generation, workers })
    }
}

/// Why an end drains the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoAwayReason(pub u8);

impl GoAwayReason {
    /// It stops.
    pub const SHUTDOWN: Self = Self(0);
    /// A new generation takes over.
    pub const UPGRADE: Self = Self(1);
    /// The certificate was withdrawn or has expired.
    pub const CERTIFICATE: Self = Self(2);
    /// The peer broke the protocol; the tunnel is closed after this frame.
    pub const PROTOCOL: Self = Self(3);
    /// Another tunnel of the same connector took this one's place.
    pub const REPLACED: Self = Self(4);
}

/// The peer drains the tunnel: nothing new is opened, what is open goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoAway {
    /// Why.
    pub reason: GoAwayReason,
    /// How many streams the sender has accepted since the tunnel began; later ones were not touched.
    pub accepted: u64,
    /// For people.
    pub detail: Detail,
}

impl GoAway {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(10 + self.detail.as_str().len());
        out.push(self.reason.0);
        out.extend(self.accepted.to_be_bytes());
        put_text(&mut out, self.detail.as_str(), DETAIL_BYTES_MAX);
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut reader = Reader::new(FrameKind::GoAway, payload);
        Ok(Self {
            reason: GoAwayReason(reader.u8("reason")?),
            accepted: reader.u64("accepted")?,
            detail: Detail::new(reader.text("detail")?),
        })
    }
}

/// Connector to relay: how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Version of the group configuration in force; 0 while there is none.
    pub config_version: u64,
    /// Use of its busiest processor in thousandths.
    pub load_permille: u16,
    /// Backends that do not answer at present.
    pub backends_down: u16,
    /// Requests in progress over all its tunnels.
    pub requests: u32,
}

impl Status {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.extend(self.config_version.to_be_bytes());
        out.extend(self.load_permille.to_be_bytes());
        out.extend(self.backends_down.to_be_bytes());
        out.extend(self.requests.to_be_bytes());
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut reader = Reader::new(FrameKind::Status, payload);
        Ok(Self {
            config_version: reader.u64("config_version")?,
            load_permille: reader.u16("load_permille")?,
            backends_down: reader.u16("backends_down")?,
            requests: reader.u32("requests")?,
        })
    }
}

/// An answered probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeReply {
    /// Which probe.
    pub nonce: u64,
    /// From `probe` to the input that carried the answer.
    pub rtt: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancels_survive_the_wire_and_are_cut_at_characters() {
        let cancel = Cancel::new(Culprit::Backend, CancelCode::TIMEOUT).with_detail(&"é".repeat(200)).unprocessed();
        let decoded = Cancel::decode(&cancel.encode(), true).unwrap();
        assert_eq!(decoded, cancel);
        assert_eq!(decoded.detail.as_str().len(), 254);
        assert!(Cancel::decode(&[5, 0, 0, 0], false).is_err(), "culprit 5");
        assert!(Cancel::decode(&[1, 0, 0, 1, 0xff], false).is_err(), "UTF-8");
    }

    #[test]
    fn revokes_survive_the_wire() {
        let app = AppId::new(TenantId(2), 3);
        for scope in [RevokeScope::App(app), RevokeScope::Session(SessionKey(9)), RevokeScope::Stream(WireId(4097))] {
            let bytes = scope.encode(|wire| *wire);
            assert_eq!(decode_revoke(&bytes), Ok(scope));
            assert!(decode_revoke(&bytes[..bytes.len() - 1]).is_err());
        }
        assert!(decode_revoke(&[3]).is_err());
    }

    #[test]
    fn announcements_survive_the_wire() {
        let lanes = LaneRequest { count: 3, worker: 1 };
        assert_eq!(LaneRequest::decode(&lanes.encode()), Ok(lanes));
        let generation = Generation { generation: 70_000, workers: 8 };
        assert_eq!(Generation::decode(&generation.encode()), Ok(generation));
        assert!(Generation::decode(&[0; 6]).is_err(), "no workers");
        let status = Status { config_version: 1 << 40, load_permille: 730, backends_down: 2, requests: 99_999 };
        assert_eq!(Status::decode(&status.encode()), Ok(status));
        let away = GoAway { reason: GoAwayReason::UPGRADE, accepted: 12, detail: Detail::new("generation 4") };
        assert_eq!(GoAway::decode(&away.encode()), Ok(away));
    }
}
