//! systemd's side of `sd_notify(3)`: a socket that daemons tell about themselves.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Longer than what any daemon says at once.
const MESSAGE_BYTES_MAX: usize = 4096;

/// A socket as `NOTIFY_SOCKET` names one.
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    /// Made at `path`, where nothing is yet.
    pub fn bind(path: &Path) -> Result<NotifySocket> {
        Ok(NotifySocket { socket: UnixDatagram::bind(path)?, path: path.to_owned() })
    }

    /// The command with the environment of a unit that has `WatchdogSec=`.
    pub fn watch(&self, mut command: Command, watchdog: Duration) -> Command {
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        command
    }

    /// Whether `state`, such as `WATCHDOG=1`, is told within `limit`. What was told before the call counts if nobody asked yet.
    pub fn is_told_within(&self, limit: Duration, state: &str) -> bool {
        let end = Instant::now() + limit;
        let mut message = [0; MESSAGE_BYTES_MAX];
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.socket.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            let Ok(length) = self.socket.recv(&mut message) else { continue };
            if message[..length].split(|&byte| byte == b'\n').any(|line| line == state.as_bytes()) {
                return true;
            }
        }
        false
    }

    /// Forgets what was told so far.
    pub fn forget(&self) -> Result<()> {
        self.socket.set_nonblocking(true)?;
        while self.socket.recv(&mut [0; MESSAGE_BYTES_MAX]).is_ok() {}
        Ok(self.socket.set_nonblocking(false)?)
    }
}
