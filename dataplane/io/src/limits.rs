//! Every bound of the engine, with its arithmetic.

use std::time::Duration;

/// Bytes of one provided receive buffer. Of the TLS records of a stream (16 KiB and their overhead) one in two lies whole
/// in one; the others are put together, which costs a copy.
pub const RECV_BUFFER_BYTES: usize = 32 * 1024;

/// Provided receive buffers of one ring: 32 × 32 KiB = 1 MiB a worker, small enough to stay in L2.
pub const RECV_BUFFERS: u16 = 32;

/// Below this many free provided buffers, what arrives is copied to the heap and the buffer goes
/// straight back: sockets whose readers stall can then never starve the others.
pub const RECV_BUFFERS_LOW: usize = 8;

/// Received bytes a socket may hold unread before its receive is disarmed.
pub const RECV_QUEUE_BYTES_MAX: usize = 128 * 1024;

/// A disarmed receive is armed again below this.
pub const RECV_QUEUE_BYTES_RESUME: usize = 32 * 1024;

/// Output queued on a stream above which [`crate::Stream::writable`] waits.
pub const OUTPUT_HIGH_WATER_BYTES: usize = 256 * 1024;

/// One plaintext segment at least this long is sealed where it lies instead of being copied into
/// the batch of small ones.
pub const SEGMENT_DIRECT_BYTES: usize = 4 * 1024;

/// Spare output buffers kept by a ring, for messages: 64 × 8 KiB = 512 KiB at most, one for each of as many connections
/// that answer in the same turn.
pub const SMALL_SPARES_MAX: usize = 64;
/// See [`SMALL_SPARES_MAX`].
pub const SMALL_SPARE_BYTES_MAX: usize = 8 * 1024;

/// Spare output buffers for streams and for what a turn gathered: 16 × 384 KiB = 6 MiB at most. One holds
/// [`OUTPUT_HIGH_WATER_BYTES`] and the pieces of up to 64 KiB that come on top: once it is that large, a stream's buffer
/// grows, and copies what it has, no more.
pub const LARGE_SPARES_MAX: usize = 16;
/// See [`LARGE_SPARES_MAX`].
pub const LARGE_SPARE_BYTES_MAX: usize = 384 * 1024;

/// Buffers above [`OUTPUT_HIGH_WATER_BYTES`] are multiples of this; the next power of two would be twice what is ever queued.
pub const OUTPUT_STEP_BYTES: usize = 64 * 1024;

/// Submission queue entries of a ring; the completion queue has four times as many.
pub const RING_ENTRIES: u32 = 1024;

/// Tasks polled before the loop looks at the ring again, so that a busy task cannot keep
/// completions waiting.
pub const POLLS_PER_TURN_MAX: usize = 1024;

/// Events that one call to epoll reports; the rest waits for the next.
pub const EVENTS_PER_WAIT_MAX: usize = 256;

/// Receives of one socket in a turn, on epoll: 4 × 32 KiB is [`RECV_QUEUE_BYTES_MAX`].
pub const RECVS_PER_TURN_MAX: usize = 4;

/// Connections accepted from one listener in a turn, on epoll.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// As many turns' worth is taken at once from a listener that is about to close: 64 × 64 is a backlog of 4,096.
pub const ACCEPT_SWEEPS_MAX: usize = 64;

/// A loop that looks at its timers so much after the earliest was due has missed other things as well.
pub const LATE_AFTER: Duration = Duration::from_millis(20);
/// How often such a loop asks the kernel for more before its timers fire: 64 × 20 completions and more.
pub const CATCH_UP_WAITS_MAX: usize = 64;

/// A TLS handshake message larger than this is not collected.
pub const TLS_INCOMING_BYTES_MAX: usize = 64 * 1024;

/// How long output that was queued before a stream was dropped may still take to leave.
pub const LINGER_MS: u64 = 5_000;
