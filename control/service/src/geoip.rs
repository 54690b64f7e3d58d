//! Where addresses are: a database in MaxMind's format (GeoLite2-Country or -City, or one made alike), read whole into memory.

mod file;
mod systems;

use std::fmt;
use std::io::Read;
use std::net::IpAddr;

use maxminddb::Reader;
use postern_model::policy::Country;
use serde::Deserialize;

pub use file::GeoipFile;
pub use systems::Systems;

/// A database. Looking up is a walk of at most 128 steps through memory.
pub struct Geoip {
    reader: Reader<Vec<u8>>,
}

/// A place, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Place {
    /// North of the equator.
    pub latitude: f64,
    /// East of Greenwich.
    pub longitude: f64,
}

/// Why a file is no database.
#[derive(Debug, thiserror::Error)]
pub enum GeoipInvalid {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is larger than any.
    #[error("it is larger than {} MiB", BYTES_MAX >> 20)]
    TooLarge,
    /// It is not in the format.
    #[error("it is no MaxMind database: {0}")]
    Format(#[from] maxminddb::MaxMindDbError),
    /// It is about something else.
    #[error("it is a database of the type {found:?}: one of {needed} is needed")]
    Type {
        /// Its own word for it.
        found: String,
        /// What it should be about.
        needed: &'static str,
    },
}

/// What is read of an entry.
#[derive(Debug, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    country: Option<Code>,
    /// Where a network is registered: the country, where no other is known.
    #[serde(default)]
    registered_country: Option<Code>,
    /// Databases of cities have it, for most.
    #[serde(default)]
    location: Option<Located>,
}

#[derive(Debug, Deserialize)]
struct Located {
    #[serde(default)]
    latitude: Option<f64>,
    #[serde(default)]
    longitude: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Code {
    #[serde(default)]
    iso_code: Option<String>,
}

impl Geoip {
    /// Reads a database.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn read(file: impl Read) -> Result<Self, GeoipInvalid> {
        let reader = open(file)?;
        let kind = &reader.metadata().database_type;
        let lower = kind.to_ascii_lowercase();
        if !["country", "city", "enterprise"].iter().any(|word| lower.contains(word)) {
            let (found, needed) = (kind.chars().take(64).collect(), "countries or cities");
            return Err(GeoipInvalid::Type { found, needed });
        }
        Ok(Self { reader })
    }

    /// The country of an address; nothing, where it is not known, or the database is damaged there.
    #[must_use]
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let Entry { country, registered_country, .. } = self.entry(address)?;
        let code = |named: Option<Code>| named?.iso_code?.parse().ok();
        code(country).or_else(|| code(registered_country))
    }

    /// The place of an address, where the database has it.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        let Located { latitude, longitude } = self.entry(address)?.location?;
        Some(Place { latitude: latitude?, longitude: longitude? })
    }

    fn entry(&self, address: IpAddr) -> Option<Entry> {
        self.reader.lookup(address.to_canonical()).ok()?.decode::<Entry>().ok()?
    }

    /// When it was made.
    #[must_use]
    pub fn built_unix(&self) -> u64 {
        self.reader.metadata().build_epoch
    }
}

/// A file in the format, whatever it is about.
fn open(file: impl Read) -> Result<Reader<Vec<u8>>, GeoipInvalid> {
    let mut bytes = Vec::new();
    // `take` reads without asking how large the file is: what is behind a descriptor may not be asked in a sandbox.
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(GeoipInvalid::TooLarge);
    }
    Ok(Reader::from_source(bytes)?)
}

impl Place {
    /// How far it is to another place: the great circle on a sphere, by the haversine formula.
    #[must_use]
    pub fn km_to(self, other: Self) -> f64 {
        let [from, to] = [self.latitude, other.latitude].map(f64::to_radians);
        let half = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
        let across = half(self.longitude.to_radians(), other.longitude.to_radians());
        let haversine = half(from, to) + from.cos() * to.cos() * across;
        2.0 * EARTH_RADIUS_KM * haversine.clamp(0.0, 1.0).sqrt().asin()
    }
}

impl fmt::Debug for Geoip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Geoip").field("built_unix", &self.built_unix()).finish_non_exhaustive()
    }
}

const EARTH_RADIUS_KM: f64 = 6_371.0;
/// GeoLite2-City has 60 MiB.
const BYTES_MAX: u64 = 512 << 20;

#[cfg(test)]
mod written;

#[cfg(test)]
mod tests {
    use super::written::{cities, database};
    use super::*;

    fn country(geoip: &Geoip, address: &str) -> Option<String> {
        geoip.country(address.parse().unwrap()).map(|country| country.to_string())
    }

    #[test]
    fn addresses_have_countries() {
        let entries = [
            ("192.0.2.0/24", "country", "DE"),
            ("198.51.100.128/25", "country", "FR"),
            ("203.0.113.0/24", "registered_country", "US"),
            ("2001:db8::/32", "country", "JP"),
            ("100.64.0.0/10", "country", "??"),
        ];
        let geoip = Geoip::read(&*database("GeoLite2-Country", &entries)).unwrap();
        for (address, expected) in [
            ("192.0.2.7", Some("DE")),
            ("::ffff:192.0.2.7", Some("DE")),
            ("198.51.100.200", Some("FR")),
            ("198.51.100.1", None),
            ("203.0.113.9", Some("US")),
            ("2001:db8:1::1", Some("JP")),
            ("2001:db9::1", None),
            ("100.64.0.1", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(country(&geoip, address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn places_are_so_far_from_each_other() {
        let entries = [("192.0.2.0/24", "DE", (52.52, 13.405)), ("2001:db8::/32", "JP", (35.68, 139.69))];
        let geoip = Geoip::read(&*cities(&entries)).unwrap();
        assert_eq!(country(&geoip, "2001:db8::1").as_deref(), Some("JP"));
        let [here, there] = ["192.0.2.1", "2001:db8::1"].map(|address| geoip.place(address.parse().unwrap()).unwrap());
        assert!((here.km_to(there) - 8_920.0).abs() < 20.0, "{}", here.km_to(there));
        assert!(here.km_to(here) < 0.001);
        assert_eq!(geoip.place("198.51.100.1".parse().unwrap()), None);
        let countries = Geoip::read(&*database("GeoLite2-Country", &[("192.0.2.0/24", "country", "DE")])).unwrap();
        assert_eq!(countries.place("192.0.2.1".parse().unwrap()), None);
    }

    #[test]
    fn what_is_no_database_of_countries_is_refused() {
        let other = database("GeoLite2-ASN", &[("192.0.2.0/24", "country", "DE")]);
        assert!(matches!(Geoip::read(&*other), Err(GeoipInvalid::Type { found, .. }) if found == "GeoLite2-ASN"));
        assert!(matches!(Geoip::read(&b"hello"[..]), Err(GeoipInvalid::Format(_))));
        assert!(matches!(Geoip::read(&b""[..]), Err(GeoipInvalid::Format(_))));
    }

    #[test]
    fn a_damaged_database_is_refused_or_knows_less_and_never_panics() {
        let good =
            database("GeoLite2-Country", &[("192.0.2.0/24", "country", "DE"), ("2001:db8::/32", "country", "JP")]);
        for at in 0..good.len() {
            for damage in [0x00, 0xff, good[at] ^ 0x40] {
                let mut bytes = good.clone();
                bytes[at] = damage;
                if let Ok(geoip) = Geoip::read(&*bytes) {
                    let _ = (country(&geoip, "192.0.2.7"), country(&geoip, "2001:db8::1"));
                }
            }
            let _ = Geoip::read(&good[..at]).map(|geoip| country(&geoip, "192.0.2.7"));
        }
    }
}
