//! `guard` drops packets to the relay's ports before the kernel spends anything on them: from sources that are denied,
//! that are to be dropped for a while, or that open or send too much. Whatever it cannot judge goes on to the kernel.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod sources;

use core::ptr;

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    helpers::bpf_ktime_get_ns,
    macros::{map, xdp},
    maps::{Array, LruHashMap, PerCpuArray},
    programs::XdpContext,
};
use postern_ebpf_common::{
    GuardCounters, GuardedInterface, INTERFACES_MAX, PORT_WORDS, SOURCES_MAX, Source, SourceBuckets,
    packet::{Bytes, Packet, Segment, decode},
    port_bit,
};

#[map]
static PORTS: Array<u64> = Array::pinned(PORT_WORDS, 0);
#[map]
static SOURCES: LruHashMap<Source, SourceBuckets> = LruHashMap::pinned(SOURCES_MAX, 0);
#[map]
static GUARD_COUNTERS: PerCpuArray<GuardCounters> = PerCpuArray::pinned(1, 0);
/// Read by nobody here: it goes with the other maps.
#[map]
static INTERFACES: Array<GuardedInterface> = Array::pinned(INTERFACES_MAX, 0);

#[xdp(frags)]
pub fn guard(ctx: XdpContext) -> u32 {
    let Some(counters) = GUARD_COUNTERS.get_ptr_mut(0) else {
        return XDP_PASS;
    };
    let (counter, action) = judge(&ctx, counters);
    // SAFETY: a field of this CPU's own map value; the program is not preempted by itself.
    unsafe { *counter += 1 };
    action
}

/// What is to become of the packet, and the counter that says so.
#[inline(always)]
fn judge(ctx: &XdpContext, counters: *mut GuardCounters) -> (*mut u64, u32) {
    // SAFETY: only addresses of fields of a map value are made here.
    unsafe {
        match decode(&Linear { start: ctx.data(), end: ctx.data_end() }) {
            Packet::Tcp(segment) if is_ours(segment.to_port) => refuse(segment, counters),
            Packet::Tcp(_) | Packet::Other => (&raw mut (*counters).not_ours, XDP_PASS),
            Packet::Fragment => (&raw mut (*counters).fragments, XDP_PASS),
            Packet::Malformed => (&raw mut (*counters).malformed, XDP_PASS),
        }
    }
}

/// # Safety
/// `counters` is a map value.
#[inline(always)]
unsafe fn refuse(segment: Segment, counters: *mut GuardCounters) -> (*mut u64, u32) {
    // SAFETY: a helper without arguments, and addresses of fields of a map value.
    unsafe {
        let now_ns = bpf_ktime_get_ns();
        let site = segment.source.site();
        let passed = (&raw mut (*counters).passed, XDP_PASS);
        if sources::is_denied(segment.source) {
            return (&raw mut (*counters).denied, XDP_DROP);
        }
        if sources::is_banned(&site, now_ns) {
            return (&raw mut (*counters).banned, XDP_DROP);
        }
        let Some(limits) = sources::limits() else {
            return passed;
        };
        let limits_syns = segment.opens && limits.syns.limits();
        if !limits_syns && !limits.packets.limits() {
            return passed;
        }
        let Some(buckets) = buckets(&site) else {
            *(&raw mut (*counters).untracked) += 1;
            return passed;
        };
        if limits_syns && !sources::take(&raw mut (*buckets).syns, now_ns, &limits.syns) {
            return (&raw mut (*counters).syn_rate, XDP_DROP);
        }
        if limits.packets.limits() && !sources::take(&raw mut (*buckets).packets, now_ns, &limits.packets) {
            return (&raw mut (*counters).packet_rate, XDP_DROP);
        }
        passed
    }
}

/// The site's buckets, full ones if it is new. Nothing when the map has no room.
#[inline(always)]
fn buckets(site: &Source) -> Option<*mut SourceBuckets> {
    if let Some(known) = SOURCES.get_ptr_mut(site) {
        return Some(known);
    }
    // Another CPU may have been faster: then its entry stays.
    let _ = SOURCES.insert(site, SourceBuckets { syns: 0, packets: 0 }, BPF_NOEXIST);
    SOURCES.get_ptr_mut(site)
}

#[inline(always)]
fn is_ours(port: u16) -> bool {
    let (word, mask) = port_bit(port);
    PORTS.get(word).is_some_and(|ports| ports & mask != 0)
}

/// The part of the packet that lies in one piece; headers are in it.
struct Linear {
    start: usize,
    end: usize,
}

impl Bytes for Linear {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        // SAFETY: inside the packet, as the verifier sees from the lines above.
        Some(unsafe { ptr::read_unaligned(at as *const [u8; N]) })
    }
}

const BPF_NOEXIST: u64 = 1;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
