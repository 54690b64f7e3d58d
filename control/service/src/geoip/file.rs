//! The file of a database, looked at again now and then: databases are replaced every week.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Geoip, GeoipInvalid};

/// Where a database is, and which file it was when it was opened last.
#[derive(Debug)]
pub struct GeoipFile {
    path: PathBuf,
    opened: Option<Mark>,
}

/// What tells one file from another at the same place: device, inode, length, time of its last change.
#[derive(Debug, PartialEq, Eq)]
struct Mark(u64, u64, u64, i64, i64);

impl GeoipFile {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, opened: None }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it.
    ///
    /// # Errors
    /// When that fails.
    pub fn open(&mut self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        self.opened = Some(Mark::of(&file.metadata()?));
        Ok(file)
    }

    /// Opens it if it is another one than was opened last. That it is gone is told once.
    pub fn open_changed(&mut self) -> Option<io::Result<File>> {
        match self.path.metadata() {
            Ok(found) if self.opened.as_ref() == Some(&Mark::of(&found)) => None,
            Ok(_) => Some(self.open()),
            Err(error) => self.opened.take().map(|_| Err(error)),
        }
    }

    /// Opens and reads it.
    ///
    /// # Errors
    /// When that fails, or it is no database.
    pub fn read(&mut self) -> Result<Geoip, GeoipInvalid> {
        Geoip::read(self.open()?)
    }
}

impl Mark {
    fn of(found: &Metadata) -> Self {
        Self(found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geoip::written::database;

    #[test]
    fn a_file_is_opened_again_when_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("countries.mmdb");
        let mut file = GeoipFile::new(path.clone());
        assert!(file.read().is_err() && file.open_changed().is_none(), "what was not there is not missed");
        std::fs::write(&path, database("GeoLite2-Country", &[("192.0.2.0/24", "country", "DE")])).unwrap();
        let country = |geoip: &Geoip| geoip.country("192.0.2.1".parse().unwrap()).map(|country| country.to_string());
        let geoip = Geoip::read(file.open_changed().unwrap().unwrap()).unwrap();
        assert_eq!(country(&geoip).as_deref(), Some("DE"));
        assert!(file.open_changed().is_none(), "it is the same");
        let next = folder.path().join("next");
        std::fs::write(&next, database("GeoLite2-Country", &[("192.0.2.0/24", "country", "FR")])).unwrap();
        std::fs::rename(&next, &path).unwrap();
        let geoip = Geoip::read(file.open_changed().unwrap().unwrap()).unwrap();
        assert_eq!(country(&geoip).as_deref(), Some("FR"));
        std::fs::remove_file(&path).unwrap();
        assert!(file.open_changed().unwrap().is_err(), "it is gone");
        assert!(file.open_changed().is_none(), "that was told");
    }
}
