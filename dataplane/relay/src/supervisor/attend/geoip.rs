//! The database of countries: opened here, where the dataplane may not reach it, and read there.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use postern_service::failure::Failure;
use postern_service::geoip::GeoipFile;

use super::{DataplaneProcess, Supervisor, log_unsent};
use crate::messages::ToDataplane;

/// What is no database ends the start; later the one before stays in force.
pub(in crate::supervisor) fn check(path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let read = GeoipFile::new(path.to_owned()).read();
    read.map(drop).map_err(|error| Failure::usage(format!("--geoip {}: {error}", path.display())))
}

impl Supervisor {
    /// For a dataplane that starts.
    pub(super) fn open_geoip(&mut self) -> Option<OwnedFd> {
        let file = self.geoip.as_mut()?;
        match file.open() {
            Ok(opened) => Some(opened.into()),
            Err(error) => {
                tracing::error!(%error, path = %file.path().display(), "--geoip cannot be opened: no country is known");
                None
            }
        }
    }

    /// Hands it over if it is another one by now.
    pub(super) async fn look_at_geoip(&mut self, dataplane: &DataplaneProcess) {
        match self.geoip.as_mut().and_then(GeoipFile::open_changed) {
            None => {}
            Some(Ok(file)) => log_unsent(dataplane.send(&ToDataplane::Geoip, &[file.as_fd()]).await),
            Some(Err(error)) => tracing::error!(%error, "--geoip is gone: the database before it stays in force"),
        }
    }
}
