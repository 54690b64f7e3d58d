//! The dataplane as the supervisor sees it: a child process and the channel to it. Dropping it kills it.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::user::DataplaneUser;
use crate::dataplane::DATAPLANE_ARGUMENT;
use crate::handover::{AsyncChannel, Channel};
use crate::limits::DESCRIPTORS_PER_MESSAGE;
use crate::messages::{Bootstrap, ToDataplane, ToSupervisor};

/// A running dataplane, or one that has just ended.
#[derive(Debug)]
pub(crate) struct DataplaneProcess {
    child: Child,
    channel: AsyncChannel,
    started: Instant,
}

impl DataplaneProcess {
    /// Starts this very binary again, as `user` from its first instruction on. Call it from the main thread: the kernel
    /// sends the child's parent-death signal when the *thread* that made it ends.
    pub(crate) fn spawn(user: Option<&DataplaneUser>) -> io::Result<Self> {
        let (here, there) = Channel::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("postern-relay").arg(DATAPLANE_ARGUMENT).stdin(Stdio::from(there.into_inner())).current_dir("/");
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| PASSED_VARIABLES.iter().any(|passed| name == passed)));
        if let Some(user) = user {
            // With these the standard library also drops the supplementary groups.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let started = Instant::now();
        Ok(Self { child: command.spawn()?, channel: AsyncChannel::new(here)?, started })
    }

    /// Sends all that a dataplane starts with.
    pub(crate) async fn bootstrap(&self, bootstrap: Bootstrap, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        assert_eq!(bootstrap.descriptors(), descriptors.len(), "the bootstrap announces what follows");
        self.channel.send(&ToDataplane::Bootstrap(Box::new(bootstrap)), &[]).await?;
        for batch in descriptors.chunks(DESCRIPTORS_PER_MESSAGE) {
            self.channel.send(&ToDataplane::Descriptors, batch).await?;
        }
        Ok(())
    }

    pub(crate) async fn send(&self, message: &ToDataplane, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.channel.send(message, descriptors).await
    }

    /// The next message; `None` when the process has ended, or might as well have.
    pub(crate) async fn receive(&self) -> Option<ToSupervisor> {
        match self.channel.receive().await {
            Ok(received) => received.map(|received| received.message),
            Err(error) => {
                tracing::error!(%error, "the dataplane cannot be understood");
                None
            }
        }
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Makes sure that it has ended, and how.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        // One that ended by itself is a zombie by now or within microseconds: its end of the channel is closed. The kill
        // is for one that closed it and lives on.
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for DataplaneProcess {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, pid = self.child.id(), "the dataplane could not be ended");
        }
    }
}

/// The rest of the environment may hold secrets that are none of the dataplane's business.
const PASSED_VARIABLES: &[&str] = &[
    "POSTERN_LOG",
    "POSTERN_LOG_FORMAT",
    "NO_COLOR",
    "RUST_BACKTRACE",
    #[cfg(debug_assertions)]
    "POSTERN_FAULT_STALL",
];
