//! `steer` chooses the worker that gets a new connection: it runs in the kernel for every first packet to a
//! steered address, and for every connection that a closing listener leaves. Where it finds no fit worker, the kernel's
//! hash decides. It refuses connections of sources that are denied, to be dropped for a while, or open too many.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod sources;

use core::{arch::asm, ffi::c_void, mem::MaybeUninit, ptr};

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::sk_action::{SK_DROP, SK_PASS},
    helpers::{
        bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_ktime_get_ns,
        generated::{bpf_loop, bpf_skb_load_bytes_relative},
    },
    macros::{map, sk_reuseport},
    maps::{Array, LruHashMap, PerCpuArray, ReusePortSockArray},
    programs::SkReuseportContext,
};
use aya_log_ebpf::warn;
use postern_ebpf_common::{
    CPUS_MAX, Candidate, REPORT_INTERVAL_NS, Ranked, SCAN_MAX, SLOTS_MAX, SOCKETS_MAX, SOURCES_MAX, Source,
    SteerConfig, SteerCounters, Unfit, WorkerLoad, WorkerState, load, random_index, socket_index, two_positions,
};

#[map]
static CONFIG: Array<SteerConfig> = Array::pinned(1, 0);
#[map]
static ACTIVE: Array<u32> = Array::pinned(SLOTS_MAX, 0);
#[map]
static CPU_SLOTS: Array<u32> = Array::pinned(CPUS_MAX, 0);
#[map]
static LOADS: Array<WorkerLoad> = Array::pinned(SLOTS_MAX, BPF_F_MMAPABLE);
#[map]
static SOCKETS: ReusePortSockArray = ReusePortSockArray::pinned(SOCKETS_MAX, 0);
#[map]
static COUNTERS: PerCpuArray<SteerCounters> = PerCpuArray::pinned(1, 0);
#[map]
static REPORTED: Array<u64> = Array::pinned(1, 0);
#[map]
static CONNECTIONS: LruHashMap<Source, u64> = LruHashMap::pinned(SOURCES_MAX, 0);

/// Which part of the socket array holds this address's listeners; set by the loader.
#[unsafe(no_mangle)]
static GROUP: Global<u32> = Global::new(0);

#[sk_reuseport(migrate)]
pub fn steer(ctx: SkReuseportContext) -> u32 {
    if let Some(mut moment) = Moment::now() {
        let migrating = ctx.migrating_sk().is_some();
        let opens = migrating || opens_connection(&ctx);
        // A connection that moves was let in before.
        if opens && !migrating && is_refused(&ctx, moment.now_ns, moment.counters) {
            return SK_DROP;
        }
        if !moment.steer(&ctx, opens, migrating) {
            report_fall_through(moment.active, moment.now_ns);
        }
        if moment.stalled != 0 {
            report_stall(moment.stalled - 1, moment.now_ns);
        }
    }
    // Without a selected socket this means the kernel's hash.
    SK_PASS
}

/// What one decision is based on.
#[derive(Clone, Copy)]
struct Moment {
    now_ns: u64,
    stall_limit_ns: u64,
    active: u32,
    /// Slot + 1 of the worker of this CPU; 0 is none.
    cpu_slot: u32,
    counters: *mut SteerCounters,
    /// Slot + 1 of a stalled worker among those looked at; 0 is none. Reported once, at the end: the verifier
    /// follows every call of the logger, which in a loop is more than it takes.
    stalled: u32,
}

impl Moment {
    #[inline(always)]
    fn now() -> Option<Self> {
        let config = CONFIG.get(0)?;
        // SAFETY: helpers without arguments.
        let (now_ns, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
        Some(Self {
            now_ns,
            stall_limit_ns: config.stall_limit_ns,
            active: config.active,
            cpu_slot: CPU_SLOTS.get(cpu).copied().unwrap_or(0),
            counters: COUNTERS.get_ptr_mut(0)?,
            stalled: 0,
        })
    }

    /// False when no worker could be selected.
    #[inline(always)]
    fn steer(&mut self, ctx: &SkReuseportContext, opens: bool, migrating: bool) -> bool {
        let selected = self.select(ctx);
        match selected {
            Some(worker) if opens => {
                // SAFETY: a field of a map value, which only this line changes.
                unsafe { increment(&raw mut (*worker).assigned) };
            }
            Some(_) => {}
            None => self.count(|counters| &raw mut counters.fell_through),
        }
        if migrating {
            self.count(|counters| &raw mut counters.migrated);
        }
        if !opens {
            self.count(|counters| &raw mut counters.not_syn);
        }
        selected.is_some()
    }

    /// Selects the listener and returns the worker's load.
    #[inline(always)]
    fn select(&mut self, ctx: &SkReuseportContext) -> Option<*mut WorkerLoad> {
        let (first, second) = two_positions((random(), random()), self.active);
        let (first, second) = (self.at(first), self.at(second));
        let scanned = first.is_none() || second.is_none();
        let two = if scanned { self.scan() } else { first.better(second) };
        let best = two.better(self.preferred());
        if best.is_none() {
            return None;
        }
        SOCKETS.select_reuseport(ctx, socket_index(GROUP.load(), best.slot)).ok()?;
        if scanned {
            self.count(|counters| &raw mut counters.scanned);
        } else if best.same_cpu() {
            self.count(|counters| &raw mut counters.same_cpu);
        } else {
            self.count(|counters| &raw mut counters.lighter);
        }
        LOADS.get_ptr_mut(best.slot)
    }

    /// The worker of the CPU that received the packet.
    #[inline(always)]
    fn preferred(&mut self) -> Ranked {
        if self.cpu_slot == 0 {
            return Ranked::NONE;
        }
        self.ranked(self.cpu_slot - 1)
    }

    /// Looks at a bounded number of workers from a random one on, for the best.
    #[inline(always)]
    fn scan(&mut self) -> Ranked {
        let mut scan = Scan { moment: *self, position: random_index(random(), self.active), best: Ranked::NONE };
        let steps = if self.active < SCAN_MAX { self.active } else { SCAN_MAX };
        // SAFETY: a function of the shape that the helper calls, and a context that outlives the call.
        unsafe { bpf_loop(steps, scan_step as *mut c_void, (&raw mut scan).cast(), 0) };
        self.stalled = scan.moment.stalled;
        scan.best
    }

    #[inline(always)]
    fn at(&mut self, position: u32) -> Ranked {
        match ACTIVE.get(position) {
            Some(slot) if position < self.active => self.ranked(*slot),
            _ => Ranked::NONE,
        }
    }

    /// The worker in `slot` unless it must not get connections, which is counted and, if stalled, reported.
    #[inline(always)]
    fn ranked(&mut self, slot: u32) -> Ranked {
        let Some(worker) = LOADS.get_ptr_mut(slot) else {
            return Ranked::NONE;
        };
        let candidate = self.candidate(slot, worker);
        match candidate.unfit(self.now_ns, self.stall_limit_ns) {
            None => return Ranked::new(slot, &candidate),
            Some(Unfit::Absent) => {}
            Some(Unfit::Draining) => self.count(|counters| &raw mut counters.draining_skipped),
            Some(Unfit::Stalled) => {
                self.count(|counters| &raw mut counters.stalled_skipped);
                self.stalled = slot + 1;
            }
        }
        Ranked::NONE
    }

    #[inline(always)]
    fn candidate(&self, slot: u32, worker: *const WorkerLoad) -> Candidate {
        // SAFETY: fields of a map value; other CPUs and processes change them, hence volatile.
        let (assigned, released, state, busy_since_ns) = unsafe {
            (
                ptr::read_volatile(&raw const (*worker).assigned),
                ptr::read_volatile(&raw const (*worker).released),
                ptr::read_volatile(&raw const (*worker).state),
                ptr::read_volatile(&raw const (*worker).busy_since_ns),
            )
        };
        Candidate {
            load: load(assigned, released),
            state: WorkerState::from_raw(state),
            busy_since_ns,
            same_cpu: self.cpu_slot == slot + 1,
        }
    }

    #[inline(always)]
    fn count(&self, counter: impl FnOnce(&mut SteerCounters) -> *mut u64) {
        // SAFETY: this CPU's own map value; the program is not preempted by itself.
        unsafe { *counter(&mut *self.counters) += 1 };
    }
}

/// What goes from step to step of a scan.
struct Scan {
    moment: Moment,
    position: u32,
    best: Ranked,
}

/// One step, called by the kernel: written as a loop, its paths would multiply beyond what the verifier follows.
unsafe extern "C" fn scan_step(_step: u32, scan: *mut c_void) -> i64 {
    // SAFETY: the context that `scan` passed, which nothing else refers to meanwhile.
    let scan = unsafe { &mut *scan.cast::<Scan>() };
    scan.best = scan.best.better(scan.moment.at(scan.position));
    scan.position += 1;
    if scan.position >= scan.moment.active {
        scan.position = 0;
    }
    0
}

/// Whether the source of this first packet may not open a connection now. Never inlined, so that the verifier follows
/// the choice of a worker once, not on every path through here.
#[inline(never)]
fn is_refused(ctx: &SkReuseportContext, now_ns: u64, counters: *mut SteerCounters) -> bool {
    let Some(source) = source(ctx) else {
        return false;
    };
    let site = source.site();
    // SAFETY: fields of this CPU's own map value; the program is not preempted by itself. The bucket is a map value.
    unsafe {
        if sources::is_denied(source) {
            *(&raw mut (*counters).denied) += 1;
            return true;
        }
        if sources::is_banned(&site, now_ns) {
            *(&raw mut (*counters).banned) += 1;
            return true;
        }
        let Some(limits) = sources::limits() else {
            return false;
        };
        if !limits.connections.limits() {
            return false;
        }
        let Some(bucket) = bucket(&site) else {
            *(&raw mut (*counters).untracked) += 1;
            return false;
        };
        let refused = !sources::take(bucket, now_ns, &limits.connections);
        if refused {
            *(&raw mut (*counters).connection_rate) += 1;
        }
        refused
    }
}

/// The site's bucket, a full one if it is new. Nothing when the map has no room.
#[inline(always)]
fn bucket(site: &Source) -> Option<*mut u64> {
    if let Some(known) = CONNECTIONS.get_ptr_mut(site) {
        return Some(known);
    }
    // Another CPU may have been faster: then its entry stays.
    let _ = CONNECTIONS.insert(site, 0, BPF_NOEXIST);
    CONNECTIONS.get_ptr_mut(site)
}

/// The source address in the packet's network header.
#[inline(always)]
fn source(ctx: &SkReuseportContext) -> Option<Source> {
    match u16::from_be(ctx.eth_protocol() as u16) {
        ETH_IPV4 => Some(Source::v4(load_from_network_header(ctx, 12)?)),
        ETH_IPV6 => Some(Source::v6(load_from_network_header(ctx, 8)?)),
        _ => None,
    }
}

#[inline(always)]
fn load_from_network_header<const N: usize>(ctx: &SkReuseportContext, offset: u32) -> Option<[u8; N]> {
    let mut bytes = MaybeUninit::<[u8; N]>::uninit();
    // SAFETY: the context, and room for as many bytes as asked for.
    let result = unsafe {
        bpf_skb_load_bytes_relative(ctx.as_ptr(), offset, bytes.as_mut_ptr().cast(), N as u32, BPF_HDR_START_NET)
    };
    if result != 0 {
        return None;
    }
    // SAFETY: the helper filled it.
    Some(unsafe { bytes.assume_init() })
}

/// Reports a stalled worker. Never inlined: the verifier then follows the logger once, not on every path to it.
#[inline(never)]
fn report_stall(slot: u32, now_ns: u64) {
    let Some(worker) = LOADS.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: a field of a map value.
    if due(unsafe { &raw mut (*worker).stall_reported_ns }, now_ns) {
        warn!((), target: TARGET, "worker in slot {} is stalled: new connections avoid it", slot);
    }
}

/// Reports that the kernel's hash had to choose.
#[inline(never)]
fn report_fall_through(active: u32, now_ns: u64) {
    let Some(reported) = REPORTED.get_ptr_mut(0) else {
        return;
    };
    if due(reported, now_ns) {
        warn!((), target: TARGET, "no fit worker among {} active ones: the kernel's hash chose", active);
    }
}

/// Whether the last report is old enough for another. Two CPUs may both find it so; then there are two.
#[inline(always)]
fn due(reported_ns: *mut u64, now_ns: u64) -> bool {
    // SAFETY: callers pass a field of a map value that only this program writes.
    unsafe {
        let last_ns = ptr::read_volatile(reported_ns);
        let due = last_ns == 0 || now_ns.saturating_sub(last_ns) >= REPORT_INTERVAL_NS;
        if due {
            ptr::write_volatile(reported_ns, now_ns);
        }
        due
    }
}

/// Whether the packet is a SYN. Strays and the last step of a SYN-cookie handshake come here too, and open
/// nothing, or what was counted already. `data` begins at the TCP header.
#[inline(always)]
fn opens_connection(ctx: &SkReuseportContext) -> bool {
    let flags = ctx.data() + TCP_FLAGS;
    if flags + 1 > ctx.data_end() {
        return false;
    }
    // SAFETY: inside the packet, as the verifier sees from the line above.
    let flags = unsafe { *(flags as *const u8) };
    flags & TCP_SYN != 0
}

#[inline(always)]
fn random() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_prandom_u32() }
}

/// Adds 1 atomically. The target has no `AtomicU64::fetch_add` because its oldest CPUs return no previous value.
///
/// # Safety
/// `value` points to an aligned `u64` in a map.
#[inline(always)]
unsafe fn increment(value: *mut u64) {
    // SAFETY: the caller's.
    unsafe { asm!("lock *(u64 *)({value} + 0) += {one}", value = in(reg) value, one = in(reg) 1u64) };
}

const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_NOEXIST: u64 = 1;
const BPF_HDR_START_NET: u32 = 1;
const ETH_IPV4: u16 = 0x0800;
const ETH_IPV6: u16 = 0x86dd;
const TCP_FLAGS: usize = 13;
const TCP_SYN: u8 = 0x02;
const TARGET: &str = "postern::steer";

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
