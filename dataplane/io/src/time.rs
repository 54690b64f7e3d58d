//! The engine's clock and its futures. The clock is read once per loop turn (virtual in the
//! simulator), so every task of a turn sees the same instant.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{BackendKind, core::with_core, runtime::monotonic_now, wheel::TimerKey};

/// A moment on the engine's monotonic clock: nanoseconds since an arbitrary origin
/// (`CLOCK_MONOTONIC` on real backends, so it can be compared with what BPF's `ktime` says).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `ns` nanoseconds after the clock's origin.
    #[must_use]
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since the clock's origin: what sans-I/O state machines take as `now`.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Time since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant plus `d`.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The current turn's time.
#[must_use]
pub fn now() -> Instant {
    with_core(|core| core.now.get())
}

/// The time at this very moment, for measuring within a turn: about 25 ns. In the simulator, where a turn takes no time,
/// the turn's.
#[must_use]
pub fn read_clock() -> Instant {
    with_core(|core| if core.backend.kind() == BackendKind::Sim { core.now.get() } else { monotonic_now() })
}

/// Time since 1970 at this very moment, for what ends at a date: about 25 ns. In the simulator it goes with the virtual clock.
#[must_use]
pub fn wall_clock() -> Duration {
    with_core(|core| match core.backend.kind() {
        BackendKind::Sim => SIM_EPOCH + core.now.get().since_origin(),
        BackendKind::Uring | BackendKind::Epoll => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    })
}

/// The date of the virtual clock's origin.
const SIM_EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// A deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// Completes at `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, key: None }
}

/// Completes after `d`.
pub fn sleep(d: Duration) -> Sleep {
    sleep_until(now().after(d))
}

/// A pending timer; dropping it removes it.
#[derive(Debug)]
pub struct Sleep {
    deadline: Instant,
    key: Option<TimerKey>,
}

impl Sleep {
    /// Moves the deadline; cheap when it moves later (the timer is checked again when it fires).
    pub fn reset(&mut self, deadline: Instant) {
        if deadline < self.deadline
            && let Some(key) = self.key.take()
        {
            with_core(|core| core.timers.borrow_mut().remove(key));
        }
        self.deadline = deadline;
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        with_core(|core| {
            let mut timers = core.timers.borrow_mut();
            if core.now.get() >= self.deadline {
                if let Some(key) = self.key.take() {
                    timers.remove(key);
                }
                return Poll::Ready(());
            }
            match self.key {
                Some(key) if timers.refresh(key, cx.waker()) => {}
                Some(_) | None => self.key = Some(timers.insert(self.deadline, cx.waker().clone())),
            }
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            crate::core::try_with_core(|core| core.timers.borrow_mut().remove(key));
        }
    }
}

/// Runs `future` for at most `d`.
///
/// # Errors
/// [`Elapsed`] when it did not complete in time; the future is dropped then.
pub async fn timeout<F: Future>(d: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(now().after(d), future).await
}

/// Runs `future` until `deadline` at most.
///
/// # Errors
/// [`Elapsed`] when it did not complete in time; the future is dropped then.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = std::pin::pin!(future);
    let mut sleep = std::pin::pin!(sleep_until(deadline));
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    })
    .await
}

/// Lets every other ready task run once.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
