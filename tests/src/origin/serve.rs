//! Answers requests as their paths ask.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;

use super::Counters;
use super::request::{self, Request};
use super::websocket;
use crate::pattern;

const CHUNK_BYTES: usize = 16 * 1024;
const READ_BYTES: usize = 64 * 1024;
const HELD_MAX: Duration = Duration::from_secs(120);
const HELD_POLL: Duration = Duration::from_millis(50);

/// Requests one after the other, until the client has no more or a path asked to break off.
pub(super) fn connection(stream: TcpStream, counters: &Counters) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(READ_BYTES, stream);
    while let Some(request) = request::read(&mut reader)? {
        if request.path == super::PROBE {
            text(&request, &mut writer, "here")?;
            continue;
        }
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.heads.lock().unwrap_or_else(PoisonError::into_inner).push(request.head.clone());
        if !answer(&request, &mut reader, &mut writer, counters)? {
            break;
        }
    }
    Ok(())
}

/// One answer; false when the connection is to be closed.
fn answer(
    request: &Request,
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
    counters: &Counters,
) -> std::io::Result<bool> {
    let path = request.path.split('?').next().unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split('/');
    let action = parts.next().unwrap_or_default();
    let number = parts.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    match action {
        "ignore" => return wait_for_close(reader),
        "vanish" => return Ok(false),
        "ws" => return websocket::echo(request, reader, writer, counters).map(|()| false),
        "garbage" => return writer.write_all(b"this is no HTTP\r\n\r\n").map(|()| false),
        _ => {} // The others read the body first.
    }
    if request.expects_continue {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    match action {
        "sha" => return sha(request, reader, writer),
        "check" => return check(request, reader, writer),
        "count" => return count(request, reader, writer, counters),
        "echo" => return echo(request, reader, writer),
        _ => request.body(reader, |_| Ok(()))?, // What does not concern the body drops it.
    }
    match action {
        "bytes" => sized(request, writer, number)?,
        "chunked" => chunked(writer, number)?,
        "wait" => {
            std::thread::sleep(Duration::from_millis(number));
            text(request, writer, "after a while")?;
        }
        "head" => text(request, writer, &request.head)?,
        "status" => status(writer, number)?,
        "hints" => {
            writer.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")?;
            text(request, writer, "after the hints")?;
        }
        "stall" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n")?;
            writer.write_all(pattern::piece(0, 1000))?;
            return wait_for_close(reader);
        }
        "redirect" => {
            let to = request.path.split_once('?').map_or("/", |(_, to)| to);
            write!(writer, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")?;
        }
        "events" => {
            writer
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n")?;
            writer.write_all(b"data: hello\n\n")?;
            return wait_for_close(reader);
        }
        "silent" => return wait_for_close(reader),
        "short" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
            return stream_pattern(writer, 500_000).map(|()| false);
        }
        "close" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            return stream_pattern(writer, number).map(|()| false);
        }
        _ => text(request, writer, "the private application")?, // Any other path is its front page.
    }
    Ok(true)
}

fn sized(request: &Request, writer: &mut TcpStream, length: u64) -> std::io::Result<()> {
    write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n")?;
    if request.method == "HEAD" {
        return Ok(());
    }
    stream_pattern(writer, length)
}

fn stream_pattern(writer: &mut TcpStream, length: u64) -> std::io::Result<()> {
    let mut sent = 0;
    while sent < length {
        let piece = pattern::piece(sent, usize::try_from(length - sent).unwrap_or(usize::MAX));
        writer.write_all(piece)?;
        sent += piece.len() as u64;
    }
    Ok(())
}

fn chunked(writer: &mut TcpStream, length: u64) -> std::io::Result<()> {
    writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n")?;
    let mut sent = 0;
    while sent < length {
        let piece = pattern::piece(sent, CHUNK_BYTES.min(usize::try_from(length - sent).unwrap_or(CHUNK_BYTES)));
        chunk(writer, piece)?;
        sent += piece.len() as u64;
    }
    write!(writer, "0\r\nx-sum: {length}\r\n\r\n")
}

fn chunk(writer: &mut TcpStream, piece: &[u8]) -> std::io::Result<()> {
    let mut out = format!("{:x}\r\n", piece.len()).into_bytes();
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
    writer.write_all(&out)
}

fn text(request: &Request, writer: &mut TcpStream, words: &str) -> std::io::Result<()> {
    let body = if request.method == "HEAD" { "" } else { words };
    let length = words.len();
    write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn status(writer: &mut TcpStream, number: u64) -> std::io::Result<()> {
    let length = if number == 204 || number == 304 { "" } else { "Content-Length: 0\r\n" };
    write!(writer, "HTTP/1.1 {number} As Asked\r\n{length}\r\n")
}

fn sha(request: &Request, reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> std::io::Result<bool> {
    let (mut sum, mut length) = (digest::Context::new(&digest::SHA256), 0);
    request.body(reader, |piece| {
        sum.update(piece);
        length += piece.len() as u64;
        Ok(())
    })?;
    let words = format!("{} {length}", pattern::hex(sum.finish().as_ref()));
    text(request, writer, &words).map(|()| true)
}

fn check(request: &Request, reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> std::io::Result<bool> {
    let mut right = 0;
    request.body(reader, |piece| {
        if pattern::matches(right, piece) {
            right += piece.len() as u64;
        }
        Ok(())
    })?;
    text(request, writer, &right.to_string()).map(|()| true)
}

fn count(
    request: &Request,
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
    counters: &Counters,
) -> std::io::Result<bool> {
    let mut length = 0;
    request.body(reader, |piece| {
        length += piece.len() as u64;
        counters.received.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok(())
    })?;
    text(request, writer, &length.to_string()).map(|()| true)
}

fn echo(request: &Request, reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> std::io::Result<bool> {
    writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    request.body(reader, |piece| chunk(writer, piece))?;
    writer.write_all(b"0\r\n\r\n").map(|()| true)
}

/// Holds the connection without a word until the other side ends it, or long after any test has.
fn wait_for_close(reader: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < HELD_MAX && reader.get_ref().peek(&mut [0])? > 0 {
        std::thread::sleep(HELD_POLL);
    }
    Ok(false)
}
