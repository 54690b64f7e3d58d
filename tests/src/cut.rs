//! A TCP forwarder between two programs whose connections a test can hold, delay or cut: a network that misbehaves.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

const BUFFER_BYTES: usize = 64 * 1024;
const HELD_POLL: Duration = Duration::from_millis(5);

/// Forwards everything to one address until told otherwise. Ends its connections when dropped.
pub struct Cut {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    held: AtomicBool,
    refusing: AtomicBool,
    delay_ms: AtomicU64,
    streams: Mutex<Vec<TcpStream>>,
}

impl Cut {
    pub fn to(target: SocketAddr) -> Result<Cut> {
        Cut::at((Ipv4Addr::LOCALHOST, 0).into(), target)
    }

    /// The same at a chosen address.
    pub fn at(address: SocketAddr, target: SocketAddr) -> Result<Cut> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for inward in listener.incoming().flatten() {
                if !accepting.refusing.load(Ordering::Relaxed) {
                    // A target that refuses ends the connection, as it would directly.
                    let _ = join(inward, target, &accepting);
                }
            }
        });
        Ok(Cut { address, shared })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing passes any more, in either direction, while the connections stay: a black hole.
    pub fn hold(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }

    /// Each piece waits this long before it goes on.
    pub fn delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(ms, Ordering::Relaxed);
    }

    /// New connections are closed at once.
    pub fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Ordering::Relaxed);
    }

    /// Ends every connection there is.
    pub fn cut(&self) {
        let mut streams = self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            // An error says that it has ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.refuse(true);
        self.hold(false);
        self.cut();
    }
}

fn join(inward: TcpStream, target: SocketAddr, shared: &Arc<Shared>) -> std::io::Result<()> {
    let outward = TcpStream::connect(target)?;
    for stream in [&inward, &outward] {
        stream.set_nodelay(true)?;
        let mut streams = shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.push(stream.try_clone()?);
    }
    let pairs = [(inward.try_clone()?, outward.try_clone()?), (outward, inward)];
    for (from, to) in pairs {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || forward(from, to, &shared));
    }
    Ok(())
}

fn forward(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let delay = shared.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            std::thread::sleep(Duration::from_millis(delay));
        }
        while shared.held.load(Ordering::Relaxed) {
            std::thread::sleep(HELD_POLL);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_are_held_and_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cut = Cut::to(listener.local_addr().unwrap()).unwrap();
        let mut near = TcpStream::connect(cut.address()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        near.write_all(b"a").unwrap();
        let mut byte = [0];
        far.read_exact(&mut byte).unwrap();
        cut.hold(true);
        near.write_all(b"b").unwrap();
        assert!(far.read_exact(&mut byte).is_err());
        cut.hold(false);
        far.read_exact(&mut byte).unwrap();
        cut.cut();
        assert_eq!(far.read(&mut byte).unwrap(), 0);
    }
}
