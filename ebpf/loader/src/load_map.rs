//! The array through which workers tell the steering program how loaded and how responsive they are. Every access
//! is a single atomic; the program reads the same memory while it decides.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use postern_ebpf_common::{SLOTS_MAX, WorkerLoad, WorkerState, load, resync};

use crate::Slot;

/// The loads of all workers: shared with the kernel, or in plain memory where there is no BPF.
#[derive(Debug)]
pub struct LoadMap {
    cells: NonNull<WorkerLoadCell>,
    workers: u32,
    mapped: bool,
}

// SAFETY: the cells are atomics, and the memory is neither moved nor freed before the map is dropped.
unsafe impl Send for LoadMap {}
// SAFETY: as above; `&LoadMap` gives out nothing but `&WorkerLoadCell`.
unsafe impl Sync for LoadMap {}

impl LoadMap {
    /// Maps the kernel's array from the descriptor that [`crate::Steer::load_map_fd`] gave. The descriptor is not
    /// needed afterwards. Call it before a sandbox forbids `mmap` of descriptors.
    pub fn map(descriptor: OwnedFd) -> io::Result<Self> {
        let length = SLOTS_MAX as usize * size_of::<WorkerLoadCell>();
        // SAFETY: a new shared mapping at an address of the kernel's choice overlaps nothing of ours.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                descriptor.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let cells = NonNull::new(address.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { cells, workers: SLOTS_MAX, mapped: true })
    }

    /// The same array without a kernel side: slots `0..workers`.
    #[must_use]
    pub fn anonymous(workers: u32) -> Self {
        let cells: Box<[WorkerLoadCell]> = (0..workers).map(|_| WorkerLoadCell::default()).collect();
        let cells = NonNull::from(Box::leak(cells)).cast();
        Self { cells, workers, mapped: false }
    }

    /// The cell of one worker.
    ///
    /// # Panics
    /// When the slot is beyond the array: slots come from [`crate::Steer::join`], or count the workers of
    /// [`LoadMap::anonymous`].
    #[must_use]
    pub fn worker(&self, slot: Slot) -> &WorkerLoadCell {
        assert!(slot.0 < self.workers, "slot {} of {} is a broken invariant", slot.0, self.workers);
        // SAFETY: the slot is inside the array, which lives as long as `self`; any bytes are valid atomics.
        unsafe { self.cells.add(slot.0 as usize).as_ref() }
    }
}

impl Drop for LoadMap {
    fn drop(&mut self) {
        let length = self.workers as usize;
        if self.mapped {
            // SAFETY: `map` made this mapping with the same length, and no reference outlives `self`.
            unsafe { libc::munmap(self.cells.as_ptr().cast(), length * size_of::<WorkerLoadCell>()) };
        } else {
            let cells = ptr::slice_from_raw_parts_mut(self.cells.as_ptr(), length);
            // SAFETY: `anonymous` leaked this very box, and no reference outlives `self`.
            drop(unsafe { Box::from_raw(cells) });
        }
    }
}

/// One worker's [`WorkerLoad`], as atomics.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct WorkerLoadCell {
    assigned: AtomicU64,
    _stall_reported_ns: AtomicU64,
    _reserved_kernel: [AtomicU64; 6],
    released: AtomicU64,
    busy_since_ns: AtomicU64,
    state: AtomicU64,
    assigned_seen: AtomicU64,
    _reserved_user: [AtomicU64; 4],
}

impl WorkerLoadCell {
    /// Call once when the worker starts: whatever a predecessor in this slot held is gone.
    pub fn started(&self) {
        self.released.store(self.assigned.load(Relaxed), Relaxed);
        self.set_parked();
    }

    /// Call at the start of *every* turn of the worker's loop, with [`monotonic_ns`]: a turn that lasts longer
    /// than the stall limit keeps new connections away.
    pub fn set_busy(&self, now_ns: u64) {
        self.busy_since_ns.store(now_ns, Relaxed);
    }

    /// Call before the worker waits for the kernel.
    pub fn set_parked(&self) {
        self.busy_since_ns.store(0, Relaxed);
    }

    /// `count` connections of this worker were closed.
    pub fn release(&self, count: u64) {
        self.released.fetch_add(count, Relaxed);
    }

    /// Call every second or so, right after everything waiting was accepted, with the connections now open:
    /// corrects the load for clients that vanished before they were accepted.
    pub fn resync(&self, open: u64) {
        let assigned = self.assigned.load(Relaxed);
        let seen = self.assigned_seen.swap(assigned, Relaxed);
        if let Some(released) = resync(assigned, seen, self.released.load(Relaxed), open) {
            self.released.store(released, Relaxed);
        }
    }

    /// Connections open here or on their way.
    #[must_use]
    pub fn load(&self) -> u64 {
        load(self.assigned.load(Relaxed), self.released.load(Relaxed))
    }

    /// Whether new connections come to this worker.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        WorkerState::from_raw(self.state.load(Relaxed))
    }

    pub(crate) fn set_state(&self, state: WorkerState) {
        self.state.store(state as u64, Relaxed);
    }
}

/// The clock of [`WorkerLoadCell::set_busy`]: `CLOCK_MONOTONIC`, which is what `bpf_ktime_get_ns` reads.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// The cell is the kernel's value seen through atomics.
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<WorkerLoadCell>() == size_of::<WorkerLoad>());
    assert!(offset_of!(WorkerLoadCell, assigned) == offset_of!(WorkerLoad, assigned));
    assert!(offset_of!(WorkerLoadCell, released) == offset_of!(WorkerLoad, released));
    assert!(offset_of!(WorkerLoadCell, busy_since_ns) == offset_of!(WorkerLoad, busy_since_ns));
    assert!(offset_of!(WorkerLoadCell, state) == offset_of!(WorkerLoad, state));
    assert!(offset_of!(WorkerLoadCell, assigned_seen) == offset_of!(WorkerLoad, assigned_seen));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_kernel_side_the_load_is_what_the_worker_says() {
        let map = LoadMap::anonymous(2);
        let worker = map.worker(Slot(1));
        worker.started();
        worker.resync(7);
        assert_eq!(worker.load(), 7);
        worker.release(3);
        assert_eq!(worker.load(), 4);
        assert_eq!(map.worker(Slot(0)).load(), 0);
    }

    #[test]
    fn a_successor_starts_without_its_predecessors_connections() {
        let map = LoadMap::anonymous(1);
        let worker = map.worker(Slot(0));
        worker.assigned.store(5, Relaxed);
        worker.set_busy(monotonic_ns());
        worker.started();
        assert_eq!(worker.load(), 0);
        assert_eq!(worker.busy_since_ns.load(Relaxed), 0);
    }

    #[test]
    #[should_panic(expected = "broken invariant")]
    fn a_slot_beyond_the_array_is_refused() {
        let _ = LoadMap::anonymous(2).worker(Slot(2));
    }
}
