//! Which autonomous system an address is in: a database in MaxMind's format (GeoLite2-ASN, or one made alike).

use std::fmt;
use std::io::Read;
use std::net::IpAddr;

use maxminddb::Reader;
use postern_model::policy::Asn;
use serde::Deserialize;

use super::{GeoipInvalid, open};

/// A database, read whole into memory.
pub struct Systems {
    reader: Reader<Vec<u8>>,
}

/// What is read of an entry.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    autonomous_system_number: Option<u32>,
}

impl Systems {
    /// Reads a database.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn read(file: impl Read) -> Result<Self, GeoipInvalid> {
        let reader = open(file)?;
        let kind = &reader.metadata().database_type;
        if !kind.to_ascii_lowercase().contains("asn") {
            let (found, needed) = (kind.chars().take(64).collect(), "autonomous systems");
            return Err(GeoipInvalid::Type { found, needed });
        }
        Ok(Self { reader })
    }

    /// The system of an address; nothing, where it is not known, or the database is damaged there.
    #[must_use]
    pub fn asn(&self, address: IpAddr) -> Option<Asn> {
        let entry = self.reader.lookup(address.to_canonical()).ok()?.decode::<Entry>().ok()?;
        entry?.autonomous_system_number.filter(|number| *number != 0).map(Asn)
    }

    /// When it was made.
    #[must_use]
    pub fn built_unix(&self) -> u64 {
        self.reader.metadata().build_epoch
    }
}

impl fmt::Debug for Systems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Systems").field("built_unix", &self.built_unix()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geoip::Geoip;
    use crate::geoip::written::{database, systems};

    #[test]
    fn addresses_have_systems() {
        let file = systems(&[("192.0.2.0/24", 64_500), ("2001:db8::/32", 4_200_000_000), ("100.64.0.0/10", 0)]);
        let known = Systems::read(&*file).unwrap();
        for (address, expected) in [
            ("192.0.2.7", Some(64_500)),
            ("::ffff:192.0.2.7", Some(64_500)),
            ("2001:db8::1", Some(4_200_000_000)),
            ("198.51.100.1", None),
            ("100.64.0.1", None),
        ] {
            assert_eq!(known.asn(address.parse().unwrap()).map(|asn| asn.0), expected, "{address}");
        }
    }

    #[test]
    fn a_database_of_something_else_is_refused_and_a_damaged_one_never_panics() {
        let countries = database("GeoLite2-Country", &[("192.0.2.0/24", "country", "DE")]);
        let refused = Systems::read(&*countries).unwrap_err().to_string();
        assert!(refused.contains("GeoLite2-Country") && refused.contains("autonomous systems"), "{refused}");
        let good = systems(&[("192.0.2.0/24", 64_500)]);
        let refused = Geoip::read(&*good).unwrap_err().to_string();
        assert!(refused.contains("countries or cities"), "{refused}");
        for at in 0..good.len() {
            for damage in [0x00, 0xff, good[at] ^ 0x40] {
                let mut bytes = good.clone();
                bytes[at] = damage;
                let _ = Systems::read(&*bytes).map(|known| known.asn("192.0.2.7".parse().unwrap()));
            }
            let _ = Systems::read(&good[..at]);
        }
    }
}
