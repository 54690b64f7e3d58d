//! What carries out the operations: the kernel's ring, epoll where there is none, or the simulator.

mod choice;
pub(crate) mod epoll;
mod restriction;
pub(crate) mod uring;

pub use choice::{Choice, UringUnavailable, Wanted, choose};

use std::{io, time::Duration};

use crate::{
    core::{Core, Sock},
    sim::net::SimBackend,
};

/// Which backend a [`crate::Runtime`] stands on; chosen at start, never by cargo feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// `io_uring` (kernel 6.1 or later: `DEFER_TASKRUN`, multishot receive, buffer rings).
    Uring,
    /// Readiness by epoll, for kernels and containers without `io_uring`: the same behaviour at more CPU time.
    Epoll,
    /// The deterministic simulator: virtual clock, seeded network.
    Sim,
}

impl BackendKind {
    /// Its name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
            Self::Sim => "sim",
        }
    }
}

impl std::fmt::Display for BackendKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Says whether this process may use `io_uring` as the engine needs it.
///
/// # Errors
/// The kernel's refusal (for example `EPERM` under a container's seccomp filter or the
/// `io_uring_disabled` sysctl, `EINVAL` below kernel 6.1).
pub fn probe_uring() -> io::Result<()> {
    uring::Uring::new(true)?.enters()
}

pub(crate) enum Backend {
    Uring(Box<uring::Uring>),
    Epoll(Box<epoll::Epoll>),
    Sim(Box<SimBackend>),
}

/// Dispatches one operation; each backend reports its completion to [`Core`].
macro_rules! each {
    ($self:ident, $backend:ident => $call:expr) => {
        match $self {
            Backend::Uring($backend) => $call,
            Backend::Epoll($backend) => $call,
            Backend::Sim($backend) => $call,
        }
    };
}

impl Backend {
    pub(crate) fn recv(&self, core: &Core, key: u32) {
        each!(self, backend => backend.recv(core, key));
    }

    pub(crate) fn cancel_recv(&self, core: &Core, key: u32) {
        each!(self, backend => backend.cancel_recv(core, key));
    }

    pub(crate) fn send(&self, core: &Core, key: u32) {
        each!(self, backend => backend.send(core, key));
    }

    pub(crate) fn connect(&self, core: &Core, key: u32) {
        each!(self, backend => backend.connect(core, key));
    }

    pub(crate) fn accept(&self, core: &Core, key: u32) {
        each!(self, backend => backend.accept(core, key));
    }

    /// Ends the sending direction.
    pub(crate) fn shutdown(&self, core: &Core, key: u32) {
        each!(self, backend => backend.shutdown(core, key));
    }

    pub(crate) fn cancel_all(&self, core: &Core, key: u32) {
        each!(self, backend => backend.cancel_all(core, key));
    }

    pub(crate) fn close(&self, core: &Core, sock: Sock) {
        each!(self, backend => backend.close(core, sock));
    }

    /// Takes connections that wait in a listener's queue into its own; the ring has done so as they came.
    pub(crate) fn accept_posted(&self, core: &Core, key: u32) {
        if let Self::Epoll(backend) = self {
            backend.accept_posted(core, key);
        }
    }

    /// The descriptor of a socket without operations leaves this loop.
    pub(crate) fn forget(&self, sock: &Sock) {
        if let Self::Epoll(backend) = self {
            backend.forget(sock);
        }
    }

    /// Submits, waits at most `timeout` (none: until something happens), reports completions and counts what the kernel
    /// had to say.
    pub(crate) fn wait(&self, core: &Core, timeout: Option<Duration>) -> io::Result<usize> {
        each!(self, backend => backend.wait(core, timeout))
    }

    /// Cancels everything and waits until the kernel holds nothing any more.
    pub(crate) fn quiesce(&self, core: &Core) {
        each!(self, backend => backend.quiesce(core));
    }

    /// Why operations are not restricted to the engine's own, where they could be.
    pub(crate) fn unrestricted(&self) -> Option<&io::Error> {
        match self {
            Self::Uring(backend) => backend.unrestricted(),
            Self::Epoll(_) | Self::Sim(_) => None,
        }
    }

    pub(crate) fn kind(&self) -> BackendKind {
        match self {
            Self::Uring(_) => BackendKind::Uring,
            Self::Epoll(_) => BackendKind::Epoll,
            Self::Sim(_) => BackendKind::Sim,
        }
    }
}
