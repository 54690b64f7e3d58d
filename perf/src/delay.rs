//! A long wire in user space: a forwarder that delivers every byte half a round trip after it came, and as many of them
//! as come. It keeps no order between connections and loses nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Notify;
use tokio_uring::net::TcpStream;

use crate::clock::Timer;
use crate::cpu;

const READ_BYTES: usize = 128 * 1024;
/// Bytes on the wire in one direction of one connection: 20 ms at 25 Gbit/s.
const WIRE_BYTES_MAX: usize = 64 << 20;

/// Starts it on that core, towards `target`; it forwards until the process ends. Returns where it listens.
pub fn start(core: usize, target: SocketAddr, round_trip: Duration) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().name("delay".into()).spawn(move || {
        // Nobody listens when the starter has given up already.
        let _ = tell.send(cpu::pin(core));
        tokio_uring::start(accept(listener, target, round_trip / 2));
    })?;
    told.recv().context("the wire's thread ended")??;
    Ok(address)
}

async fn accept(listener: TcpListener, target: SocketAddr, delay: Duration) {
    let listener = tokio_uring::net::TcpListener::from_std(listener);
    while let Ok((near, _)) = listener.accept().await {
        tokio_uring::spawn(async move {
            // A target that refuses ends the connection, as it would directly.
            let _ = join(near, target, delay).await;
        });
    }
}

async fn join(near: TcpStream, target: SocketAddr, delay: Duration) -> io::Result<()> {
    let far = Rc::new(TcpStream::connect(target).await?);
    let near = Rc::new(near);
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    for (from, to) in [(&near, &far), (&far, &near)] {
        let wire = Rc::new(Wire::default());
        tokio_uring::spawn(Rc::clone(&wire).fill(Rc::clone(from), delay));
        tokio_uring::spawn(wire.empty(Rc::clone(to)));
    }
    Ok(())
}

/// What is under way in one direction, each piece with the moment of its arrival; the last is empty.
#[derive(Default)]
struct Wire {
    pieces: RefCell<VecDeque<(Instant, Vec<u8>)>>,
    bytes: Cell<usize>,
    news: Notify,
    room: Notify,
}

impl Wire {
    async fn fill(self: Rc<Self>, from: Rc<TcpStream>, delay: Duration) {
        loop {
            while self.bytes.get() > WIRE_BYTES_MAX {
                self.room.notified().await;
            }
            let (read, mut piece) = from.read(Vec::with_capacity(READ_BYTES)).await;
            let count = read.unwrap_or(0);
            piece.truncate(count);
            self.bytes.set(self.bytes.get() + count);
            self.pieces.borrow_mut().push_back((Instant::now() + delay, piece));
            self.news.notify_one();
            if count == 0 {
                return;
            }
        }
    }

    async fn empty(self: Rc<Self>, to: Rc<TcpStream>) {
        // An error is the connection's end; the other end's reads say so too.
        let _ = self.deliver(&to).await;
        let _ = to.shutdown(Shutdown::Write);
    }

    async fn deliver(&self, to: &TcpStream) -> io::Result<()> {
        let mut timer = Timer::new()?;
        loop {
            let next = self.pieces.borrow_mut().pop_front();
            let Some((arrival, piece)) = next else {
                self.news.notified().await;
                continue;
            };
            timer.until(arrival).await?;
            if piece.is_empty() {
                return Ok(());
            }
            let count = piece.len();
            to.write_all(piece).await.0?;
            self.bytes.set(self.bytes.get() - count);
            self.room.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_byte_needs_a_round_trip_and_many_need_no_longer() {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = start(0, far.local_addr().unwrap(), Duration::from_millis(30)).unwrap();
        let mut near = std::net::TcpStream::connect(address).unwrap();
        let (mut far, _) = far.accept().unwrap();
        let echo = std::thread::spawn(move || {
            let mut bytes = vec![0; 1 << 20];
            far.read_exact(&mut bytes[..1]).unwrap();
            far.write_all(&bytes).unwrap();
            far.read(&mut [0]).unwrap()
        });
        let begun = Instant::now();
        near.write_all(b"x").unwrap();
        let mut bytes = vec![0; 1 << 20];
        near.read_exact(&mut bytes[..1]).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(30));
        near.read_exact(&mut bytes[1..]).unwrap();
        assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
        drop(near);
        assert_eq!(echo.join().unwrap(), 0);
    }
}
