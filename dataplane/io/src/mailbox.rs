//! The way into a loop from another thread: a queue whose sender wakes the ring.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The mailbox's bound was reached, or its receiver is gone: here is the value back.
#[derive(Debug, thiserror::Error)]
#[error("the mailbox is full or closed")]
pub struct Refused<T>(pub T);

struct Shared<T> {
    queue: VecDeque<T>,
    waker: Option<Waker>,
    senders: usize,
    open: bool,
}

/// The sending end; any thread, any number of clones.
pub struct Sender<T>(Arc<Mutex<Shared<T>>>, usize);

/// The receiving end; belongs to one loop once it is polled there.
pub struct Receiver<T>(Arc<Mutex<Shared<T>>>);

/// A queue of at most `bound` values.
#[must_use]
pub fn mailbox<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(Shared { queue: VecDeque::new(), waker: None, senders: 1, open: true }));
    (Sender(Arc::clone(&shared), bound), Receiver(shared))
}

impl<T> Sender<T> {
    /// Queues `value` and wakes the receiver's loop.
    ///
    /// # Errors
    /// [`Refused`] with the value when the queue is full or nobody will receive.
    pub fn send(&self, value: T) -> Result<(), Refused<T>> {
        let waker = {
            let mut shared = lock(&self.0);
            if !shared.open || shared.queue.len() >= self.1 {
                return Err(Refused(value));
            }
            shared.queue.push_back(value);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Self(Arc::clone(&self.0), self.1)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = lock(&self.0);
            shared.senders -= 1;
            if shared.senders > 0 {
                return;
            }
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next value; `None` when every sender is gone.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// See [`Receiver::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = lock(&self.0);
        if let Some(value) = shared.queue.pop_front() {
            return Poll::Ready(Some(value));
        }
        if shared.senders == 0 {
            return Poll::Ready(None);
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut shared = lock(&self.0);
            shared.open = false;
            std::mem::take(&mut shared.queue)
        };
        drop(left);
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}

impl<T> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receiver")
    }
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
