//! Ctrl-C and its kin, turned into a flag that waiting loops look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// While it lives, these signals do not end the program. They are handled, not blocked: children would inherit a block.
pub(super) struct Interrupt {
    arrived: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Interrupt {
    pub(super) fn listen() -> Result<Interrupt> {
        let interrupt = Interrupt { arrived: Arc::default(), over: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_default(signal, Arc::clone(&interrupt.over)).context("signals")?;
            flag::register(signal, Arc::clone(&interrupt.arrived)).context("signals")?;
        }
        Ok(interrupt)
    }

    pub(super) fn arrived(&self) -> bool {
        self.arrived.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
