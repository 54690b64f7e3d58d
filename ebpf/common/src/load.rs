//! Values of the maps and the arithmetic of a worker's load.

/// What is known about one worker, in an array that the workers map into their memory.
///
/// The two cache lines have one writer each: the program writes the first, user space the second.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Connections the program has steered here; wraps.
    pub assigned: u64,
    /// When the program last reported this worker as stalled, in ktime ns; 0 never.
    pub stall_reported_ns: u64,
    pub reserved_kernel: [u64; 6],
    /// Connections of this worker that ended; wraps, and may run ahead of `assigned` where the kernel's hash
    /// brought connections: the load is the signed difference.
    pub released: u64,
    /// When the worker's present turn began, in ktime (`CLOCK_MONOTONIC`) ns; 0 while parked.
    pub busy_since_ns: u64,
    /// [`WorkerState`] as a number, written by the supervisor.
    pub state: u64,
    /// `assigned` as the worker saw it last (see [`resync`]).
    pub assigned_seen: u64,
    pub reserved_user: [u64; 4],
}

/// Whether new connections go to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum WorkerState {
    /// No worker in this slot.
    Absent = 0,
    Active = 1,
    /// Serves what it has, takes nothing new.
    Draining = 2,
}

impl WorkerState {
    /// A number that means nothing is read as absent: the array is writable by unprivileged processes.
    #[inline(always)]
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        match raw {
            1 => Self::Active,
            2 => Self::Draining,
            _ => Self::Absent,
        }
    }
}

/// Settings that the user side may change at any time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteerConfig {
    pub abi: u32,
    /// Number of valid positions in the list of active slots.
    pub active: u32,
    pub stall_limit_ns: u64,
    pub reserved: [u64; 6],
}

/// Connections (and other events, where said) by what happened to them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteerCounters {
    /// Went to the lighter of two random workers.
    pub lighter: u64,
    /// Went to the worker of the CPU that received them.
    pub same_cpu: u64,
    /// Went to a worker found by looking further, one of the two being unfit.
    pub scanned: u64,
    /// Left to the kernel's hash: no fit worker, or the chosen one had no listener there.
    pub fell_through: u64,
    /// Moved from a closed listener to another worker; counted above as well.
    pub migrated: u64,
    /// Packets for a listener that open no connection; counted above as well, but in no worker's load.
    pub not_syn: u64,
    /// Looks at a worker that was stalled.
    pub stalled_skipped: u64,
    /// Looks at a worker that was draining.
    pub draining_skipped: u64,
    /// Refused: the source is on the deny list. What is refused is in no counter above.
    pub denied: u64,
    /// Refused: the source is to be dropped for a while.
    pub banned: u64,
    /// Refused: more new connections than the source may open.
    pub connection_rate: u64,
    /// Let through although the source has no bucket, because the map took no further one; counted above as well.
    pub untracked: u64,
    pub reserved: [u64; 4],
}

impl SteerCounters {
    /// The counters of two CPUs together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            lighter: self.lighter.wrapping_add(other.lighter),
            same_cpu: self.same_cpu.wrapping_add(other.same_cpu),
            scanned: self.scanned.wrapping_add(other.scanned),
            fell_through: self.fell_through.wrapping_add(other.fell_through),
            migrated: self.migrated.wrapping_add(other.migrated),
            not_syn: self.not_syn.wrapping_add(other.not_syn),
            stalled_skipped: self.stalled_skipped.wrapping_add(other.stalled_skipped),
            draining_skipped: self.draining_skipped.wrapping_add(other.draining_skipped),
            denied: self.denied.wrapping_add(other.denied),
            banned: self.banned.wrapping_add(other.banned),
            connection_rate: self.connection_rate.wrapping_add(other.connection_rate),
            untracked: self.untracked.wrapping_add(other.untracked),
            reserved: self.reserved,
        }
    }

    /// New connections that were refused, for whatever reason.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.denied.wrapping_add(self.banned).wrapping_add(self.connection_rate)
    }
}

/// Connections that a worker has or is about to get.
#[inline(always)]
#[must_use]
pub const fn load(assigned: u64, released: u64) -> u64 {
    let open = assigned.wrapping_sub(released);
    if open > i64::MAX as u64 { 0 } else { open }
}

/// The value of `released` that makes the load equal to the `open` connections a worker really has, or nothing
/// when the difference should stand.
///
/// `assigned` counts first packets: a client that vanishes during the handshake is counted and never arrives.
/// While first packets keep coming (`assigned` is not `assigned_seen`, its value at the previous call) a small
/// difference is mostly connections on their way to the worker, so only a large one is corrected.
#[must_use]
pub const fn resync(assigned: u64, assigned_seen: u64, released: u64, open: u64) -> Option<u64> {
    let difference = load(assigned, released).abs_diff(open);
    let on_their_way = assigned != assigned_seen && difference <= IN_FLIGHT + open / 8;
    if difference == 0 || on_their_way {
        return None;
    }
    Some(assigned.wrapping_sub(open))
}

/// Connections of one worker that may be between first packet and accept.
const IN_FLIGHT: u64 = 64;

/// The layouts are read by another program: a change of any of them is a change of the ABI.
const _: () = {
    assert!(size_of::<WorkerLoad>() == 128);
    assert!(core::mem::offset_of!(WorkerLoad, released) == 64);
    assert!(size_of::<SteerConfig>() == 64);
    assert!(size_of::<SteerCounters>() == 128);
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_load_is_what_was_assigned_and_not_released(released: u64, open in 0..=i64::MAX as u64) {
            prop_assert_eq!(load(released.wrapping_add(open), released), open);
        }

        #[test]
        fn a_load_below_zero_reads_as_zero(assigned: u64, ahead in 1..i64::MAX as u64) {
            prop_assert_eq!(load(assigned, assigned.wrapping_add(ahead)), 0);
        }

        #[test]
        fn a_quiet_worker_gets_its_exact_load(assigned: u64, released: u64, open in 0u64..1 << 32) {
            let released = resync(assigned, assigned, released, open).unwrap_or(released);
            prop_assert_eq!(load(assigned, released), open);
        }

        #[test]
        fn connections_on_their_way_stay_counted(open in 0u64..1 << 32, arriving in 1u64..=IN_FLIGHT) {
            let assigned = open + arriving;
            prop_assert_eq!(resync(assigned, assigned - 1, 0, open), None);
        }

        #[test]
        fn a_large_leak_is_corrected_under_traffic(open in 0u64..1 << 32, leak in 1u64..1 << 32) {
            let assigned = open + open / 8 + IN_FLIGHT + leak;
            prop_assert_eq!(resync(assigned, assigned - 1, 0, open), Some(assigned - open));
        }
    }

    #[test]
    fn unknown_states_are_absent() {
        assert_eq!(WorkerState::from_raw(WorkerState::Active as u64), WorkerState::Active);
        assert_eq!(WorkerState::from_raw(WorkerState::Draining as u64), WorkerState::Draining);
        assert_eq!(WorkerState::from_raw(3), WorkerState::Absent);
    }
}
