//! Every bound of the connector, with its arithmetic.
//!
//! Tunnels: at most 8 relays × 64 workers. Each is bounded by `postern_tunnel::Limits`: 1,024 streams that may hold 64 KiB
//! each of request body, and 64 MiB of grown windows, reached only if every backend stalls while every client sends.
//!
//! A request in progress holds its head (≤ 32 KiB). A stalled upload holds its window (64 KiB) and what the backend's socket
//! has not taken yet (≤ `OUTPUT_HIGH_WATER_BYTES` of the engine, 256 KiB, and one piece more): 1,024 cost at most
//! 1,024 × (64 + 256 + 64) KiB = 384 MiB. A stalled download holds what the engine lets a socket hold unread (128 KiB and one
//! buffer of 32 KiB) and one piece that waits for room in the tunnel (a buffer of 32 KiB, with TLS also the record of 16 KiB that
//! began before it): 1,024 cost at most 1,024 × (160 + 48) KiB = 208 MiB. Either one takes less than 0.5 MiB.
//!
//! An answer whose content is translated (`translate_body`) holds up to 4.5 MiB more, in brotli and zstd more than that:
//! `postern_translate::limits` has the sum. It holds nothing of what the backend sends meanwhile.
//!
//! A connection through an `https://` proxy crosses a pair of sockets, each way with what the engine lets a socket hold (256 KiB and
//! one piece) once more.
//!
//! Backend connections: `backend_connections_max` of the application over all workers (default 200), each worker its
//! equal share, at least one. An idle connection holds no buffer. Waiting requests: [`WAITERS_MAX`] per application and
//! worker, each for at most the application's connect time-out. Both hold for each segment of an application by itself, for each
//! member of a farm (at most 16), and below a wildcard for each of up to [`WILDCARD_HOSTS_MAX`] hosts: where one worker has no room
//! for another, the request gets 503.

use std::time::Duration;

/// Relays of one connector.
pub const RELAYS_MAX: usize = 8;
/// `--workers`.
pub const WORKERS_MAX: u16 = 64;
/// Workers unless `--workers` says otherwise: 4 carry several GB/s, and each costs 1 MiB of receive buffers.
pub const WORKERS_DEFAULT_MAX: u16 = 4;
/// Workers of one relay that are dialled: more tunnels than that to one relay would only cost memory.
pub const RELAY_WORKERS_MAX: u16 = 64;

/// First wait after a lost tunnel or a failed dial; it doubles up to [`BACKOFF_MAX`], each time jittered to 50–100 %.
pub const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait between two dials.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A tunnel that lived so long was good: its loss begins a new series of waits.
pub const TUNNEL_GOOD_AFTER: Duration = Duration::from_secs(5);
/// TCP and TLS of one dial, name resolution apart.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// A tunnel silent for so long is probed by the connector.
pub const SILENCE_PROBED: Duration = Duration::from_secs(5);
/// A tunnel silent for so long although it was probed is dead.
pub const SILENCE_DEAD: Duration = Duration::from_secs(15);
/// How often a tunnel looks at its clocks and reports its status.
pub const TUNNEL_TICK: Duration = Duration::from_secs(1);
/// Reads of one tunnel handled before other tasks get their turn.
pub const TUNNEL_READS_PER_TURN: usize = 16;

/// Commands waiting for one worker: dials (≤ relays × their workers), tables and state changes.
pub const WORKER_MAILBOX: usize = 2048;
/// Reports of tunnels waiting for the dialler: a few per tunnel.
pub const REPORTS_MAILBOX: usize = 4096;
/// Different group configurations waiting to be verified, each at most 16 MiB.
pub const CONFIG_BYTES_WAITING: usize = 64 << 20;

/// Requests of one application that wait for a backend connection, per worker.
pub const WAITERS_MAX: usize = 1024;
/// Hosts below one wildcard that are asked for at once, per worker.
pub const WILDCARD_HOSTS_MAX: usize = 256;
/// A pooled backend connection unused for so long is closed: below the 75 s after which common servers close it.
pub const BACKEND_IDLE: Duration = Duration::from_secs(60);
/// A request waits at most so long for a configuration that came before it to be verified, or that names its application. As long,
/// an application that left is there for relays' workers that do not know of it yet.
pub const CONFIG_PATIENCE: Duration = Duration::from_secs(1);
/// How often idle backend connections are looked at.
pub const BACKEND_SWEEP: Duration = Duration::from_secs(1);
/// Addresses of one name that are tried, of relays and by checks, one after the other.
pub const ADDRESSES_TRIED_MAX: usize = 4;
/// Addresses of a backend's name that are kept, and tried.
pub const BACKEND_ADDRESSES_MAX: usize = 16;
/// An address of a backend that does not answer for so long is not waited for any longer before the next one is tried beside it
/// (RFC 8305 §5).
pub const CONNECT_STAGGER: Duration = Duration::from_millis(250);
/// Request body pieces shorter than this are joined while they wait, so that they cannot pin large receive buffers.
pub const PIECE_JOINED_BELOW: usize = 4 * 1024;

/// Steps of at most 32 KiB in which content is translated before other tasks get their turn: about a millisecond.
pub const TRANSLATED_STEPS_PER_TURN: usize = 8;

/// Requests at a time on one HTTP/2 connection to a backend, if the backend takes as many.
pub const HTTP2_REQUESTS_MAX: usize = 100;
/// What a backend may send ahead for one request; what is not passed on yet waits here.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What a backend may send ahead on one connection.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// What of one request's body waits for the backend's window.
pub const HTTP2_SEND_BUFFER_BYTES: usize = 64 << 10;
/// Fields of one head from a backend over HTTP/2, decoded.
pub const BACKEND_HEAD_BYTES_MAX: u32 = 32 << 10;

/// One exchange of a sign-in by a form, in all.
pub const ASK_PATIENCE: Duration = Duration::from_secs(20);
/// A page with a sign-in form.
pub const ASKED_BYTES_MAX: usize = 512 << 10;

/// Checks that control asks for, at once: each takes a thread and less than 1 MiB.
pub const CHECKS_MAX: usize = 2;
/// Between the beginnings of two checks of one application: the second waits. With [`CHECKS_MAX`] none waits longer than this, and
/// there is time enough left to look.
pub const CHECK_PAUSE: Duration = Duration::from_secs(3);

/// A member of a farm that could not be connected to is tried after all others for so long.
pub const MEMBER_OUT: Duration = Duration::from_secs(10);

/// What a proxy was told of who asks and did not take is not said to it again for so long; it doubles up to
/// [`PROXY_LOGIN_PAUSE_MAX`]. Ten failures in half an hour are fewer than lock an account anywhere.
pub const PROXY_LOGIN_PAUSE_MIN: Duration = Duration::from_secs(30);
/// The longest time that a name and password rest.
pub const PROXY_LOGIN_PAUSE_MAX: Duration = Duration::from_secs(600);
/// A connection through an `https://` proxy whose near side has ended waits so long for what is still on its way.
pub const PROXY_LINGER: Duration = Duration::from_secs(10);
/// Connections through one proxy that wait for a Kerberos ticket to it.
pub const PROXY_TICKETS_WAITING: usize = 64;
/// Proxies for backends that a connector knows by name.
pub const BACKEND_PROXIES_MAX: usize = 64;

/// How long a resolved backend name is used without asking again.
pub const RESOLVED_FOR: Duration = Duration::from_secs(30);
/// How long it is used while it cannot be resolved again: an address may be another host's by then.
pub const RESOLVED_OLD_FOR: Duration = Duration::from_secs(3_600);
/// So long an answer is waited for where an old one will do.
pub const RESOLVED_PATIENCE: Duration = Duration::from_millis(200);
/// After a look-up that failed the name is not asked for again for so long.
pub const UNRESOLVED_FOR: Duration = Duration::from_secs(3);
/// Names that one worker remembers.
pub const RESOLVED_MAX: usize = 1024;
/// Look-ups of different names waiting for the resolver's threads.
pub const LOOKUPS_WAITING: usize = 256;
/// Threads for look-ups, one name at a time each: a name server that hangs holds up its names, not all.
pub const RESOLVER_THREADS: usize = 4;
/// Look-ups of names below wildcards, which users choose, waiting for threads of their own.
pub const CHOSEN_LOOKUPS_WAITING: usize = 32;
/// These threads.
pub const CHOSEN_RESOLVER_THREADS: usize = 2;

/// How often the files of client certificates are looked at: they are replaced days before they expire.
pub const CLIENT_CERTIFICATES_REREAD: Duration = Duration::from_secs(30);

/// Records waiting for the transaction log's writer, about 300 bytes each: 2.4 MiB. Beyond it they are dropped and counted.
pub const TRANSACTIONS_WAITING: usize = 8192;
/// A path in the transaction log is cut to this.
pub const TRANSACTION_PATH_BYTES: usize = 256;

/// One exchange with a relay's enrolment service, in all.
pub const ENROL_TIMEOUT: Duration = Duration::from_secs(20);
/// Clocks that differ by more are warned about.
pub const CLOCK_SKEW_WARNED: Duration = Duration::from_secs(60);
/// A group configuration on disk.
pub const CONFIG_FILE_BYTES_MAX: u64 = 64 << 20;

/// Connections of the admin listener served at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 8;
