//! Waits for the process to drain, as many as want to, each for as long as its owner lives.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::Worker;

/// A registration that ends with its owner.
pub(crate) struct DrainWatch<'a> {
    worker: &'a Worker,
    key: Option<usize>,
}

impl<'a> DrainWatch<'a> {
    pub(super) fn new(worker: &'a Worker) -> Self {
        Self { worker, key: None }
    }

    /// Ready when the process drains.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.worker.is_draining() {
            return Poll::Ready(());
        }
        let mut watchers = self.worker.drain_watchers.borrow_mut();
        match self.key {
            Some(key) => watchers[key].clone_from(cx.waker()),
            None => self.key = Some(watchers.insert(cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for DrainWatch<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // At drain all were taken out.
            self.worker.drain_watchers.borrow_mut().try_remove(key);
        }
    }
}

impl Worker {
    /// To be told when the process drains.
    pub(crate) fn watch_drain(&self) -> DrainWatch<'_> {
        DrainWatch::new(self)
    }

    pub(crate) async fn draining(&self) {
        let mut watch = self.watch_drain();
        poll_fn(|cx| watch.poll(cx)).await;
    }
}
