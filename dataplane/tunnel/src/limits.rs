//! Every bound of one tunnel end, with the arithmetic of what it may hold in memory.
//!
//! Received and not yet consumed: each of 1,024 streams may hold its initial window, 1,024 × 64 KiB = 64 MiB, and all
//! of them together what they drew from the pool, 64 MiB: 128 MiB in all. That is reached only if every consumer stalls
//! while the peer fills every window; a tunnel whose consumers keep up holds one chunk per stream.
//!
//! Queued for sending: `output_budget` 256 KiB of payload, and 64 KiB more for small pieces; OPEN frames stop at
//! `output_bytes_max` = 16 MiB, and a peer that makes us queue twice that (heads, cancels) while it does not read is cut off.
//! Control frames coalesce: at most one CREDIT per stream (1,024 × 13 bytes), one PROBE_REPLY, and one 256 KiB part
//! of a CONFIG a turn.
//!
//! Assembled: one frame (64 KiB + 1 KiB) and one CONFIG (`config_bytes_max` = 16 MiB).

use std::time::Duration;

/// The bounds of one tunnel end. Those that concern the peer are told to it in HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams open at once, at most [`STREAMS_MAX`].
    pub streams_max: u16,
    /// Window of a new stream in bytes, from [`WINDOW_MIN`] to [`WINDOW_MAX`].
    pub stream_window: u32,
    /// What a stream's window may grow to: 100 ms × 1 Gbit/s is 12.5 MB.
    pub stream_window_max: u32,
    /// What all windows together may grow by, above `stream_window` each.
    pub window_pool_bytes: u32,
    /// One request, response or trailer head as the peer may send it, at most [`HEAD_BYTES_MAX`].
    pub head_bytes_max: u32,
    /// One configuration as the relay may send it.
    pub config_bytes_max: u32,
    /// Interim responses (1xx) of one stream.
    pub informational_max: u8,
    /// Payload bytes accepted for sending between two calls of `poll_output`, at least [`OUTPUT_BUDGET_MIN`].
    pub output_budget: usize,
    /// Bytes of all kinds queued for sending: above it nothing is opened any more; a peer that does not read and causes
    /// twice as many is cut off.
    pub output_bytes_max: usize,
    /// How long the peer may take for its HELLO.
    pub hello_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: 1024,
            stream_window: 64 * 1024,
            stream_window_max: 12_500_000,
            window_pool_bytes: 64 * 1024 * 1024,
            head_bytes_max: HEAD_BYTES_MAX,
            config_bytes_max: 16 * 1024 * 1024,
            informational_max: 16,
            output_budget: 256 * 1024,
            output_bytes_max: 16 * 1024 * 1024,
            hello_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The most payload that this end can be made to hold at once, in bytes.
    #[must_use]
    pub fn received_bytes_max(&self) -> u64 {
        u64::from(self.streams_max) * u64::from(self.stream_window) + u64::from(self.window_pool_bytes)
    }

    /// Panics where a value makes no sense: limits are constants of a program, not input.
    pub(crate) fn check(&self) {
        assert!((1..=STREAMS_MAX).contains(&self.streams_max), "streams_max is out of range");
        assert!((WINDOW_MIN..=WINDOW_MAX).contains(&self.stream_window), "stream_window is out of range");
        assert!(
            (self.stream_window..=WINDOW_MAX).contains(&self.stream_window_max),
            "stream_window_max is out of range"
        );
        assert!((1..=HEAD_BYTES_MAX).contains(&self.head_bytes_max), "head_bytes_max is out of range");
        assert!(self.output_budget >= OUTPUT_BUDGET_MIN, "output_budget is too small");
        assert!(self.output_bytes_max >= 2 * self.output_budget, "output_bytes_max is below two budgets");
    }
}

/// Slots are numbered in 12 bits of a stream id, and 0 is the tunnel itself.
pub const STREAMS_MAX: u16 = 4095;
/// A head must fit one frame.
pub const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// The smallest initial window a peer may state.
pub const WINDOW_MIN: u32 = 4 * 1024;
/// The largest window there is.
pub const WINDOW_MAX: u32 = 16 * 1024 * 1024;
/// The smallest output budget: one quantum.
pub const OUTPUT_BUDGET_MIN: usize = QUANTUM_MAX;
/// A piece of payload this long is handed out as it is; a shorter one is copied beside its header.
pub const UNCOPIED_BYTES_MIN: usize = 4 * 1024;

/// Payload of one DATA frame, and of one CONFIG frame.
pub(crate) const DATA_BYTES_MAX: usize = 64 * 1024;
/// OPEN carries a description of the request before its head.
pub(crate) const OPEN_META_BYTES_MAX: usize = 255;
/// Payload of frames that are neither heads nor DATA nor CONFIG.
pub(crate) const CONTROL_BYTES_MAX: usize = 1024;
/// What a stream may send in its turn while others wait.
pub(crate) const QUANTUM_MAX: usize = 64 * 1024;
/// The least a waiting stream is woken for.
pub(crate) const QUANTUM_MIN: usize = 4 * 1024;
/// What a stream that sent nothing yet in this turn may send although the budget is spent: small answers do not wait for large ones.
pub(crate) const SMALL_BYTES: usize = 4 * 1024;
/// The sum of such small pieces beyond the budget.
pub(crate) const SMALL_RESERVE: usize = 64 * 1024;
/// A CREDIT frame is due at a quarter of the window, or at this.
pub(crate) const CREDIT_STEP_MAX: u32 = 256 * 1024;
/// A CONFIG up to this goes at once, one a turn; that is some eighty applications.
pub(crate) const EXPRESS_CONFIG_BYTES: usize = 32 * 1024;
/// From this round trip on a new stream's window is larger at once: growing costs it a round trip for each doubling.
pub(crate) const FAR: Duration = Duration::from_millis(5);
/// By so much, while the pool is full; by this share of what is left of it when that is less.
pub(crate) const FAR_GROWTH: u32 = 1024 * 1024;
pub(crate) const FAR_SHARE: u32 = 32;
/// What the fastest stream carries: 500 MB/s, 4 Gbit/s. One core opens and seals TLS no faster.
pub(crate) const BYTES_PER_US_MAX: u32 = 500;
/// Growth below this is not worth a frame.
pub(crate) const GROWTH_MIN: u32 = 16 * 1024;
/// Free text in CANCEL and GO_AWAY.
pub(crate) const DETAIL_BYTES_MAX: usize = 255;
/// The name and version of a peer's software in HELLO.
pub(crate) const SOFTWARE_BYTES_MAX: usize = 255;
/// Probes that may be on their way at once; older ones are forgotten.
pub(crate) const PROBES_MAX: usize = 16;
/// What frames for finished streams may cost, headers included, before any stream has finished; each one closed adds to it.
pub(crate) const LATE_BYTES_BASE: u64 = 256 * 1024;
/// CREDIT, CANCEL and REVOKE frames that may be on their way when a stream is closed.
pub(crate) const LATE_BYTES_PER_STREAM: u64 = 16 * 1024;
/// A byte of payload that is on its way costs at most this, when each byte has a frame of its own.
pub(crate) const LATE_BYTES_PER_CREDIT: u64 = 10;
/// Where the allowance for late frames stops growing.
pub(crate) const LATE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// The round trip assumed while none was measured: the one windows are sized for.
pub(crate) const RTT_ASSUMED: Duration = Duration::from_millis(100);
/// Below this a round trip is lost in the scheduling of both ends.
pub(crate) const RTT_FLOOR: Duration = Duration::from_millis(1);
