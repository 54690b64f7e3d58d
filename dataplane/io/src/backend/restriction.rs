//! What a ring will ever do, fixed before its first submission (`IORING_REGISTER_RESTRICTIONS`, kernel 5.10).
//!
//! seccomp sees the calls that hand a ring over, never the operations in it: without this, whoever gains control of a
//! worker could open files and sockets through the ring where the filter forbids the calls.

use std::io;

use io_uring::{IoUring, opcode, register::Restriction, squeue::Flags};

/// What the engine submits; every other operation completes with `EACCES`.
const OPERATIONS: [u8; 7] = [
    opcode::AcceptMulti::CODE,
    opcode::AsyncCancel::CODE,
    opcode::Close::CODE,
    opcode::Read::CODE,
    opcode::RecvMulti::CODE,
    opcode::Send::CODE,
    opcode::Shutdown::CODE,
];

/// Restricts a ring that is still disabled, for good. Nothing can be registered with it afterwards either.
///
/// # Errors
/// What the kernel says when it does not know restrictions.
pub(super) fn restrict(ring: &IoUring, connects: bool) -> io::Result<()> {
    let mut allowed: Vec<Restriction> = OPERATIONS.into_iter().map(Restriction::sqe_op).collect();
    if connects {
        allowed.push(Restriction::sqe_op(opcode::Connect::CODE));
    }
    // Receives pick their buffer; no operation is linked, drained or forced to another thread.
    allowed.push(Restriction::sqe_flags_allowed(Flags::BUFFER_SELECT.bits()));
    ring.submitter().register_restrictions(&mut allowed)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use io_uring::{squeue, types};

    use crate::backend::uring::Uring;

    use super::*;

    /// Submits one operation to a ring of the engine's and returns what it came to.
    fn outcome(connects: bool, entry: &squeue::Entry) -> i32 {
        let uring = Uring::new(connects).unwrap();
        assert!(uring.unrestricted().is_none(), "this kernel knows restrictions");
        let mut ring = uring.ring_for_tests().borrow_mut();
        // SAFETY: the entries below point to statics or nowhere.
        unsafe { ring.submission().push(entry) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        ring.completion().next().unwrap().result()
    }

    #[test]
    fn a_ring_opens_neither_sockets_nor_files() {
        let path = c"/dev/null";
        let refused = [
            opcode::Socket::new(libc::AF_INET, libc::SOCK_DGRAM, 0).build(),
            opcode::Socket::new(libc::AF_UNIX, libc::SOCK_STREAM, 0).build(),
            opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build(),
            opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build(),
            opcode::Nop::new().build(),
            opcode::Shutdown::new(types::Fd(-1), 0).build().flags(Flags::ASYNC),
        ];
        for entry in &refused {
            assert_eq!(outcome(true, entry), -libc::EACCES, "{entry:?}");
        }
    }

    #[test]
    fn a_ring_connects_only_when_its_owner_dials() {
        let entry = opcode::Connect::new(types::Fd(-1), std::ptr::null(), 0).build();
        assert_eq!(outcome(false, &entry), -libc::EACCES);
        assert_eq!(outcome(true, &entry), -libc::EBADF, "it was tried");
    }

    #[test]
    fn a_ring_takes_no_registrations_any_more() {
        let uring = Uring::new(true).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let refused = uring.ring_for_tests().borrow().submitter().register_files(&[null.as_raw_fd()]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
    }
}
