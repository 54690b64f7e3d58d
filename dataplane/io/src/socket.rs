//! One TCP connection: receive as chunks, send whole buffers, close in order.

use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Type};

use crate::{
    buffer::Chunk,
    core::{Accepted, Core, End, Sock, with_core},
    output::OutBuf,
    time::timeout,
    turn::TurnEnd,
};

/// How to connect.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// The longest wait for the handshake.
    pub timeout: Duration,
    /// TCP keep-alive after this much silence, if at all.
    pub keepalive: Option<Duration>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), keepalive: Some(Duration::from_secs(30)) }
    }
}

/// A connected TCP socket. Dropping it cancels what is in flight and closes it.
pub struct Socket {
    core: Rc<Core>,
    key: u32,
    pending: Option<Chunk>,
    /// The slab entry was given away: nothing to do at drop.
    released: bool,
}

impl Socket {
    /// Connects to `address`.
    ///
    /// # Errors
    /// The operating system's refusal, or `TimedOut` after `options.timeout`.
    pub async fn connect(address: SocketAddr, options: &ConnectOptions) -> io::Result<Self> {
        let core = with_core(Rc::clone);
        let mut sock = Sock::default();
        if core.backend.kind() != crate::BackendKind::Sim {
            sock.fd = Some(new_tcp_socket(address, options)?);
        }
        sock.connect.address = Some(Box::new(SockAddr::from(address)));
        let key = core.insert(sock);
        core.backend.connect(&core, key);
        let socket = Self { core, key, pending: None, released: false };
        match timeout(options.timeout, poll_fn(|cx| socket.poll_connect(cx))).await {
            Ok(result) => result.map(|()| socket),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {:?}", options.timeout)))
            }
        }
    }

    fn poll_connect(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.with_sock(self.key, |sock| match sock.connect.result {
            Some(0) => Poll::Ready(Ok(())),
            Some(code) => Poll::Ready(Err(io::Error::from_raw_os_error(-code))),
            None => {
                sock.connect.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    /// Takes over a connected descriptor.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self::from_accepted(Accepted::Fd(fd))
    }

    pub(crate) fn from_accepted(accepted: Accepted) -> Self {
        let core = with_core(Rc::clone);
        let mut sock = Sock::default();
        match accepted {
            Accepted::Fd(fd) => sock.fd = Some(fd),
            Accepted::Endpoint(endpoint) => sock.endpoint = Some(endpoint),
        }
        let key = core.insert(sock);
        Self { core, key, pending: None, released: false }
    }

    /// Gives the descriptor away together with what was received and not read.
    ///
    /// # Errors
    /// When the kernel will not let go of it, or the backend has no descriptors.
    pub async fn into_fd(mut self) -> io::Result<(OwnedFd, Vec<u8>)> {
        self.disarm().await;
        let (fd, chunks) = self.core.take_fd(self.key)?;
        let mut rest = self.pending.as_ref().map_or_else(Vec::new, |c| c.to_vec());
        for chunk in chunks {
            rest.extend_from_slice(&chunk);
        }
        self.released = true;
        Ok((fd, rest))
    }

    /// Waits until no receive is armed any more.
    async fn disarm(&self) {
        poll_fn(|cx| {
            let (armed, cancel) = self.core.with_sock(self.key, |sock| {
                let cancel = sock.recv.armed && !sock.recv.cancelling;
                sock.recv.cancelling |= cancel;
                if sock.ops > 0 {
                    sock.recv.waker = Some(cx.waker().clone());
                }
                (sock.ops > 0, cancel)
            });
            if cancel {
                self.core.backend.cancel_recv(&self.core, self.key);
            } else if armed {
                // The receive ended, the cancellation's own completion is still to come.
                cx.waker().wake_by_ref();
            }
            if armed { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// The next received chunk; `None` at the end of the stream.
    ///
    /// # Errors
    /// The connection's failure.
    pub async fn recv(&mut self) -> io::Result<Option<Chunk>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// See [`Socket::recv`].
    ///
    /// # Errors
    /// The connection's failure.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        if let Some(chunk) = self.pending.take() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        let (chunk, end) = self.core.with_sock(self.key, |sock| {
            let chunk = sock.recv.queue.pop_front();
            if let Some(chunk) = &chunk {
                sock.recv.queued -= chunk.len();
            } else if sock.recv.end.is_none() {
                sock.recv.waker = Some(cx.waker().clone());
            }
            (chunk, sock.recv.end)
        });
        if let Some(chunk) = chunk {
            return Poll::Ready(Ok(Some(chunk)));
        }
        match end {
            Some(End::Eof) => Poll::Ready(Ok(None)),
            Some(End::Errno(errno)) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None => {
                self.core.want_recv(self.key);
                Poll::Pending
            }
        }
    }

    /// Puts bytes in front of what is received next.
    pub(crate) fn unread(&mut self, bytes: Vec<u8>) {
        assert!(self.pending.is_none(), "bytes are put back once");
        if !bytes.is_empty() {
            self.pending = Some(Chunk::from_heap(bytes));
        }
    }

    pub(crate) fn send_in_flight(&self) -> bool {
        self.core.with_sock(self.key, |sock| sock.send.inflight.is_some())
    }

    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.core
            .with_sock(self.key, |sock| sock.send.inflight.as_ref().map_or(0, |buffer| buffer.len() - sock.send.sent))
    }

    pub(crate) fn send_error(&self) -> Option<i32> {
        self.core.with_sock(self.key, |sock| sock.send.error)
    }

    pub(crate) fn send(&self, buffer: OutBuf, on_done: Rc<dyn TurnEnd>) {
        self.core.send(self.key, buffer, on_done);
    }

    pub(crate) fn shutdown_write(&self) {
        self.core.backend.shutdown(&self.core, self.key);
    }

    /// Ends both directions at once: reads and writes fail, what is in flight is cancelled.
    pub(crate) fn abort(&self) {
        self.core.with_sock(self.key, |sock| {
            sock.send.error.get_or_insert(libc::ECONNABORTED);
            sock.recv.end.get_or_insert(End::Errno(libc::ECONNABORTED));
        });
        self.core.backend.cancel_all(&self.core, self.key);
    }

    /// A reader waiting in [`Socket::poll_recv`] looks again.
    pub(crate) fn wake_reader(&self) {
        let waker = self.core.with_sock(self.key, |sock| sock.recv.waker.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The address of this end; `None` in the simulator or when the connection is gone.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.core.with_sock(self.key, |sock| {
            let fd = sock.fd.as_ref()?;
            socket2::SockRef::from(fd).local_addr().ok()?.as_socket()
        })
    }

    /// The peer's address; `None` in the simulator or when the connection is gone.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.core.with_sock(self.key, |sock| {
            let fd = sock.fd.as_ref()?;
            socket2::SockRef::from(fd).peer_addr().ok()?.as_socket()
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.released {
            self.core.release(self.key);
        }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({})", self.key)
    }
}

fn new_tcp_socket(address: SocketAddr, options: &ConnectOptions) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(idle) = options.keepalive {
        let keepalive = socket2::TcpKeepalive::new().with_time(idle).with_interval(idle / 3);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(TcpStream::from(socket).into())
}
