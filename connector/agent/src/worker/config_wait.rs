//! Requests that came before the configuration that names their application.

use std::task::Waker;

use super::Worker;

/// A request that waits for a configuration. One that is given up leaves nothing behind, however many a relay opens.
pub(super) struct ConfigWait<'w> {
    worker: &'w Worker,
    number: u64,
}

impl<'w> ConfigWait<'w> {
    pub(super) fn begin(worker: &'w Worker) -> Self {
        let number = worker.waits_for_config.get();
        worker.waits_for_config.set(number + 1);
        Self { worker, number }
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.worker.waiting_for_config.borrow_mut().insert(self.number, waker.clone());
    }
}

impl Drop for ConfigWait<'_> {
    fn drop(&mut self) {
        self.worker.waiting_for_config.borrow_mut().remove(&self.number);
    }
}
