//! The `io_uring` backend: multishot accept and receive, provided buffers, one ring per thread.
//!
//! A buffer the kernel may touch stays in its [`Sock`] until the operation's final completion;
//! the slab entry itself stays until its operation count is zero. That is what every `SAFETY`
//! comment below leans on.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{FromRawFd, IntoRawFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::restriction;
use crate::{
    buffer::{BufferPool, GROUP},
    core::{Accepted, Core, End, Sock},
    limits::RING_ENTRIES,
};

/// What a completion belongs to: the low byte of `user_data`; the socket's key is above it.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Op {
    Recv = 1,
    Send = 2,
    Connect = 3,
    Accept = 4,
    /// Cancel and shutdown: counted, result of no interest.
    Control = 5,
    /// Close: not counted, the slab entry is gone already.
    Close = 6,
    /// The eventfd that other threads write.
    Wake = 7,
}

const OPS: [Op; 7] = [Op::Recv, Op::Send, Op::Connect, Op::Accept, Op::Control, Op::Close, Op::Wake];

fn user_data(key: u32, op: Op) -> u64 {
    u64::from(key) << 8 | u64::from(op as u8)
}

fn op_of(user_data: u64) -> (u32, Op) {
    let op = OPS[usize::try_from((user_data & 0xff) - 1).expect("one byte fits")];
    let key = u32::try_from(user_data >> 8).expect("keys have 32 bits");
    (key, op)
}

pub(crate) struct Uring {
    // Field order is drop order: the ring goes before the buffers it was given.
    ring: RefCell<IoUring>,
    pool: Rc<BufferPool>,
    wake_armed: Cell<bool>,
    wake_value: Box<Cell<u64>>,
    completions: RefCell<Vec<cqueue::Entry>>,
    unrestricted: Option<io::Error>,
}

impl Uring {
    /// A ring whose operations are limited to the engine's, `connect` among them only where asked for.
    pub(crate) fn new(connects: bool) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_cqsize(RING_ENTRIES * 4)
            .setup_submit_all()
            .setup_clamp()
            // Until it is restricted.
            .setup_r_disabled()
            .dontfork();
        let ring = builder.clone().setup_no_sqarray().build(RING_ENTRIES).or_else(|_| builder.build(RING_ENTRIES))?;
        let pool = BufferPool::register(&ring)?;
        let unrestricted = restriction::restrict(&ring, connects).err();
        ring.submitter().register_enable_rings()?;
        Ok(Self {
            ring: RefCell::new(ring),
            pool,
            wake_armed: Cell::new(false),
            wake_value: Box::new(Cell::new(0)),
            completions: RefCell::new(Vec::new()),
            unrestricted,
        })
    }

    /// Whether the call that every turn makes is allowed, too.
    pub(crate) fn enters(&self) -> io::Result<()> {
        // SAFETY: as in `enter`: no argument is passed, nothing is submitted.
        unsafe { self.ring.borrow().submitter().enter::<libc::sigset_t>(0, 0, IORING_ENTER_GETEVENTS, None)? };
        Ok(())
    }

    /// Why this ring could not be restricted; `None` when it is.
    pub(crate) fn unrestricted(&self) -> Option<&io::Error> {
        self.unrestricted.as_ref()
    }

    #[cfg(test)]
    pub(super) fn ring_for_tests(&self) -> &RefCell<IoUring> {
        &self.ring
    }

    fn push(&self, entry: &squeue::Entry) {
        let mut ring = self.ring.borrow_mut();
        loop {
            // SAFETY: every caller passes an entry whose buffers live in the socket's slab entry
            // (or in `self`) until its completion; see the module's documentation.
            if unsafe { ring.submission().push(entry) }.is_ok() {
                return;
            }
            // Full: hand the queue over. EBUSY/EAGAIN mean that completions must be reaped
            // first; the kernel keeps them (NODROP), so trying again after a yield is safe.
            if ring.submit().is_err() {
                std::thread::yield_now();
            }
        }
    }

    pub(crate) fn recv(&self, core: &Core, key: u32) {
        let fd = core.with_sock(key, |sock| sock.raw_fd());
        self.push(&opcode::RecvMulti::new(types::Fd(fd), GROUP).build().user_data(user_data(key, Op::Recv)));
    }

    pub(crate) fn cancel_recv(&self, core: &Core, key: u32) {
        core.with_sock(key, |sock| sock.ops += 1);
        self.push(&opcode::AsyncCancel::new(user_data(key, Op::Recv)).build().user_data(user_data(key, Op::Control)));
    }

    pub(crate) fn send(&self, core: &Core, key: u32) {
        let entry = core.with_sock(key, |sock| {
            let buffer = sock.send.inflight.as_ref().map_or(&[][..], |b| b.as_slice());
            let rest = &buffer[sock.send.sent..];
            opcode::Send::new(types::Fd(sock.raw_fd()), rest.as_ptr(), u32::try_from(rest.len()).unwrap_or(u32::MAX))
                // The kernel goes on by itself after a short send.
                .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
                .build()
        });
        self.push(&entry.user_data(user_data(key, Op::Send)));
    }

    pub(crate) fn connect(&self, core: &Core, key: u32) {
        let entry = core.with_sock(key, |sock| {
            let address = sock.connect.address.as_ref().expect("connect is submitted with its address");
            sock.ops += 1;
            opcode::Connect::new(types::Fd(sock.raw_fd()), address.as_ptr().cast(), address.len()).build()
        });
        self.push(&entry.user_data(user_data(key, Op::Connect)));
    }

    pub(crate) fn accept(&self, core: &Core, key: u32) {
        let fd = core.with_sock(key, |sock| {
            sock.ops += 1;
            sock.raw_fd()
        });
        self.push(
            &opcode::AcceptMulti::new(types::Fd(fd))
                .flags(libc::SOCK_CLOEXEC)
                .build()
                .user_data(user_data(key, Op::Accept)),
        );
    }

    pub(crate) fn shutdown(&self, core: &Core, key: u32) {
        let fd = core.with_sock(key, |sock| {
            sock.ops += 1;
            sock.raw_fd()
        });
        self.push(&opcode::Shutdown::new(types::Fd(fd), libc::SHUT_WR).build().user_data(user_data(key, Op::Control)));
    }

    pub(crate) fn cancel_all(&self, core: &Core, key: u32) {
        let fd = core.with_sock(key, |sock| {
            sock.ops += 1;
            sock.raw_fd()
        });
        self.push(
            &opcode::AsyncCancel2::new(types::CancelBuilder::fd(types::Fd(fd)).all())
                .build()
                .user_data(user_data(key, Op::Control)),
        );
    }

    pub(crate) fn close(&self, _core: &Core, mut sock: Sock) {
        if let Some(fd) = sock.fd.take() {
            self.push(&opcode::Close::new(types::Fd(fd.into_raw_fd())).build().user_data(user_data(0, Op::Close)));
        }
    }

    pub(crate) fn wait(&self, core: &Core, timeout: Option<Duration>) -> io::Result<usize> {
        self.rearm_starved(core);
        self.arm_wake(core);
        self.enter(timeout)?;
        let mut completions = self.completions.take();
        completions.extend(self.ring.borrow_mut().completion());
        let count = completions.len();
        for completion in completions.drain(..) {
            self.complete(core, &completion);
        }
        self.completions.replace(completions);
        Ok(count)
    }

    fn enter(&self, timeout: Option<Duration>) -> io::Result<()> {
        let ring = self.ring.borrow();
        let want = usize::from(timeout != Some(Duration::ZERO));
        let time = timeout.map(types::Timespec::from);
        let args = types::SubmitArgs::new();
        let entered = match &time {
            Some(time) if want > 0 => ring.submitter().submit_with_args(want, &args.timespec(time)),
            // Deferred task work runs only in an enter that asks for events.
            // SAFETY: no sigmask or argument is passed, so the call reads no user memory beyond
            // the rings themselves.
            Some(_) => unsafe {
                let pending = ring.submission_shared_len();
                ring.submitter().enter::<libc::sigset_t>(pending, 0, IORING_ENTER_GETEVENTS, None)
            },
            None => ring.submitter().submit_and_wait(want),
        };
        match entered {
            Ok(_) => Ok(()),
            Err(e) => match e.raw_os_error() {
                // Time is up, a signal came, or completions must be reaped first.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(e),
            },
        }
    }

    fn rearm_starved(&self, core: &Core) {
        if self.pool.starved.borrow().is_empty() || self.pool.is_empty() {
            return;
        }
        for key in self.pool.starved.take() {
            let starved = core.socks.borrow().get(key as usize).is_some_and(|sock| sock.recv.starved);
            if starved {
                core.want_recv(key);
            }
        }
    }

    fn arm_wake(&self, core: &Core) {
        if self.wake_armed.replace(true) {
            return;
        }
        self.push(
            &opcode::Read::new(types::Fd(core.remote.raw_eventfd()), self.wake_value.as_ptr().cast(), 8)
                .build()
                .user_data(user_data(0, Op::Wake)),
        );
    }

    fn complete(&self, core: &Core, completion: &cqueue::Entry) {
        let (key, op) = op_of(completion.user_data());
        let result = completion.result();
        let more = cqueue::more(completion.flags());
        match op {
            Op::Recv => self.complete_recv(core, key, completion),
            Op::Send => core.on_send(key, result),
            Op::Connect => core.on_connect(key, result),
            Op::Accept => {
                let accepted = if result >= 0 {
                    // SAFETY: the kernel just made this descriptor for us; no one else owns it.
                    Ok(Accepted::Fd(unsafe { OwnedFd::from_raw_fd(result) }))
                } else {
                    Err(-result)
                };
                core.on_accept(key, accepted, more);
            }
            Op::Control => core.on_done(key),
            Op::Close => {}
            Op::Wake => self.wake_armed.set(false),
        }
    }

    fn complete_recv(&self, core: &Core, key: u32, completion: &cqueue::Entry) {
        let more = cqueue::more(completion.flags());
        let result = completion.result();
        if let Some(id) = cqueue::buffer_select(completion.flags()) {
            let chunk = self.pool.take(id, usize::try_from(result).unwrap_or_default());
            if result > 0 {
                let chunk = if self.pool.is_low() { chunk.into_heap() } else { chunk };
                return core.on_recv(key, Ok(chunk), more);
            }
        }
        match -result {
            0 => core.on_recv(key, Err(End::Eof), more),
            libc::ENOBUFS => {
                core.with_sock(key, |sock| sock.recv.starved = true);
                self.pool.starved.borrow_mut().push(key);
                core.on_recv_paused(key);
            }
            libc::ECANCELED => core.on_recv_paused(key),
            errno => core.on_recv(key, Err(End::Errno(errno)), more),
        }
    }

    pub(crate) fn quiesce(&self, core: &Core) {
        let keys: Vec<u32> = {
            let socks = core.socks.borrow();
            socks.iter().map(|(index, _)| crate::core::key_of(index)).collect()
        };
        for key in keys {
            core.release(key);
        }
        // The kernel cancels what it was asked to; the bound only keeps a kernel bug from
        // hanging the process at its end.
        for _ in 0..1000 {
            if core.socks.borrow().is_empty() {
                break;
            }
            if self.wait(core, Some(Duration::from_millis(10))).is_err() {
                return;
            }
        }
        // The last ones' closing is queued and nothing more: a descriptor that is not closed here never is.
        let _ = self.enter(Some(Duration::ZERO));
    }
}

/// `io_uring_enter(2)`: look for completions.
const IORING_ENTER_GETEVENTS: u32 = 1;

/// The number of entries that wait to be handed over.
trait PendingSubmissions {
    /// # Safety
    /// No other submission queue handle of this ring may exist meanwhile.
    unsafe fn submission_shared_len(&self) -> u32;
}

impl PendingSubmissions for IoUring {
    unsafe fn submission_shared_len(&self) -> u32 {
        // SAFETY: the caller has the only handle; the ring is used by one thread.
        let queue = unsafe { self.submission_shared() };
        u32::try_from(queue.len()).expect("the queue has 1,024 entries")
    }
}
