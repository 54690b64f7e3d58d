//! Which country an address is in, by the database of `--geoip`.

use std::net::IpAddr;
use std::path::Path;

use postern_model::policy::Country;
use postern_service::failure::Failure;
use postern_service::geoip::{Geoip, Place};

use crate::control::Control;
use crate::watched::Watched;

/// A database, and where it came from.
pub(crate) struct Countries(Watched<Geoip>);

impl Control {
    /// The country of an address; nothing, where there is no database.
    pub(crate) fn country(&self, address: IpAddr) -> Option<Country> {
        self.countries.as_ref().map(|countries| countries.of(address))
    }

    /// Where an address is, if a database knows that.
    pub(crate) fn place(&self, address: IpAddr) -> Option<Place> {
        self.countries.as_ref()?.place(address)
    }
}

impl Countries {
    /// Reads the database.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Watched::open("--geoip", path, Geoip::read).map(Self)
    }

    /// What is not known is [`Country::UNKNOWN`].
    pub(crate) fn of(&self, address: IpAddr) -> Country {
        self.0.current().country(address).unwrap_or(Country::UNKNOWN)
    }

    fn place(&self, address: IpAddr) -> Option<Place> {
        self.0.current().place(address)
    }
}

#[cfg(test)]
#[path = "../../service/src/geoip/written.rs"]
pub(crate) mod written;

#[cfg(test)]
mod tests {
    use super::written::database;
    use super::*;

    #[test]
    fn another_file_counts_and_what_is_none_leaves_the_one_before_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("countries.mmdb");
        let opened = Countries::open(&path).err().map(|failure| failure.to_string()).unwrap();
        assert!(opened.contains("--geoip") && opened.contains("cannot be read"), "{opened}");
        let replace = |bytes: &[u8]| {
            let next = folder.path().join("next");
            std::fs::write(&next, bytes).unwrap();
            std::fs::rename(&next, &path).unwrap();
        };
        let of = |code: &str| database("GeoLite2-Country", &[("192.0.2.0/24", "country", code)]);
        replace(&of("DE"));
        let countries = Countries::open(&path).unwrap();
        let country = |address: &str| countries.of(address.parse().unwrap()).to_string();
        assert_eq!((country("192.0.2.1"), country("198.51.100.1")), ("DE".into(), "ZZ".into()));
        replace(&of("FR"));
        assert_eq!(country("192.0.2.1"), "DE", "it is not looked at each time");
        for (bytes, expected) in [(of("FR"), "FR"), (b"damaged".to_vec(), "FR"), (of("JP"), "JP")] {
            replace(&bytes);
            countries.0.look();
            assert_eq!(country("192.0.2.1"), expected);
        }
        std::fs::remove_file(&path).unwrap();
        countries.0.look();
        assert_eq!(country("192.0.2.1"), "JP", "a file that is gone");
    }
}
