//! Where a packet or a connection comes from, as a key of maps.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address. Its bytes follow the family's number, so that a prefix of one family never covers the other.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    family: u32,
    address: [u8; 16],
}

impl Source {
    #[inline(always)]
    #[must_use]
    pub const fn v4([a, b, c, d]: [u8; 4]) -> Self {
        Self { family: V4, address: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }
    }

    #[inline(always)]
    #[must_use]
    pub const fn v6(address: [u8; 16]) -> Self {
        Self { family: V6, address }
    }

    /// Those who share a bucket: an IPv4 address, or an IPv6 /64, of which one host may have every address.
    #[inline(always)]
    #[must_use]
    pub const fn site(self) -> Self {
        if self.family == V4 {
            return self;
        }
        let [a, b, c, d, e, f, g, h, ..] = self.address;
        Self { family: V6, address: [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// The address; nothing for a key that no program of this version made.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        let [a, b, c, d, ..] = self.address;
        match self.family {
            V4 => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
            V6 => Some(IpAddr::V6(Ipv6Addr::from_octets(self.address))),
            _ => None,
        }
    }
}

impl From<IpAddr> for Source {
    /// An IPv4 address in IPv6 notation is the IPv4 address: so it is in packets.
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::v4(ip.octets()),
            IpAddr::V6(ip) => Self::v6(ip.octets()),
        }
    }
}

/// Bits of a key's longest prefix, and those before the address.
pub const SOURCE_BITS: u32 = FAMILY_BITS + 128;
/// Bits of a key before the address.
pub const FAMILY_BITS: u32 = 32;

const V4: u32 = 4;
const V6: u32 = 6;

/// Maps compare keys byte by byte: there must be no padding.
const _: () = assert!(size_of::<Source>() == 20);

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> Source {
        ip.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_site_is_an_address_or_a_64() {
        assert_eq!(source("192.0.2.7").site(), source("192.0.2.7"));
        assert_eq!(source("2001:db8:1:2:3:4:5:6").site(), source("2001:db8:1:2:ffff::").site());
        assert_ne!(source("2001:db8:1:2::").site(), source("2001:db8:1:3::").site());
    }

    #[test]
    fn addresses_come_back() {
        for ip in ["192.0.2.7", "2001:db8::1", "::"] {
            assert_eq!(source(ip).ip(), Some(ip.parse().unwrap()));
        }
        assert_eq!(source("::ffff:192.0.2.7"), Source::v4([192, 0, 2, 7]));
        assert_ne!(source("::"), source("0.0.0.0"));
        assert_eq!(Source { family: 0, address: [0; 16] }.ip(), None);
    }
}
