//! Waiting to the microsecond on a ring: a timer descriptor that is read. tokio's own timer wakes at whole milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio_uring::fs::File;

/// One waiter's timer.
pub struct Timer {
    timer: TimerFd,
    file: File,
    buffer: Vec<u8>,
}

impl Timer {
    pub fn new() -> io::Result<Timer> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let descriptor: OwnedFd = std::os::fd::AsFd::as_fd(&timer).try_clone_to_owned()?;
        Ok(Timer { timer, file: File::from_std(descriptor.into()), buffer: Vec::with_capacity(8) })
    }

    /// Returns at once when that moment has passed.
    pub async fn until(&mut self, moment: Instant) -> io::Result<()> {
        let wait = moment.saturating_duration_since(Instant::now());
        if wait < Duration::from_micros(1) {
            return Ok(());
        }
        self.timer.set(Expiration::OneShot(wait.into()), TimerSetTimeFlags::empty())?;
        let (read, buffer) = self.file.read_at(std::mem::take(&mut self.buffer), 0).await;
        self.buffer = buffer;
        read.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_wakes_after_the_moment_and_not_long_after() {
        tokio_uring::start(async {
            let mut timer = Timer::new().unwrap();
            let mut late: Vec<Duration> = Vec::new();
            for _ in 0..20 {
                let moment = Instant::now() + Duration::from_micros(1300);
                timer.until(moment).await.unwrap();
                late.push(Instant::now().checked_duration_since(moment).unwrap());
            }
            late.sort();
            // The machine may be busy; at least one of them was not kept waiting.
            assert!(late[0] < Duration::from_micros(600), "{late:?}");
        });
    }
}
