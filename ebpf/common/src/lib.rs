//! What the kernel side and the user side of Postern's eBPF agree on: map layout, ABI version and pure
//! arithmetic. Never touches a map or the clock, so that all of it is tested on the host.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

#[cfg(test)]
extern crate std;

pub mod bucket;
mod choose;
mod guard;
mod load;
pub mod packet;
mod source;

pub use choose::{Candidate, Ranked, Unfit, random_index, two_positions};
pub use guard::{GuardCounters, GuardedInterface, SourceBuckets, SourceLimits, port_bit};
pub use load::{SteerConfig, SteerCounters, WorkerLoad, WorkerState, load, resync};
pub use source::{FAMILY_BITS, SOURCE_BITS, Source};

/// Version of everything in this crate that both sides see. It is part of the pin path, so programs and
/// processes of two versions never share a map.
pub const ABI_VERSION: u32 = 2;

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

/// Sources that have buckets at a time, in each of two maps of about 8 MiB. Beyond, those not seen for longest lose
/// theirs, and begin with a full one when they come again.
pub const SOURCES_MAX: u32 = 65_536;

/// Prefixes on the deny list: at most about 12 MiB.
pub const DENIED_MAX: u32 = 65_536;

/// Sources that are dropped for a while, at a time: about 2 MiB. Beyond, the one not seen for longest is let in again.
pub const BANS_MAX: u32 = 16_384;

/// Words of 64 bits for all ports.
pub const PORT_WORDS: u32 = 1024;

/// Interfaces that one relay guards.
pub const INTERFACES_MAX: u32 = 16;

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
    /// [`SourceLimits`](crate::SourceLimits), one entry.
    pub const LIMITS: &str = "LIMITS";
    /// Trie of [`Source`](crate::Source) prefixes, family included; the value is 1.
    pub const DENIED: &str = "DENIED";
    /// `u64` ktime ns until which a site's packets are dropped, by [`Source::site`](crate::Source::site).
    pub const BANS: &str = "BANS";
    /// `u64` bucket of new connections by site.
    pub const CONNECTIONS: &str = "CONNECTIONS";
    /// [`SourceBuckets`](crate::SourceBuckets) by site.
    pub const SOURCES: &str = "SOURCES";
    /// The relay's ports, one bit each (see [`port_bit`](crate::port_bit)).
    pub const PORTS: &str = "PORTS";
    /// [`GuardCounters`](crate::GuardCounters), one entry per CPU.
    pub const GUARD_COUNTERS: &str = "GUARD_COUNTERS";
    /// [`GuardedInterface`](crate::GuardedInterface)s, for people.
    pub const INTERFACES: &str = "INTERFACES";
    /// Name of the ring buffer of aya-log.
    pub const LOGS: &str = "AYA_LOGS";
}

/// Where the listener of `slot` in `group` stands in the socket array.
#[inline(always)]
#[must_use]
pub const fn socket_index(group: u32, slot: u32) -> u32 {
    group * SLOTS_MAX + slot
}
