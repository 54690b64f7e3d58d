//! Every bound of single sign-on, with its arithmetic.
//!
//! A ticket that is held takes about 16 KiB (its session, the connector's own ticket, both with what AD says of the user's
//! groups): [`TICKETS_MAX`] take 64 MiB. What waits for a ticket is a request of the connector's and bounded there too.

use std::time::Duration;

/// Tickets held, and refusals remembered, one per user and service.
pub const TICKETS_MAX: usize = 4096;
/// A ticket is used so long at most: a user whom the KDC has locked since is found out then. The relay's own revocation
/// does not wait for it.
pub const TICKET_REUSED_MAX: Duration = Duration::from_secs(3600);
/// A ticket is not used in its last minutes: as much as clocks may differ by.
pub const TICKET_MARGIN: Duration = Duration::from_secs(300);
/// A refusal is remembered so long: a page's many requests ask the KDC once.
pub const REFUSAL_REMEMBERED: Duration = Duration::from_secs(5);
/// Threads that ask KDCs. Each question takes milliseconds, or the library's time-outs where a KDC hangs.
pub const FETCHING_THREADS: usize = 4;
/// Threads that only compute; no KDC holds them up.
pub const PRESENTING_THREADS: usize = 2;
/// Users and services whose ticket waits to be fetched.
pub const FETCHES_WAITING: usize = 256;
/// Requests that wait for one of them.
pub const ASKED_MAX: usize = 1024;
/// Computations that wait.
pub const PRESENTS_WAITING: usize = 1024;
/// A request waits so long for its ticket.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// What a browser may show: a ticket with what AD says of a thousand groups (48,000 bytes, `MaxTokenSize`) is longer than a
/// relay takes.
pub const ACCEPTED_TOKEN_BYTES_MAX: usize = 48 << 10;
