//! The loop itself: [`Runtime::run`] drives tasks, timers and completions of one thread.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use slab::Slab;

use crate::{
    backend::{Backend, BackendKind, epoll::Epoll, uring::Uring},
    core::{Core, enter, with_core},
    executor::{Remote, spawn},
    limits::{CATCH_UP_WAITS_MAX, LATE_AFTER, POLLS_PER_TURN_MAX},
    output::OutBufs,
    sim::net::SimBackend,
    time::Instant,
    wheel::Wheel,
};

/// How a [`Runtime`] is made.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeOptions {
    /// What it stands on.
    pub backend: BackendKind,
    /// Seeds [`random_u64`] (and, in the simulator, every fault); `None` asks the kernel.
    pub seed: Option<u64>,
    /// Whether its tasks may call [`crate::Socket::connect`]. A ring that does not connect cannot be made to.
    pub connects: bool,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { backend: BackendKind::Uring, seed: None, connects: true }
    }
}

/// One loop: a ring (or a simulated network), an executor and a timer wheel.
pub struct Runtime {
    core: Rc<Core>,
}

impl Runtime {
    /// Sets up the ring and its buffers.
    ///
    /// # Errors
    /// What the kernel refused; see [`crate::backend::probe_uring`].
    pub fn new(options: RuntimeOptions) -> io::Result<Self> {
        let rng = Rng::new(options.seed)?;
        let (backend, now) = match options.backend {
            BackendKind::Uring => (Backend::Uring(Box::new(Uring::new(options.connects)?)), monotonic_now()),
            BackendKind::Epoll => (Backend::Epoll(Box::new(Epoll::new()?)), monotonic_now()),
            BackendKind::Sim => (
                Backend::Sim(Box::new(SimBackend::new(rng.clone()))),
                // Not zero, so that "a second ago" exists at the start.
                Instant::from_nanos(1_000_000_000_000),
            ),
        };
        Ok(Self {
            core: Rc::new(Core {
                ready: RefCell::new(VecDeque::new()),
                remote: Arc::new(Remote::new()?),
                timers: RefCell::new(Wheel::new(now)),
                now: Cell::new(now),
                socks: RefCell::new(Slab::new()),
                backend,
                hooks: RefCell::new(Vec::new()),
                outputs: RefCell::new(Vec::new()),
                after_output: RefCell::new(Vec::new()),
                spares: RefCell::new(OutBufs::default()),
                load: RefCell::new(None),
                rng: RefCell::new(rng),
            }),
        })
    }

    /// One line for operators when the kernel cannot restrict the ring to the engine's own operations; the runtime works
    /// without.
    #[must_use]
    pub fn restriction_warning(&self) -> Option<String> {
        let error = self.core.backend.unrestricted()?;
        Some(format!("ring operations are not restricted: {error} (IORING_REGISTER_RESTRICTIONS)"))
    }

    /// Runs `future` to its end, and every task spawned meanwhile as far as it got by then.
    ///
    /// # Errors
    /// A failure of the ring itself (never of a connection).
    ///
    /// # Panics
    /// When called from inside another runtime.
    pub fn run<F>(&self, future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let previous = enter(Some(Rc::clone(&self.core)));
        assert!(previous.is_none(), "a runtime does not run inside another one");
        let _leave = Leave;
        // It may have been made a while ago.
        self.read_clock();
        let output = Rc::new(Cell::new(None));
        let slot = Rc::clone(&output);
        let main = spawn(async move { slot.set(Some(future.await)) });
        loop {
            self.poll_ready();
            self.end_turn();
            if let Some(output) = output.take() {
                self.core.backend.wait(&self.core, Some(Duration::ZERO))?;
                return Ok(output);
            }
            if main.is_finished() {
                return Err(io::Error::other("the runtime's main task panicked"));
            }
            self.wait()?;
        }
    }

    fn poll_ready(&self) {
        for _ in 0..POLLS_PER_TURN_MAX {
            let runnable = self.core.ready.borrow_mut().pop_front();
            let Some(runnable) = runnable else { return };
            // One connection's broken invariant ends that connection, not the worker with all
            // the others; its state is dropped while unwinding.
            if catch_unwind(AssertUnwindSafe(|| runnable.run())).is_err() {
                tracing::error!("a task of the engine panicked; only its connection was dropped");
            }
        }
    }

    /// Hooks first: what they queue on streams is sealed by the outputs of the same turn.
    fn end_turn(&self) {
        loop {
            let hooks = self.core.hooks.take();
            if hooks.is_empty() {
                break;
            }
            for hook in hooks {
                hook.turn_end();
            }
        }
        loop {
            let outputs = self.core.outputs.take();
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                output.turn_end();
            }
        }
        let mut after = self.core.after_output.take();
        for hook in after.drain(..) {
            hook.turn_end();
        }
        // The memory is used again, unless a hook asked for the next turn.
        let mut next = self.core.after_output.borrow_mut();
        if next.is_empty() {
            *next = after;
        }
    }

    fn wait(&self) -> io::Result<()> {
        let core = &self.core;
        let busy = !core.ready.borrow().is_empty() || core.remote.is_signalled();
        let timeout = if busy {
            Some(Duration::ZERO)
        } else {
            let next = core.timers.borrow().next_deadline();
            next.map(|deadline| deadline.since(core.now.get()))
        };
        if timeout != Some(Duration::ZERO)
            && let Some(load) = core.load.borrow().as_ref()
        {
            load.parked();
        }
        core.backend.wait(core, timeout)?;
        self.read_clock();
        self.catch_up()?;
        self.tick();
        if core.remote.is_signalled() {
            core.ready.borrow_mut().extend(core.remote.drain());
        }
        Ok(())
    }

    fn read_clock(&self) {
        if self.core.backend.kind() != BackendKind::Sim {
            self.core.now.set(monotonic_now());
        }
    }

    /// After a long turn, or a pause of the whole process, what arrived meanwhile comes before the timers that say that
    /// nothing did: the kernel reports a part of it at a time (20 items of a ring's task work since Linux 6.13).
    fn catch_up(&self) -> io::Result<()> {
        let core = &self.core;
        let late = |deadline| core.now.get().since(deadline) > LATE_AFTER;
        if !core.timers.borrow().next_deadline().is_some_and(late) {
            return Ok(());
        }
        for _ in 0..CATCH_UP_WAITS_MAX {
            if core.backend.wait(core, Some(Duration::ZERO))? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn tick(&self) {
        let core = &self.core;
        let now = core.now.get();
        if let Some(load) = core.load.borrow().as_ref() {
            load.busy(now.as_nanos());
        }
        let mut due = Vec::new();
        core.timers.borrow_mut().fire(now, &mut due);
        for waker in due {
            waker.wake();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let previous = enter(Some(Rc::clone(&self.core)));
        // Tasks own sockets: they go first, then the kernel lets go of what they held.
        while let Some(runnable) = { self.core.ready.borrow_mut().pop_front() } {
            drop(runnable);
        }
        self.core.hooks.take();
        self.core.outputs.take();
        self.core.after_output.take();
        self.core.backend.quiesce(&self.core);
        enter(previous);
    }
}

struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        enter(None);
    }
}

pub(crate) fn monotonic_now() -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC always exists.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
    }
    let ns = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    Instant::from_nanos(u64::try_from(ns).expect("the monotonic clock is not negative"))
}

/// A number from the loop's generator: for jitter, sampling and request ids, never for keys.
#[must_use]
pub fn random_u64() -> u64 {
    with_core(|core| core.rng.borrow_mut().next())
}

/// SplitMix64: enough for jitter and simulated faults, and the same everywhere for one seed.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    fn new(seed: Option<u64>) -> io::Result<Self> {
        if let Some(seed) = seed {
            return Ok(Self(seed));
        }
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("the kernel's random generator failed"))?;
        Ok(Self(u64::from_ne_bytes(bytes)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (which is at least 1).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
