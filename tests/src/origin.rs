//! A private application that does what it is asked, misbehaviour included. The path chooses; bodies are the pattern's.

mod request;
mod serve;
pub mod websocket;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// A path that is answered without being counted.
pub const PROBE: &str = "/probe";

/// What it does by path; every path takes any method.
///
/// | path | what it does |
/// |---|---|
/// | `/bytes/N` | N bytes of the pattern with a length |
/// | `/chunked/N` | N bytes in chunks, then the trailer `x-sum` |
/// | `/close/N` | N bytes ended by closing |
/// | `/sha` | reads the body, answers its SHA-256 and length |
/// | `/check` | reads the body, answers how many bytes of it are the pattern's |
/// | `/count` | reads the body, counted while it comes in `received`, answers the count |
/// | `/echo` | sends the body back as it comes, in chunks |
/// | `/head` | answers the request's head as text |
/// | `/status/N` | answers that status without a body |
/// | `/wait/N` | answers after N ms |
/// | `/hints` | 103, then 200 |
/// | `/stall` | a head of 1 MiB, 1,000 bytes of it, then nothing |
/// | `/redirect?URL` | leads there |
/// | `/events` | a stream of server-sent events: one, then none |
/// | `/silent` | reads the request, never answers |
/// | `/ignore` | reads no body and never answers |
/// | `/vanish` | closes without an answer |
/// | `/short` | promises 1,000,000 bytes, sends half, closes |
/// | `/garbage` | sends what is not HTTP |
/// | `/ws` | a WebSocket that sends every message back |
pub struct Origin {
    address: SocketAddr,
    counters: Arc<Counters>,
}

/// What it has seen.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) heads: Mutex<Vec<String>>,
    pub(crate) goodbyes: Mutex<Vec<u16>>,
}

impl Origin {
    /// Serves on a free loopback port for as long as the process runs.
    pub fn start() -> Result<Origin> {
        Origin::start_on(Ipv4Addr::LOCALHOST)
    }

    /// The same on another address of this host.
    pub fn start_on(address: Ipv4Addr) -> Result<Origin> {
        Origin::start_at(TcpListener::bind((address, 0))?)
    }

    /// The same where this listens, another namespace say.
    pub fn start_at(listener: TcpListener) -> Result<Origin> {
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let counters = Arc::clone(&shared);
                // A broken connection ends its own thread only.
                std::thread::spawn(move || serve::connection(stream, &counters).ok());
            }
        });
        Ok(Origin { address, counters })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn connections(&self) -> u64 {
        self.counters.connections.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> u64 {
        self.counters.requests.load(Ordering::Relaxed)
    }

    /// Body bytes that `/count` has read so far.
    pub fn received(&self) -> u64 {
        self.counters.received.load(Ordering::Relaxed)
    }

    /// The codes with which WebSockets were closed so far.
    pub fn goodbyes(&self) -> Vec<u16> {
        self.counters.goodbyes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The heads of all requests so far, as they arrived.
    pub fn heads(&self) -> Vec<String> {
        self.counters.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    #[test]
    fn it_does_what_the_path_asks() {
        let origin = Origin::start().unwrap();
        let mut socket = TcpStream::connect(origin.address()).unwrap();
        socket
            .write_all(b"POST /sha HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /chunked/3 HTTP/1.1\r\nHost: x\r\n\r\nGET /short HTTP/1.1\r\n\r\n")
            .unwrap();
        let mut answers = Vec::new();
        socket.read_to_end(&mut answers).unwrap();
        let text = String::from_utf8_lossy(&answers);
        let sum = format!("{} 5", crate::pattern::sha256(b"hello"));
        assert!(text.contains(&sum) && text.contains("x-sum: 3") && text.contains("Content-Length: 1000000"), "{text}");
        assert_eq!((origin.requests(), origin.connections()), (3, 1));
    }
}
