//! Files in the state folder: written whole or not at all, readable by the relay's user only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The state folder as the dataplane sees it.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    /// For messages.
    shown: PathBuf,
}

impl Folder {
    /// The current folder, which people know as `shown`.
    pub(crate) fn here(shown: &Path) -> Self {
        Self { path: PathBuf::from("."), shown: shown.to_owned() }
    }

    #[cfg(test)]
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), shown: path.to_owned() }
    }

    /// A file of at most `bytes_max`; `None` when there is none.
    pub(crate) fn read(&self, name: &str, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(io::Error::other(format!("{name} is longer than {bytes_max} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Replaces a file: after a crash there is the old or the new one, never a part.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    /// A file's path for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.shown.join(name)
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_replaced_whole_and_closed_to_others() {
        let held = tempfile::tempdir().unwrap();
        let folder = Folder::new(held.path());
        assert!(folder.read("f", 10).unwrap().is_none());
        folder.replace("f", b"one").unwrap();
        folder.replace("f", b"two").unwrap();
        assert_eq!(folder.read("f", 10).unwrap().unwrap(), b"two");
        assert!(folder.read("f", 2).is_err());
        let mode = fs::metadata(folder.path_of("f")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(held.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
