//! What counting builds copy in user space, as `perf/counted/src/copies.c` says it: a line on stderr, several times a second.

use std::time::Duration;

use anyhow::{Context, Result};
use postern_tests::process::Process;

const MARK: &str = "copied:";
const INTERVAL: Duration = Duration::from_millis(100);

/// Since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Copies {
    /// Calls of memcpy and memmove.
    pub(super) calls: u64,
    pub(super) bytes: u64,
}

/// What a process, or that descendant of it, has copied by now.
pub(super) fn latest(process: &Process, pid: Option<u32>) -> Result<Copies> {
    std::thread::sleep(INTERVAL * 3);
    let (log, pid) = (process.log(), pid.unwrap_or(process.pid()));
    let found = log.lines().rev().filter_map(parse).find(|(from, _)| *from == pid);
    Ok(found.with_context(|| format!("{} does not report copies", process.name()))?.1)
}

fn parse(line: &str) -> Option<(u32, Copies)> {
    let mut words = line.split_once(MARK)?.1.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    Some((pid, Copies { calls: words.next()?.parse().ok()?, bytes: words.next()?.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_others_are_not() {
        assert_eq!(parse("copied: 7 3 400"), Some((7, Copies { calls: 3, bytes: 400 })));
        assert_eq!(parse("counted: 7 3 400 5"), None);
    }
}
