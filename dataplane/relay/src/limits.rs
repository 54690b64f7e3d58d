//! Every bound of this crate's processes, with the arithmetic behind it.

use std::time::Duration;

/// Workers of one relay. Each has a ring, a listener per address and a slot in `steer`'s arrays.
pub const WORKERS_MAX: u16 = 256;

/// Addresses of `--listen` and `--listen-http` together. With [`WORKERS_MAX`]: at most 4,096 listening sockets.
pub const ADDRESSES_MAX: usize = 16;

/// Connections in each listener's queue; the kernel cuts it to `net.core.somaxconn`. Those waiting while no dataplane runs
/// wait here: 200 ms at 20,000 a second.
pub const LISTEN_BACKLOG: i32 = 4096;

/// Descriptors in one message between supervisor and dataplane. The kernel's bound is 253 (`SCM_MAX_FD`).
pub const DESCRIPTORS_PER_MESSAGE: usize = 128;

/// Bytes of one message between supervisor and dataplane; a Unix socket's send buffer holds 208 KiB by default.
/// The largest, the bootstrap, has a constant size but for the addresses (16 × 64 bytes) and the trust anchor.
pub const HANDOVER_BYTES_MAX: usize = 128 * 1024;

/// The trust anchor's file: one certificate of a few KiB.
pub const TRUST_ANCHOR_BYTES_MAX: usize = 64 * 1024;

/// Control and enrolment connections waiting for the side thread, with at most 64 KiB of first bytes each: 8 MiB.
pub const HANDED_OVER_MAX: usize = 128;

/// Enrolments in progress: each holds a TLS session and at most 128 KiB of messages: 8 MiB.
pub const ENROLMENTS_MAX: usize = 64;
/// Of those, from one source (an IPv4 address, an IPv6 /64): eight sources that send nothing do not keep a ninth out for longer
/// than [`ENROLMENT_TIMEOUT`].
pub const ENROLMENTS_PER_SOURCE_MAX: usize = 8;

/// One enrolment, from the handed-over ClientHello to the reply's last byte.
pub const ENROLMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// An enrolment request or reply.
pub const ENROLMENT_BYTES_MAX: usize = 64 * 1024;

/// Control links in TLS handshake at a time; one link is in use at a time.
pub const CONTROL_HANDSHAKES_MAX: usize = 8;

/// A control link's TLS handshake.
pub const CONTROL_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages waiting to be written to control; a status replaces the one still waiting.
pub const LINK_QUEUE_MAX: usize = 256;

/// A link on which control has been silent for so long is closed. Control pings every 5 s.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(20);

/// Status on change: at most five a second; otherwise every five seconds.
pub const STATUS_INTERVAL_MIN: Duration = Duration::from_millis(200);
/// The longest time between two statuses.
pub const STATUS_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// The shortest time until a state that could not be saved is written again, while nothing changes.
pub const SAVE_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Pauses between attempts to reach control over its Unix socket: doubling between these two, with jitter.
pub const RECONNECT_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
pub const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// A dataplane that lived at least so long is restarted at once; one that did not after a pause.
pub const DATAPLANE_LIFE_MIN: Duration = Duration::from_secs(1);
/// The pause after a dataplane that crashed within [`DATAPLANE_LIFE_MIN`], doubled at each further one.
pub const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);

/// What the supervisor leaves to a draining dataplane beyond the grace period, before it kills it.
pub const DRAIN_MARGIN: Duration = Duration::from_secs(2);

/// The sealed state on disk: a snapshot as control may send it (64 MiB) and the envelope.
pub const STATE_BYTES_MAX: usize = 65 * 1024 * 1024;
const _: () = assert!(STATE_BYTES_MAX > postern_model::link::TO_RELAY_BYTES_MAX);

/// Requests to `--admin-listen` at a time.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// One such request, from accept to the answer's last byte.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Handing a new dataplane its sockets; it does nothing else meanwhile.
pub const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(10);

/// What workers are given to return after the grace period; less than [`DRAIN_MARGIN`].
pub const DRAIN_END_TIME: Duration = Duration::from_secs(1);

/// A ClientHello. With [`HANDSHAKE_TIMEOUT`] it bounds what a connection may cost before TLS.
pub const CLIENT_HELLO_BYTES_MAX: usize = 16 * 1024;
/// From accept to the ClientHello's last byte, and again from there to the end of the TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A kept-alive client connection without a request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// A request head, from its first byte to its last.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// What a client may still send after the answer that closes its connection.
pub const CLOSE_LINGER: Duration = Duration::from_secs(2);
/// Requests sent ahead that are read while an answer is awaited, in bytes; what is beyond stays in the kernel.
pub const PIPELINED_BYTES_MAX: usize = 64 * 1024;
/// Heads and trailers of clients.
pub const HTTP: postern_http::Limits = postern_http::Limits {
    head_bytes_max: 32 << 10,
    fields_max: 128,
    target_bytes_max: 8 << 10,
    chunk_line_bytes_max: 256,
    trailer_bytes_max: 8 << 10,
    body_bytes_max: u64::MAX,
};

const _: () = assert!(HTTP.head_bytes_max == postern_model::settings::HEADER_BYTES_MAX);
const _: () = assert!(HTTP.fields_max == postern_model::settings::HEADERS_MAX);

/// A permit that ends is looked at again after at most so long, for the wall clock may be set meanwhile.
pub const EXPIRY_LOOK_INTERVAL: Duration = Duration::from_secs(3600);
/// The same of one that policies are about: they may go by the time of day, or by how long ago somebody signed in.
pub const POLICY_LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// Requests of one connection whose tokens have an end share one look at the wall clock for so long.
pub const WALL_CLOCK_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A WebSocket whose permit was taken back is told so where a frame ends, and cut after this: half of the second that is
/// promised.
pub const REVOKED_LINGER: Duration = Duration::from_millis(500);

/// Requests in progress on one worker: with at most 66 KiB of head and 64 KiB for replay each, 1.02 GiB if every one were
/// of the largest; typical ones take 2 KiB, 16 MiB. What waits for their clients comes on top: [`CLIENT_QUEUE_BYTES`].
pub const REQUESTS_PER_WORKER_MAX: usize = 8192;
/// Content kept for a second try on another connector.
pub const REPLAY_BYTES_MAX: usize = 64 * 1024;
/// Connectors that one request is tried on.
pub const ATTEMPTS_MAX: usize = 3;
/// What the relay waits beyond the application's own time-out, which the connector watches: it answers first.
pub const BACKEND_TIMEOUT_MARGIN: Duration = Duration::from_secs(10);

/// Between two probes of a tunnel.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(150);
/// A tunnel silent for so long although probed gets no new requests, and those that may be repeated go elsewhere: with
/// one interval, 750 ms after its connector stopped.
pub const TUNNEL_SUSPECT_AFTER: Duration = Duration::from_millis(600);
/// A tunnel silent for so long is cut.
pub const TUNNEL_SILENCE_MAX: Duration = Duration::from_secs(10);

/// Output waiting for one client above which nothing more is taken from the tunnel for it: one send in flight, one to follow.
/// Were there [`REQUESTS_PER_WORKER_MAX`] clients of HTTP/1.1 that read nothing: 192 KiB × 8,192 = 1.5 GiB, and with the piece
/// of at most 64 KiB that may go beyond it for each 2 GiB.
pub const CLIENT_QUEUE_BYTES: usize = 192 * 1024;
/// An answer of stated length up to this is passed on whole.
pub const HELD_BYTES_MAX: u64 = 16 * 1024;

/// From a dataplane's start until all its workers accept; a saved state of 64 MiB takes a few seconds to check.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the dataplane looks whether its workers turn, which they show every second; systemd allows 30 s.
pub const PULSE_INTERVAL: Duration = Duration::from_secs(2);

/// What is queued for control is written within this time at the end of the process.
pub const LINK_CLOSE_TIME: Duration = Duration::from_millis(200);
/// A client that reads nothing for so long is cut.
pub const CLIENT_STALL_MAX: Duration = Duration::from_secs(120);
/// Requests that one connection is answered in a row before the others get their turn.
pub const REQUESTS_IN_A_ROW_MAX: u32 = 32;
/// How often a draining worker looks whether anything is left.
pub const DRAIN_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Sources whose limits are kept apart: sets of [`SOURCE_WAYS`] entries of 64 bytes each, 4 MiB together, made with the
/// first limit on sources. Entries are reused only when they say nothing any more; who finds none shares a bucket.
pub const SOURCE_SETS: usize = 8192;
/// Places of one source.
pub const SOURCE_WAYS: usize = 8;
/// How often limiters' rates are looked at for `postern throttle`.
pub const LIMITS_SAMPLED_EVERY: Duration = Duration::from_secs(1);
/// Content that waits for its turn looks so often whether the limit was changed meanwhile.
pub const PACED_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Requests in progress on one HTTP/2 connection; RFC 9113 advises at least 100.
pub const H2_STREAMS_MAX: u32 = 128;
/// Fields of one HTTP/2 head, decoded, each with 32 bytes of overhead (RFC 9113 §6.5.2): room for what [`HTTP`] allows, so
/// that what is too much is refused by us, with a code and a line in the log, unless it is far too much.
pub const H2_HEAD_BYTES_MAX: u32 = 48 << 10;
/// What one request may send ahead of the tunnel.
pub const H2_STREAM_WINDOW_BYTES: u32 = 512 << 10;
/// What all requests of a connection may send ahead of their tunnels: sixteen whose content nobody takes hold up the others.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// What of one answer waits for its client's window, beyond one piece of at most 16 KiB: with [`H2_STREAMS_MAX`] a client
/// that reads nothing holds 128 × 48 KiB = 6 MiB.
pub const H2_SEND_BUFFER_BYTES: usize = 32 << 10;
/// Requests that a client has reset and that are remembered, or not even looked at yet.
pub const H2_RESETS_PENDING_MAX: usize = 128;
/// Errors that a client may make on streams of its connection, over its whole life: each is answered with a reset.
pub const H2_ERROR_RESETS_MAX: usize = 64;
/// Interim answers (103) that one request is passed.
pub const INTERIM_ANSWERS_MAX: u32 = 16;
/// What an HTTP/2 client may make the relay do without asking for anything: 200 resets or 500 PINGs at once, …
pub const H2_CREDIT_MAX: u32 = 1000;
/// … and 10 resets or 25 PINGs a second from then on.
pub const H2_CREDIT_PER_S: u32 = 50;
/// Every frame of an answer is worth this much again: two window updates for each are ordinary.
pub const H2_CREDIT_PER_ANSWER: u32 = 2;
/// Applications and networks from which requests came, in one status: at about 80 bytes each 80 KB of the link's 4 MiB.
pub const CORPORATE_REPORTED_MAX: usize = 1_000;

/// Applications whose requests one worker counts apart; those beyond share a page by tenant. A page takes 4 KiB and 1 KiB
/// for each stage and doubling of its time, about 20 KiB: 20 MiB a worker if all were used.
pub const APPS_COUNTED_MAX: usize = 1024;
/// Applications with metrics of their own; the others are summed. At most 200 × 7 stages × 14 samples: 2 MB a scrape.
pub const APPS_SHOWN_MAX: usize = 200;
/// Limiters with metrics of their own.
pub const LIMITERS_SHOWN_MAX: usize = 500;
/// Codes of refusals that are counted apart: the catalogue has fewer.
pub const CODES_COUNTED_MAX: usize = 256;
/// Lines of the access log between one worker and the log's thread: 10,000 of 400 bytes, 20 ms at 500,000 a second. Each
/// worker and the log's thread may hold as much.
pub const LANE_BYTES_MAX: usize = 4 << 20;
/// Lines are gathered for so long while more come, to be written together.
pub const LINES_GATHERED_FOR: Duration = Duration::from_millis(20);
/// Lines kept in memory for `postern explain`: about 20,000 requests.
pub const RECENT_BYTES_MAX: usize = 8 << 20;
/// Lines of refused requests, kept longer: about 5,000.
pub const REFUSED_BYTES_MAX: usize = 2 << 20;
/// What is logged of a path, in bytes.
pub const LOGGED_PATH_BYTES_MAX: usize = 1024;
/// What is logged of a host and port.
pub const LOGGED_HOST_BYTES_MAX: usize = 260;
/// Policies that applied to a request, and those that only reported: so many of each are logged.
pub const LOGGED_POLICIES_MAX: usize = 32;
/// What is logged of any other text of a peer's.
pub const LOGGED_TEXT_BYTES_MAX: usize = 256;
/// Lines of one turn of a worker's loop that are formatted before some are handed over.
pub const TURN_LINES_BYTES_MAX: usize = 1 << 20;
/// What the log's thread is given at the process's end to write what is left.
pub const LOG_END_TIME: Duration = Duration::from_millis(500);
/// How long a source that floods is dropped in the kernel.
pub const SOURCE_DROP_TIME: Duration = Duration::from_secs(60);
/// The same source is asked to be dropped at most once in this time, by each process.
pub const SOURCE_DROP_REPEAT: Duration = Duration::from_secs(1);
/// Sources remembered for that.
pub const SOURCES_DROPPED_LATELY_MAX: usize = 1024;
/// The longest that a source is dropped in the kernel at the dataplane's word.
pub const SOURCE_DROP_MAX: Duration = Duration::from_secs(3600);
/// How often is looked whether the database of countries is another file.
pub const GEOIP_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Between two lines in the log about what the kernel refused.
pub const KERNEL_REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Traces of applications' requests at a time.
pub const TRACES_MAX: usize = 4;
/// Requests that one of them has recorded and that control has not asked for yet. It asks every second.
pub const TRACE_QUEUE_MAX: usize = 2_048;
/// What these take, and what is recorded of requests in progress, of one trace: with [`TRACES_MAX`] 32 MiB.
pub const TRACE_HELD_BYTES_MAX: usize = 8 << 20;

/// Sessions that are known, at some 600 bytes each with their groups: 60 MB when a hundred thousand people are at work.
pub const SESSIONS_HELD_MAX: usize = 100_000;
/// How long a session that ended is not asked for again.
pub const SESSION_GONE_KEPT: Duration = Duration::from_secs(30);
/// How often control is told which sessions were used.
pub const SESSIONS_SEEN_INTERVAL: Duration = Duration::from_secs(60);
/// A session's cookie is renewed when it was last so long ago: the idle time is as exact.
pub const COOKIE_RENEWED_AFTER_S: u64 = 60;
/// A connection's client that goes on showing an old one is given the same new one for so long: each is sealed, and requests that
/// were sent before it came show the old one still. Shorter than [`COOKIE_RENEWED_AFTER_S`], so that the idle time stays as exact.
pub(crate) const COOKIE_RENEWED_ALIKE_S: u64 = 10;
const _: () = assert!(COOKIE_RENEWED_ALIKE_S < COOKIE_RENEWED_AFTER_S);
/// An assertion is made anew when it is good for no longer than this. A request may wait for its application so long.
pub(crate) const ASSERTION_RENEWED_BEFORE_S: u64 = 120;
/// Calls to control that are not answered yet; and requests that wait for one of them.
pub const CALLS_MAX: usize = 1_024;
/// A request does not wait longer for control.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of identity processes, and of those that read a directory.
pub const PIPES_MAX: usize = 32;
/// Of one of them: an identity process keeps up to twelve.
pub const PIPES_EACH_MAX: usize = 12;
/// Pieces of at most 16 KiB that wait for one identity process: 2 MiB.
pub const PIPE_PIECES_MAX: usize = 128;
/// A connection of an identity process that is silent for so long is closed; it opens another when it needs one.
pub const PIPE_IDLE_MAX: Duration = Duration::from_secs(300);
/// A handshake of an identity process.
pub const PIPE_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
