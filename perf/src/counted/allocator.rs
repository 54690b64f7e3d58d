//! Programs that count what they ask of the heap, and how they tell: a line on stderr, several times a second.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::SigSet;
use postern_tests::process::Process;
use stats_alloc::Stats;

const MARK: &str = "counted:";
const INTERVAL: Duration = Duration::from_millis(100);

/// Since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Allocations and reallocations.
    pub allocations: u64,
    pub requested_bytes: u64,
    /// Requested and not yet freed.
    pub live_bytes: i64,
}

/// Lets a thread report what the allocator of this process counts, until the process ends.
pub fn report(stats: fn() -> Stats) -> std::io::Result<()> {
    std::thread::Builder::new().name("counting".into()).spawn(move || {
        // Signals are for the program's own threads.
        let _ = SigSet::all().thread_block();
        loop {
            eprintln!("{}", line(std::process::id(), Counts::of(&stats())));
            std::thread::sleep(INTERVAL);
        }
    })?;
    Ok(())
}

impl Counts {
    fn of(stats: &Stats) -> Counts {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let signed = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        Counts {
            allocations: number(stats.allocations) + number(stats.reallocations),
            requested_bytes: number(stats.bytes_allocated),
            live_bytes: signed(stats.bytes_allocated) - signed(stats.bytes_deallocated),
        }
    }
}

fn line(pid: u32, counts: Counts) -> String {
    format!("{MARK} {pid} {} {} {}", counts.allocations, counts.requested_bytes, counts.live_bytes)
}

fn parse(line: &str) -> Option<(u32, Counts)> {
    let mut words = line.split_once(MARK)?.1.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    let counts = Counts {
        allocations: words.next()?.parse().ok()?,
        requested_bytes: words.next()?.parse().ok()?,
        live_bytes: words.next()?.parse().ok()?,
    };
    Some((pid, counts))
}

/// What a process, or that descendant of it, counts now.
pub fn latest(process: &Process, pid: Option<u32>) -> Result<Counts> {
    std::thread::sleep(INTERVAL * 3);
    let (log, pid) = (process.log(), pid.unwrap_or(process.pid()));
    let mut lines = log.lines().rev().filter_map(parse);
    let found = lines.find(|(from, _)| *from == pid);
    Ok(found.with_context(|| format!("{} does not report allocations", process.name()))?.1)
}

/// The counting build of a program, beside this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let file = std::env::current_exe()?.with_file_name(format!("{name}-counted"));
    ensure!(file.is_file(), "{} is missing: build the package postern-counted", file.display());
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let counts = Counts { allocations: 3, requested_bytes: 400, live_bytes: -5 };
        assert_eq!(parse(&line(7, counts)), Some((7, counts)));
        assert_eq!(parse("{\"level\":\"INFO\"}"), None);
    }
}
