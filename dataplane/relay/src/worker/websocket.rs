//! What the relay knows of WebSocket (RFC 6455): the handshake that HTTP/2 leaves out, where frames end, and the frame that
//! says good-bye. What frames hold is none of its business.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use postern_http::{Known, RequestHead, ResponseHead};
use postern_io::random_u64;

/// Whether a request offers WebSocket.
pub(crate) fn is_offered(head: &RequestHead) -> bool {
    head.upgrade && head.headers.get(Known::Upgrade).is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
}

/// A handshake in HTTP/1.1 on behalf of a client that speaks HTTP/2 (RFC 8441 §5.1).
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
}

impl Handshake {
    /// Adds the key that HTTP/1.1 demands.
    pub(crate) fn offer(head: &mut RequestHead) -> Self {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&random_u64().to_be_bytes());
        nonce[8..].copy_from_slice(&random_u64().to_be_bytes());
        let key = BASE64.encode(nonce);
        let set = head.headers.set(Known::SecWebsocketKey, &key);
        assert!(set.is_ok(), "base64 is a field value");
        Self { accept: accept(&key) }
    }

    /// Whether the answer was made for this handshake.
    pub(crate) fn is_completed_by(&self, head: &ResponseHead) -> bool {
        let upgrade = head.headers.get(Known::Upgrade);
        head.status == 101
            && upgrade.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
            && head.headers.get(Known::SecWebsocketAccept) == Some(self.accept.as_bytes())
    }
}

/// RFC 6455 §4.2.2.
pub(super) fn accept(key: &str) -> String {
    let joined = [key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes()))
}

/// Where one direction stands between frames (RFC 6455 §5.2).
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    header: [u8; HEADER_BYTES_MAX],
    have: usize,
    /// Payload bytes of the frame that are still to come.
    left: u64,
    closed: bool,
}

impl Boundary {
    /// These bytes pass.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            if let Some((&byte, rest)) = bytes.split_first() {
                self.header[self.have] = byte;
                self.have += 1;
                bytes = rest;
                if self.have == header_bytes(&self.header[..self.have]) {
                    self.closed |= self.header[0] & 0x0f == OPCODE_CLOSE;
                    self.left = payload_bytes(&self.header);
                    self.have = 0;
                }
            }
        }
    }

    /// Whether a frame may begin here: none is incomplete, and none has said good-bye.
    pub(crate) fn is_free(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.closed
    }
}

/// Bytes of a header that begins like this; at least one more than are there while that cannot be known.
fn header_bytes(header: &[u8]) -> usize {
    let Some(second) = header.get(1) else { return 2 };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        // The length itself.
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

fn payload_bytes(header: &[u8; HEADER_BYTES_MAX]) -> u64 {
    let [_, second, rest @ ..] = header;
    match second & 0x7f {
        126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
        127 => rest[..8].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        short => u64::from(short),
    }
}

/// Why the relay says good-bye (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// 1001: the relay drains, or the connection's time is over.
    GoingAway,
    /// 1008, policy violation: who it belongs to may not have it any longer.
    Policy,
}

impl Farewell {
    const fn code(self) -> [u8; 2] {
        match self {
            Self::GoingAway => 1001u16.to_be_bytes(),
            Self::Policy => 1008u16.to_be_bytes(),
        }
    }

    /// As a server says it.
    pub(crate) const fn to_client(self) -> [u8; 4] {
        let [high, low] = self.code();
        [0x80 | OPCODE_CLOSE, 2, high, low]
    }

    /// As a client says it: masked, here with what a proxy needs no secret for.
    pub(crate) fn to_server(self) -> [u8; 8] {
        self.masked((random_u64() as u32).to_be_bytes())
    }

    const fn masked(self, mask: [u8; 4]) -> [u8; 8] {
        let [high, low] = self.code();
        [0x80 | OPCODE_CLOSE, 0x82, mask[0], mask[1], mask[2], mask[3], high ^ mask[0], low ^ mask[1]]
    }
}

const OPCODE_CLOSE: u8 = 8;
/// Two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

#[cfg(test)]
mod tests {
    use postern_http::BodyKind;

    use super::*;

    #[test]
    fn the_accept_value_is_the_rfcs_example() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_the_answer_to_its_own_key_completes_a_handshake() {
        let (own, another) = (accept("dGhlIHNhbXBsZSBub25jZQ=="), accept("x3JJHMbDL1EzLkh9GBhXDw=="));
        let handshake = Handshake { accept: own.clone() };
        let completed = |status: u16, upgrade: &str, accept: Option<&str>| {
            let mut head = ResponseHead::new(status, BodyKind::Upgrade);
            head.headers.set(Known::Upgrade, upgrade).unwrap();
            if let Some(accept) = accept {
                head.headers.set(Known::SecWebsocketAccept, accept).unwrap();
            }
            handshake.is_completed_by(&head)
        };
        assert!(completed(101, "WebSocket", Some(&own)));
        for accept in [Some(&*another), Some(&own[1..]), None] {
            assert!(!completed(101, "websocket", accept), "{accept:?}");
        }
        assert!(!completed(101, "h2c", Some(&own)) && !completed(200, "websocket", Some(&own)));
    }

    #[test]
    fn boundaries_are_found_however_frames_are_cut() {
        let mut wire = vec![0x81, 3, b'a', b'b', b'c'];
        wire.extend_from_slice(&[0x82, 0x80 | 126, 0x01, 0x00, 1, 2, 3, 4]);
        wire.extend_from_slice(&[7; 256]);
        wire.extend_from_slice(&[0x02, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        wire.extend_from_slice(&[8; 65536]);
        let ends = [0, 5, 5 + 8 + 256, 5 + 8 + 256 + 10 + 65536];
        let mut boundary = Boundary::default();
        for (at, byte) in wire.iter().enumerate() {
            assert_eq!(boundary.is_free(), ends.contains(&at), "at {at}");
            boundary.pass(&[*byte]);
        }
        assert!(boundary.is_free());
        for piece in [2, 3, 7, 300, 70_000] {
            let mut boundary = Boundary::default();
            wire.chunks(piece).for_each(|bytes| boundary.pass(bytes));
            assert!(boundary.is_free(), "in pieces of {piece}");
            boundary.pass(&Farewell::GoingAway.to_client());
            assert!(!boundary.is_free(), "nothing follows a close");
        }
    }

    #[test]
    fn both_ends_are_told_the_same() {
        for (farewell, code) in [(Farewell::GoingAway, 1001u16), (Farewell::Policy, 1008)] {
            let [first, length, high, low] = farewell.to_client();
            assert_eq!((first, length, u16::from_be_bytes([high, low])), (0x88, 2, code));
            let [first, length, a, b, _, _, high, low] = farewell.masked([1, 2, 3, 4]);
            assert_eq!((first, length), (0x88, 0x82));
            assert_eq!(u16::from_be_bytes([high ^ a, low ^ b]), code);
        }
    }

    #[test]
    fn a_length_that_nothing_reaches_is_only_waited_for() {
        let mut boundary = Boundary::default();
        boundary.pass(&[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]);
        boundary.pass(&[0; 100]);
        assert!(!boundary.is_free());
    }
}
