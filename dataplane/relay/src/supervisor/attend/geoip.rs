//! The databases of countries and of autonomous systems: opened here, where the dataplane may not reach them, and read there.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use postern_service::failure::Failure;
use postern_service::geoip::{GeoipFile, GeoipInvalid, Systems};

use super::{DataplaneProcess, Supervisor, log_unsent};
use crate::args::GeoipArgs;
use crate::messages::{Database, ToDataplane};

/// The files that are looked at.
pub(in crate::supervisor) struct Databases([(Database, Option<GeoipFile>); 2]);

/// What is no database ends the start; later the one before stays in force.
pub(in crate::supervisor) fn check(geoip: &GeoipArgs) -> Result<(), Failure> {
    let file = |path: &PathBuf| GeoipFile::new(path.clone());
    let countries = geoip.geoip.as_ref().map(|path| (Database::Countries, path, file(path).read().map(drop)));
    let systems = geoip.geoip_asn.as_ref().map(|path| {
        let read = file(path).open().map_err(GeoipInvalid::from).and_then(Systems::read);
        (Database::Systems, path, read.map(drop))
    });
    for (of, path, read) in countries.into_iter().chain(systems) {
        read.map_err(|error| Failure::usage(format!("{} {}: {error}", of.flag(), path.display())))?;
    }
    Ok(())
}

impl Databases {
    pub(in crate::supervisor) fn new(geoip: &GeoipArgs) -> Self {
        let file = |path: &Option<PathBuf>| path.clone().map(GeoipFile::new);
        Self([(Database::Countries, file(&geoip.geoip)), (Database::Systems, file(&geoip.geoip_asn))])
    }

    /// For a dataplane that starts.
    pub(super) fn open(&mut self) -> Vec<(Database, OwnedFd)> {
        let mut opened = Vec::new();
        for (of, file) in &mut self.0 {
            let Some(file) = file else { continue };
            match file.open() {
                Ok(found) => opened.push((*of, found.into())),
                Err(error) => {
                    tracing::error!(%error, path = %file.path().display(), "{} cannot be opened: {}", of.flag(), of.without());
                }
            }
        }
        opened
    }
}

impl Supervisor {
    /// Hands over those that are others by now.
    pub(super) async fn look_at_geoip(&mut self, dataplane: &DataplaneProcess) {
        for (of, file) in &mut self.geoip.0 {
            match file.as_mut().and_then(GeoipFile::open_changed) {
                None => {}
                Some(Ok(file)) => log_unsent(dataplane.send(&ToDataplane::Geoip(*of), &[file.as_fd()]).await),
                Some(Err(error)) => {
                    tracing::error!(%error, "{} is gone: the database before it stays in force", of.flag());
                }
            }
        }
    }
}
