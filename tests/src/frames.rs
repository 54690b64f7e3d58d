//! An HTTP/2 client that sends whatever frames it is told, right or wrong, and sees what comes back. It shares no code with
//! the h2 library: heads are sent as HPACK literals, and of those that come only the status is read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::{ClientConnection, StreamOwned};

use crate::client::Client;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
        Frame { kind, flags, stream, payload: payload.to_vec() }
    }

    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame's length has 24 bits").to_be_bytes();
        let mut out = vec![length[1], length[2], length[3], self.kind, self.flags];
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
        out
    }

    /// The error code of a GOAWAY or RST_STREAM.
    pub fn error(&self) -> Option<u32> {
        let code = match self.kind {
            GOAWAY => self.payload.get(4..8)?,
            RST_STREAM => self.payload.get(..4)?,
            _ => return None,
        };
        Some(u32::from_be_bytes(code.try_into().ok()?))
    }

    /// The status of a response's HEADERS: its first field, as a number of the static table or a literal.
    pub fn status(&self) -> Option<u16> {
        if self.kind != HEADERS {
            return None;
        }
        // Updates of the table's size may stand before it.
        let start = self.payload.iter().position(|byte| byte & 0xe0 != 0x20)?;
        match self.payload[start..] {
            [first @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500].get(usize::from(first - 0x88)).copied(),
            // Three digits, plain.
            [0x08 | 0x48, 3, a, b, c, ..] => std::str::from_utf8(&[a, b, c]).ok()?.parse().ok(),
            // Huffman's code of a digit has 5 or 6 bits.
            [0x08 | 0x48, length, ..] if length & 0x80 != 0 => {
                let end = start + 2 + usize::from(length & 0x7f);
                digits(self.payload.get(start + 2..end)?)
            }
            _ => None,
        }
    }
}

/// Digits in HPACK's Huffman code (RFC 7541 Appendix B): 0 to 2 have 5 bits, the others 6.
fn digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let value = |bits: &[u8]| bits.iter().fold(0u16, |value, bit| value << 1 | u16::from(*bit));
    let (mut number, mut at) = (0, 0);
    for _ in 0..3 {
        let short = value(bits.get(at..at + 5)?);
        let digit = if short <= 2 {
            at += 5;
            short
        } else {
            let long = value(bits.get(at..at + 6)?);
            at += 6;
            long.checked_sub(0x19)? + 3
        };
        number = number * 10 + digit;
    }
    Some(number)
}

/// A field as HPACK's literal without indexing, without Huffman's code.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        integer(text.len(), &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// RFC 7541 §5.1 with a prefix of seven bits.
fn integer(value: usize, out: &mut Vec<u8>) {
    if value < 127 {
        out.push(value as u8);
        return;
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// A request's head as one header block.
pub fn request(method: &str, host: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)];
    pseudo.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// A connection whose preface was sent.
pub struct Frames {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
    pub host: String,
}

impl Frames {
    /// Connects; `settings` go with the preface as pairs of identifier and value.
    pub fn connect(client: &Client, settings: &[(u16, u32)]) -> Result<Frames> {
        let stream = client.handshake(&[b"h2"])?;
        if stream.conn.alpn_protocol() != Some(b"h2") {
            bail!("the relay does not speak HTTP/2");
        }
        let mut frames = Frames { stream, buffer: Vec::new(), host: client.host.clone() };
        frames.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        frames.settings(settings)?;
        Ok(frames)
    }

    pub fn settings(&mut self, settings: &[(u16, u32)]) -> Result<()> {
        let pairs = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        self.frame(SETTINGS, 0, 0, &pairs.collect::<Vec<_>>())
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        self.send(&Frame::new(kind, flags, stream, payload).encode())
    }

    /// A GET without content.
    pub fn get(&mut self, stream: u32, path: &str) -> Result<()> {
        let block = request("GET", &self.host, path, &[]);
        self.frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()?;
        Ok(())
    }

    /// The next frame; `None` when the connection has ended.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if is_timeout(&error) => return Err(error).context("nothing came"),
                Err(_) => return Ok(None),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let [a, b, c, kind, flags, stream @ ..] = self.buffer.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (kind, flags, stream) = (*kind, *flags, u32::from_be_bytes(*stream));
        let payload = self.buffer.get(9..9 + length)?.to_vec();
        self.buffer.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }

    /// The first frame for which `is_wanted`; an error when the connection ends before.
    pub fn until(&mut self, is_wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        let mut seen = Vec::new();
        while let Some(frame) = self.read()? {
            if is_wanted(&frame) {
                return Ok(frame);
            }
            seen.push((frame.kind, frame.stream, frame.error()));
        }
        bail!("the connection ended after {seen:?}")
    }

    /// The status of the answer on `stream`.
    pub fn status(&mut self, stream: u32) -> Result<u16> {
        let head = self.until(|frame| frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM))?;
        head.status().with_context(|| format!("no status in {head:?}"))
    }

    /// Why and how soon the relay closes: the code of its GOAWAY, and whether the connection ended within `limit`.
    pub fn closed_within(&mut self, limit: Duration) -> Result<Option<u32>> {
        let begun = Instant::now();
        self.stream.sock.set_read_timeout(Some(limit))?;
        let mut code = None;
        while let Some(frame) = self.read().with_context(|| format!("still open after {limit:?}, GOAWAY {code:?}"))? {
            if frame.kind == GOAWAY {
                code = frame.error();
            }
            if begun.elapsed() > limit {
                bail!("still open after {limit:?}, GOAWAY {code:?}");
            }
        }
        Ok(code)
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_in_every_form() {
        let status = |payload: &[u8]| Frame::new(HEADERS, 0, 1, payload).status();
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8d]), Some(404));
        assert_eq!(status(b"\x48\x03421"), Some(421));
        // 4 (011010) 2 (00010) 1 (00001): two bytes, no padding.
        assert_eq!(status(&[0x48, 0x82, 0b0110_1000, 0b0100_0001]), Some(421));
        // 5 (011011) 0 (00000) 3 (011001).
        assert_eq!(status(&[0x08, 0x83, 0b0110_1100, 0b0000_1100, 0b1111_1111]), Some(503));
        let mut long = Vec::new();
        integer(1337, &mut long);
        assert_eq!(long, [127, 0xba, 9]);
    }
}
