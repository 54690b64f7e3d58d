//! Ctrl-C and its kin, turned into a flag that waiting loops look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// While it lives, this thread is not ended by these signals.
pub(super) struct Interrupt {
    arrived: Arc<AtomicBool>,
    signals: SigSet,
}

impl Interrupt {
    /// Before any other thread is there, so that all of them inherit the blocked signals. Children start with none blocked.
    pub(super) fn listen() -> Result<Interrupt> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block().context("cannot block signals")?;
        let flag = Arc::new(AtomicBool::new(false));
        let raised = Arc::clone(&flag);
        std::thread::spawn(move || {
            while signals.wait().is_ok() {
                raised.store(true, Ordering::Relaxed);
            }
        });
        Ok(Interrupt { arrived: flag, signals })
    }

    pub(super) fn arrived(&self) -> bool {
        self.arrived.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // It was possible to block them: it is possible to undo it.
        let _ = self.signals.thread_unblock();
    }
}
