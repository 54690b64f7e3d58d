//! `postern-connector` with an allocator that counts, for `cargo xtask perf`.
#![forbid(unsafe_code)]

use std::alloc::System;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    if let Err(error) = postern_perf::counted::allocator::report(|| ALLOCATOR.stats()) {
        eprintln!("counting: {error}");
        return ExitCode::FAILURE;
    }
    postern_connector::main()
}
