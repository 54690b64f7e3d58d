//! CPU time: of processes, of a core, and of everybody else; and which core a thread runs on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// The unit of `/proc/stat`, on every architecture that Postern builds for (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// This thread, and whatever it starts from now on, runs on that core only.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot run on core {core}"))
}

/// A process, or several that are one program, as it is called in tables.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    pub pids: Vec<u32>,
}

/// What is watched while something is measured: the proxies under test and the core they share.
#[derive(Debug, Clone)]
pub struct Watch {
    pub parts: Vec<Part>,
    pub core: usize,
}

/// All clocks at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    at: Instant,
    parts: Vec<Duration>,
    own: Duration,
    core: Duration,
    machine: Duration,
}

/// What passed between two readings, or between several such pairs.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    pub elapsed: Duration,
    /// CPU time by part, in the order watched.
    pub parts: Vec<(String, Duration)>,
    /// Time in which the proxies' core was not idle, whoever used it: softirqs and kernel threads included.
    pub core: Duration,
    /// CPU time of this process (load and origin).
    pub own: Duration,
    /// Non-idle time of all cores, in steps of 10 ms.
    pub machine: Duration,
}

impl Watch {
    pub fn read(&self) -> Reading {
        let (core, machine) = busy(self.core);
        Reading {
            at: Instant::now(),
            parts: self.parts.iter().map(|part| time(&part.pids)).collect(),
            own: own_time(),
            core,
            machine,
        }
    }

    pub fn usage(&self, from: &Reading, to: &Reading) -> Usage {
        let times = to.parts.iter().zip(&from.parts).map(|(to, from)| to.saturating_sub(*from));
        Usage {
            elapsed: to.at - from.at,
            parts: self.parts.iter().map(|part| part.name.clone()).zip(times).collect(),
            core: to.core.saturating_sub(from.core),
            own: to.own.saturating_sub(from.own),
            machine: to.machine.saturating_sub(from.machine),
        }
    }
}

impl Usage {
    /// Adds what passed at another time, of the same parts.
    pub fn add(&mut self, more: Usage) {
        self.elapsed += more.elapsed;
        self.core += more.core;
        self.own += more.own;
        self.machine += more.machine;
        if self.parts.is_empty() {
            self.parts = more.parts;
            return;
        }
        for ((_, time), (_, added)) in self.parts.iter_mut().zip(more.parts) {
            *time += added;
        }
    }

    /// CPU time of all parts.
    pub fn processes(&self) -> Duration {
        self.parts.iter().map(|(_, time)| *time).sum()
    }

    /// How much of the core was used, 0 to 1.
    pub fn core_share(&self) -> f64 {
        self.core.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// How much of one core was used meanwhile by whoever is neither a part nor this process. It is taken of the sum: of each
    /// short time, steps of 10 ms would say "none" or too much, and what is below zero would be lost.
    pub fn others_share(&self) -> f64 {
        let others = self.machine.saturating_sub(self.processes() + self.own);
        others.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// True when the processes' own time says what the work cost: the core was full, and nearly all of it is theirs.
    pub fn is_saturated(&self) -> bool {
        let (core, processes) = (self.core.as_secs_f64(), self.processes().as_secs_f64());
        self.core_share() >= 0.95 && (core - processes).abs() <= 0.05 * core
    }
}

/// CPU time used so far by this process. Its calling thread runs, and `schedstat` is behind for threads that do.
fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
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

/// Non-idle time of one core and of the machine.
fn busy(core: usize) -> (Duration, Duration) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let of = |name: &str| text.lines().find_map(|line| busy_ticks(line, name)).unwrap_or(0);
    let time = |ticks| TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
    (time(of(&format!("cpu{core}"))), time(of("cpu")))
}

/// user, nice, system, irq and softirq of a line of `/proc/stat`; not idle, iowait, steal (nobody's here) and guest (in user).
fn busy_ticks(line: &str, name: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    if words.next() != Some(name) {
        return None;
    }
    let ticks: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    Some([0, 1, 2, 5, 6].iter().filter_map(|index| ticks.get(*index)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time() {
        let watch = Watch { parts: vec![Part { name: "own".into(), pids: vec![std::process::id()] }], core: 0 };
        let before = watch.read();
        let mut sum = 0u64;
        for number in 0..20_000_000u64 {
            sum = std::hint::black_box(sum ^ number);
        }
        let usage = watch.usage(&before, &watch.read());
        assert!(usage.processes() > Duration::ZERO, "{sum}");
    }

    #[test]
    fn idle_and_stolen_time_is_nobodys() {
        assert_eq!(busy_ticks("cpu0 1 2 3 1000 2000 4 5 6000 7 8", "cpu0"), Some(15));
        assert_eq!(busy_ticks("cpu1 1 2 3", "cpu0"), None);
    }

    #[test]
    fn a_core_that_waits_or_works_for_others_is_not_saturated_by_the_parts() {
        let usage = |core_ms, parts_ms| Usage {
            elapsed: Duration::from_secs(1),
            parts: vec![("a".into(), Duration::from_millis(parts_ms))],
            core: Duration::from_millis(core_ms),
            ..Usage::default()
        };
        assert!(usage(980, 960).is_saturated());
        assert!(!usage(900, 890).is_saturated());
        assert!(!usage(980, 900).is_saturated());
    }

    #[test]
    fn strangers_are_what_is_left_of_the_sum() {
        let usage = |machine_ms| Usage {
            elapsed: Duration::from_millis(100),
            parts: vec![("a".into(), Duration::from_millis(50))],
            own: Duration::from_millis(45),
            machine: Duration::from_millis(machine_ms),
            ..Usage::default()
        };
        let mut sum = Usage::default();
        // 95 ms of each are known; the steps of 10 ms show 90 once and 100 once.
        sum.add(usage(90));
        sum.add(usage(100));
        assert_eq!((sum.elapsed, sum.processes()), (Duration::from_millis(200), Duration::from_millis(100)));
        assert_eq!(sum.others_share(), 0.0);
        sum.add(usage(105));
        assert!((sum.others_share() - 10.0 / 300.0).abs() < 1e-9, "{}", sum.others_share());
    }
}
