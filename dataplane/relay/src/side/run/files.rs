//! Files that the supervisor opens, for the sandbox has none but the state folder.

use std::fs::File;
use std::os::fd::OwnedFd;

use postern_service::geoip::{Geoip, Systems};

use super::Side;
use crate::args::open_in_state_dir;
use crate::countries::Countries;
use crate::messages::Database;

impl Side {
    pub(super) fn reload(&mut self, trust_anchor_pem: Option<String>) {
        let Some(pem) = trust_anchor_pem else { return };
        match self.keeper.trust(&pem) {
            Ok(()) => tracing::info!("the trust anchor was read again"),
            Err(error) => tracing::error!("SIGHUP changes nothing: {error:#}"),
        }
        self.drain.wake_all();
    }

    pub(super) fn reopen_log(&mut self, given: Vec<OwnedFd>) {
        match given.into_iter().next().map_or_else(open_in_state_dir, Ok) {
            Ok(file) => self.receiver.log.reopen(file),
            Err(error) => tracing::error!(%error, "the access log cannot be opened anew: the old file is written on"),
        }
    }

    pub(super) fn replace_database(&mut self, of: Database, given: Vec<OwnedFd>) {
        let Some(file) = given.into_iter().next() else { return };
        match read_database(&self.config().current().countries, of, file) {
            None => self.drain.wake_all(),
            Some(problem) => tracing::error!("{problem}; the database before it stays in force"),
        }
    }
}

/// Puts a database in force; says what is wrong with it if it is none.
pub(super) fn read_database(countries: &Countries, of: Database, file: OwnedFd) -> Option<String> {
    let file = File::from(file);
    let read = match of {
        Database::Countries => Geoip::read(file).map(|database| {
            tracing::info!(built_unix = database.built_unix(), "the database of countries is read");
            countries.replace(database);
        }),
        Database::Systems => Systems::read(file).map(|database| {
            tracing::info!(built_unix = database.built_unix(), "the database of autonomous systems is read");
            countries.replace_systems(database);
        }),
    };
    read.err().map(|error| format!("{}: {error}: {} by it", of.flag(), of.without()))
}
