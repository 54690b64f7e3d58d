//! The application behind every side: one thread on tokio-uring, answers that were made once.
//! `/` and any other path 100 bytes, `/64k`, `/10m`, `/256m` so many bytes, `/chunked` 16 chunks of 4 KiB.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use crate::cpu;

const BACKLOG: i32 = 16_384;
const RING_ENTRIES: u32 = 2048;
const READ_BYTES: usize = 16 * 1024;
/// One write of a large answer.
const BLOCK_BYTES: usize = 256 * 1024;

/// Starts it on that core; it serves until the process ends.
pub fn start(core: usize) -> Result<SocketAddr> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().name("origin".into()).spawn(move || {
        // Nobody listens when the starter has given up already.
        let _ = tell.send(cpu::pin(core));
        tokio_uring::builder().entries(RING_ENTRIES).start(accept(listener));
    })?;
    told.recv().context("the origin's thread ended")??;
    Ok(address)
}

/// An answer's head with the content behind it, or before so many blocks of content.
#[derive(Clone, Copy)]
struct Answer {
    first: &'static [u8],
    block: &'static [u8],
    blocks: usize,
}

type Answers = &'static BTreeMap<&'static str, Answer>;

async fn accept(listener: TcpListener) {
    let answers: Answers = Box::leak(Box::new(answers()));
    let listener = tokio_uring::net::TcpListener::from_std(listener);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio_uring::spawn(async move {
                    // Clients come and go; a broken connection is theirs.
                    let _ = serve(stream, answers).await;
                });
            }
            Err(error) => {
                eprintln!("origin: accept: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

fn answers() -> BTreeMap<&'static str, Answer> {
    let block: &'static [u8] = vec![b'x'; BLOCK_BYTES].leak();
    let small = |first: Vec<u8>| Answer { first: first.leak(), block, blocks: 0 };
    let counted = |bytes: usize| {
        let mut answer = head(bytes);
        answer.resize(answer.len() + bytes, b'x');
        small(answer)
    };
    let large = |blocks: usize| Answer { first: head(blocks * BLOCK_BYTES).leak(), block, blocks };
    BTreeMap::from([
        ("/", counted(100)),
        ("/64k", counted(64 << 10)),
        ("/10m", large((10 << 20) / BLOCK_BYTES)),
        ("/256m", large((256 << 20) / BLOCK_BYTES)),
        ("/chunked", small(chunked())),
    ])
}

fn head(bytes: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\r\n"
    )
    .into_bytes()
}

fn chunked() -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nServer: origin\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..16 {
        answer.extend_from_slice(b"1000\r\n");
        answer.resize(answer.len() + 4096, b'x');
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

async fn serve(stream: tokio_uring::net::TcpStream, answers: Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut pending = Vec::new();
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        buffer.clear();
        let (read, filled) = stream.read(buffer).await;
        buffer = filled;
        let count = read?;
        if count == 0 {
            return Ok(());
        }
        if pending.is_empty() && ends_head(&buffer[..count]) {
            answer(&stream, &buffer[..count], answers).await?;
            continue;
        }
        pending.extend_from_slice(&buffer[..count]);
        while let Some(end) = head_end(&pending) {
            let head: Vec<u8> = pending.drain(..end).collect();
            answer(&stream, &head, answers).await?;
        }
        if pending.len() > READ_BYTES {
            return Err(io::Error::other("a head without an end"));
        }
    }
}

/// One whole head and nothing behind it: the usual case.
fn ends_head(bytes: &[u8]) -> bool {
    head_end(bytes) == Some(bytes.len())
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

async fn answer(stream: &tokio_uring::net::TcpStream, head: &[u8], answers: Answers) -> io::Result<()> {
    let path = head.split(|byte| *byte == b' ').nth(1).and_then(|path| std::str::from_utf8(path).ok());
    let answer = path.and_then(|path| answers.get(path)).unwrap_or(&answers["/"]);
    stream.write_all(answer.first).await.0?;
    for _ in 0..answer.blocks {
        stream.write_all(answer.block).await.0?;
    }
    Ok(())
}
