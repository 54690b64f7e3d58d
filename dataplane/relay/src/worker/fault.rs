//! Faults that tests ask for. Not in release builds.

use std::time::{Duration, Instant};

use postern_io::{sleep, spawn};

/// `POSTERN_FAULT_STALL=WORKER:SECONDS` makes that worker spin, a second after its start, as a bug would.
pub(crate) fn stall_if_told(index: u16) {
    let Ok(fault) = std::env::var("POSTERN_FAULT_STALL") else { return };
    let Some((worker, seconds)) = fault.split_once(':') else { return };
    if worker.parse() != Ok(index) {
        return;
    }
    let Ok(seconds) = seconds.parse() else { return };
    spawn(async move {
        sleep(Duration::from_secs(1)).await;
        tracing::warn!(worker = index, seconds, "stalled on purpose");
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    })
    .detach();
}
