//! The end of a process that has the library in it.

use std::io::{self, Write as _};

/// Ends the process with `status` and without finalisers: the library's take its locks from under threads that are still within
/// it, waiting for a KDC say, and such a thread aborts the process.
pub fn leave(status: u8) -> ! {
    // Nobody is left who could be told that it cannot be written.
    let _ = io::stdout().flush();
    // SAFETY: it takes no pointer and does not return. What it leaves out are handlers that were set with `atexit` and
    // destructors of libraries; nothing of this process is kept there, but for standard output, which was just flushed.
    unsafe { libc::_exit(status.into()) }
}
