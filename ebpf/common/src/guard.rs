//! Values of the maps about sources: limits, buckets and counters.

use crate::bucket::Rate;

/// How much one source may do. User space may change it at any time.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// First packets of connections, counted by `guard` where a packet arrives.
    pub syns: Rate,
    /// Packets of every kind to the relay's ports, counted by `guard`.
    pub packets: Rate,
    /// New connections, counted by `steer` on every interface.
    pub connections: Rate,
}

impl Default for SourceLimits {
    /// Above what any one source of a running installation does; 10,000 handshakes a second fill several cores. Packets
    /// are not limited: a fast download has hundreds of thousands of acknowledgements a second.
    fn default() -> Self {
        Self { syns: Rate::new(10_000, 20_000), packets: Rate::UNLIMITED, connections: Rate::new(10_000, 20_000) }
    }
}

/// The buckets that `guard` has for one source.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceBuckets {
    pub syns: u64,
    pub packets: u64,
}

/// Packets by what became of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardCounters {
    /// To the relay, within every limit.
    pub passed: u64,
    /// Passed: not TCP, or not to a port of the relay.
    pub not_ours: u64,
    /// Passed: a fragment, whose ports are unknown. The kernel puts it together, and `steer` sees what comes out.
    pub fragments: u64,
    /// Passed: cut or contradictory headers, which the kernel drops.
    pub malformed: u64,
    /// Passed, in other counters as well: the source has no bucket because the map took no further one.
    pub untracked: u64,
    /// Dropped: on the deny list.
    pub denied: u64,
    /// Dropped: the source is to be dropped for a while.
    pub banned: u64,
    /// Dropped: more connections opened than the source may.
    pub syn_rate: u64,
    /// Dropped: more packets than the source may send.
    pub packet_rate: u64,
    pub reserved: [u64; 7],
}

impl GuardCounters {
    /// The counters of two CPUs together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed.wrapping_add(other.passed),
            not_ours: self.not_ours.wrapping_add(other.not_ours),
            fragments: self.fragments.wrapping_add(other.fragments),
            malformed: self.malformed.wrapping_add(other.malformed),
            untracked: self.untracked.wrapping_add(other.untracked),
            denied: self.denied.wrapping_add(other.denied),
            banned: self.banned.wrapping_add(other.banned),
            syn_rate: self.syn_rate.wrapping_add(other.syn_rate),
            packet_rate: self.packet_rate.wrapping_add(other.packet_rate),
            reserved: self.reserved,
        }
    }

    /// What was dropped, for whatever reason.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.denied.wrapping_add(self.banned).wrapping_add(self.syn_rate).wrapping_add(self.packet_rate)
    }
}

/// An interface that `guard` is attached to, for those who look at the pinned maps.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardedInterface {
    /// The kernel's number of the interface; 0 is none.
    pub index: u32,
    /// 1 when the driver runs the program, 0 when the kernel's stack does.
    pub native: u32,
}

/// Where a port's bit stands in the list of ports: word and mask.
#[inline(always)]
#[must_use]
pub const fn port_bit(port: u16) -> (u32, u64) {
    ((port >> 6) as u32, 1 << (port & 63))
}

/// The layouts are read by another program: a change of any of them is a change of the ABI.
const _: () = {
    assert!(size_of::<SourceLimits>() == 96);
    assert!(size_of::<SourceBuckets>() == 16);
    assert!(size_of::<GuardCounters>() == 128);
    assert!(size_of::<GuardedInterface>() == 8);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_a_bit_of_its_own() {
        let mut words = std::vec![0u64; crate::PORT_WORDS as usize];
        for port in 0..=u16::MAX {
            let (word, mask) = port_bit(port);
            assert_eq!(words[word as usize] & mask, 0);
            words[word as usize] |= mask;
        }
        assert!(words.iter().all(|word| *word == u64::MAX));
    }

    #[test]
    fn the_sum_of_counters_loses_none() {
        let one = GuardCounters {
            passed: 1,
            not_ours: 2,
            fragments: 3,
            malformed: 4,
            untracked: 5,
            denied: 6,
            banned: 7,
            syn_rate: 8,
            packet_rate: 9,
            reserved: [0; 7],
        };
        let two = one.plus(one);
        assert_eq!((two.passed, two.not_ours, two.fragments, two.malformed, two.untracked), (2, 4, 6, 8, 10));
        assert_eq!((two.denied, two.banned, two.syn_rate, two.packet_rate), (12, 14, 16, 18));
        assert_eq!(two.dropped(), 60);
    }
}
