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

/// Tells systemd that the program is alive only while its main loop proves it.
///
/// The loop calls [`Heartbeat::beat`] each turn (an idle loop wakes for it at least every [`watchdog_interval`]); a thread of
/// its own tells systemd, and stays silent when the loop has not turned since it last looked.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    beats: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Starts the thread when systemd watches this process; otherwise beats go nowhere.
    pub fn start() -> io::Result<Self> {
        let heartbeat = Self::default();
        if let Some(interval) = watchdog_interval() {
            let mut pulse = Pulse::of(&heartbeat);
            thread::Builder::new().name("watchdog".into()).spawn(move || {
                loop {
                    if pulse.is_felt() {
                        watchdog();
                    }
                    thread::sleep(interval);
                }
            })?;
        }
        Ok(heartbeat)
    }

    /// The loop has turned.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

struct Pulse {
    beats: Arc<AtomicU64>,
    seen: Option<u64>,
}

impl Pulse {
    fn of(heartbeat: &Heartbeat) -> Self {
        Self { beats: Arc::clone(&heartbeat.beats), seen: None }
    }

    /// Whether the loop has turned since the last call; true at the first.
    fn is_felt(&mut self) -> bool {
        let now = self.beats.load(Ordering::Relaxed);
        self.seen.replace(now) != Some(now)
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
        let heartbeat = Heartbeat::default();
        let mut pulse = Pulse::of(&heartbeat);
        assert!(pulse.is_felt(), "starting is being alive");
        assert!(!pulse.is_felt());
        heartbeat.beat();
        assert!(pulse.is_felt());
        assert!(!pulse.is_felt());
    }
}
