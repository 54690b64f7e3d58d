//! Many prefixes, to ask whether an address is in any: sorted ranges, so that a hundred thousand cost 17 comparisons.

use std::net::IpAddr;

use super::{IpPrefix, mask_v4, mask_v6};

/// Prefixes that are asked together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixSet {
    /// First and last addresses, in order, none within another.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl PrefixSet {
    /// Whether any of them covers an address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => is_within(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => is_within(&self.v6, v6.to_bits()),
        }
    }
}

impl<'a> FromIterator<&'a IpPrefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = &'a IpPrefix>>(prefixes: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            match prefix.address {
                IpAddr::V4(first) => v4.push((first.to_bits(), first.to_bits() | !mask_v4(prefix.length))),
                IpAddr::V6(first) => v6.push((first.to_bits(), first.to_bits() | !mask_v6(prefix.length))),
            }
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }
}

fn is_within<T: Ord>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

/// Prefixes lie within each other or apart: of those that begin within another one, nothing is left.
fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    // At the same beginning the widest first.
    ranges.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    let mut kept: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if kept.last().is_none_or(|last| range.0 > last.1) {
            kept.push(range);
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn the_ends_are_within_and_what_is_beside_is_not() {
        let prefixes: Vec<IpPrefix> = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "255.255.255.255/32"]
            .map(|text| text.parse().unwrap())
            .into();
        let set: PrefixSet = prefixes.iter().collect();
        for (address, within) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("9.255.255.255", false),
            ("11.0.0.0", false),
            ("::ffff:192.0.2.7", true),
            ("192.0.2.8", false),
            ("255.255.255.255", true),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db9::", false),
            ("::", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), within, "{address}");
        }
        assert!(!PrefixSet::default().contains("0.0.0.0".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn it_says_what_each_of_them_says(
            v4 in prop::collection::vec((any::<u32>(), 0u8..=32), 0..20),
            v6 in prop::collection::vec((any::<u128>(), 0u8..=128), 0..20),
            (one, other) in (any::<u32>(), any::<u128>()),
        ) {
            let few = |bits: u32| bits & 0xf00f_0000;
            let v4 = v4.iter().map(|(bits, length)| IpPrefix::new(Ipv4Addr::from_bits(few(*bits)).into(), *length));
            let v6 = v6.iter().map(|(bits, length)| IpPrefix::new(Ipv6Addr::from_bits(*bits).into(), *length));
            let prefixes: Vec<IpPrefix> = v4.chain(v6).flatten().collect();
            let set: PrefixSet = prefixes.iter().collect();
            let ends = prefixes.iter().map(IpPrefix::address);
            let others = [Ipv4Addr::from_bits(few(one)).into(), Ipv6Addr::from_bits(other).into()];
            for address in ends.chain(others) {
                let each = prefixes.iter().any(|prefix| prefix.contains(address));
                prop_assert_eq!(set.contains(address), each, "{}", address);
            }
        }
    }
}
