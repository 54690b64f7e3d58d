//! The single-threaded executor: a queue of runnable tasks per loop.
//!
//! Tasks are `async_task` tasks bound to the thread that spawned them. A waker used on that
//! thread pushes to the local queue; one used elsewhere goes through [`Remote`] and wakes the
//! ring through its eventfd.

use std::{
    future::Future,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use async_task::Runnable;

use crate::core::{try_with_core, with_core};

/// Runs `future` on this thread's loop.
///
/// Dropping the [`Task`] cancels it; [`Task::detach`] lets it run on its own.
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let remote = with_core(|core| Arc::clone(&core.remote));
    let schedule = move |runnable| schedule(&remote, runnable);
    let (runnable, task) = async_task::spawn_local(future, schedule);
    runnable.schedule();
    Task(task)
}

fn schedule(remote: &Arc<Remote>, runnable: Runnable) {
    let mut runnable = Some(runnable);
    try_with_core(|core| {
        if Arc::ptr_eq(&core.remote, remote)
            && let Some(runnable) = runnable.take()
        {
            core.ready.borrow_mut().push_back(runnable);
        }
    });
    if let Some(runnable) = runnable {
        remote.push(runnable);
    }
}

/// A spawned task; a future of its output.
#[derive(Debug)]
#[must_use = "dropping a task cancels it"]
pub struct Task<T>(async_task::Task<T>);

impl<T> Task<T> {
    /// Lets the task run to its end without anyone waiting for it.
    pub fn detach(self) {
        self.0.detach();
    }

    /// True when the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// What another thread may touch of a loop: a queue and the eventfd that wakes the ring.
#[derive(Debug)]
pub(crate) struct Remote {
    queue: Mutex<Vec<Runnable>>,
    signalled: AtomicBool,
    eventfd: OwnedFd,
}

impl Remote {
    pub(crate) fn new() -> std::io::Result<Self> {
        // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self {
            queue: Mutex::new(Vec::new()),
            signalled: AtomicBool::new(false),
            // SAFETY: `fd` was just created and belongs to no one else.
            eventfd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    pub(crate) fn raw_eventfd(&self) -> i32 {
        self.eventfd.as_raw_fd()
    }

    pub(crate) fn eventfd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    fn push(&self, runnable: Runnable) {
        self.lock().push(runnable);
        self.wake();
    }

    /// Makes the loop take a turn; one write until the loop has seen it.
    pub(crate) fn wake(&self) {
        if self.signalled.swap(true, Ordering::AcqRel) {
            return;
        }
        let one = 1u64.to_ne_bytes();
        // SAFETY: the buffer is eight readable bytes, as an eventfd takes. The only failure is
        // EAGAIN at 2^64-1 pending wakes, which means that the loop is woken already.
        unsafe {
            libc::write(self.eventfd.as_raw_fd(), one.as_ptr().cast(), one.len());
        }
    }

    /// Takes what other threads scheduled; the next `wake` writes again.
    pub(crate) fn drain(&self) -> Vec<Runnable> {
        self.signalled.store(false, Ordering::Release);
        std::mem::take(&mut *self.lock())
    }

    pub(crate) fn is_signalled(&self) -> bool {
        self.signalled.load(Ordering::Acquire)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Runnable>> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
