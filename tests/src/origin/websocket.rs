//! A WebSocket (RFC 6455) that sends every message back.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Counters;
use super::request::Request;

const OPCODE_CLOSE: u8 = 8;
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Accepts the handshake and echoes until one side says good-bye.
pub(super) fn echo(
    request: &Request,
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
    counters: &Counters,
) -> std::io::Result<()> {
    let Some(key) = request.header("sec-websocket-key") else {
        return writer.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    };
    let joined = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes()));
    write!(
        writer,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nSet-Cookie: ws=1\r\n\r\n"
    )?;
    while let Some((first, payload)) = read_frame(reader)? {
        writer.write_all(&frame(first, &payload))?;
        if first & 0x0f == OPCODE_CLOSE {
            let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
            counters.goodbyes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(code);
            return Ok(());
        }
    }
    Ok(())
}

/// A frame as a server sends it: not masked. `first` holds FIN and the opcode.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(short as u8),
        medium @ 126..65_536 => {
            out.push(126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// A frame as a client sends it.
#[must_use]
pub fn masked_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = frame(first, payload);
    let header = out.len() - payload.len();
    out[1] |= 0x80;
    for (at, byte) in out[header..].iter_mut().enumerate() {
        *byte ^= MASK[at % 4];
    }
    out.splice(header..header, MASK);
    out
}

fn read_frame(reader: &mut impl Read) -> std::io::Result<Option<(u8, Vec<u8>)>> {
    let mut start = [0; 2];
    if reader.read(&mut start[..1])? == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut start[1..])?;
    let length = match start[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            reader.read_exact(&mut bytes)?;
            usize::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            reader.read_exact(&mut bytes)?;
            usize::try_from(u64::from_be_bytes(bytes)).unwrap_or(usize::MAX)
        }
        short => usize::from(short),
    };
    assert!(length <= MESSAGE_BYTES_MAX && start[1] & 0x80 != 0, "a client masks, and no test sends that much");
    let mut mask = [0; 4];
    reader.read_exact(&mut mask)?;
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    Ok(Some((start[0], payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        for size in [0, 5, 125, 126, 65_535, 65_536] {
            let payload = crate::pattern::bytes(size);
            let wire = masked_frame(0x82, &payload);
            assert_eq!(read_frame(&mut &wire[..]).unwrap(), Some((0x82, payload)));
        }
        assert_eq!(frame(0x81, b"hi"), [0x81, 2, b'h', b'i']);
    }
}
