//! Files that hold secrets: read with a warning when others may read them, written so that a crash leaves the old or the
//! new content, never a part, and only the owner may read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// The largest secret file that is read: keys, tokens and certificate chains are far smaller.
pub const SECRET_FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a key or token file. Warns when group or others may read it; refuses more than [`SECRET_FILE_BYTES_MAX`].
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    if let Some(warning) = exposure(path) {
        tracing::warn!(path = %path.display(), "{warning}");
    }
    read_bounded(path, &file)
}

/// What to say when others than the owner can read a secret file; `None` when all is well.
pub fn exposure(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let exposed = mode & 0o077 != 0 && !is_credential(path);
    exposed.then(|| {
        format!(
            "others can read the secret in {path} (mode {:04o}); run: chmod 600 {path}",
            mode & 0o7777,
            path = path.display()
        )
    })
}

/// As [`read()`], as text without surrounding white space.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_text(path))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// As [`read_text`] for what is no secret, such as a certificate chain: no warning.
pub fn read_public_text(path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let bytes = read_bounded(path, &file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_text(path))?;
    Ok(text.to_owned())
}

/// Replaces a file in one step: temporary file beside it, fsync, rename, fsync of the folder. Only the owner may read it.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with_mode(path, bytes, 0o600)
}

/// As [`write()`] with the given permissions, for files that are not secret.
pub fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = folder_of(path);
    let temporary = temporary_beside(path)?;
    let written = write_durably(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| File::open(folder)?.sync_all())
}

/// As [`write()`], but never over an existing file (`AlreadyExists`): for tokens and keys that cannot be made again.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new_with_mode(path, bytes, 0o600)
}

fn write_new_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let written = write_durably(path, bytes, mode);
    if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        let _ = fs::remove_file(path);
    }
    written.and_then(|()| File::open(folder_of(path))?.sync_all())
}

/// As [`write()`], but never over anything that is there (`AlreadyExists`): it has its name when it is whole.
pub fn write_whole_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_new_with_mode(path, bytes, 0o600)
}

/// As [`write_whole_new()`] with the given permissions, for files that are not secret.
pub fn write_whole_new_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = write_durably(&temporary, bytes, mode).and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    match written {
        // Some file systems know no links.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {
            write_new_with_mode(path, bytes, mode)
        }
        written => written.and_then(|()| File::open(folder_of(path))?.sync_all()),
    }
}

/// A new file for a secret that is still to be asked for. It is removed again unless the secret is written to it.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: File,
    written: bool,
}

impl NewFile {
    /// Makes it, for its owner only; never over anything that is there, nor through a link that leads nowhere
    /// (`AlreadyExists`).
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = create_new(path, 0o600)?;
        Ok(Self { path: path.to_owned(), file, written: false })
    }

    /// Writes the secret; when this fails, the file is gone.
    pub fn keep(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        self.written = true;
        File::open(folder_of(&self.path))?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.written {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read_bounded(path: &Path, file: &File) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Room for all at once: a vector that grows leaves copies of the secret behind.
    let expected = file.metadata().map_or(0, |metadata| metadata.len()).min(SECRET_FILE_BYTES_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 32));
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(Failure::new(format!("{} is larger than 1 MiB", path.display())).code("file-unreadable"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display())).code("file-unreadable")
}

fn not_text(path: &Path) -> Failure {
    Failure::new(format!("{} is not text", path.display())).code("file-unreadable")
}

fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The mode given to open is cut by the umask; this one is not.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}

fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    Ok(folder_of(path).join(temporary))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// systemd guards the credentials folder itself; the files in it may carry wider modes.
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_in_one_step_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().as_slice(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_secret_never_replaces_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write_new(&path, b" first\n").unwrap();
        assert_eq!(write_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_text(&path).unwrap().as_str(), "first");
    }

    #[test]
    fn what_appears_whole_replaces_nothing_either() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.har");
        write_whole_new(&path, b"first").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_whole_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        let nowhere = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("missing"), &nowhere).unwrap();
        assert_eq!(write_whole_new(&nowhere, b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_file_for_a_secret_to_come_goes_unless_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = NewFile::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(NewFile::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(file);
        assert!(!path.exists());
        NewFile::create(&path).unwrap().keep(b"first\n").unwrap();
        assert_eq!(read_text(&path).unwrap().as_str(), "first");
        let nowhere = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("missing"), &nowhere).unwrap();
        assert_eq!(NewFile::create(&nowhere).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn exposed_secrets_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"x").unwrap();
        assert_eq!(exposure(&path), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(exposure(&path).unwrap().contains("(mode 0640); run: chmod 600 "));
    }

    #[test]
    fn says_which_file_cannot_be_read_and_bounds_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(read(&missing).unwrap_err().to_string().contains("missing"));
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(SECRET_FILE_BYTES_MAX + 1).unwrap();
        assert!(read(&large).unwrap_err().to_string().contains("larger than 1 MiB"));
    }
}
