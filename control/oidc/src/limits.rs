//! What is bounded here, and why so.

use std::time::Duration;

/// The provider's description of itself: some 3 KiB in practice.
pub(crate) const DISCOVERY_BYTES_MAX: usize = 64 << 10;
/// Its keys: 100 RSA keys of 4096 bits with certificate chains.
pub(crate) const KEYS_BYTES_MAX: usize = 256 << 10;
/// Three tokens, each with a user's groups in it.
pub(crate) const TOKENS_BYTES_MAX: usize = 64 << 10;
/// One user's claims.
pub(crate) const USER_INFO_BYTES_MAX: usize = 64 << 10;
/// One token: what a token answer holds, less the rest of it.
pub(crate) const TOKEN_BYTES_MAX: usize = 48 << 10;
/// The head of an answer.
pub(crate) const HEAD_BYTES_MAX: usize = 32 << 10;
/// A browser's query: relays refuse request lines beyond this anyway.
pub(crate) const CALLBACK_BYTES_MAX: usize = 16 << 10;
/// A code, or any other parameter of a callback.
pub(crate) const PARAMETER_BYTES_MAX: usize = 8 << 10;

/// Keys in one set. More is no provider's.
pub(crate) const KEYS_MAX: usize = 100;
/// Keys that one token may be tried with: several bear one id only while they are exchanged.
pub(crate) const CANDIDATES_MAX: usize = 8;
/// Groups of one user, and the bytes of each: 256 KiB at most, beyond what an answer can hold.
pub(crate) const GROUPS_MAX: usize = 1_000;
pub(crate) const GROUP_BYTES_MAX: usize = postern_model::external::CLAIMED_GROUP_BYTES_MAX;
/// `sub` by OpenID Connect Core §2; `sid` and `acr` are bounded alike.
pub(crate) const SUBJECT_BYTES_MAX: usize = 255;
/// Audiences of one token.
pub(crate) const AUDIENCES_MAX: usize = 32;

/// How long what was fetched is used. A key that the provider takes out of its set counts no longer than this.
pub(crate) const METADATA_AGE_MAX: Duration = Duration::from_secs(3600);
/// Keys are fetched again for a token that none of them fits, once in this time for each of the two who may ask for it: so
/// nobody makes us hammer the provider, and nobody who sends logout tokens of his own keeps sign-ins from new keys.
pub(crate) const FORCED_FETCH_EVERY: Duration = Duration::from_secs(30);
/// After a failure everybody who waits for the same gets that failure for this time, instead of waiting one after the other.
pub(crate) const FAILURE_HOLDS: Duration = Duration::from_secs(2);

/// From the way to the provider until the way back. Second factors and forgotten passwords take a while.
pub(crate) const PENDING_AGE_MAX_S: u64 = 15 * 60;
/// A logout token is sent at once: older ones are replays, or late.
pub(crate) const LOGOUT_AGE_MAX_S: u64 = 120;
/// Logout tokens remembered: about 1 MiB, and 30 logouts a second for as long as one counts.
pub(crate) const LOGOUTS_REMEMBERED_MAX: usize = 10_000;
/// `id_token_hint` makes a URL of it: beyond this it is left out, for servers refuse such URLs.
pub(crate) const HINT_BYTES_MAX: usize = 4 << 10;

/// What is shown of a peer's words in a log line.
pub(crate) const SHOWN_CHARS_MAX: usize = 160;
