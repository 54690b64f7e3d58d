//! `postern-relay`: the public edge. A small privileged supervisor owns what needs rights (listeners, BPF programs, the
//! socket of control) and starts an unprivileged, sandboxed dataplane: worker threads on rings, and one side thread.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

pub mod args;
mod countries;
mod dataplane;
mod handover;
mod limit;
pub mod limits;
mod messages;
mod network;
pub mod peer;
pub mod published;
mod record;
mod sandbox;
mod sessions;
pub mod side;
mod supervisor;
mod traces;
pub mod worker;
mod workers;

use std::process::ExitCode;

/// The program: the supervisor, or the dataplane when the supervisor started it.
#[must_use]
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == dataplane::DATAPLANE_ARGUMENT) {
        return dataplane::main();
    }
    postern_service::failure::run("postern-relay", supervisor::main)
}
