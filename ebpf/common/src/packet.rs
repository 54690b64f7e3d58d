//! Finds source and port of a packet as it comes from the wire: Ethernet, VLAN tags, IPv4 or IPv6, TCP. It judges
//! nothing; what it cannot read is the kernel's to judge.

use crate::source::Source;

/// A packet's bytes. Loads beyond its end, or beyond what can be reached, give nothing.
pub trait Bytes {
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

/// What a packet is to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    Tcp(Segment),
    /// Something that is not TCP over IP.
    Other,
    /// Part of a datagram; its ports may be in another part.
    Fragment,
    /// Ends within a header, or contradicts itself.
    Malformed,
}

/// A TCP segment, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub source: Source,
    pub to_port: u16,
    /// A SYN without ACK: asks for a new connection.
    pub opens: bool,
}

/// Reads the headers of a frame.
#[inline(always)]
pub fn decode(bytes: &impl Bytes) -> Packet {
    match headers(bytes) {
        Some(packet) => packet,
        None => Packet::Malformed,
    }
}

/// Nothing when the frame ends too early.
#[inline(always)]
fn headers(bytes: &impl Bytes) -> Option<Packet> {
    let (mut protocol, mut offset) = (u16::from_be_bytes(bytes.load(12)?), 14);
    for _ in 0..VLAN_TAGS_MAX {
        if protocol == VLAN || protocol == VLAN_OUTER {
            protocol = u16::from_be_bytes(bytes.load(offset + 2)?);
            offset += 4;
        }
    }
    match protocol {
        IPV4 => ipv4(bytes, offset),
        IPV6 => ipv6(bytes, offset),
        _ => Some(Packet::Other),
    }
}

#[inline(always)]
fn ipv4(bytes: &impl Bytes, offset: usize) -> Option<Packet> {
    let [version_length] = bytes.load(offset)?;
    let header_bytes = usize::from(version_length & 0xf) * 4;
    if version_length >> 4 != 4 || header_bytes < 20 {
        return Some(Packet::Malformed);
    }
    if u16::from_be_bytes(bytes.load(offset + 6)?) & V4_FRAGMENT != 0 {
        return Some(Packet::Fragment);
    }
    let [protocol] = bytes.load(offset + 9)?;
    if protocol != TCP {
        return Some(Packet::Other);
    }
    let source = Source::v4(bytes.load(offset + 12)?);
    tcp(bytes, offset + header_bytes, source)
}

#[inline(always)]
fn ipv6(bytes: &impl Bytes, offset: usize) -> Option<Packet> {
    let [version] = bytes.load(offset)?;
    if version >> 4 != 6 {
        return Some(Packet::Malformed);
    }
    let [mut next] = bytes.load(offset + 6)?;
    let source = Source::v6(bytes.load(offset + 8)?);
    let mut offset = offset + 40;
    for _ in 0..V6_EXTENSIONS_MAX {
        match next {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                let [following, words] = bytes.load(offset)?;
                next = following;
                offset += 8 + usize::from(words) * 8;
            }
            _ => break,
        }
    }
    match next {
        TCP => tcp(bytes, offset, source),
        V6_FRAGMENT => Some(Packet::Fragment),
        _ => Some(Packet::Other),
    }
}

#[inline(always)]
fn tcp(bytes: &impl Bytes, offset: usize, source: Source) -> Option<Packet> {
    // Up to the flags; a shorter one is no segment.
    let header: [u8; 14] = bytes.load(offset)?;
    let to_port = u16::from_be_bytes([header[2], header[3]]);
    Some(Packet::Tcp(Segment { source, to_port, opens: header[13] & (SYN | ACK) == SYN }))
}

const VLAN_TAGS_MAX: usize = 2;
/// Legitimate TCP has none or one; one more and the kernel decides alone.
const V6_EXTENSIONS_MAX: usize = 3;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const VLAN_OUTER: u16 = 0x88a8;
/// More fragments follow, or this is not the first.
const V4_FRAGMENT: u16 = 0x3fff;
const TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const V6_FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    impl Bytes for Vec<u8> {
        fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
            self.get(offset..offset + N)?.try_into().ok()
        }
    }

    fn ethernet(tags: &[u16], protocol: u16) -> Vec<u8> {
        let mut frame = std::vec![0; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend(protocol.to_be_bytes());
        frame
    }

    fn v4(options: usize, fragment: u16, protocol: u8) -> Vec<u8> {
        let mut header = std::vec![0; 20 + options];
        header[0] = 0x40 | (header.len() / 4) as u8;
        header[6..8].copy_from_slice(&fragment.to_be_bytes());
        header[9] = protocol;
        header[12..16].copy_from_slice(&[192, 0, 2, 7]);
        header
    }

    fn v6(next: u8) -> Vec<u8> {
        let mut header = std::vec![0; 40];
        header[0] = 0x60;
        header[6] = next;
        header[8..24].copy_from_slice(&[7; 16]);
        header
    }

    fn segment(flags: u8) -> Vec<u8> {
        let mut header = std::vec![0; 20];
        header[2..4].copy_from_slice(&443u16.to_be_bytes());
        header[13] = flags;
        header
    }

    fn tcp_from(source: Source, opens: bool) -> Packet {
        Packet::Tcp(Segment { source, to_port: 443, opens })
    }

    const FROM_V4: Source = Source::v4([192, 0, 2, 7]);
    const FROM_V6: Source = Source::v6([7; 16]);

    #[test]
    fn segments_are_found_behind_tags_options_and_extensions() {
        for (tags, options) in [(&[][..], 0), (&[VLAN], 4), (&[VLAN_OUTER, VLAN], 40)] {
            let frame = [ethernet(tags, IPV4), v4(options, 0, TCP), segment(SYN)].concat();
            assert_eq!(decode(&frame), tcp_from(FROM_V4, true));
        }
        let extensions: Vec<u8> = [[ROUTING, 1, 0, 0, 0, 0, 0, 0], [0; 8], [TCP, 0, 0, 0, 0, 0, 0, 0]].concat();
        let frame = [ethernet(&[VLAN], IPV6), v6(DESTINATION), extensions, segment(ACK)].concat();
        assert_eq!(decode(&frame), tcp_from(FROM_V6, false));
        assert_eq!(decode(&[ethernet(&[], IPV6), v6(TCP), segment(SYN | ACK)].concat()), tcp_from(FROM_V6, false));
    }

    #[test]
    fn what_cannot_be_judged_is_told_apart() {
        let frame = |header: Vec<u8>| [ethernet(&[], IPV4), header, segment(SYN)].concat();
        assert_eq!(decode(&frame(v4(0, 0x2000, TCP))), Packet::Fragment, "the first of several");
        assert_eq!(decode(&frame(v4(0, 5, TCP))), Packet::Fragment, "a later one");
        assert_eq!(decode(&frame(v4(0, 0x4000, TCP))), tcp_from(FROM_V4, true), "don't fragment");
        assert_eq!(decode(&frame(v4(0, 0, 17))), Packet::Other);
        let mut short = v4(0, 0, TCP);
        short[0] = 0x44;
        assert_eq!(decode(&frame(short)), Packet::Malformed);
        assert_eq!(decode(&[ethernet(&[], IPV6), v6(V6_FRAGMENT), segment(SYN)].concat()), Packet::Fragment);
        assert_eq!(decode(&[ethernet(&[], IPV6), v4(20, 0, TCP), segment(SYN)].concat()), Packet::Malformed);
        assert_eq!(decode(&ethernet(&[], 0x0806)), Packet::Other, "ARP");
        assert_eq!(decode(&ethernet(&[VLAN; 3], IPV4)), Packet::Other, "more tags than are looked at");
    }

    #[test]
    fn a_frame_cut_anywhere_is_malformed() {
        let frame = [ethernet(&[VLAN], IPV4), v4(0, 0, TCP), segment(SYN)].concat();
        for length in 0..frame.len() - 6 {
            assert_eq!(decode(&frame[..length].to_vec()), Packet::Malformed, "{length}");
        }
        assert_eq!(decode(&frame[..frame.len() - 6].to_vec()), tcp_from(FROM_V4, true));
    }

    proptest! {
        #[test]
        fn no_frame_panics(frame in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&frame);
        }

        #[test]
        fn no_frame_with_a_plausible_beginning_panics(
            v6 in any::<bool>(),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let frame = [ethernet(&[], if v6 { IPV6 } else { IPV4 }), std::vec![if v6 { 0x60 } else { 0x45 }], rest].concat();
            let _ = decode(&frame);
        }
    }
}
