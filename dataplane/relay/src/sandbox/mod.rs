//! What the dataplane can no longer do once it has started, whatever a peer makes it do: Landlock for files, TCP ports and
//! signals, seccomp for system calls. Entered on the only thread there is; all later threads inherit it.

mod files;
mod gate;
mod syscalls;

use std::path::Path;

use nix::sys::prctl;

pub(crate) use gate::Gate;

/// What holds, for the log and `postern status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) files: files::Landlock,
    pub(crate) syscalls: Result<(), String>,
}

/// Gives up every capability, then enters Landlock and seccomp. `state_dir` stays usable, and nothing else on disk.
///
/// # Errors
/// When even a kernel that knows neither could not be told: running on would be a lie.
pub(crate) fn enter(state_dir: &Path) -> std::io::Result<Active> {
    give_up_capabilities()?;
    prctl::set_no_new_privs()?;
    // Keys are in memory: no core dumps, no ptrace by processes of the same user.
    prctl::set_dumpable(false)?;
    let files = files::restrict(state_dir);
    let syscalls = syscalls::restrict();
    Ok(Active { files, syscalls })
}

/// For a relay started by systemd with `AmbientCapabilities=` instead of by root: the child inherits them.
fn give_up_capabilities() -> std::io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities};
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

impl Active {
    /// What does not hold, one line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let syscalls = self.syscalls.as_ref().err().map(|error| format!("the dataplane runs without seccomp: {error}"));
        self.files.warning().into_iter().chain(syscalls).collect()
    }
}

#[cfg(test)]
mod tests;
