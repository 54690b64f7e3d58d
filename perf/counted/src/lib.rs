//! What the counting builds of both daemons share: the allocator that counts, and the report of what it and `copies.c` count.
//! Its one `unsafe` names the two functions of that file.

use std::alloc::System;
use std::process::ExitCode;

use postern_perf::counted::report::{self, Counts};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

// SAFETY: copies.c, which build.rs links into every program that uses this crate, defines both just so. They take nothing and
// load one atomic.
unsafe extern "C" {
    safe fn counted_copies() -> u64;
    safe fn counted_copied_bytes() -> u64;
}

/// Runs a daemon that reports what it counts.
pub fn run(daemon: fn() -> ExitCode) -> ExitCode {
    if let Err(error) = report::start(now) {
        eprintln!("counting: {error}");
        return ExitCode::FAILURE;
    }
    daemon()
}

fn now() -> Counts {
    let stats: Stats = ALLOCATOR.stats();
    let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    let signed = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    Counts {
        allocations: number(stats.allocations) + number(stats.reallocations),
        requested_bytes: number(stats.bytes_allocated),
        live_bytes: signed(stats.bytes_allocated) - signed(stats.bytes_deallocated),
        copies: counted_copies(),
        copied_bytes: counted_copied_bytes(),
    }
}
