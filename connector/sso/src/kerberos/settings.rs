//! What delegation needs of the library's settings, put before the host's own krb5.conf: operators need not know it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The settings could not be put in force.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    /// The file cannot be written.
    #[error("cannot write {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Other threads run already, and may be reading the environment.
    #[error("Kerberos can be set up only before the first thread is started")]
    TooLate,
}

/// Writes the settings to `file` and has the library read them before the host's own. To be called before any thread is started.
///
/// # Errors
/// The file cannot be written, or there are threads.
pub fn prepare(file: &Path) -> Result<(), NotPrepared> {
    std::fs::write(file, SETTINGS).map_err(|error| NotPrepared::File { path: file.to_owned(), error })?;
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(usize::MAX);
    if threads != 1 {
        return Err(NotPrepared::TooLate);
    }
    let before = std::env::var_os(VARIABLE).unwrap_or_else(|| HOSTS_OWN.into());
    let mut files = OsString::from(file);
    files.push(":");
    files.push(before);
    // SAFETY: this is the process's only thread, as was just counted: nobody reads or writes the environment meanwhile.
    unsafe { std::env::set_var(VARIABLE, files) };
    Ok(())
}

const VARIABLE: &str = "KRB5_CONFIG";
const HOSTS_OWN: &str = "/etc/krb5.conf";

/// Only a forwardable ticket can be delegated. An SPN is what it says, whatever DNS calls the host. What holds AD's groups does
/// not fit a datagram.
const SETTINGS: &str = "# Written at each start.
[libdefaults]
  forwardable = true
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
";
