//! A database of addresses in a file that is replaced now and then: whether it is another one is looked at when somebody asks.

use std::cell::{Cell, Ref, RefCell};
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use postern_service::failure::Failure;
use postern_service::geoip::{GeoipFile, GeoipInvalid};

use crate::limits::GEOIP_LOOK_INTERVAL;

/// A database, and where it came from.
pub(crate) struct Watched<D> {
    flag: &'static str,
    read: fn(File) -> Result<D, GeoipInvalid>,
    file: RefCell<GeoipFile>,
    database: RefCell<D>,
    looked: Cell<Instant>,
}

impl<D> Watched<D> {
    /// Reads the database; `flag`: what names the file.
    pub(crate) fn open(
        flag: &'static str,
        path: &Path,
        read: fn(File) -> Result<D, GeoipInvalid>,
    ) -> Result<Self, Failure> {
        let mut file = GeoipFile::new(path.to_owned());
        let database = file.open().map_err(Into::into).and_then(read);
        let database = database.map_err(|error| Failure::usage(format!("{flag} {}: {error}", path.display())))?;
        let (file, database) = (RefCell::new(file), RefCell::new(database));
        Ok(Self { flag, read, file, database, looked: Cell::new(Instant::now()) })
    }

    /// As it is now. Do not hold it across a question to another.
    pub(crate) fn current(&self) -> Ref<'_, D> {
        if self.looked.get().elapsed() >= GEOIP_LOOK_INTERVAL {
            self.look();
        }
        self.database.borrow()
    }

    /// Reads it anew if it is another one. One that cannot be read leaves the one before in force.
    pub(crate) fn look(&self) {
        self.looked.set(Instant::now());
        let changed = self.file.borrow_mut().open_changed();
        match changed.map(|opened| opened.map_err(Into::into).and_then(self.read)) {
            None => {}
            Some(Ok(database)) => *self.database.borrow_mut() = database,
            Some(Err(error)) => tracing::error!(%error, "{}: the database before it stays in force", self.flag),
        }
    }
}
