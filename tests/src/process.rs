//! One started program: its log, its signals, its memory, and its end. Only processes started here are ever signalled.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::within;

const LOG_TAIL_LINES: usize = 80;
/// Longer than the grace period that the world starts daemons with.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running program, killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where this process's part of the log begins.
    log_begin: usize,
}

impl Process {
    /// Starts it with both outputs in `log`, appended, in a process group of its own.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let log_begin = usize::try_from(file_length(log)).unwrap_or(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}: {:?}", command.get_program()))?;
        Ok(Process { name: name.to_owned(), child, log: log.to_owned(), log_begin })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.log_begin..).unwrap_or_default()).into_owned()
    }

    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// True as soon as the log holds `words`.
    pub fn logs_within(&self, limit: Duration, words: &str) -> bool {
        within(limit, || self.log().contains(words))
    }

    pub fn signal(&self, signal: Signal) {
        signal_pid(self.pid(), signal);
    }

    /// `kill -9`, and waits for its end.
    pub fn kill(&mut self) {
        // An error says that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it where it stands (SIGSTOP), its descendants too.
    pub fn pause(&self) {
        for pid in self.tree() {
            signal_pid(pid, Signal::SIGSTOP);
        }
    }

    pub fn resume(&self) {
        for pid in self.tree() {
            signal_pid(pid, Signal::SIGCONT);
        }
    }

    /// `SIGTERM`, then its exit status; killed and `None` when it does not end in time.
    pub fn terminate(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.signal(Signal::SIGTERM);
        self.wait(limit)
    }

    /// Its exit status once it ended by itself; killed and `None` when it does not end in time.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        within(limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        if status.is_none() {
            self.kill();
        }
        status
    }

    /// Its direct children.
    pub fn children(&self) -> Vec<u32> {
        children(self.pid())
    }

    /// Itself and all its descendants.
    pub fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.pid()];
        let mut next = 0;
        while next < tree.len() {
            tree.extend(children(tree[next]));
            next += 1;
        }
        tree
    }

    /// Resident memory of itself and its descendants, in KiB.
    pub fn rss_kib(&self) -> u64 {
        self.tree().into_iter().map(rss_kib).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let descendants: Vec<_> = self.tree().into_iter().skip(1).map(|pid| (pid, start_time(pid))).collect();
        for pid in self.tree() {
            signal_pid(pid, Signal::SIGCONT);
        }
        if self.is_alive() {
            self.terminate(STOP_TIMEOUT);
        }
        for (pid, started) in descendants {
            // Still the same process, not another that got its number.
            if started.is_some() && start_time(pid) == started {
                signal_pid(pid, Signal::SIGKILL);
            }
        }
    }
}

fn file_length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Sends a signal to a process that a test found among its own descendants.
pub fn signal_pid(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // An error says that it is gone already.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// True while the process is there and no zombie.
pub fn exists(pid: u32) -> bool {
    stat_field(pid, 0).is_some_and(|state| state != "Z")
}

fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return found;
    };
    for task in tasks.flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found
}

fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// When it was started, in clock ticks: with its number, its identity.
fn start_time(pid: u32) -> Option<String> {
    stat_field(pid, 19)
}

/// A field of `/proc/PID/stat`, counted from the state, which follows the name.
fn stat_field(pid: u32, index: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(index).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_logged_paused_and_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 100 & wait"]);
        let process = Process::spawn("sh", command, &folder.path().join("log")).unwrap();
        assert!(process.logs_within(Duration::from_secs(5), "begun"));
        assert!(within(Duration::from_secs(5), || process.tree().len() == 2));
        let tree = process.tree();
        process.pause();
        assert!(within(Duration::from_secs(5), || stat_field(tree[1], 0).as_deref() == Some("T")));
        assert!(process.rss_kib() > 0);
        drop(process);
        assert!(within(Duration::from_secs(5), || tree.iter().all(|pid| !exists(*pid))));
    }
}
