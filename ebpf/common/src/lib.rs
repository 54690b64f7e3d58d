//! What the kernel side and the user side of Postern's eBPF agree on: map layout, ABI version and pure
//! arithmetic. Never touches a map or the clock, so that all of it is tested on the host.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod bucket;
mod choose;
mod load;

pub use choose::{Candidate, Ranked, Unfit, random_index, two_positions};
pub use load::{SteerConfig, SteerCounters, WorkerLoad, WorkerState, load, resync};

/// Version of everything in this crate that both sides see. It is part of the pin path, so programs and
/// processes of two versions never share a map.
pub const ABI_VERSION: u32 = 1;

/// Slots for workers of all generations alive at once: 4 generations of 128 workers.
pub const SLOTS_MAX: u32 = 512;

/// Listening addresses (`SO_REUSEPORT` groups) that one relay steers.
pub const GROUPS_MAX: u32 = 16;

/// Entries of the socket array: every slot has one listener in every group.
pub const SOCKETS_MAX: u32 = GROUPS_MAX * SLOTS_MAX;

/// CPUs whose preferred worker is known; connections received on others have no preference.
pub const CPUS_MAX: u32 = 1024;

/// Workers looked at when one of the two random ones is unfit.
pub const SCAN_MAX: u32 = 128;

/// How long a worker may stay in one turn of its loop before new connections avoid it.
pub const STALL_LIMIT_NS: u64 = 50_000_000;

/// The same rare event is reported at most once in this time.
pub const REPORT_INTERVAL_NS: u64 = 10_000_000_000;

/// Names of the maps, which are also the names of their pins.
pub mod map {
    /// `SteerConfig`, one entry.
    pub const CONFIG: &str = "CONFIG";
    /// `u32` slot by position; the first `SteerConfig::active` positions are valid.
    pub const ACTIVE: &str = "ACTIVE";
    /// `u32` slot + 1 by CPU; 0 is no preference.
    pub const CPU_SLOTS: &str = "CPU_SLOTS";
    /// `WorkerLoad` by slot, mapped by the workers.
    pub const LOADS: &str = "LOADS";
    /// Listeners by `group * SLOTS_MAX + slot`.
    pub const SOCKETS: &str = "SOCKETS";
    /// `SteerCounters`, one entry per CPU.
    pub const COUNTERS: &str = "COUNTERS";
    /// `u64` ktime ns at which a fall-through was last reported, one entry.
    pub const REPORTED: &str = "REPORTED";
    /// Name of the ring buffer of aya-log.
    pub const LOGS: &str = "AYA_LOGS";
}

/// Where the listener of `slot` in `group` stands in the socket array.
#[inline(always)]
#[must_use]
pub const fn socket_index(group: u32, slot: u32) -> u32 {
    group * SLOTS_MAX + slot
}
