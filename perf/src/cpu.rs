//! CPU time of processes, and which core they run on.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// This thread, and whatever it starts from now on, runs on that core only.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot run on core {core}"))
}

/// CPU time used so far by all threads of these processes.
pub fn time(pids: &[u32]) -> Duration {
    Duration::from_nanos(pids.iter().map(|pid| nanoseconds(*pid)).sum())
}

fn nanoseconds(pid: u32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn work_costs_time() {
        let own = [std::process::id()];
        let before = super::time(&own);
        let mut sum = 0u64;
        for number in 0..20_000_000u64 {
            sum = std::hint::black_box(sum ^ number);
        }
        assert!(super::time(&own) > before, "{sum}");
    }
}
