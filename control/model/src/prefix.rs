//! Address prefixes (`10.0.0.0/8`, `2001:db8::/32`), as limits and networks name them.

mod set;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

pub use set::PrefixSet;

/// All addresses that share their first `length` bits. Kept without host bits, so that each has one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpPrefix {
    address: IpAddr,
    length: u8,
}

/// Text that is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixInvalid {
    /// Not of the form.
    #[error("{0:?} is not an address prefix such as 10.0.0.0/8 or 2001:db8::/32")]
    Malformed(String),
    /// Bits are set behind the prefix: probably another one was meant.
    #[error("{given} has bits set behind the prefix: write {meant}")]
    HostBits {
        /// What was given.
        given: String,
        /// The same without them.
        meant: IpPrefix,
    },
    /// IPv4 in IPv6 notation with fewer bits than the notation itself has: it would cover addresses of both families.
    #[error("{0:?} is IPv4 in IPv6 notation, where a prefix has 96 to 128 bits: write it as IPv4, such as 10.0.0.0/8")]
    Mapped(String),
}

impl IpPrefix {
    /// The prefix of `length` bits that `address` is in; nothing when the address has fewer bits.
    /// An IPv4 address in IPv6 notation (`::ffff:10.0.0.0`, RFC 4291 §2.5.5.2) is the IPv4 address, and the 96 bits before
    /// it do not count; nothing when `length` has fewer.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        if let (IpAddr::V6(_), v4 @ IpAddr::V4(_)) = (address, address.to_canonical()) {
            return Self::new(v4, length.checked_sub(MAPPED_BITS)?);
        }
        let address = match address {
            IpAddr::V4(v4) if length <= 32 => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(length))),
            IpAddr::V6(v6) if length <= 128 => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_v6(length))),
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { address, length })
    }

    /// Its lowest address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits its addresses share.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether it covers an address. Families do not cover each other.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => own.to_bits() == other.to_bits() & mask_v4(self.length),
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() == other.to_bits() & mask_v6(self.length),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for IpPrefix {
    type Err = PrefixInvalid;

    /// `ADDRESS/LENGTH`; an address by itself is the prefix of all its bits. IPv4 in IPv6 notation becomes IPv4.
    fn from_str(text: &str) -> Result<Self, PrefixInvalid> {
        let given = || text.chars().take(64).collect();
        let malformed = || PrefixInvalid::Malformed(given());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let digits = |length: &&str| !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        let length: u8 = match (length, address) {
            (Some(length), _) => length.get(..).filter(digits).and_then(|l| l.parse().ok()).ok_or_else(malformed)?,
            (None, IpAddr::V4(_)) => 32,
            (None, IpAddr::V6(_)) => 128,
        };
        if address != address.to_canonical() && length < MAPPED_BITS {
            return Err(PrefixInvalid::Mapped(given()));
        }
        let prefix = Self::new(address, length).ok_or_else(malformed)?;
        if prefix.address != address.to_canonical() {
            return Err(PrefixInvalid::HostBits { given: given(), meant: prefix });
        }
        Ok(prefix)
    }
}

impl Serialize for IpPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// How many bits stand before an IPv4 address in IPv6 notation.
const MAPPED_BITS: u8 = 96;

const fn mask_v4(length: u8) -> u32 {
    match u32::MAX.checked_shl(32 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

const fn mask_v6(length: u8) -> u128 {
    match u128::MAX.checked_shl(128 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefixes_have_one_spelling() {
        for (given, kept) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("10.0.0.0/08", "10.0.0.0/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::FFFF:192.0.2.7", "192.0.2.7/32"),
        ] {
            assert_eq!(given.parse::<IpPrefix>().unwrap().to_string(), kept);
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "x/8", "::ffff:10.0.0.0/129"]
        {
            assert!(wrong.parse::<IpPrefix>().is_err(), "{wrong}");
        }
        let error = "10.1.2.3/8".parse::<IpPrefix>().unwrap_err().to_string();
        assert_eq!(error, "10.1.2.3/8 has bits set behind the prefix: write 10.0.0.0/8");
        let error = "::ffff:10.1.2.3/104".parse::<IpPrefix>().unwrap_err().to_string();
        assert_eq!(error, "::ffff:10.1.2.3/104 has bits set behind the prefix: write 10.0.0.0/8");
        let error = "::ffff:10.0.0.0/8".parse::<IpPrefix>().unwrap_err().to_string();
        assert!(error.contains("where a prefix has 96 to 128 bits: write it as IPv4"), "{error}");
        assert_eq!(IpPrefix::new("::ffff:10.0.0.0".parse().unwrap(), 95), None);
    }

    #[test]
    fn a_prefix_covers_its_own_family_only() {
        let v4: IpPrefix = "192.0.2.0/24".parse().unwrap();
        assert!(v4.contains("192.0.2.255".parse().unwrap()) && v4.contains("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!v4.contains("192.0.3.0".parse().unwrap()) && !v4.contains("::".parse().unwrap()));
        let all: IpPrefix = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()) && !all.contains("1.2.3.4".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn what_it_covers_shares_its_bits(bits: u32, other: u32, length in 0u8..=32) {
            let prefix = IpPrefix::new(Ipv4Addr::from_bits(bits).into(), length).unwrap();
            let shared = (bits ^ other).leading_zeros() >= u32::from(length);
            prop_assert_eq!(prefix.contains(Ipv4Addr::from_bits(other).into()), shared);
            prop_assert_eq!(prefix.to_string().parse::<IpPrefix>(), Ok(prefix));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<IpPrefix>();
        }
    }
}
