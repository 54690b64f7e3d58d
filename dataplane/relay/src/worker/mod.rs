//! The workers: threads that accept, decide and forward.

pub mod context;
pub mod counters;
pub mod drain;

use std::time::Duration;

use crate::side::WorkerReport;
use context::WorkerContext;
use drain::DrainState;

/// Runs one worker until it is told to end.
pub fn run(ctx: WorkerContext) {
    ctx.load.cell().started();
    ctx.side.report(WorkerReport::Ready { io_backend: "none" });
    while ctx.drain.state() == DrainState::Running {
        for listener in &ctx.listeners {
            if listener.socket.accept().is_ok() {
                ctx.side.counters().connections_accepted.increment();
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
