//! The state folder as the supervisor sees it: made, locked, and given to the dataplane's user. What is in it is the
//! dataplane's business.

use std::fs::{self, DirBuilder, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use postern_service::failure::Failure;

use super::user::DataplaneUser;

/// A state folder that no other relay uses while this lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    // The folder itself is locked, not a file in it: the dataplane's user owns the folder, and a root process that opens
    // files there by name would follow its links.
    _lock: File,
}

impl StateDir {
    /// Makes and locks the folder; `owner` gets it.
    pub(crate) fn open(path: &Path, owner: Option<&DataplaneUser>) -> Result<Self, Failure> {
        let unusable = |error: io::Error| {
            Failure::new(format!("cannot use the state folder {}: {error}", path.display())).code("state-dir-unusable")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        let folder = File::open(&path).map_err(unusable)?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&path)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let metadata = folder.metadata().map_err(unusable)?;
        if metadata.mode() & 0o077 != 0 {
            folder.set_permissions(fs::Permissions::from_mode(0o700)).map_err(unusable)?;
        }
        if let Some(owner) = owner {
            give(&path, &folder, &metadata, owner).map_err(unusable)?;
        }
        Ok(Self { path, _lock: folder })
    }

    /// The folder for the dataplane. Opened anew: a duplicate of the locked one would keep the lock when this is gone.
    pub(crate) fn descriptor(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Where it is, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn in_use(path: &Path) -> Failure {
    Failure::new(format!("the state folder {} is in use by another relay", path.display())).code("state-dir-locked")
}

/// Changes the owner of the folder, and of the files in it if so far they were root's: nobody else can have put a link to
/// somebody's file there then.
fn give(path: &Path, folder: &File, metadata: &Metadata, owner: &DataplaneUser) -> io::Result<()> {
    let (uid, gid) = (Some(owner.uid.as_raw()), Some(owner.gid.as_raw()));
    if metadata.uid() == owner.uid.as_raw() {
        return Ok(());
    }
    if metadata.uid() == 0 {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                lchown(entry.path(), uid, gid)?;
            }
        }
    }
    std::os::unix::fs::fchown(folder, uid, gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_relay_at_a_time_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/relay");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let held = StateDir::open(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(StateDir::open(&path, None).unwrap_err().to_string().contains("in use by another relay"));
        drop(held);
        StateDir::open(&path, None).unwrap();
    }
}
