//! Address prefixes as people write them and as the deny list holds them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use postern_ebpf_common::{FAMILY_BITS, Source};

/// An address with a prefix length of at least 1 and no bit set behind it: `192.0.2.0/24`, `2001:db8::/32`. A single address
/// has the full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixInvalid {
    #[error("`{0}` is neither an address nor ADDRESS/BITS, such as 192.0.2.0/24 or 2001:db8::/32")]
    Form(String),
    #[error("/{bits} is not possible with {address}: 1 to {most} bits")]
    Bits { address: IpAddr, bits: u8, most: u8 },
    #[error("{address}/{bits} has bits set behind the first {bits}: did you mean {meant}?")]
    BitsBehind { address: IpAddr, bits: u8, meant: Prefix },
}

impl Prefix {
    /// # Errors
    /// A length that is impossible, or an address that does not end with it.
    pub fn new(address: IpAddr, bits: u8) -> Result<Self, PrefixInvalid> {
        let most = bits_of(address);
        // An IPv4 address in IPv6 notation is the IPv4 address: so it is in packets.
        if let (IpAddr::V6(_), canonical @ IpAddr::V4(_)) = (address, address.to_canonical())
            && let Some(bits) = bits.checked_sub(96)
        {
            return Self::new(canonical, bits);
        }
        if !(1..=most).contains(&bits) {
            return Err(PrefixInvalid::Bits { address, bits, most });
        }
        let meant = Self { address: masked(address, bits), bits };
        if meant.address != address {
            return Err(PrefixInvalid::BitsBehind { address, bits, meant });
        }
        Ok(meant)
    }

    /// Whether the address is within.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }

    /// Whether every address of the other is within.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }

    /// The key's bytes, and how many bits of them count.
    pub(crate) fn key(&self) -> (u32, Source) {
        (FAMILY_BITS + u32::from(self.bits), self.address.into())
    }

    /// Nothing for a key that this version does not make.
    pub(crate) fn from_key(bits: u32, source: Source) -> Option<Self> {
        let bits = u8::try_from(bits.checked_sub(FAMILY_BITS)?).ok()?;
        Self::new(source.ip()?, bits).ok()
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: bits_of(address) }
    }
}

impl FromStr for Prefix {
    type Err = PrefixInvalid;

    fn from_str(text: &str) -> Result<Self, PrefixInvalid> {
        let form = || PrefixInvalid::Form(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        match bits {
            None => Ok(address.into()),
            // What `parse` would take as well: `+8`.
            Some(bits) if !bits.bytes().all(|byte| byte.is_ascii_digit()) => Err(form()),
            Some(bits) => Self::new(address, bits.parse().map_err(|_| form())?),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == bits_of(self.address) {
            return write!(f, "{}", self.address);
        }
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `bits` is 1 to the address's length.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & u32::MAX << (32 - bits)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & u128::MAX << (128 - bits)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_read_as_written() {
        for text in ["192.0.2.7", "10.0.0.0/8", "128.0.0.0/1", "2001:db8::/32", "::1"] {
            assert_eq!(prefix(text).to_string(), text);
            let (bits, source) = prefix(text).key();
            assert_eq!(Prefix::from_key(bits, source), Some(prefix(text)));
        }
        assert_eq!(prefix("192.0.2.7/32").to_string(), "192.0.2.7");
        assert_eq!(prefix("::ffff:192.0.2.0/120"), prefix("192.0.2.0/24"));
        assert_eq!(prefix("::ffff:192.0.2.7"), prefix("192.0.2.7"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| text.parse::<Prefix>().unwrap_err().to_string();
        for text in ["", "x", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "10.0.0/8", "10.0.0.0/999", "1.2.3.4/8/9"] {
            assert!(error(text).contains("is neither an address nor"), "{}", error(text));
        }
        assert_eq!(error("10.0.0.1/8"), "10.0.0.1/8 has bits set behind the first 8: did you mean 10.0.0.0/8?");
        assert_eq!(error("10.0.0.0/33"), "/33 is not possible with 10.0.0.0: 1 to 32 bits");
        assert_eq!(error("::/0"), "/0 is not possible with ::: 1 to 128 bits");
    }

    #[test]
    fn a_prefix_contains_its_own_family_only() {
        assert!(prefix("192.0.2.0/24").contains("192.0.2.255".parse().unwrap()));
        assert!(prefix("192.0.2.0/24").contains("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!prefix("192.0.2.0/24").contains("192.0.3.0".parse().unwrap()));
        assert!(prefix("10.0.0.0/8").covers(&prefix("10.1.0.0/16")) && prefix("::1").covers(&prefix("::1")));
        assert!(!prefix("10.0.0.0/16").covers(&prefix("10.0.0.0/8")));
        assert!(!prefix("::/1").contains("0.0.0.1".parse().unwrap()));
    }
}
