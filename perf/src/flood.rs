//! A flood from one loopback address: connections that each send a ClientHello, make the other side answer it, and go.
//! Cheap for who sends them, dear for who answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::cpu;

/// Not the address of those who behave, which is 127.0.0.1.
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Connections of the flood under way at the same time.
const AT_A_TIME: usize = 2000;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(5);

/// A flood that goes on until dropped.
pub struct Flood {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    tried: AtomicU64,
    answered: AtomicU64,
}

impl Flood {
    /// So many connections a second, from a thread on that core.
    pub fn start(core: usize, target: SocketAddr, name: &str, tls: &Arc<ClientConfig>, rate: u64) -> Result<Flood> {
        let hello = client_hello(name, tls)?;
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("flood".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let (Ok(()), Ok(runtime)) = (cpu::pin(core), runtime) {
                tokio::task::LocalSet::new().block_on(&runtime, send(own, target, hello, rate));
            }
        })?;
        Ok(Flood { shared, thread: Some(thread) })
    }

    /// Connections tried, and those that made the other side answer.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.tried.load(Ordering::Relaxed), self.shared.answered.load(Ordering::Relaxed))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic of it was printed.
            let _ = thread.join();
        }
    }
}

/// The first bytes of a handshake, the same for every connection of the flood.
fn client_hello(name: &str, tls: &Arc<ClientConfig>) -> Result<Arc<Vec<u8>>> {
    let mut connection = ClientConnection::new(Arc::clone(tls), ServerName::try_from(name.to_owned())?)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).context("ClientHello")?;
    Ok(Arc::new(hello))
}

async fn send(shared: Arc<Shared>, target: SocketAddr, hello: Arc<Vec<u8>>, rate: u64) {
    let begun = Instant::now();
    let mut sent = 0u64;
    let mut ticks = tokio::time::interval(TICK);
    let under_way = Arc::new(tokio::sync::Semaphore::new(AT_A_TIME));
    while !shared.over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent < due {
            sent += 1;
            // Without a free place this one is left out: a sender has limits too.
            let Ok(place) = Arc::clone(&under_way).try_acquire_owned() else { continue };
            let (shared, hello) = (Arc::clone(&shared), Arc::clone(&hello));
            tokio::task::spawn_local(async move {
                shared.tried.fetch_add(1, Ordering::Relaxed);
                if matches!(tokio::time::timeout(ANSWER_TIMEOUT, one(target, &hello)).await, Ok(Ok(1..))) {
                    shared.answered.fetch_add(1, Ordering::Relaxed);
                }
                drop(place);
            });
        }
    }
}

/// Bytes of the answer to the ClientHello.
async fn one(target: SocketAddr, hello: &[u8]) -> std::io::Result<usize> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Gone without a trace: no port stays in TIME_WAIT.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::from((SOURCE, 0)).into())?;
    let mut stream = TcpSocket::from_std_stream(socket.into()).connect(target).await?;
    stream.write_all(hello).await?;
    stream.read(&mut [0; 1024]).await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::tls::{self, Protocol};

    #[test]
    fn it_comes_from_its_own_address_with_a_client_hello() {
        let folder = tempfile::tempdir().unwrap();
        let leaf = postern_tests::certificate::self_signed(folder.path(), "x.test").unwrap();
        let tls = tls::client(&leaf.certificate, Protocol::Http1, false).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let flood = Flood::start(0, listener.local_addr().unwrap(), "x.test", &tls, 200).unwrap();
        let (mut stream, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), SOURCE);
        let mut first = [0; 6];
        stream.read_exact(&mut first).unwrap();
        assert_eq!((first[0], first[5]), (22, 1), "a handshake record with a ClientHello");
        stream.write_all(b"x").unwrap();
        assert!(postern_tests::within(Duration::from_secs(2), || flood.counts().1 > 0));
    }
}
