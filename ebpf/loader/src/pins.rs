//! The instance's directory in the BPF filesystem: locked while its relay runs, cleared of what a crashed
//! predecessor left, removed at the end.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    mem::MaybeUninit,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use postern_ebpf_common::ABI_VERSION;

use crate::BpfError;

/// Where the BPF filesystem is mounted.
pub(crate) const BPFFS: &str = "/sys/fs/bpf";

/// `<bpffs>/postern/<instance>`, locked. The lock is on the open directory: the kernel drops it with the process,
/// however that ends.
#[derive(Debug)]
pub(crate) struct Pins {
    directory: PathBuf,
    removed: bool,
    _lock: File,
}

impl Pins {
    pub(crate) fn claim(instance: &str) -> Result<Self, BpfError> {
        if !valid(instance) {
            return Err(BpfError::InstanceName(instance.to_owned()));
        }
        mount_bpffs()?;
        let directory = Path::new(BPFFS).join("postern").join(instance);
        let at = |path: &Path, source| BpfError::Bpffs { path: path.to_owned(), source };
        let lock = lock(&directory).map_err(|source| at(&directory, source))?;
        let Some(lock) = lock else {
            return Err(BpfError::InstanceInUse { instance: instance.to_owned(), path: directory });
        };
        let pins = Self { directory, removed: false, _lock: lock };
        pins.clear().map_err(|source| at(&pins.directory, source))?;
        let maps = pins.maps();
        fs::create_dir(&maps).map_err(|source| at(&maps, source))?;
        Ok(pins)
    }

    /// The directory of this version's maps.
    pub(crate) fn maps(&self) -> PathBuf {
        self.directory.join(format!("v{ABI_VERSION}"))
    }

    /// Unpins everything, of whichever version.
    fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(())
    }

    /// Removes the directory, and the parent when no other instance is there. Once only: afterwards the name may
    /// be another process's.
    pub(crate) fn remove(&mut self) -> Result<(), BpfError> {
        if self.removed {
            return Ok(());
        }
        self.removed = true;
        let result = self.clear().and_then(|()| fs::remove_dir(&self.directory));
        if let Some(parent) = self.directory.parent() {
            // Fails while another instance is pinned, as it should.
            let _ = fs::remove_dir(parent);
        }
        result.map_err(|source| BpfError::Bpffs { path: self.directory.clone(), source })
    }
}

/// The BPF filesystem refuses dots; everything else is for the reader's sake.
fn valid(instance: &str) -> bool {
    let letters = instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    letters && (1..=64).contains(&instance.len())
}

/// Opens and locks the directory; nothing when another process holds it. Between opening and locking its owner
/// may have removed it: then the lock is on a ghost, and the next attempt makes a new one.
fn lock(directory: &Path) -> io::Result<Option<File>> {
    for _ in 0..LOCK_ATTEMPTS {
        let Some(()) = found(fs::create_dir_all(directory))? else {
            continue;
        };
        let Some(file) = found(File::open(directory))? else {
            continue;
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        if found(fs::metadata(directory))?.is_some_and(|now| file.metadata().is_ok_and(|held| held.ino() == now.ino()))
        {
            return Ok(Some(file));
        }
    }
    Err(io::Error::other("another process keeps removing the directory"))
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn mount_bpffs() -> Result<(), BpfError> {
    let path = Path::new(BPFFS);
    if is_bpffs(path) {
        return Ok(());
    }
    // SAFETY: four NUL-terminated strings that outlive the call.
    let result = unsafe {
        libc::mount(c"bpf".as_ptr(), c"/sys/fs/bpf".as_ptr(), c"bpf".as_ptr(), 0, c"mode=0700".as_ptr().cast())
    };
    if result == 0 {
        return Ok(());
    }
    Err(BpfError::Bpffs { path: path.to_owned(), source: io::Error::last_os_error() })
}

pub(crate) fn is_bpffs(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: a NUL-terminated path and memory for the result.
    if unsafe { libc::statfs(path.as_ptr(), about.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: statfs succeeded, so it filled the structure.
    let about = unsafe { about.assume_init() };
    about.f_type == libc::BPF_FS_MAGIC
}

const LOCK_ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_or_that_bpffs_refuses_are_invalid() {
        for name in ["", ".", "..", "a/b", "a.b", "é", &"x".repeat(65)] {
            assert!(!valid(name), "{name}");
        }
        for name in ["relay", "relay-2", "A_b", &"x".repeat(64)] {
            assert!(valid(name), "{name}");
        }
    }

    #[test]
    fn only_a_bpf_filesystem_is_one() {
        assert!(!is_bpffs(Path::new("/")));
        assert!(!is_bpffs(Path::new("/nowhere")));
    }
}
