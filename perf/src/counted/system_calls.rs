//! strace, attached to a process and all its threads while requests are made.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postern_tests::within;

const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// A process whose system calls are counted.
pub(super) struct Trace {
    strace: Child,
}

impl Trace {
    /// Returns once every thread is attached.
    pub(super) fn start(pid: u32) -> Result<Trace> {
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-U", "calls,name", "-p", &pid.to_string()]);
        let strace = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut trace = Trace { strace: strace.context("strace")? };
        let attached = within(ATTACH_TIMEOUT, || is_traced(pid) || trace.has_ended());
        ensure!(attached && !trace.has_ended(), "strace cannot attach to process {pid}: it needs root");
        Ok(trace)
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.strace.try_wait(), Ok(None))
    }

    /// Calls since it began.
    pub(super) fn stop(self) -> Result<u64> {
        kill(Pid::from_raw(i32::try_from(self.strace.id())?), Signal::SIGINT)?;
        let output = self.strace.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match total(&text) {
            Some(calls) => Ok(calls),
            None => bail!("strace said: {text}"),
        }
    }
}

fn is_traced(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let mut statuses = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    statuses.all(|status| !status.contains("TracerPid:\t0\n"))
}

/// Of the lines `COUNT NAME`, the total left out.
fn total(text: &str) -> Option<u64> {
    let counts: Vec<u64> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (count, name) = (words.next()?.parse().ok()?, words.next()?);
            (name != "total").then_some(count)
        })
        .collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

#[cfg(test)]
mod tests {
    #[test]
    fn calls_are_added_up() {
        let text = "strace: Process 1 attached\n    calls syscall\n--------- ----------------\n      120 io_uring_enter\n        3 write\n--------- ----------------\n      123 total\n";
        assert_eq!(super::total(text), Some(123));
        assert_eq!(super::total("strace: attach: Operation not permitted\n"), None);
    }
}
