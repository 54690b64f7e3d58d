//! Accepting connections: one multishot accept per listener (kernel 5.19).

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    backend::BackendKind,
    core::{Core, Sock, with_core},
    socket::Socket,
};

/// A listening socket.
pub struct Listener {
    core: Rc<Core>,
    key: u32,
    /// The simulator's name of this listener.
    address: Option<SocketAddr>,
    /// What waited in the kernel's queue was taken, once: more may come as fast as it is taken.
    swept: Cell<bool>,
}

impl Listener {
    /// Takes over a bound and listening socket (whose options, `TCP_NODELAY` for one, accepted
    /// connections inherit).
    ///
    /// # Errors
    /// When its mode cannot be set: the ring answers `EAGAIN` at once on a non-blocking one instead of
    /// waiting, and epoll's accept waits on a blocking one.
    pub fn from_std(listener: TcpListener) -> io::Result<Self> {
        let core = with_core(Rc::clone);
        listener.set_nonblocking(core.backend.kind() == BackendKind::Epoll)?;
        let key = core.insert(Sock { fd: Some(listener.into()), ..Sock::default() });
        Ok(Self { core, key, address: None, swept: Cell::new(false) })
    }

    /// Listens at `address` of the simulated network.
    ///
    /// # Errors
    /// `AddrInUse` when someone listens there; `Unsupported` on a real backend.
    pub fn sim(address: SocketAddr) -> io::Result<Self> {
        let core = with_core(Rc::clone);
        let key = core.insert(Sock::default());
        let listener = Self { core, key, address: Some(address), swept: Cell::new(false) };
        crate::sim::net::listen(&listener.core, key, address)?;
        Ok(listener)
    }

    /// The next connection.
    ///
    /// # Errors
    /// What the kernel said, for example `EMFILE`; the listener goes on when called again.
    pub async fn accept(&self) -> io::Result<Socket> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// A connection that was accepted already: for a listener that is about to be dropped.
    #[must_use]
    pub fn take_accepted(&self) -> Option<Socket> {
        let next = || self.core.with_sock(self.key, |sock| sock.accept.queue.pop_front());
        let accepted = next().or_else(|| {
            if !self.swept.replace(true) {
                self.core.backend.accept_posted(&self.core, self.key);
            }
            next()
        });
        accepted.map(Socket::from_accepted)
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        let (accepted, errno, arm) = self.core.with_sock(self.key, |sock| {
            let accept = &mut sock.accept;
            let accepted = accept.queue.pop_front();
            let errno = if accepted.is_none() { accept.errno.take() } else { None };
            let wait = accepted.is_none() && errno.is_none();
            if wait {
                accept.waker = Some(cx.waker().clone());
            }
            let arm = wait && !accept.armed;
            accept.armed |= arm;
            (accepted, errno, arm)
        });
        if arm {
            self.core.backend.accept(&self.core, self.key);
        }
        match (accepted, errno) {
            (Some(accepted), _) => Poll::Ready(Ok(Socket::from_accepted(accepted))),
            (None, Some(errno)) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            (None, None) => Poll::Pending,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        if self.address.is_some() {
            return self.address;
        }
        self.core.with_sock(self.key, |sock| {
            let fd = sock.fd.as_ref()?;
            socket2::SockRef::from(fd).local_addr().ok()?.as_socket()
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            crate::sim::net::unlisten(&self.core, address);
        }
        self.core.release(self.key);
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({:?})", self.local_addr())
    }
}
