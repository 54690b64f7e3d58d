//! The state of one loop and what completions do to it. Backends report completions here;
//! sockets, streams and timers read the results.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use async_task::Runnable;
use slab::Slab;

use crate::{
    backend::{Backend, epoll::Readiness},
    buffer::Chunk,
    executor::Remote,
    limits::{RECV_QUEUE_BYTES_MAX, RECV_QUEUE_BYTES_RESUME},
    output::{OutBuf, OutBufs},
    time::Instant,
    turn::{LoadProbe, TurnEnd},
    wheel::Wheel,
};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// Everything one loop owns.
pub(crate) struct Core {
    pub(crate) ready: RefCell<VecDeque<Runnable>>,
    pub(crate) remote: Arc<Remote>,
    pub(crate) timers: RefCell<Wheel>,
    pub(crate) now: Cell<Instant>,
    pub(crate) socks: RefCell<Slab<Sock>>,
    pub(crate) backend: Backend,
    pub(crate) hooks: RefCell<Vec<Rc<dyn TurnEnd>>>,
    pub(crate) outputs: RefCell<Vec<Rc<dyn TurnEnd>>>,
    pub(crate) after_output: RefCell<Vec<Rc<dyn TurnEnd>>>,
    pub(crate) spares: RefCell<OutBufs>,
    pub(crate) load: RefCell<Option<Box<dyn LoadProbe>>>,
    pub(crate) rng: RefCell<crate::runtime::Rng>,
}

/// Runs `f` with this thread's loop.
///
/// # Panics
/// Outside a running [`crate::Runtime`]: that is a bug of the caller.
pub(crate) fn with_core<T>(f: impl FnOnce(&Rc<Core>) -> T) -> T {
    CURRENT.with(|current| {
        f(current.borrow().as_ref().expect("the engine's functions are called on a thread that runs a Runtime"))
    })
}

/// Runs `f` when this thread has a loop; for destructors, which may run after it ended.
pub(crate) fn try_with_core(f: impl FnOnce(&Rc<Core>)) {
    let _ = CURRENT.try_with(|current| {
        if let Ok(current) = current.try_borrow()
            && let Some(core) = current.as_ref()
        {
            f(core);
        }
    });
}

pub(crate) fn enter(core: Option<Rc<Core>>) -> Option<Rc<Core>> {
    CURRENT.with(|current| current.replace(core))
}

/// How a direction of a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    Errno(i32),
}

/// One socket or listener as the loop sees it; it outlives its handle until the kernel holds no
/// operation on it any more.
#[derive(Default)]
pub(crate) struct Sock {
    pub(crate) fd: Option<OwnedFd>,
    /// The simulator's endpoint instead of a descriptor.
    pub(crate) endpoint: Option<usize>,
    pub(crate) recv: Recv,
    pub(crate) send: Send,
    pub(crate) connect: Connect,
    pub(crate) accept: Accept,
    /// The epoll backend's.
    pub(crate) ready: Readiness,
    /// Operations whose final completion is still to come.
    pub(crate) ops: u32,
    pub(crate) dropped: bool,
}

#[derive(Default)]
pub(crate) struct Recv {
    pub(crate) armed: bool,
    pub(crate) cancelling: bool,
    /// Ended for want of buffers; armed again when one is free.
    pub(crate) starved: bool,
    pub(crate) queue: VecDeque<Chunk>,
    pub(crate) queued: usize,
    pub(crate) end: Option<End>,
    pub(crate) waker: Option<Waker>,
}

#[derive(Default)]
pub(crate) struct Send {
    /// Owned by the kernel until the completion: never touched meanwhile.
    pub(crate) inflight: Option<OutBuf>,
    pub(crate) sent: usize,
    pub(crate) error: Option<i32>,
    /// Called when the send in flight completed; keeps a stream alive until then.
    pub(crate) on_done: Option<Rc<dyn TurnEnd>>,
}

#[derive(Default)]
pub(crate) struct Connect {
    pub(crate) address: Option<Box<socket2::SockAddr>>,
    pub(crate) result: Option<i32>,
    pub(crate) waker: Option<Waker>,
}

/// A connection that was accepted: a descriptor, or an endpoint of the simulator.
pub(crate) enum Accepted {
    Fd(OwnedFd),
    Endpoint(usize),
}

#[derive(Default)]
pub(crate) struct Accept {
    pub(crate) armed: bool,
    pub(crate) queue: VecDeque<Accepted>,
    pub(crate) errno: Option<i32>,
    pub(crate) waker: Option<Waker>,
}

impl Sock {
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

pub(crate) fn key_of(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 sockets: the descriptor limit is far below")
}

impl Core {
    /// Whether a task or a hook waits for its turn.
    pub(crate) fn has_work(&self) -> bool {
        !(self.ready.borrow().is_empty() && self.outputs.borrow().is_empty() && self.hooks.borrow().is_empty())
    }

    pub(crate) fn insert(&self, sock: Sock) -> u32 {
        key_of(self.socks.borrow_mut().insert(sock))
    }

    pub(crate) fn with_sock<T>(&self, key: u32, f: impl FnOnce(&mut Sock) -> T) -> T {
        f(&mut self.socks.borrow_mut()[key as usize])
    }

    /// Arms the receive when nothing speaks against it.
    pub(crate) fn want_recv(&self, key: u32) {
        let arm = self.with_sock(key, |sock| {
            let recv = &mut sock.recv;
            let arm = !recv.armed && recv.end.is_none() && recv.queued < RECV_QUEUE_BYTES_RESUME && !sock.dropped;
            if arm {
                recv.armed = true;
                recv.starved = false;
                recv.cancelling = false;
                sock.ops += 1;
            }
            arm
        });
        if arm {
            self.backend.recv(self, key);
        }
    }

    /// A receive delivered `chunk`, or ended; `more` says that it stays armed.
    pub(crate) fn on_recv(&self, key: u32, result: Result<Chunk, End>, more: bool) {
        let (waker, pause, finished) = self.with_sock(key, |sock| {
            if !more {
                sock.recv.armed = false;
                sock.ops -= 1;
            }
            match result {
                Ok(_) if sock.dropped => {}
                Ok(chunk) => {
                    sock.recv.queued += chunk.len();
                    sock.recv.queue.push_back(chunk);
                }
                Err(end) => sock.recv.end = Some(end),
            }
            let pause = more && !sock.recv.cancelling && sock.recv.queued > RECV_QUEUE_BYTES_MAX;
            sock.recv.cancelling |= pause;
            (sock.recv.waker.take(), pause, sock.dropped && sock.ops == 0)
        });
        if pause {
            self.backend.cancel_recv(self, key);
        }
        finish(self, key, waker, finished);
    }

    /// A receive stopped without saying anything about the connection: it was paused, or the
    /// buffers ran out.
    pub(crate) fn on_recv_paused(&self, key: u32) {
        let (waker, finished) = self.with_sock(key, |sock| {
            sock.recv.armed = false;
            sock.ops -= 1;
            (sock.recv.waker.take(), sock.dropped && sock.ops == 0)
        });
        finish(self, key, waker, finished);
    }

    /// Hands `buffer` to the kernel; one send per socket is in flight at a time.
    pub(crate) fn send(&self, key: u32, buffer: OutBuf, on_done: Rc<dyn TurnEnd>) {
        self.with_sock(key, |sock| {
            assert!(sock.send.inflight.is_none(), "one send per socket at a time");
            sock.send.inflight = Some(buffer);
            sock.send.sent = 0;
            sock.send.on_done = Some(on_done);
            sock.ops += 1;
        });
        self.backend.send(self, key);
    }

    /// A send took `result` bytes, or failed with a negative errno.
    pub(crate) fn on_send(&self, key: u32, result: i32) {
        let outcome = self.with_sock(key, |sock| {
            if let Ok(sent) = usize::try_from(result) {
                sock.send.sent += sent;
            } else {
                sock.send.error = Some(-result);
            }
            let left = sock.send.inflight.as_ref().is_some_and(|buffer| sock.send.sent < buffer.len());
            if left && sock.send.error.is_none() && !sock.dropped {
                return None;
            }
            sock.ops -= 1;
            Some((sock.send.inflight.take(), sock.send.on_done.take(), sock.dropped && sock.ops == 0))
        });
        let Some((buffer, on_done, finished)) = outcome else {
            self.backend.send(self, key);
            return;
        };
        if let Some(buffer) = buffer {
            self.spares.borrow_mut().put(buffer);
        }
        if let Some(on_done) = on_done {
            self.outputs.borrow_mut().push(on_done);
        }
        finish(self, key, None, finished);
    }

    pub(crate) fn on_connect(&self, key: u32, result: i32) {
        let (waker, finished) = self.with_sock(key, |sock| {
            sock.ops -= 1;
            sock.connect.result = Some(result);
            sock.connect.address = None;
            (sock.connect.waker.take(), sock.dropped && sock.ops == 0)
        });
        finish(self, key, waker, finished);
    }

    pub(crate) fn on_accept(&self, key: u32, result: Result<Accepted, i32>, more: bool) {
        let (waker, finished) = self.with_sock(key, |sock| {
            if !more {
                sock.accept.armed = false;
                sock.ops -= 1;
            }
            match result {
                Ok(accepted) => sock.accept.queue.push_back(accepted),
                Err(errno) => sock.accept.errno = Some(errno),
            }
            (sock.accept.waker.take(), sock.dropped && sock.ops == 0)
        });
        finish(self, key, waker, finished);
    }

    /// An operation without a result of interest (cancel, shutdown) completed.
    pub(crate) fn on_done(&self, key: u32) {
        let finished = self.with_sock(key, |sock| {
            sock.ops -= 1;
            sock.dropped && sock.ops == 0
        });
        finish(self, key, None, finished);
    }

    /// The handle is gone: cancel what the kernel still holds, then close.
    pub(crate) fn release(&self, key: u32) {
        let (chunks, idle) = self.with_sock(key, |sock| {
            sock.dropped = true;
            sock.recv.queued = 0;
            (std::mem::take(&mut sock.recv.queue), sock.ops == 0)
        });
        drop(chunks);
        if idle {
            self.close(key);
        } else {
            self.backend.cancel_all(self, key);
        }
    }

    /// Takes the descriptor out of an idle socket; fails while the kernel holds an operation.
    pub(crate) fn take_fd(&self, key: u32) -> io::Result<(OwnedFd, VecDeque<Chunk>)> {
        let mut socks = self.socks.borrow_mut();
        let sock = &mut socks[key as usize];
        if sock.ops != 0 {
            return Err(io::Error::from(io::ErrorKind::ResourceBusy));
        }
        self.backend.forget(sock);
        let fd = sock.fd.take().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        let chunks = std::mem::take(&mut sock.recv.queue);
        socks.remove(key as usize);
        Ok((fd, chunks))
    }

    pub(crate) fn close(&self, key: u32) {
        let sock = self.socks.borrow_mut().remove(key as usize);
        self.backend.close(self, sock);
    }
}

fn finish(core: &Core, key: u32, waker: Option<Waker>, finished: bool) {
    if let Some(waker) = waker {
        waker.wake();
    }
    if finished {
        core.close(key);
    }
}
