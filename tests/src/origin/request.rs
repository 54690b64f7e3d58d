//! Reads requests the plain way: a head up to the empty line, then a body of known length or in chunks.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

const LINE_BYTES_MAX: u64 = 64 * 1024;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// The whole head, as it came.
    pub(super) head: String,
    pub(super) expects_continue: bool,
    framing: Framing,
}

#[derive(Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

/// The next request; `None` when the client has no more.
pub(super) fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut head = String::new();
    loop {
        let before = head.len();
        reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut head)?;
        match &head[before..] {
            "" => return Ok(None),
            "\r\n" => break,
            _ => {}
        }
    }
    let mut first = head.split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let chunked = header(&head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        expects_continue: header(&head, "expect").is_some(),
        framing: if chunked { Framing::Chunked } else { Framing::Length(length) },
        head,
    }))
}

fn header<'head>(head: &'head str, wanted: &str) -> Option<&'head str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Hands over the body piece by piece, to its end.
    pub(super) fn body(
        &self,
        reader: &mut BufReader<TcpStream>,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        match self.framing {
            Framing::Length(length) => counted(reader, length, &mut take),
            Framing::Chunked => loop {
                let size = line(reader)?;
                let digits = size.split(';').next().unwrap_or_default().trim().to_owned();
                let size = u64::from_str_radix(&digits, 16).map_err(std::io::Error::other)?;
                if size == 0 {
                    while !line(reader)?.trim().is_empty() {}
                    return Ok(());
                }
                counted(reader, size, &mut take)?;
                line(reader)?;
            },
        }
    }
}

fn counted(
    reader: &mut BufReader<TcpStream>,
    length: u64,
    take: &mut impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut left = length;
    while left > 0 {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let count = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        take(&piece[..count])?;
        reader.consume(count);
        left -= count as u64;
    }
    Ok(())
}

fn line(reader: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
    if line.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}
