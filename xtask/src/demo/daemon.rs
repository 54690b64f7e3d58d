//! One daemon of the demonstration: its process, its log, and its end.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::interrupt::Interrupt;

/// How long a daemon may drain before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const LOG_TAIL_LINES: usize = 15;

pub(super) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// In a process group of its own: Ctrl-C reaches this program alone, which then stops them in order.
    pub(super) fn spawn(name: &'static str, mut command: Command, log: PathBuf) -> Result<Daemon> {
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Daemon { name, child, log })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn expect_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended by itself ({status}); its log ends:\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    pub(super) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && matches!(self.child.try_wait(), Ok(None))
        {
            // A failure means that it just ended.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < STOP_TIMEOUT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("{} did not end within {} s: killed", self.name, STOP_TIMEOUT.as_secs());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `is_up`; ends early when a daemon dies or the user has had enough, with the log's tail of whoever is late.
pub(super) fn wait_for(
    daemons: &mut [Daemon],
    name: &str,
    limit: Duration,
    interrupt: &Interrupt,
    is_up: impl Fn() -> bool,
) -> Result<()> {
    let begun = Instant::now();
    while !is_up() {
        if interrupt.arrived() {
            bail!("interrupted");
        }
        for daemon in daemons.iter_mut() {
            daemon.expect_alive()?;
        }
        if begun.elapsed() > limit {
            let late = daemons.iter().filter(|daemon| daemon.name == name || name == "the chain");
            let logs: Vec<_> = late.map(|daemon| format!("{} says:\n{}", daemon.name, daemon.log_tail())).collect();
            bail!("{name} is not up after {} s\n{}", limit.as_secs(), logs.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
