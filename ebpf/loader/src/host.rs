//! What besides BPF only the kernel can say of this host: whether it gives out a ring of the kind that the dataplane needs, and
//! whether something keeps its clock. Both ask and change nothing.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

/// The clock, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Something sets it by a time server.
    pub synchronised: bool,
    /// How far off it may be, as far as the kernel knows.
    pub error_max_us: i64,
}

/// Has the kernel make an `io_uring` with the flags that the dataplane asks for (Linux 6.1), and gives it back.
///
/// # Errors
/// As the kernel refuses it: `EPERM` by sysctl or seccomp, `ENOSYS`, `EINVAL` where it is older.
pub fn probe_ring() -> io::Result<()> {
    let mut asked = [0_u32; RING_PARAMS_WORDS];
    asked[RING_FLAGS_WORD] = RING_FLAGS;
    // SAFETY: the kernel reads and fills `struct io_uring_params`, which is as large as this array, and the array outlives the call.
    // The kernel copies it by bytes, so that it needs no other alignment than an array of `u32` has.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, RING_ENTRIES, &raw mut asked) };
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    let ring = i32::try_from(ring).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for this process, and nothing else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(ring) });
    Ok(())
}

/// Asks the kernel how its clock is kept.
///
/// # Errors
/// Where a sandbox forbids to ask.
pub fn clock() -> io::Result<Clock> {
    // SAFETY: `timex` is made of numbers only, for which zeros are valid; zero in `modes` asks and sets nothing.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is the one that the call takes, and outlives it.
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Clock { synchronised: state != libc::TIME_ERROR, error_max_us: asked.maxerror })
}

/// `struct io_uring_params` of `linux/io_uring.h` has 120 bytes; its third word is `flags`.
const RING_PARAMS_WORDS: usize = 30;
const RING_FLAGS_WORD: usize = 2;
const RING_ENTRIES: libc::c_uint = 8;
/// `CLAMP | R_DISABLED | SUBMIT_ALL | COOP_TASKRUN | SINGLE_ISSUER | DEFER_TASKRUN`.
const RING_FLAGS: u32 = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_with_a_ring_or_with_a_known_reason() {
        let refusals = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL, libc::ENOMEM];
        if let Err(error) = probe_ring() {
            assert!(error.raw_os_error().is_some_and(|number| refusals.contains(&number)), "{error}");
        }
    }

    #[test]
    fn whether_the_clock_is_kept_is_known_or_may_not_be_asked() {
        match clock() {
            Ok(clock) => assert!(clock.error_max_us >= 0, "{clock:?}"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}"),
        }
    }
}
