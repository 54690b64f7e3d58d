//! HELLO: who speaks, which versions, which limits.

use postern_model::ids::{ConnectorId, RelayId, TenantId};

use super::{Reader, put_text};
use crate::error::{PeerMisbehaved, TunnelError};
use crate::frame::FrameKind;
use crate::limits::{HEAD_BYTES_MAX, Limits, SOFTWARE_BYTES_MAX, STREAMS_MAX, WINDOW_MAX, WINDOW_MIN};

/// The oldest version of the protocol spoken here.
pub const VERSION_MIN: u16 = 1;
/// The newest version of the protocol spoken here.
pub const VERSION_MAX: u16 = 1;

/// Which end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opens streams.
    Relay,
    /// Answers them.
    Connector,
}

/// Who an end says it is. What it may do follows from its certificate, never from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// One worker of a relay.
    Relay {
        /// Its relay.
        relay: RelayId,
        /// The relay's generation, counted up by every restart and upgrade.
        generation: u32,
        /// How many workers, and so tunnels per connector, the generation has.
        workers: u16,
        /// Which of them this is, from 0.
        worker: u16,
    },
    /// A connector.
    Connector {
        /// Its id.
        connector: ConnectorId,
    },
}

impl Identity {
    /// The role that goes with it.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Relay { .. } => Role::Relay,
            Self::Connector { .. } => Role::Connector,
        }
    }
}

/// What an end says of itself, given to [`crate::Connection::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Who it is.
    pub identity: Identity,
    /// Name and version, for people: "postern-relay 0.1.0". Cut to 255 bytes.
    pub software: String,
    /// A connector that has a keytab, to sign users on with by Kerberos. Relays have none.
    pub has_keytab: bool,
}

/// What the peer said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerHello {
    /// Who it says it is.
    pub identity: Identity,
    /// Name and version, for people.
    pub software: String,
    /// The version both speak.
    pub version: u16,
    /// Streams it allows open at once.
    pub streams_max: u16,
    /// Credit that each new stream has towards it.
    pub stream_window: u32,
    /// The longest head it takes.
    pub head_bytes_max: u32,
    /// A connector that answers checks; older ones do not know them.
    pub answers_checks: bool,
    /// Whether a connector has a keytab, if it says so; older ones do not.
    pub has_keytab: Option<bool>,
}

/// What a connector can do that older ones cannot, in the byte that follows its software.
const ANSWERS_CHECKS: u8 = 0x01;
/// It says whether it has a keytab.
const TELLS_KEYTAB: u8 = 0x02;
const HAS_KEYTAB: u8 = 0x04;

const MAGIC: u32 = 0x504f_5354; // "POST"

pub(crate) fn encode(hello: &Hello, limits: &Limits) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend(MAGIC.to_be_bytes());
    out.extend(VERSION_MIN.to_be_bytes());
    out.extend(VERSION_MAX.to_be_bytes());
    out.extend(limits.streams_max.to_be_bytes());
    out.extend(limits.stream_window.to_be_bytes());
    out.extend(limits.head_bytes_max.to_be_bytes());
    match hello.identity {
        Identity::Relay { relay, generation, workers, worker } => {
            out.push(0);
            out.extend(relay.0.to_be_bytes());
            out.extend(generation.to_be_bytes());
            out.extend(workers.to_be_bytes());
            out.extend(worker.to_be_bytes());
        }
        Identity::Connector { connector } => {
            out.push(1);
            out.extend(connector.tenant.0.to_be_bytes());
            out.extend(connector.seq.to_be_bytes());
        }
    }
    put_text(&mut out, &hello.software, SOFTWARE_BYTES_MAX);
    if hello.identity.role() == Role::Connector {
        let keytab = if hello.has_keytab { HAS_KEYTAB } else { 0 };
        out.push(ANSWERS_CHECKS | TELLS_KEYTAB | keytab);
    }
    out
}

pub(crate) fn decode(payload: &[u8]) -> Result<PeerHello, TunnelError> {
    let mut reader = Reader::new(FrameKind::Hello, payload);
    if reader.u32("magic")? != MAGIC {
        return Err(reader.malformed("magic").into());
    }
    let version = negotiate(reader.u16("versions")?, reader.u16("versions")?)?;
    let streams_max = reader.u16("streams_max")?;
    let stream_window = reader.u32("stream_window")?;
    let head_bytes_max = reader.u32("head_bytes_max")?;
    let (identity, software) = (identity(&mut reader)?, reader.text("software")?.to_owned());
    // Nothing follows in what older ones say.
    let abilities = reader.u8("abilities").unwrap_or(0);
    let peer = PeerHello {
        identity,
        software,
        version,
        streams_max,
        stream_window,
        head_bytes_max,
        answers_checks: abilities & ANSWERS_CHECKS != 0,
        has_keytab: (abilities & TELLS_KEYTAB != 0).then_some(abilities & HAS_KEYTAB != 0),
    };
    check(&peer)?;
    Ok(peer)
}

fn identity(reader: &mut Reader<'_>) -> Result<Identity, PeerMisbehaved> {
    match reader.u8("role")? {
        0 => Ok(Identity::Relay {
            relay: RelayId(reader.u32("relay")?),
            generation: reader.u32("generation")?,
            workers: reader.u16("workers")?,
            worker: reader.u16("worker")?,
        }),
        1 => {
            let tenant = TenantId(reader.u32("connector")?);
            let connector = ConnectorId::new(tenant, reader.u32("connector")?);
            Ok(Identity::Connector { connector })
        }
        _ => Err(reader.malformed("role")),
    }
}

fn negotiate(peer_min: u16, peer_max: u16) -> Result<u16, TunnelError> {
    let newest = peer_max.min(VERSION_MAX);
    if newest < peer_min.max(VERSION_MIN) {
        return Err(TunnelError::Version { peer_min, peer_max, own_min: VERSION_MIN, own_max: VERSION_MAX });
    }
    Ok(newest)
}

fn check(peer: &PeerHello) -> Result<(), PeerMisbehaved> {
    in_range("streams_max", peer.streams_max, 1, STREAMS_MAX)?;
    in_range("stream_window", peer.stream_window, WINDOW_MIN, WINDOW_MAX)?;
    in_range("head_bytes_max", peer.head_bytes_max, 1, HEAD_BYTES_MAX)?;
    if let Identity::Relay { workers, worker, .. } = peer.identity {
        in_range("workers", workers, 1, u16::MAX)?;
        in_range("worker", worker, 0, workers - 1)?;
    }
    Ok(())
}

fn in_range<T: Into<u64>>(field: &'static str, value: T, min: T, max: T) -> Result<(), PeerMisbehaved> {
    let (value, min, max) = (value.into(), min.into(), max.into());
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(PeerMisbehaved::HelloOutOfRange { field, value, min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Hello {
        let identity = Identity::Relay { relay: RelayId(3), generation: 7, workers: 4, worker: 2 };
        Hello { identity, software: "postern-relay 0.1.0".into(), has_keytab: false }
    }

    #[test]
    fn both_identities_survive_the_wire() {
        let connector = Hello {
            identity: Identity::Connector { connector: ConnectorId::new(TenantId(1), 9) },
            software: "ü".repeat(200),
            has_keytab: false,
        };
        for hello in [relay(), connector] {
            let mut bytes = encode(&hello, &Limits::default());
            bytes.extend(b"appended by a newer version");
            let peer = decode(&bytes).unwrap();
            assert_eq!(peer.identity, hello.identity);
            assert!(hello.software.starts_with(&peer.software) && peer.software.len() > 18);
            assert_eq!((peer.version, peer.streams_max), (1, 1024));
        }
    }

    #[test]
    fn older_connectors_answer_no_checks_and_tell_of_no_keytab() {
        let identity = Identity::Connector { connector: ConnectorId::new(TenantId(1), 9) };
        let connector = |has_keytab| Hello { identity, software: "x".into(), has_keytab };
        for has_keytab in [true, false] {
            let said = decode(&encode(&connector(has_keytab), &Limits::default())).unwrap();
            assert_eq!((said.answers_checks, said.has_keytab), (true, Some(has_keytab)));
        }
        let mut bytes = encode(&connector(true), &Limits::default());
        *bytes.last_mut().unwrap() = ANSWERS_CHECKS;
        let older = decode(&bytes).unwrap();
        assert_eq!((older.answers_checks, older.has_keytab), (true, None));
        assert!(!decode(&bytes[..bytes.len() - 1]).unwrap().answers_checks);
        assert!(!decode(&encode(&relay(), &Limits::default())).unwrap().answers_checks);
    }

    #[test]
    fn a_cut_hello_names_the_missing_field() {
        let bytes = encode(&relay(), &Limits::default());
        for length in 0..bytes.len() {
            let error = decode(&bytes[..length]).unwrap_err();
            assert!(matches!(error, TunnelError::Peer(PeerMisbehaved::Malformed { .. })), "{error}");
        }
    }

    #[test]
    fn versions_meet_in_the_middle_or_not_at_all() {
        assert_eq!(negotiate(1, 9), Ok(1));
        let error = negotiate(2, 9).unwrap_err();
        assert!(error.to_string().contains("2 to 9"), "{error}");
        assert!(negotiate(0, 0).is_err());
    }

    #[test]
    fn absurd_limits_are_refused() {
        let limits = Limits { stream_window: 1, ..Limits::default() };
        let error = decode(&encode(&relay(), &limits)).unwrap_err();
        assert!(error.to_string().contains("stream_window 1"), "{error}");
        let limits = Limits { streams_max: 0, ..Limits::default() };
        assert!(decode(&encode(&relay(), &limits)).is_err());
    }
}
