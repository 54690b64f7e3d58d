//! Signals as values: a blocking, pollable form for the programs that run without tokio, and one for those with it.
//!
//! Both are self-pipes; the process's signal mask stays as it was, so children start with a clean one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use tokio::signal::unix::{SignalKind, signal};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// First SIGTERM or SIGINT: take nothing new, finish what is in flight within the grace period.
    Terminate,
    /// A further SIGTERM or SIGINT: end at once.
    TerminateNow,
    /// SIGHUP: validate the configuration, then swap it.
    Reload,
    /// SIGUSR2: start a new generation.
    Upgrade,
}

/// The blocking form. Its descriptor ([`AsFd`]) is readable when [`Signals::pending`] has something, so that it fits any poll loop.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    terminations: Terminations,
}

impl Signals {
    /// Takes over SIGTERM, SIGINT, SIGHUP and SIGUSR2 for the process.
    pub fn install() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, [SIGTERM, SIGINT, SIGHUP, SIGUSR2])?;
        Ok(Self { delivery, terminations: Terminations::default() })
    }

    /// What has arrived and was not yet taken, without waiting.
    pub fn pending(&mut self) -> Vec<Signal> {
        let terminations = &mut self.terminations;
        self.delivery.pending().filter_map(|number| terminations.classify(number)).collect()
    }

    /// Waits for the next signal.
    pub fn wait(&mut self) -> Signal {
        loop {
            if let Some(signal) = self.wait_timeout(Duration::from_secs(3_600)) {
                return signal;
            }
        }
    }

    /// Waits for the next signal for at most `timeout`.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Signal> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(signal) = self.take_one() {
                return Some(signal);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            self.poll_readable(left);
        }
    }

    fn take_one(&mut self) -> Option<Signal> {
        let terminations = &mut self.terminations;
        // `pending` hands out each signal as it is iterated: what is not taken stays for the next call.
        self.delivery.pending().find_map(|number| terminations.classify(number))
    }

    fn poll_readable(&self, left: Duration) {
        let timeout = PollTimeout::try_from(left.max(Duration::from_millis(1))).unwrap_or(PollTimeout::MAX);
        // An interrupted poll is no error here: the caller looks at what is pending and polls again.
        let _ = poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.delivery.get_read().as_raw_fd()
    }
}

/// The form for programs on tokio.
#[derive(Debug)]
pub struct AsyncSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    user2: tokio::signal::unix::Signal,
    terminations: Terminations,
}

impl AsyncSignals {
    /// Takes over SIGTERM, SIGINT, SIGHUP and SIGUSR2; call it within a tokio runtime.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
            terminations: Terminations::default(),
        })
    }

    /// Waits for the next signal. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => self.terminations.next(),
            _ = self.interrupt.recv() => self.terminations.next(),
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.user2.recv() => Signal::Upgrade,
        }
    }
}

/// Tells the first request to end from the later ones.
#[derive(Debug, Default)]
struct Terminations {
    asked: bool,
}

impl Terminations {
    fn next(&mut self) -> Signal {
        if std::mem::replace(&mut self.asked, true) { Signal::TerminateNow } else { Signal::Terminate }
    }

    fn classify(&mut self, number: i32) -> Option<Signal> {
        match number {
            SIGTERM | SIGINT => Some(self.next()),
            SIGHUP => Some(Signal::Reload),
            SIGUSR2 => Some(Signal::Upgrade),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;

    /// Signals are the process's: one test holds all of them, in order.
    #[test]
    fn signals_arrive_as_values_in_both_forms() {
        let mut signals = Signals::install().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut tokio_signals = runtime.block_on(async { AsyncSignals::install().unwrap() });
        assert_eq!(signals.wait_timeout(Duration::from_millis(5)), None);

        for (number, expected) in [
            (SIGHUP, Signal::Reload),
            (SIGUSR2, Signal::Upgrade),
            (SIGTERM, Signal::Terminate),
            (SIGINT, Signal::TerminateNow),
            (SIGTERM, Signal::TerminateNow),
        ] {
            raise(number).unwrap();
            assert_eq!(signals.wait(), expected);
            assert_eq!(runtime.block_on(tokio_signals.next()), expected);
        }

        raise(SIGHUP).unwrap();
        let mut ready = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut ready, PollTimeout::from(1_000_u16)), Ok(1));
        assert_eq!(signals.pending(), [Signal::Reload]);
        assert_eq!(signals.pending(), []);
    }
}
