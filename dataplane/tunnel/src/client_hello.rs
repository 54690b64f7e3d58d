//! The ClientHello, read from retained bytes before any TLS state exists (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301 §3.1).
//! It chooses where a connection goes; it never changes what TLS will read afterwards.

mod message;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use message::{Alpn, ClientHello, Versions};

/// Reads a ClientHello that may span records and segments. Keep it beside the retained bytes and call
/// [`advance`](Self::advance) with *all* of them whenever more have come; each byte is looked at once.
#[derive(Debug)]
pub struct ClientHelloParser {
    bytes_max: usize,
    /// Where in the retained bytes the next record begins, or the present one's content goes on.
    at: usize,
    /// What is left of the present record.
    record_left: usize,
    /// The message's bytes, once it turned out to span records.
    joined: Vec<u8>,
    /// Where the message lies while it is within one record.
    whole: Range<usize>,
    records: usize,
    /// The message's length with its header, once known.
    message_bytes: Option<usize>,
}

/// How far the parser has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// More bytes are needed.
    Incomplete,
    /// The whole message.
    Done(ClientHello<'a>),
    /// It will never be one.
    Invalid(ClientHelloInvalid),
}

/// Why bytes are not a ClientHello that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientHelloInvalid {
    /// An HTTP request in the clear: the user forgot the `s` of `https`.
    #[error("plain HTTP on a TLS port")]
    PlainHttp,
    /// The first byte belongs to no TLS handshake.
    #[error("not TLS: the first byte is {first:#04x}")]
    NotTls {
        /// The byte.
        first: u8,
    },
    /// A record of another kind than handshake.
    #[error("a TLS record of type {kind} before the ClientHello")]
    NotHandshake {
        /// The record's type.
        kind: u8,
    },
    /// The record layer's version is not 3.x.
    #[error("TLS record version {major}.{minor}")]
    RecordVersion {
        /// First byte.
        major: u8,
        /// Second byte.
        minor: u8,
    },
    /// An empty record, or one above 2^14 bytes.
    #[error("a TLS record of {length} bytes")]
    RecordLength {
        /// As stated.
        length: usize,
    },
    /// Another handshake message.
    #[error("handshake message {kind} where a ClientHello must be")]
    NotClientHello {
        /// Its type.
        kind: u8,
    },
    /// Longer than is accepted.
    #[error("a ClientHello of {length} bytes or more, at most {max} are read")]
    TooLong {
        /// What was stated or retained.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// Something follows the message in its record.
    #[error("{bytes} bytes after the ClientHello in its record")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A field is cut, has the wrong length or comes twice.
    #[error("no valid {field} in the ClientHello")]
    Malformed {
        /// Which.
        field: &'static str,
    },
}

impl ClientHelloParser {
    /// Accepts messages and retained bytes up to `bytes_max`; [`CLIENT_HELLO_BYTES_MAX`] is the usual bound.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, at: 0, record_left: 0, joined: Vec::new(), whole: 0..0, records: 0, message_bytes: None }
    }

    /// Goes on with `retained`: everything received on the connection so far, never less than last time.
    pub fn advance<'a>(&'a mut self, retained: &'a [u8]) -> Progress<'a> {
        match self.collect(retained) {
            Ok(false) => Progress::Incomplete,
            Ok(true) => self.finish(retained),
            Err(invalid) => Progress::Invalid(invalid),
        }
    }

    fn finish<'a>(&'a self, retained: &'a [u8]) -> Progress<'a> {
        match message::parse(self.message(retained)) {
            Ok(hello) => Progress::Done(hello),
            Err(invalid) => Progress::Invalid(invalid),
        }
    }

    fn message<'a>(&'a self, retained: &'a [u8]) -> &'a [u8] {
        if self.joined.is_empty() { &retained[self.whole.clone()] } else { &self.joined }
    }

    /// Walks over records; true when the whole message is there.
    fn collect(&mut self, retained: &[u8]) -> Result<bool, ClientHelloInvalid> {
        if self.at == 0 && !looks_like_tls(retained)? {
            return Ok(false);
        }
        loop {
            if self.record_left > 0 {
                self.content(retained);
            }
            if self.complete(retained)? {
                return Ok(true);
            }
            if self.record_left > 0 || !self.record(retained)? {
                return self.check_retained(retained);
            }
        }
    }

    fn check_retained(&self, retained: &[u8]) -> Result<bool, ClientHelloInvalid> {
        let (length, max) = (retained.len(), self.bytes_max);
        if length > max {
            return Err(ClientHelloInvalid::TooLong { length, max });
        }
        Ok(false)
    }

    /// Takes what has come of the present record's content.
    fn content(&mut self, retained: &[u8]) {
        let taken = self.record_left.min(retained.len() - self.at);
        let part = self.at..self.at + taken;
        if self.records == 1 {
            self.whole.end = part.end;
        } else {
            self.joined.extend_from_slice(&retained[part]);
        }
        self.at += taken;
        self.record_left -= taken;
    }

    /// Reads the header of the next record, if it is there.
    fn record(&mut self, retained: &[u8]) -> Result<bool, ClientHelloInvalid> {
        let Some(&[kind, major, minor, l1, l2]) =
            retained.get(self.at..).and_then(|rest| rest.first_chunk::<RECORD_HEADER_BYTES>())
        else {
            return Ok(false);
        };
        let length = usize::from(u16::from_be_bytes([l1, l2]));
        if kind != HANDSHAKE {
            return Err(ClientHelloInvalid::NotHandshake { kind });
        }
        if major != 3 || minor > 4 {
            return Err(ClientHelloInvalid::RecordVersion { major, minor });
        }
        if length == 0 || length > RECORD_BYTES_MAX {
            return Err(ClientHelloInvalid::RecordLength { length });
        }
        self.at += RECORD_HEADER_BYTES;
        self.record_left = length;
        self.records += 1;
        match self.records {
            1 => self.whole = self.at..self.at,
            2 => self.joined = retained[self.whole.clone()].to_vec(),
            _ => {}
        }
        Ok(true)
    }

    /// Whether the message is whole; refuses a wrong one as soon as its header is there.
    fn complete(&mut self, retained: &[u8]) -> Result<bool, ClientHelloInvalid> {
        let message = self.message(retained);
        let have = message.len();
        let needed = match self.message_bytes {
            Some(needed) => needed,
            None => {
                let Some(needed) = message_bytes(message, self.bytes_max)? else {
                    return Ok(false);
                };
                self.message_bytes = Some(needed);
                needed
            }
        };
        let stated = have + self.record_left;
        if stated > needed {
            let bytes = stated - needed;
            return Err(ClientHelloInvalid::Trailing { bytes });
        }
        Ok(have == needed)
    }
}

/// From the handshake header: the message's length with it.
fn message_bytes(message: &[u8], max: usize) -> Result<Option<usize>, ClientHelloInvalid> {
    if let Some(&kind) = message.first()
        && kind != CLIENT_HELLO
    {
        return Err(ClientHelloInvalid::NotClientHello { kind });
    }
    let Some(&[_, l1, l2, l3]) = message.first_chunk::<MESSAGE_HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = MESSAGE_HEADER_BYTES + u32::from_be_bytes([0, l1, l2, l3]) as usize;
    if length > max {
        return Err(ClientHelloInvalid::TooLong { length, max });
    }
    Ok(Some(length))
}

/// From the first bytes: TLS, or an error; false while that is open.
fn looks_like_tls(retained: &[u8]) -> Result<bool, ClientHelloInvalid> {
    let Some(&first) = retained.first() else {
        return Ok(false);
    };
    if first == HANDSHAKE {
        return Ok(true);
    }
    if (ALERT_FIRST..=HEARTBEAT_LAST).contains(&first) {
        return Err(ClientHelloInvalid::NotHandshake { kind: first });
    }
    let mut undecided = false;
    for method in HTTP_METHODS {
        if retained.starts_with(method) {
            return Err(ClientHelloInvalid::PlainHttp);
        }
        undecided |= method.starts_with(retained);
    }
    if undecided {
        return Ok(false);
    }
    Err(ClientHelloInvalid::NotTls { first })
}

/// The longest ClientHello that is read, its record headers included, unless another bound is given. Browsers with
/// post-quantum key shares and encrypted SNI stay below 4 KiB.
pub const CLIENT_HELLO_BYTES_MAX: usize = 16 * 1024;

const RECORD_HEADER_BYTES: usize = 5;
const RECORD_BYTES_MAX: usize = 1 << 14;
const MESSAGE_HEADER_BYTES: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Content types of records are 20 to 24.
const ALERT_FIRST: u8 = 20;
const HEARTBEAT_LAST: u8 = 24;
const HTTP_METHODS: [&[u8]; 10] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"PATCH ", b"TRACE ", b"PRI * HTTP/2"];
