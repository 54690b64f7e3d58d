//! What counting builds say of themselves: a line on stderr with all their counts, several times a second. Written here in the
//! program that counts, read here from its log.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::SigSet;
use postern_tests::process::Process;
use postern_tests::within;

const MARK: &str = "counted:";
const INTERVAL: Duration = Duration::from_millis(100);
/// For two lines, on a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Allocations and reallocations.
    pub allocations: u64,
    pub requested_bytes: u64,
    /// Requested and not yet freed.
    pub live_bytes: i64,
    /// Calls of memcpy and memmove.
    pub copies: u64,
    pub copied_bytes: u64,
}

/// Lets a thread write what this process counts, until the process ends or nobody reads it.
pub fn start(now: fn() -> Counts) -> std::io::Result<()> {
    std::thread::Builder::new().name("counting".into()).spawn(move || {
        // Signals are for the program's own threads.
        let _ = SigSet::all().thread_block();
        let pid = std::process::id();
        // Used again: the lines are not to be what is counted.
        let mut line = String::new();
        loop {
            line.clear();
            format(&mut line, pid, now());
            // One write, so that no other line comes between its parts.
            if std::io::stderr().write_all(line.as_bytes()).is_err() {
                return;
            }
            std::thread::sleep(INTERVAL);
        }
    })?;
    Ok(())
}

/// What a process, or that descendant of it, has counted by now.
pub fn latest(process: &Process, pid: Option<u32>) -> Result<Counts> {
    let pid = pid.unwrap_or(process.pid());
    let known = reports(&process.log(), pid).count();
    let mut latest = None;
    within(TIMEOUT, || {
        // The first that is new may have been counted before this call; the second was not.
        latest = reports(&process.log(), pid).nth(known + 1);
        latest.is_some()
    });
    latest.with_context(|| format!("{}, process {pid}, does not report what it counts", process.name()))
}

fn format(line: &mut String, pid: u32, counts: Counts) {
    let Counts { allocations, requested_bytes, live_bytes, copies, copied_bytes } = counts;
    let written = writeln!(line, "{MARK} {pid} {allocations} {requested_bytes} {live_bytes} {copies} {copied_bytes}");
    written.expect("a String takes everything");
}

/// Those of a process, the oldest first. A line that is being written is left out.
fn reports(log: &str, pid: u32) -> impl Iterator<Item = Counts> {
    let whole = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(parse).filter(move |(from, _)| *from == pid).map(|(_, counts)| counts)
}

fn parse(line: &str) -> Option<(u32, Counts)> {
    let mut words = line.split_once(MARK)?.1.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    let counts = Counts {
        allocations: words.next()?.parse().ok()?,
        requested_bytes: words.next()?.parse().ok()?,
        live_bytes: words.next()?.parse().ok()?,
        copies: words.next()?.parse().ok()?,
        copied_bytes: words.next()?.parse().ok()?,
    };
    Some((pid, counts))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn counts(allocations: u64) -> Counts {
        Counts { allocations, requested_bytes: 400, live_bytes: -5, copies: 6, copied_bytes: 700 }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut log = String::new();
        format(&mut log, 7, counts(1));
        log.push_str("{\"level\":\"INFO\"}\n");
        format(&mut log, 8, counts(2));
        format(&mut log, 7, counts(3));
        assert_eq!(reports(&log, 7).collect::<Vec<_>>(), [counts(1), counts(3)]);
    }

    #[test]
    fn half_a_line_is_not_read() {
        let mut log = String::new();
        format(&mut log, 7, counts(1));
        let half = &log[..log.len() - 2];
        assert_eq!(reports(half, 7).count(), 0, "the last number may have more digits");
        assert_eq!(reports(half.rsplit_once(' ').unwrap().0, 7).count(), 0);
    }

    #[test]
    fn the_latest_was_counted_after_the_call() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let lines = "i=1; while :; do echo counted: $$ $i 1 1 1 1; i=$((i + 1)); sleep 0.05; done";
        command.args(["-c", lines]);
        let process = Process::spawn("sh", command, &folder.path().join("log")).unwrap();
        assert!(process.logs_within(TIMEOUT, "counted:"));
        let known = reports(&process.log(), process.pid()).last().unwrap().allocations;
        assert!(latest(&process, None).unwrap().allocations >= known + 2);
    }
}
