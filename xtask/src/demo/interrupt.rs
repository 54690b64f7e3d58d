//! Ctrl-C and its kin, turned into a flag that waiting loops look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

pub(super) struct Interrupt(Arc<AtomicBool>);

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
        Ok(Interrupt(flag))
    }

    pub(super) fn arrived(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
