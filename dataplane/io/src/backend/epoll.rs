//! The epoll backend, for machines that forbid `io_uring`: the same operations and completions, out of readiness.
//!
//! Each descriptor is registered once, edge-triggered, for both directions; what the kernel said last stands in
//! [`Readiness`]. An operation that cannot go on waits for the next edge. Like the ring's, its operations run in
//! [`Epoll::wait`] only, after all tasks of the turn, and report to [`Core`] from there: a stream still sends what a turn
//! queued on it with one call.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsFd as _, OwnedFd},
    rc::Rc,
    time::Duration,
};

use rustix::{
    event::{Timespec, epoll},
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, SocketFlags},
};
use socket2::SockRef;

use crate::{
    buffer::BufferPool,
    core::{Accepted, Core, End, Sock},
    limits::{
        ACCEPT_SWEEPS_MAX, ACCEPTS_PER_TURN_MAX, EVENTS_PER_WAIT_MAX, LATE_AFTER, RECV_BUFFER_BYTES, RECVS_PER_TURN_MAX,
    },
    runtime::monotonic_now,
};

/// What the kernel said of a registered descriptor.
#[derive(Default)]
pub(crate) struct Readiness {
    /// Tells this registration's events from those of an earlier one; 0 before there is any.
    registration: u32,
    /// A read may find something.
    readable: bool,
    /// The last write filled the socket's buffer.
    blocked: bool,
    /// The peer has ended or the connection failed: reads go on until they say so.
    ended: bool,
    /// A listener, which the supervisor holds too: closing it here does not end its registration.
    listening: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    Recv,
    All,
}

pub(crate) struct Epoll {
    epoll: OwnedFd,
    pool: Rc<BufferPool>,
    events: RefCell<Vec<epoll::Event>>,
    /// Sockets whose operation can go on, by operation. An entry that no longer applies is passed over.
    recvs: RefCell<Vec<u32>>,
    sends: RefCell<Vec<u32>>,
    accepts: RefCell<Vec<u32>>,
    /// Each holds an operation of its socket, so that the entry cannot name another one.
    cancels: RefCell<Vec<(u32, Cancel)>>,
    connected: RefCell<Vec<(u32, i32)>>,
    registrations: Cell<u32>,
    /// The eventfd that other threads write is registered.
    hears_others: Cell<bool>,
    /// The last wait did not ask the kernel.
    passed_over: Cell<bool>,
}

/// The eventfd's place in `data`, which no socket's key reaches.
const WAKE: u64 = u64::MAX;

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            pool: BufferPool::unregistered()?,
            events: RefCell::new(Vec::with_capacity(EVENTS_PER_WAIT_MAX)),
            recvs: RefCell::default(),
            sends: RefCell::default(),
            accepts: RefCell::default(),
            cancels: RefCell::default(),
            connected: RefCell::default(),
            registrations: Cell::new(0),
            hears_others: Cell::new(false),
            passed_over: Cell::new(false),
        })
    }

    pub(crate) fn recv(&self, _core: &Core, key: u32) {
        self.recvs.borrow_mut().push(key);
    }

    pub(crate) fn cancel_recv(&self, core: &Core, key: u32) {
        self.cancel(core, key, Cancel::Recv);
    }

    pub(crate) fn cancel_all(&self, core: &Core, key: u32) {
        self.cancel(core, key, Cancel::All);
    }

    fn cancel(&self, core: &Core, key: u32, what: Cancel) {
        core.with_sock(key, |sock| sock.ops += 1);
        self.cancels.borrow_mut().push((key, what));
    }

    pub(crate) fn send(&self, core: &Core, key: u32) {
        if !core.with_sock(key, |sock| sock.ready.blocked) {
            self.sends.borrow_mut().push(key);
        }
    }

    pub(crate) fn connect(&self, core: &Core, key: u32) {
        let begun = core.with_sock(key, |sock| {
            sock.ops += 1;
            begin_connect(sock)
        });
        let decided = match begun {
            Err(libc::EINPROGRESS) => match self.register(core, key) {
                Ok(()) => return, // an edge says that it is decided
                Err(errno) => -errno.raw_os_error(),
            },
            Err(errno) => -errno,
            Ok(()) => core.with_sock(key, |sock| outcome_of_connect(sock)),
        };
        self.connected.borrow_mut().push((key, decided));
    }

    pub(crate) fn accept(&self, core: &Core, key: u32) {
        core.with_sock(key, |sock| {
            sock.ops += 1;
            sock.ready.listening = true;
        });
        self.accepts.borrow_mut().push(key);
    }

    /// Takes what waits in the listener's queue without being asked by an edge: it is about to close.
    pub(crate) fn accept_posted(&self, core: &Core, key: u32) {
        core.with_sock(key, |sock| sock.ready.readable = true);
        for _ in 0..ACCEPT_SWEEPS_MAX {
            self.accept_ready(core, key);
            if !core.with_sock(key, |sock| sock.ready.readable) {
                return;
            }
        }
    }

    pub(crate) fn shutdown(&self, core: &Core, key: u32) {
        core.with_sock(key, |sock| {
            if let Some(fd) = &sock.fd {
                // It fails when the connection is gone: then there is nothing to end.
                let _ = rustix::net::shutdown(fd, Shutdown::Write);
            }
        });
    }

    /// The descriptor goes elsewhere.
    pub(crate) fn forget(&self, sock: &Sock) {
        if let Some(fd) = sock.fd.as_ref().filter(|_| sock.ready.registration != 0) {
            // It fails only for what is not registered.
            let _ = epoll::delete(&self.epoll, fd);
        }
    }

    pub(crate) fn close(&self, _core: &Core, sock: Sock) {
        if sock.ready.listening {
            self.forget(&sock);
        }
        drop(sock);
    }

    pub(crate) fn wait(&self, core: &Core, timeout: Option<Duration>) -> io::Result<usize> {
        self.go_on(core);
        // What the sends made possible comes first, but not again and again, and not after a long turn: others wait for
        // the kernel's word.
        let busy = core.has_work() || self.has_more();
        let quick = monotonic_now().since(core.now.get()) < LATE_AFTER;
        if busy && quick && timeout != Some(Duration::ZERO) && !self.passed_over.replace(true) {
            return Ok(0);
        }
        self.passed_over.set(false);
        self.hear_others(core)?;
        let mut events = self.events.take();
        let waited = self.ask(&mut events, if busy { Some(Duration::ZERO) } else { timeout });
        let count = events.len();
        for event in events.drain(..) {
            self.on_event(core, &event);
        }
        self.events.replace(events);
        self.go_on(core);
        waited.map(|()| count)
    }

    fn ask(&self, events: &mut Vec<epoll::Event>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: d.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Edge-triggered: every write to it is an edge, so that nobody has to read it empty.
    fn hear_others(&self, core: &Core) -> io::Result<()> {
        if !self.hears_others.replace(true) {
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&self.epoll, core.remote.eventfd(), epoll::EventData::new_u64(WAKE), flags)?;
        }
        Ok(())
    }

    /// Registers the socket unless it is. What is ready already is its first edge.
    fn register(&self, core: &Core, key: u32) -> Result<(), Errno> {
        if core.with_sock(key, |sock| sock.ready.registration) != 0 {
            return Ok(());
        }
        let registration = self.registrations.get().wrapping_add(1).max(1);
        self.registrations.set(registration);
        core.with_sock(key, |sock| {
            let Some(fd) = sock.fd.as_ref() else { return Err(Errno::BADF) };
            let data = epoll::EventData::new_u64(u64::from(registration) << 32 | u64::from(key));
            let flags =
                epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            epoll::add(&self.epoll, fd.as_fd(), data, flags)?;
            sock.ready.registration = registration;
            Ok(())
        })
    }

    fn on_event(&self, core: &Core, event: &epoll::Event) {
        let (flags, data) = (event.flags, event.data.u64());
        let (registration, key) = ((data >> 32) as u32, data as u32);
        let mut socks = core.socks.borrow_mut();
        let sock = socks.get_mut(key as usize).filter(|sock| sock.ready.registration == registration);
        let Some(sock) = sock.filter(|_| data != WAKE) else { return };
        let failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
        let ended = failed || flags.contains(epoll::EventFlags::RDHUP);
        sock.ready.ended |= ended;
        sock.ready.readable |= ended || flags.contains(epoll::EventFlags::IN);
        let writable = failed || flags.contains(epoll::EventFlags::OUT);
        sock.ready.blocked &= !writable;
        if sock.recv.armed && sock.ready.readable {
            self.recvs.borrow_mut().push(key);
        }
        if sock.send.inflight.is_some() && writable {
            self.sends.borrow_mut().push(key);
        }
        if sock.accept.armed {
            self.accepts.borrow_mut().push(key);
        }
        if sock.connect.address.is_some() && writable {
            self.connected.borrow_mut().push((key, outcome_of_connect(sock)));
        }
    }

    /// Everything that can go on without waiting.
    fn go_on(&self, core: &Core) {
        let mut cancels = self.cancels.take();
        for (key, what) in cancels.drain(..) {
            cancelled(core, key, what);
        }
        self.cancels.replace(cancels);
        for (key, result) in self.connected.take() {
            // Cancelled meanwhile, or reported by two edges.
            let waits = |sock: &Sock| sock.connect.address.is_some();
            if core.socks.borrow().get(key as usize).is_some_and(waits) {
                core.on_connect(key, result);
            }
        }
        each(&self.sends, |key| self.send_ready(core, key));
        each(&self.accepts, |key| self.accept_ready(core, key));
        each(&self.recvs, |key| self.recv_ready(core, key));
    }

    fn has_more(&self) -> bool {
        !(self.recvs.borrow().is_empty() && self.accepts.borrow().is_empty() && self.cancels.borrow().is_empty())
    }

    fn recv_ready(&self, core: &Core, key: u32) {
        if !core.socks.borrow().get(key as usize).is_some_and(|sock| sock.recv.armed) {
            return;
        }
        if let Err(errno) = self.register(core, key) {
            return core.on_recv(key, Err(End::Errno(errno.raw_os_error())), false);
        }
        for _ in 0..RECVS_PER_TURN_MAX {
            let Some(mut chunk) = self.pool.pick() else { break };
            let received = {
                let mut socks = core.socks.borrow_mut();
                let may = |sock: &&mut Sock| sock.recv.armed && !sock.recv.cancelling && sock.ready.readable;
                let Some(sock) = socks.get_mut(key as usize).filter(may) else { return };
                recv(sock, &mut chunk)
            };
            match received {
                Ok(0) => return core.on_recv(key, Err(End::Eof), false),
                Ok(length) => {
                    chunk.truncate(length);
                    let chunk = if self.pool.is_low() { chunk.into_heap() } else { chunk };
                    core.on_recv(key, Ok(chunk), true);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(errno) => return core.on_recv(key, Err(End::Errno(errno.raw_os_error())), false),
            }
        }
        // The others' turn.
        self.recvs.borrow_mut().push(key);
    }

    fn send_ready(&self, core: &Core, key: u32) {
        let sent = core.socks.borrow_mut().get_mut(key as usize).and_then(send);
        let result = match sent {
            None => return,
            Some(Ok(length)) => i32::try_from(length).unwrap_or(i32::MAX),
            Some(Err(Errno::AGAIN)) => 0,
            Some(Err(Errno::INTR)) => return self.sends.borrow_mut().push(key),
            Some(Err(errno)) => -errno.raw_os_error(),
        };
        if core.with_sock(key, |sock| sock.ready.blocked)
            && let Err(errno) = self.register(core, key)
        {
            return core.on_send(key, -errno.raw_os_error());
        }
        if result != 0 {
            core.on_send(key, result);
        }
    }

    fn accept_ready(&self, core: &Core, key: u32) {
        if !core.socks.borrow().get(key as usize).is_some_and(|sock| sock.ready.listening) {
            return;
        }
        if let Err(errno) = self.register(core, key) {
            return core.on_accept(key, Err(errno.raw_os_error()), false);
        }
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let accepted = {
                let socks = core.socks.borrow();
                let may = |sock: &&Sock| sock.ready.readable && !sock.dropped;
                let Some(fd) = socks.get(key as usize).filter(may).and_then(|sock| sock.fd.as_ref()) else { return };
                rustix::net::accept_with(fd, SocketFlags::CLOEXEC)
            };
            match accepted {
                Ok(fd) => core.on_accept(key, Ok(Accepted::Fd(fd)), true),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return core.with_sock(key, |sock| sock.ready.readable = false),
                Err(errno) => return failed_accept(core, key, errno),
            }
        }
        self.accepts.borrow_mut().push(key);
    }

    pub(crate) fn quiesce(&self, core: &Core) {
        let keys: Vec<u32> = core.socks.borrow().iter().map(|(index, _)| crate::core::key_of(index)).collect();
        for key in keys {
            core.release(key);
        }
        self.go_on(core);
    }
}

/// The listener tells, if it was asked.
fn failed_accept(core: &Core, key: u32, errno: Errno) {
    if core.with_sock(key, |sock| sock.accept.armed) {
        core.on_accept(key, Err(errno.raw_os_error()), false);
    }
}

/// Calls `f` with what was due; what `f` puts off stays for the next turn.
fn each(due: &RefCell<Vec<u32>>, mut f: impl FnMut(u32)) {
    let mut keys = due.take();
    for key in keys.drain(..) {
        f(key);
    }
    keys.append(&mut due.borrow_mut());
    due.replace(keys);
}

fn recv(sock: &mut Sock, buffer: &mut [u8]) -> Result<usize, Errno> {
    let fd = sock.fd.as_ref().ok_or(Errno::BADF)?;
    let received = rustix::net::recv(fd, buffer, RecvFlags::DONTWAIT).map(|(_, length)| length);
    // Less than there was room for: it is empty, and the next byte is an edge. The end may have been one already.
    let emptied = match received {
        Ok(length) => length < RECV_BUFFER_BYTES && !sock.ready.ended,
        Err(errno) => errno == Errno::AGAIN,
    };
    sock.ready.readable &= !emptied;
    received
}

/// Sends what is in flight, as far as the socket's buffer takes it. `None` when nothing is, or there was no room lately.
fn send(sock: &mut Sock) -> Option<Result<usize, Errno>> {
    let buffer = sock.send.inflight.as_ref().filter(|_| !sock.ready.blocked)?;
    let fd = sock.fd.as_ref()?;
    let rest = &buffer.as_slice()[sock.send.sent..];
    let sent = rustix::net::send(fd, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    sock.ready.blocked = match sent {
        Ok(length) => length < rest.len(),
        Err(errno) => errno == Errno::AGAIN,
    };
    Some(sent)
}

fn begin_connect(sock: &Sock) -> Result<(), i32> {
    let (Some(fd), Some(address)) = (&sock.fd, &sock.connect.address) else { return Err(libc::EBADF) };
    let socket = SockRef::from(fd);
    // The one call without a flag that keeps it from waiting.
    let begun = socket.set_nonblocking(true).and_then(|()| socket.connect(address));
    begun.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// 0, or a negative errno as the ring says it.
fn outcome_of_connect(sock: &Sock) -> i32 {
    let Some(fd) = &sock.fd else { return -libc::EBADF };
    let socket = SockRef::from(fd);
    match socket.take_error().and_then(|error| error.map_or(Ok(()), Err)).and_then(|()| socket.set_nonblocking(false)) {
        Ok(()) => 0,
        Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
    }
}

fn cancelled(core: &Core, key: u32, what: Cancel) {
    let (recv, send, accept, connect) = core.with_sock(key, |sock| {
        (sock.recv.armed, sock.send.inflight.is_some(), sock.accept.armed, sock.connect.address.is_some())
    });
    if recv {
        core.on_recv_paused(key);
    }
    if what == Cancel::All {
        if send {
            core.on_send(key, -libc::ECANCELED);
        }
        if accept {
            core.on_accept(key, Err(libc::ECANCELED), false);
        }
        if connect {
            core.on_connect(key, -libc::ECANCELED);
        }
    }
    core.on_done(key);
}
