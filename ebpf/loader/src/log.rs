//! Carries the programs' rare events (aya-log) into the process's log.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
    time::Duration,
};

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use postern_ebpf_common::map;

use crate::BpfError;

/// The ring buffer of the programs' events. Lives on a plain thread: [`SteerLog::wait`], then [`SteerLog::drain`];
/// or poll its descriptor together with others.
pub struct SteerLog {
    logger: EbpfLogger<CurrentLogger>,
}

impl SteerLog {
    pub(crate) fn new(ebpf: &mut Ebpf) -> Result<Self, BpfError> {
        let logger = EbpfLogger::init_with_logger(ebpf, CurrentLogger).map_err(|_| BpfError::ObjectPart(map::LOGS))?;
        Ok(Self { logger })
    }

    /// Logs every event that is there, through the `log` crate with target `postern::steer`. Never blocks.
    pub fn drain(&mut self) {
        self.logger.flush();
    }

    /// Waits until there is an event; false after `timeout` or when a signal came.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one valid pollfd, whose descriptor is open as long as `self`.
        match unsafe { libc::poll(&raw mut poll, 1, timeout_ms) } {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                error => Err(error),
            },
            ready => Ok(ready > 0),
        }
    }
}

impl AsFd for SteerLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.logger.as_fd()
    }
}

/// Whichever logger the process has when the event is drained, at the level it asks for.
struct CurrentLogger;

impl Log for CurrentLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && log::logger().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            log::logger().log(record);
        }
    }

    fn flush(&self) {
        log::logger().flush();
    }
}

/// A plain thread of the supervisor owns it.
const _: () = {
    const fn moves_between_threads<T: Send>() {}
    moves_between_threads::<SteerLog>();
};
