//! What both programs know about sources: who is denied, who is dropped for a while, and how a token is taken.

use core::{arch::asm, ptr};

use aya_ebpf::{
    macros::map,
    maps::{Array, LpmTrie, LruHashMap, lpm_trie::Key},
};
use postern_ebpf_common::{
    BANS_MAX, DENIED_MAX, SOURCE_BITS, Source, SourceLimits,
    bucket::{self, Rate},
};

#[map]
static LIMITS: Array<SourceLimits> = Array::pinned(1, 0);
#[map]
static DENIED: LpmTrie<Source, u32> = LpmTrie::pinned(DENIED_MAX, 0);
#[map]
static BANS: LruHashMap<Source, u64> = LruHashMap::pinned(BANS_MAX, 0);

#[inline(always)]
pub(crate) fn limits() -> Option<&'static SourceLimits> {
    LIMITS.get(0)
}

#[inline(always)]
pub(crate) fn is_denied(source: Source) -> bool {
    DENIED.get(Key::new(SOURCE_BITS, source)).is_some()
}

/// Whether `site` is to be dropped at this time.
#[inline(always)]
pub(crate) fn is_banned(site: &Source, now_ns: u64) -> bool {
    match BANS.get_ptr(site) {
        // SAFETY: a map value; should the map give its place to another site meanwhile, that one's time is read.
        Some(until_ns) => now_ns < unsafe { ptr::read_volatile(until_ns) },
        None => false,
    }
}

/// Takes a token, or says that there is none. Who loses the race for the word again and again is let through: others
/// were granted meanwhile, so the rate is kept by them.
///
/// # Safety
/// `bucket` points to an aligned word of a map value.
#[inline(always)]
pub(crate) unsafe fn take(bucket: *mut u64, now_ns: u64, rate: &Rate) -> bool {
    for _ in 0..ATTEMPTS {
        // SAFETY: the caller's; other CPUs change it, hence volatile.
        let seen = unsafe { ptr::read_volatile(bucket) };
        let Some(next) = bucket::take(seen, now_ns, rate) else {
            return false;
        };
        // SAFETY: the caller's.
        if unsafe { compare_exchange(bucket, seen, next) } {
            return true;
        }
    }
    true
}

/// Puts `next` there if `seen` is. The target has no `AtomicU64::compare_exchange`: its oldest CPUs have no such
/// instruction. Kernels have it since 5.12.
///
/// # Safety
/// `word` points to an aligned word of a map value.
#[inline(always)]
unsafe fn compare_exchange(word: *mut u64, seen: u64, next: u64) -> bool {
    let found: u64;
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {next})",
            word = in(reg) word,
            next = in(reg) next,
            inout("r0") seen => found,
        );
    }
    found == seen
}

const ATTEMPTS: u32 = 4;
