//! TLS as a pump: ciphertext in, plaintext and ciphertext out, no I/O.
//!
//! The rest of the engine sees [`Pump`] only, so the library behind it can change. It is rustls's
//! unbuffered API: an idle connection then keeps no record buffers, and what follows a peer's
//! `close_notify` is not lost.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use rustls::{
    ClientConfig, ServerConfig,
    client::{ClientConnectionData, UnbufferedClientConnection},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::{limits::TLS_INCOMING_BYTES_MAX, output::OutBuf};

/// Why a TLS connection ended.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailure {
    /// The protocol failed; an alert was queued for the peer.
    #[error("{0}")]
    Protocol(#[from] rustls::Error),
    /// The peer sent a handshake message larger than this engine collects.
    #[error("a TLS message larger than {TLS_INCOMING_BYTES_MAX} bytes")]
    TooLarge,
    /// The peer closed the connection before the handshake was complete.
    #[error("the peer closed the connection during the TLS handshake")]
    HandshakeEof,
}

impl From<TlsFailure> for io::Error {
    fn from(failure: TlsFailure) -> Self {
        Self::new(io::ErrorKind::InvalidData, failure)
    }
}

/// What an established connection negotiated.
#[derive(Clone, Debug, Default)]
pub struct TlsSummary {
    /// The application protocol, if one was negotiated.
    pub alpn: Option<Vec<u8>>,
    /// The peer's certificate chain, leaf first; empty when it sent none.
    pub peer_certificates: Vec<CertificateDer<'static>>,
    /// Whether the handshake resumed an earlier session.
    pub resumed: bool,
    /// `TLSv1.2` or `TLSv1.3`; `None` in the simulator and without TLS.
    pub version: Option<&'static str>,
    /// From the beginning of the handshake (the first bytes may have come before) to its end.
    pub handshake: Duration,
}

/// What a null-TLS endpoint says of itself, for the simulator: real handshakes vary in length
/// (ECDSA signatures), which would make runs differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NullIdentity {
    /// Stands for the server name indication.
    pub server_name: String,
    /// Stands for the negotiated application protocol.
    pub alpn: Vec<u8>,
    /// Stands for the certificate chain.
    pub certificate: Vec<u8>,
}

impl NullIdentity {
    /// The preface that a null-TLS client sends first; [`NullIdentity::parse`] reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"NULLTLS1".to_vec();
        for field in [self.server_name.as_bytes(), self.alpn.as_slice(), self.certificate.as_slice()] {
            let len = u16::try_from(field.len()).expect("identities are short");
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(field);
        }
        out
    }

    /// Reads a preface: the identity and its length, `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the bytes are no preface.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, TlsFailure> {
        let magic = b"NULLTLS1";
        let seen = bytes.len().min(magic.len());
        if bytes[..seen] != magic[..seen] {
            return Err(rustls::Error::General("no null-TLS preface".into()).into());
        }
        let mut at = magic.len();
        let mut fields = Vec::new();
        for _ in 0..3 {
            let Some(len) = bytes.get(at..at + 2) else {
                return Ok(None);
            };
            let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
            let Some(field) = bytes.get(at + 2..at + 2 + len) else {
                return Ok(None);
            };
            fields.push(field.to_vec());
            at += 2 + len;
        }
        let certificate = fields.pop().unwrap_or_default();
        let alpn = fields.pop().unwrap_or_default();
        let server_name = String::from_utf8_lossy(&fields.pop().unwrap_or_default()).into_owned();
        Ok(Some((Self { server_name, alpn, certificate }, at)))
    }
}

enum Library {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
    Null(Null),
}

struct Null {
    own: Vec<u8>,
    sent: bool,
    peer: Option<NullIdentity>,
}

/// One TLS connection without its I/O.
pub(crate) struct Pump {
    library: Library,
    /// Received bytes that are not a whole record yet.
    incoming: Vec<u8>,
    established: bool,
    peer_closed: bool,
}

impl Pump {
    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsFailure> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::new(Library::Client(Box::new(connection))))
    }

    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, TlsFailure> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self::new(Library::Server(Box::new(connection))))
    }

    pub(crate) fn null(own: &NullIdentity) -> Self {
        Self::new(Library::Null(Null { own: own.encode(), sent: false, peer: None }))
    }

    fn new(library: Library) -> Self {
        Self { library, incoming: Vec::new(), established: false, peer_closed: false }
    }

    /// The handshake is complete.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// The peer sent `close_notify`.
    pub(crate) fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Processes received ciphertext (in place where a record is whole in `input`), appending
    /// plaintext and whatever TLS itself has to say.
    pub(crate) fn feed(
        &mut self,
        mut input: &mut [u8],
        plain: &mut BytesMut,
        out: &mut OutBuf,
    ) -> Result<(), TlsFailure> {
        if self.established {
            // One block for all of it: it would grow record by record, be copied as it does, and be held half empty.
            plain.reserve(self.completed_bytes(input));
        }
        // Record by record, until what is left of the input begins with a whole one: no record that is complete may
        // stay in `incoming`, because sealing shows it to the library, which would open it there and then.
        while !self.incoming.is_empty() && !input.is_empty() {
            let missing = self.missing_bytes();
            let (head, rest) = input.split_at_mut(missing.min(input.len()));
            self.incoming.extend_from_slice(head);
            input = rest;
            let mut incoming = std::mem::take(&mut self.incoming);
            let used = self.step(&mut incoming, plain, out)?;
            incoming.drain(..used);
            if incoming.len() > TLS_INCOMING_BYTES_MAX {
                return Err(TlsFailure::TooLarge);
            }
            self.incoming = incoming;
        }
        if self.incoming.is_empty() && (!input.is_empty() || !self.established) {
            let used = self.step(input, plain, out)?;
            self.incoming.extend_from_slice(&input[used..]);
        }
        Ok(())
    }

    /// The length of the records that `input` completes. One whose header is cut counts by what follows in `input`.
    fn completed_bytes(&self, input: &[u8]) -> usize {
        let mut at = match self.incoming.len() {
            0 => 0,
            1..RECORD_HEADER_BYTES => return input.len(),
            _ => self.missing_bytes(),
        };
        if at > input.len() {
            return 0;
        }
        while let Some(header) = input.get(at..at + RECORD_HEADER_BYTES)
            && at + record_bytes(header) <= input.len()
        {
            at += record_bytes(header);
        }
        self.incoming.len() + at
    }

    /// How many of the next bytes complete the record begun in `incoming`; everything while a
    /// handshake message may span records.
    fn missing_bytes(&self) -> usize {
        if !self.established {
            return usize::MAX;
        }
        let Some(header) = self.incoming.get(..RECORD_HEADER_BYTES) else {
            return RECORD_HEADER_BYTES - self.incoming.len();
        };
        match record_bytes(header).checked_sub(self.incoming.len()) {
            Some(0) | None => usize::MAX,
            Some(missing) => missing,
        }
    }

    fn step(&mut self, buffer: &mut [u8], plain: &mut BytesMut, out: &mut OutBuf) -> Result<usize, TlsFailure> {
        let mut progress = Progress::default();
        let result = match &mut self.library {
            Library::Client(side) => drive(side.as_mut(), buffer, plain, out, &mut progress),
            Library::Server(side) => drive(side.as_mut(), buffer, plain, out, &mut progress),
            Library::Null(null) => null.step(buffer, plain, out, &mut progress),
        };
        self.established |= progress.established;
        self.peer_closed |= progress.peer_closed;
        result?;
        Ok(progress.used)
    }

    /// Encrypts `data` into `out`.
    pub(crate) fn seal(&mut self, data: &[u8], out: &mut OutBuf) -> Result<(), TlsFailure> {
        let rest = &mut self.incoming;
        match &mut self.library {
            Library::Client(side) => seal(side.as_mut(), rest, data, out),
            Library::Server(side) => seal(side.as_mut(), rest, data, out),
            Library::Null(_) => {
                out.extend_from_slice(data);
                Ok(())
            }
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close(&mut self, out: &mut OutBuf) -> Result<(), TlsFailure> {
        let rest = &mut self.incoming;
        match &mut self.library {
            Library::Client(side) => close(side.as_mut(), rest, out),
            Library::Server(side) => close(side.as_mut(), rest, out),
            Library::Null(_) => Ok(()),
        }
    }

    pub(crate) fn summary(&self) -> TlsSummary {
        match &self.library {
            Library::Client(c) => TlsSummary {
                alpn: c.alpn_protocol().map(<[u8]>::to_vec),
                peer_certificates: owned(c.peer_certificates()),
                resumed: c.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
                version: c.protocol_version().and_then(version_text),
                handshake: Duration::ZERO,
            },
            Library::Server(c) => TlsSummary {
                alpn: c.alpn_protocol().map(<[u8]>::to_vec),
                peer_certificates: owned(c.peer_certificates()),
                resumed: c.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
                version: c.protocol_version().and_then(version_text),
                handshake: Duration::ZERO,
            },
            Library::Null(null) => {
                let peer = null.peer.clone().unwrap_or_default();
                TlsSummary {
                    alpn: Some(peer.alpn),
                    peer_certificates: vec![CertificateDer::from(peer.certificate)],
                    resumed: false,
                    version: None,
                    handshake: Duration::ZERO,
                }
            }
        }
    }
}

/// Content type, version and length (RFC 8446 §5.1).
const RECORD_HEADER_BYTES: usize = 5;

fn record_bytes(header: &[u8]) -> usize {
    RECORD_HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]]))
}

fn version_text(version: rustls::ProtocolVersion) -> Option<&'static str> {
    if version == rustls::ProtocolVersion::TLSv1_3 {
        Some("TLSv1.3")
    } else if version == rustls::ProtocolVersion::TLSv1_2 {
        Some("TLSv1.2")
    } else {
        None
    }
}

fn owned(chain: Option<&[CertificateDer<'static>]>) -> Vec<CertificateDer<'static>> {
    chain.unwrap_or_default().to_vec()
}

#[derive(Default)]
struct Progress {
    used: usize,
    established: bool,
    peer_closed: bool,
}

/// Runs the library until it wants more input.
fn drive<S: Side>(
    side: &mut S,
    buffer: &mut [u8],
    plain: &mut BytesMut,
    out: &mut OutBuf,
    progress: &mut Progress,
) -> Result<(), TlsFailure> {
    loop {
        let UnbufferedStatus { discard, state, .. } = side.process(&mut buffer[progress.used..]);
        let mut more = true;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    plain.extend_from_slice(record?.payload);
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out)?,
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::BlockedHandshake) => more = false,
            Ok(ConnectionState::WriteTraffic(_)) => {
                progress.established = true;
                more = false;
            }
            Ok(ConnectionState::PeerClosed) => progress.peer_closed = true,
            Ok(ConnectionState::Closed) => more = false,
            // Early data is never enabled, and a state this version does not know cannot be
            // handled: both end the connection.
            Ok(_) => {
                return Err(rustls::Error::General("unexpected TLS state".into()).into());
            }
            Err(error) => {
                drain_alert(side, out);
                return Err(error.into());
            }
        }
        progress.used += discard;
        if !more {
            return Ok(());
        }
    }
}

/// Collects the alert that a failed connection still has to send. Once, and without input: the library panics when it
/// meets the broken record again.
fn drain_alert<S: Side>(side: &mut S, out: &mut OutBuf) {
    if let Ok(ConnectionState::EncodeTlsData(mut data)) = side.process(&mut []).state {
        // The connection has failed already: without an alert it ends all the same.
        let _ = encode(&mut data, out);
    }
}

fn encode<Data>(data: &mut rustls::unbuffered::EncodeTlsData<'_, Data>, out: &mut OutBuf) -> Result<(), TlsFailure> {
    let mut need = 512;
    for _ in 0..2 {
        match data.encode(out.tail(need)) {
            Ok(written) => {
                out.advance(written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) => need = size.required_size,
            Err(EncodeError::AlreadyEncoded) => return Ok(()),
        }
    }
    Err(rustls::Error::General("a TLS message changed its size".into()).into())
}

/// Encrypts `data`. `rest` is the incomplete record received last: the library keeps offsets into
/// it and must see it in every call.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls's states are non-exhaustive; in any other one nothing can be sent"
)]
fn seal<S: Side>(side: &mut S, rest: &mut [u8], data: &[u8], out: &mut OutBuf) -> Result<(), TlsFailure> {
    // 16 KiB records; 64 bytes cover header, tag and explicit nonce of every suite.
    let mut need = data.len() + (data.len() / 16_384 + 1) * 64;
    // What TLS itself has to say goes first; bounded, because each round consumes one message.
    for _ in 0..16 {
        match side.process(rest).state? {
            ConnectionState::WriteTraffic(mut traffic) => match traffic.encrypt(data, out.tail(need)) {
                Ok(written) => {
                    out.advance(written);
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(size)) => need = size.required_size,
                Err(EncryptError::EncryptExhausted) => {
                    return Err(rustls::Error::EncryptError.into());
                }
            },
            ConnectionState::EncodeTlsData(mut message) => encode(&mut message, out)?,
            ConnectionState::TransmitTlsData(message) => message.done(),
            ConnectionState::PeerClosed => {}
            // Everything else means that nothing can be sent in this state.
            _ => break,
        }
    }
    Err(rustls::Error::General("the TLS connection cannot send".into()).into())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls's states are non-exhaustive; in any other one there is nothing to close"
)]
fn close<S: Side>(side: &mut S, rest: &mut [u8], out: &mut OutBuf) -> Result<(), TlsFailure> {
    for _ in 0..16 {
        match side.process(rest).state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                match traffic.queue_close_notify(out.tail(512)) {
                    Ok(written) => out.advance(written),
                    Err(_) => return Err(rustls::Error::EncryptError.into()),
                }
                return Ok(());
            }
            ConnectionState::EncodeTlsData(mut message) => encode(&mut message, out)?,
            ConnectionState::TransmitTlsData(message) => message.done(),
            ConnectionState::PeerClosed => {}
            // Closed, or still in the handshake: there is nothing to close.
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// A connection of either side: the two differ in a type parameter only.
trait Side {
    type Data;

    fn process<'c, 'i>(&'c mut self, buffer: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, buffer: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(buffer)
    }
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, buffer: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(buffer)
    }
}

impl Null {
    fn step(
        &mut self,
        buffer: &[u8],
        plain: &mut BytesMut,
        out: &mut OutBuf,
        progress: &mut Progress,
    ) -> Result<(), TlsFailure> {
        if !std::mem::replace(&mut self.sent, true) {
            out.extend_from_slice(&self.own);
        }
        if self.peer.is_none() {
            let Some((peer, used)) = NullIdentity::parse(buffer)? else {
                return Ok(());
            };
            self.peer = Some(peer);
            progress.used = used;
        }
        progress.established = true;
        plain.extend_from_slice(&buffer[progress.used..]);
        progress.used = buffer.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: usize) -> Vec<u8> {
        let header = [23, 3, 3, (length >> 8) as u8, length as u8];
        [header.as_slice(), &vec![0; length]].concat()
    }

    #[test]
    fn room_is_made_for_the_records_that_are_completed() {
        let three = [record(100), record(16_401), record(50)].concat();
        let ends = [0, 105, 105 + 16_406, three.len()];
        for begun in 0..three.len() {
            let last = ends.iter().rev().find(|end| **end <= begun).unwrap();
            let mut pump = Pump::null(&NullIdentity::default());
            pump.established = true;
            pump.incoming = three[*last..begun].to_vec();
            let (held, left) = (pump.incoming.len(), three.len() - begun);
            let expected = if (1..RECORD_HEADER_BYTES).contains(&held) { left } else { held + left };
            assert_eq!(pump.completed_bytes(&three[begun..]), expected, "from {begun}");
            if held == 0 || held >= RECORD_HEADER_BYTES {
                let next = ends.iter().find(|end| **end > begun).unwrap();
                assert_eq!(pump.completed_bytes(&three[begun..next - 1]), 0, "from {begun}, one byte short");
                assert_eq!(pump.completed_bytes(&three[begun..*next]), next - last, "from {begun}, one record");
            }
        }
    }
}
