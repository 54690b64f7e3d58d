//! What systemd is told (`sd_notify(3)`). Without `NOTIFY_SOCKET` every call does nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

/// The service is up: dependants may start.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// The service is draining.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A reload begins; call [`ready`] when it is done.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Another process is the main one from now on: a new generation took over.
pub fn main_pid(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// The service is alive; due every [`watchdog_interval`].
pub fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`watchdog`] should be called: half of what systemd allows. `None` when it does not watch this process.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Tells systemd that the program is alive only while its loops prove it.
///
/// Each loop calls [`Heartbeat::beat`] as it turns (an idle one wakes for it more often than every [`watchdog_interval`]); a
/// thread of its own tells systemd, and stays silent when one of the loops has not turned since it last looked.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    beats: Arc<AtomicU64>,
}

impl Heartbeat {
    /// One for each of `loops`. Starts the thread when systemd watches this process; otherwise beats go nowhere.
    pub fn start(loops: usize) -> io::Result<Vec<Self>> {
        let heartbeats: Vec<Self> = (0..loops).map(|_| Self::default()).collect();
        if let Some(interval) = watchdog_interval() {
            let mut pulse = Pulse::of(&heartbeats);
            thread::Builder::new().name("watchdog".into()).spawn(move || {
                loop {
                    if pulse.is_felt() {
                        watchdog();
                    }
                    thread::sleep(interval);
                }
            })?;
        }
        Ok(heartbeats)
    }

    /// The loop has turned.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sees whether several loops turn.
#[derive(Debug)]
pub struct Pulse {
    /// Each loop's beats, and how many there were at the last look.
    loops: Vec<(Heartbeat, Option<u64>)>,
}

impl Pulse {
    /// Of the loops with these heartbeats.
    #[must_use]
    pub fn of(heartbeats: &[Heartbeat]) -> Self {
        Self { loops: heartbeats.iter().map(|heartbeat| (heartbeat.clone(), None)).collect() }
    }

    /// Whether every loop has turned since the last call; true at the first.
    pub fn is_felt(&mut self) -> bool {
        let felt = |(heartbeat, seen): &mut (Heartbeat, Option<u64>)| {
            let now = heartbeat.beats.load(Ordering::Relaxed);
            seen.replace(now) != Some(now)
        };
        // Every one is looked at: a loop that turned while another stood still has to turn again.
        self.loops.iter_mut().map(felt).fold(true, |all, one| all & one)
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_loop_has_no_pulse() {
        let heartbeats = [Heartbeat::default(), Heartbeat::default()];
        let mut pulse = Pulse::of(&heartbeats);
        assert!(pulse.is_felt(), "starting is being alive");
        assert!(!pulse.is_felt());
        heartbeats[0].beat();
        assert!(!pulse.is_felt(), "the other loop is stuck");
        heartbeats.iter().for_each(Heartbeat::beat);
        assert!(pulse.is_felt());
        assert!(!pulse.is_felt());
    }
}
