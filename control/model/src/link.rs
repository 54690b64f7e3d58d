//! The link between control and a relay: messages of [`crate::frame`] over TLS (control dials) or the Unix admin socket (relay comes).
//!
//! Order: the relay says `Hello` first, control answers `Welcome` (or `Refused` and closes), then a `Snapshot` or the `Delta`s
//! the relay misses, then deltas as they happen. The relay answers each version with `Applied` or `Rejected`.
//!
//! A version says what a relay has only together with the [`Epoch`] it was told in: control tells its epoch in `Welcome`, all
//! that follows on the link is of it, and the relay says in `Hello` of which epoch its version is. Control sends deltas after a
//! version of its own epoch only, else the whole state; a relay applies no delta of another epoch than its state's.

use serde::{Deserialize, Serialize};

use crate::delta::Delta;
use crate::ids::{AppId, ConnectorId, Epoch, RelayId, SessionId};
use crate::question::{Answer, Question};
use crate::secret::SecretText;
use crate::session::SessionRecord;
use crate::snapshot::Snapshot;

/// From relay to control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToControl {
    /// First message.
    Hello(Hello),
    /// The state at this version is being served: whatever any worker decides from now on, it decides by it.
    Applied {
        /// Version of the log.
        version: u64,
    },
    /// A snapshot or delta was refused; the state before it is still served.
    Rejected {
        /// Version of the log.
        version: u64,
        /// Why, for people.
        reason: String,
    },
    /// On change (at most 5 a second) and every 5 s.
    Status(RelayStatus),
    /// A connector's enrolment or renewal, forwarded unread.
    EnrolRequest {
        /// Chosen by the relay, echoed in the reply.
        id: u64,
        /// JSON of [`crate::enrol::EnrolRequest`].
        body: String,
    },
    /// Answer to `Ask`.
    Answer {
        /// The question's id.
        id: u64,
        /// What the relay knows.
        answer: Answer,
    },
    /// Answer to `Ping`.
    Pong {
        /// The ping's number.
        n: u64,
    },
    /// Something that only control knows. Answered by `Reply`; a control that does not know calls never answers.
    Call {
        /// Chosen by the relay, echoed in the reply.
        id: u64,
        /// What it wants.
        call: Call,
    },
    /// Which sessions it holds records of, and their digests, after `Welcome`: in parts of at most [`SESSIONS_AT_ONCE`].
    SessionsHeld {
        /// Session and [`SessionRecord::digest`].
        held: Vec<(SessionId, u64)>,
        /// Nothing follows: from here on it is told what changes.
        last: bool,
    },
    /// Sessions that were used since the last such message, each with the second of its last use.
    SessionsSeen {
        /// At most [`SESSIONS_AT_ONCE`].
        seen: Vec<(SessionId, u64)>,
    },
    /// `Sessions` up to this number are in force: whatever any worker decides from now on, it decides by them.
    SessionsApplied {
        /// The message's number.
        n: u64,
    },
    /// An identity process came to speak with control. What it says follows, unread.
    PipeOpened {
        /// Chosen by the relay; not used twice on a link.
        pipe: u64,
        /// Who it is by its certificate. Control asks it to prove that itself.
        connector: ConnectorId,
    },
    /// Bytes of an identity process.
    PipeData {
        /// Which.
        pipe: u64,
        /// Base64, of at most [`PIPE_BYTES_MAX`] bytes.
        data: String,
    },
    /// It has gone.
    PipeClosed {
        /// Which.
        pipe: u64,
    },
    /// A message of a newer minor version: ignored.
    #[serde(other)]
    Unknown,
}

/// What a relay asks of control while a request waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// A browser came back from signing in. Answered by the session's record.
    Redeem {
        /// Where it came back to.
        app: AppId,
        /// What it brought.
        code: SecretText,
        /// What it was sent away with (RFC 7636).
        verifier: SecretText,
        /// Where it was to come back to.
        redirect_uri: String,
    },
    /// The record of a session that a browser has a cookie of.
    Session {
        /// Which.
        session: SessionId,
    },
    /// The user wants it to end.
    SignOut {
        /// Which.
        session: SessionId,
    },
    /// A call of a newer minor version.
    #[serde(other)]
    Unknown,
}

/// What control answers to a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The session's record.
    Session(Box<SessionRecord>),
    /// It was done.
    Done,
    /// There is no such session, or the code is not good: which, is nobody's business.
    Refused,
    /// Control does not know the call, or a reply of a newer minor version.
    #[serde(other)]
    Unknown,
}

/// What a relay says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Program and version: `postern-relay/0.1.0`.
    pub software: String,
    /// The relay's own name (its host name unless configured); over TLS the name given to `relay add` wins.
    pub relay_name: String,
    /// Certificate request by the relay's key (PEM); the names in it are ignored, only the key counts.
    pub csr_pem: String,
    /// Version it serves already, 0 for none.
    pub last_version: u64,
    /// Of which of control's epochs that version is. `None`: of one that it does not know, as after a start from disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// Generation of the dataplane.
    pub generation: u32,
    /// Its workers.
    pub workers: u32,
    /// The relay's clock, to warn about skew. 0: not said.
    #[serde(default)]
    pub time_unix_ms: u64,
    /// It holds records of sessions: it says which after `Welcome`, and is told what becomes of them.
    #[serde(default)]
    pub sessions: bool,
}

/// From control to relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRelay {
    /// Answer to `Hello`; sent again when the tunnel certificate is renewed.
    Welcome(Welcome),
    /// The whole state; replaces what the relay has.
    Snapshot(Box<Snapshot>),
    /// One change.
    Delta(Box<Delta>),
    /// Answer to `EnrolRequest`.
    EnrolReply {
        /// The request's id.
        id: u64,
        /// JSON of [`crate::enrol::EnrolResponse`].
        body: String,
    },
    /// A question; relays that do not know questions at all ignore it.
    Ask {
        /// Chosen by control, echoed in the answer.
        id: u64,
        /// What control wants to know.
        question: Question,
    },
    /// Answer to `Call`.
    Reply {
        /// The call's id.
        id: u64,
        /// What control says.
        reply: Reply,
    },
    /// Sessions that changed or ended. Records that the relay does not hold are of no concern to it.
    Sessions {
        /// Confirmed by `SessionsApplied`. 0: more follows, there is nothing to confirm.
        n: u64,
        /// These replace what is held.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<SessionRecord>,
        /// These let nobody in any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<SessionId>,
    },
    /// Bytes for an identity process.
    PipeData {
        /// Which.
        pipe: u64,
        /// Base64, of at most [`PIPE_BYTES_MAX`] bytes.
        data: String,
    },
    /// Control has nothing more to say to it.
    PipeClosed {
        /// Which.
        pipe: u64,
    },
    /// Is the relay there? Answered by `Pong` within [`PONG_TIMEOUT_MS`].
    Ping {
        /// A number to echo.
        n: u64,
    },
    /// The relay may not link; control closes after it.
    Refused {
        /// What to do, for people.
        reason: String,
        /// It was removed: whom it let in by right (service tokens) it lets in no more, now and after a restart.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        removed: bool,
    },
    /// A message of a newer minor version: ignored.
    #[serde(other)]
    Unknown,
}

/// Who the relay is to control, and its certificate for tunnels and enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The relay's id.
    pub relay_id: RelayId,
    /// The name control knows it by.
    pub relay_name: String,
    /// The control CA's certificate: connectors' client certificates chain to it.
    pub ca_pem: String,
    /// Tunnel certificate, leaf first, then the CA.
    pub certificate_pem: String,
    /// Control's clock.
    pub server_time_unix_ms: u64,
    /// Control's epoch: of it is all that it sends on this link. `None`: a control that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
}

/// What a relay reports about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Generation of the dataplane.
    pub generation: u32,
    /// Its workers.
    pub workers: u32,
    /// `uring` or `epoll`.
    pub io_backend: String,
    /// `steer`, `off`, or why it is not there.
    pub ebpf: String,
    /// Version of the state being served.
    pub applied_version: u64,
    /// Connectors with a tunnel, or known to have had one.
    pub connectors: Vec<ConnectorStatus>,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The relay's clock, to warn about skew. 0: not said.
    #[serde(default)]
    pub time_unix_ms: u64,
    /// What came from corporate networks, for applications that look for that; most first, at most a thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corporate: Vec<CorporateUse>,
}

/// Requests to an application from a corporate network, since the relay's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorporateUse {
    /// Which application.
    pub app: AppId,
    /// The network's name.
    pub network: String,
    /// How many.
    pub requests: u64,
}

/// One connector as one relay sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// Which one.
    pub id: ConnectorId,
    /// A probe went through a tunnel and came back.
    pub online: bool,
    /// Tunnels open, of one per worker.
    pub tunnels: u32,
    /// Program and version.
    pub software: String,
    /// Whether it has a keytab to sign users on with, if it said so: older ones do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_keytab: Option<bool>,
    /// Since when it is online, or offline.
    pub since_unix_ms: u64,
    /// Last probe's round trip.
    pub rtt_us: u32,
}

/// Version of the link. Peers one minor version apart understand each other; unknown messages are ignored.
pub const PROTOCOL: u32 = 1;
/// Largest message from control: a snapshot. With everything that control's `limits.rs` allows: applications 18 MB and their icons 4,
/// assignments 13 to 17, prefixes of anonymisers 5 to 12.5 (250,000), connectors 4 (20,000), credentials 4, policies 3, limits
/// 1.5: up to 64 MB of 67, the rest for what there is less of.
pub const TO_RELAY_BYTES_MAX: usize = 64 << 20;
/// Largest message from a relay: a status of 20,000 connectors at about 200 bytes.
pub const TO_CONTROL_BYTES_MAX: usize = 4 << 20;
/// Sessions in one message.
pub const SESSIONS_AT_ONCE: usize = 1_000;
/// Bytes of an identity process in one message, before base64.
pub const PIPE_BYTES_MAX: usize = 16 << 10;
/// Path of the upgrade on control's Unix socket.
pub const UPGRADE_PATH: &str = "/v1/link";
/// Value of the `Upgrade` header there.
pub const UPGRADE_PROTOCOL: &str = "postern-link/1";
/// ALPN over TLS.
pub const ALPN: &[u8] = b"postern-control/1";
/// SNI over TLS.
pub const SERVER_NAME: &str = "control.tunnel.postern.internal";
/// DNS name in control's client certificate.
pub const CONTROL_NAME: &str = "control.postern.internal";
/// A relay that does not answer a ping for so long is dialled anew.
pub const PONG_TIMEOUT_MS: u64 = 10_000;
/// Clocks further apart than this are warned about.
pub const CLOCK_SKEW_MS_MAX: u64 = 5 * 60 * 1000;
