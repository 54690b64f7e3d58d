//! How a worker learns that something changed: a state that is cheap to read, and callbacks that wake sleeping rings.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the process is in its life.
///
/// ```text
/// Running ──SIGTERM──▶ Draining ──grace period over, or nothing left──▶ Ended
///    └──────────────────────second SIGTERM────────────────────────────────▲
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DrainState {
    /// Accept and serve.
    Running = 0,
    /// Accept nothing new, finish what runs, close what idles, tell the tunnels to go away.
    Draining = 1,
    /// Return from `worker::run` now.
    Ended = 2,
}

/// The state, shared by all workers and the side thread, with the callbacks that wake the workers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    wakes: Mutex<Vec<Wake>>,
}

type Wake = Box<dyn Fn() + Send>;

impl Drain {
    /// The state now.
    #[must_use]
    pub fn state(&self) -> DrainState {
        match self.shared.state.load(Ordering::Acquire) {
            0 => DrainState::Running,
            1 => DrainState::Draining,
            _ => DrainState::Ended, // only `advance` writes it, from a DrainState
        }
    }

    /// Goes on to `state` and wakes every worker. It never goes back.
    pub fn advance(&self, state: DrainState) {
        self.shared.state.fetch_max(state as u8, Ordering::AcqRel);
        self.wake_all();
    }

    /// Calls `wake` from another thread whenever the state or the configuration changed, once right away so that nothing
    /// that happened before is missed. It must be quick and must not block.
    pub fn on_wake(&self, wake: impl Fn() + Send + 'static) {
        wake();
        self.wakes().push(Box::new(wake));
    }

    /// Wakes every worker.
    pub fn wake_all(&self) {
        for wake in self.wakes().iter() {
            wake();
        }
    }

    fn wakes(&self) -> std::sync::MutexGuard<'_, Vec<Wake>> {
        self.shared.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Drain").field(&self.state()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_change_wakes_and_never_goes_back() {
        let drain = Drain::default();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        drain.on_wake(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(woken.load(Ordering::Relaxed), 1, "called at once, for what happened before");
        drain.advance(DrainState::Ended);
        drain.advance(DrainState::Draining);
        assert_eq!(drain.state(), DrainState::Ended);
        assert_eq!(woken.load(Ordering::Relaxed), 3);
    }
}
