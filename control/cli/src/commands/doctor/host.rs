//! The host as files: `/proc`, `/sys`, `/etc` below a root, which is another one in tests.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

/// Where the files are.
#[derive(Debug, Clone)]
pub(super) struct Host {
    root: PathBuf,
}

impl Host {
    /// The one that this runs on.
    pub(super) fn this() -> Self {
        Self::below("/")
    }

    pub(super) fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The beginning of a file; nothing where it cannot be read.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.at(path)).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The number that a file begins with.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.read(path)?.split_whitespace().next()?.parse().ok()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// What stands behind `key` in `/proc/self/status`.
    pub(super) fn status(&self, key: &str) -> Option<String> {
        let text = self.read("/proc/self/status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    }

    /// Processors that this process may run on.
    pub(super) fn cores(&self) -> Option<u64> {
        let list = self.status("Cpus_allowed_list")?;
        let count = |range: &str| -> Option<u64> {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            last.checked_sub(first)?.checked_add(1)
        };
        list.split(',').map(count).sum()
    }
}

/// A table of a hundred thousand connections has 15 MB; listeners stand at its beginning.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A host that has these files and no others.
    pub(in crate::commands::doctor) fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::below(folder.path());
        for (path, text) in files {
            let at = host.at(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        }
        (folder, host)
    }

    #[test]
    fn numbers_keys_and_cores_are_read() {
        let status = "Name:\tx\nCpus_allowed_list:\t0-3,8,10-11\n";
        let (_folder, other) = host(&[("/proc/self/status", status), ("/proc/sys/net/core/somaxconn", "4096\n")]);
        assert_eq!(other.cores(), Some(7));
        assert_eq!(other.number("/proc/sys/net/core/somaxconn"), Some(4096));
        assert_eq!((other.number("/proc/none"), other.status("CapEff"), other.has("/proc/none")), (None, None, false));
        assert!(Host::this().cores() >= Some(1));
    }
}
