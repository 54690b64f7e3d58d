//! Limits at work: how many requests and how much content may pass. The side thread makes the table when the configuration
//! changes; limiters that stay keep what they hold and count. Workers share them by atomics only.

mod admission;
mod bucket;
mod limiter;
mod report;
mod sources;
mod table;
#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use crate::limits::LIMITS_SAMPLED_EVERY;
use crate::published::ConfigHandle;

pub(crate) use admission::{Admission, Limited, Reservation};
pub(crate) use limiter::Refused;
pub(crate) use table::LimitTable;

/// `CLOCK_MONOTONIC`, which is the workers' clock, for the side thread.
pub(crate) fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// Keeps the limiters' rates of the last second up to date, for as long as the side thread runs.
pub(crate) async fn keep_sampling(config: ConfigHandle) {
    let mut ticks = tokio::time::interval(LIMITS_SAMPLED_EVERY);
    loop {
        ticks.tick().await;
        config.current().limits.sample(monotonic_ns());
    }
}
