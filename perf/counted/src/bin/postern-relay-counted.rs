//! `postern-relay` that counts its allocations and copies, for `cargo xtask perf`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    postern_counted::run(postern_relay::main)
}
