//! Where the workers meet between making their rings and reading from the network: nobody passes before all rings are made
//! and no further one can be.

use std::sync::{Arc, Barrier, Mutex, PoisonError};

use super::syscalls;

/// One per process; every worker passes it once. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    workers: Barrier,
    closes: bool,
    failed: Mutex<Option<String>>,
}

impl Gate {
    /// A gate for so many workers. `closes` says that seccomp is in force: without it one filter more is of no use.
    pub(crate) fn new(workers: u16, closes: bool) -> Self {
        let workers = Barrier::new(usize::from(workers));
        Self { shared: Arc::new(Shared { workers, closes, failed: Mutex::default() }) }
    }

    /// Waits for all the others, with or without a ring of its own. What comes back, if anything, is what does not hold.
    pub(crate) fn pass(&self) -> Option<String> {
        let Shared { workers, closes, failed } = &*self.shared;
        let failure = || failed.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.wait().is_leader() && *closes {
            *failure() = syscalls::close_rings().err().map(|error| format!("further rings can be made: {error}"));
        }
        workers.wait();
        failure().clone()
    }
}
