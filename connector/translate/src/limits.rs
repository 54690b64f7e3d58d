//! Every bound of translation, with its arithmetic.
//!
//! One body in translation holds at most: one tag that has not all come ([`HTML_BYTES_MAX`], 2 MiB, in memory that grows twofold;
//! a usual one takes some hundred bytes, and none where it comes in one piece), what is open in a picture (1,024 elements of 16 bytes
//! each), for each of a tag's attributes the translation, which is that of the attribute and [`GROWTH_BYTES_MAX`] at most, a URL in a
//! style sheet or a string
//! ([`URL_BYTES_MAX`]), and a piece of decoded and of translated text ([`DECODED_BYTES`] each, the latter times what URLs grow).
//! A coded one also its codings' states: gzip and deflate 32 KiB and 300 KiB; zstd at most 8 MiB (RFC 9659) and 1 MiB; brotli at
//! most 16 MiB, its largest window, of which it takes what the body fills, and 2 MiB. So a plain or gzip body costs less than
//! 4.5 MiB, most of them 0.5 MiB: 1,024 at once 4.5 GiB if each is the worst, else 0.5 GiB.

/// A header field is translated up to this length: a URL may grow by the longest of hosts and paths, 1.3 KB, and a field with many
/// would become a head that no relay takes.
pub const TRANSLATED_BYTES_MAX: usize = 16 << 10;
/// Decoded bytes that are looked at in one step.
pub const DECODED_BYTES: usize = 32 << 10;
/// A tag of HTML; a page with a larger one passes as it is from there on.
pub const HTML_BYTES_MAX: usize = 2 << 20;
/// So much an attribute with several URLs, or with a style, may grow; one that would grow more passes as it is: two bytes, as of
/// `/a`, can become a kilobyte.
pub const GROWTH_BYTES_MAX: usize = 64 << 10;
/// The host of `<base>`, with its scheme and port.
pub(crate) const BASE_BYTES_MAX: usize = 300;
/// A URL in a style sheet or a string; a longer one passes as it is.
pub const URL_BYTES_MAX: usize = 16 << 10;
/// The zstd window, as its base-2 logarithm: 8 MiB (RFC 9659 §3).
pub(crate) const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Bytes that a coded body may decode to whatever its size.
pub(crate) const DECODED_FREE_BYTES: u64 = 64 << 20;
/// Beyond that: decoded bytes for each coded one. DEFLATE itself ends at 1,032.
pub(crate) const DECODED_RATIO_MAX: u64 = 1_100;
/// Faster than anything else that shrinks text: the backend's own level is not known.
pub(crate) const GZIP_LEVEL: u32 = 1;
/// As [`GZIP_LEVEL`]. Brotli's levels 0 and 1 shrink worse than gzip.
pub(crate) const BROTLI_LEVEL: u32 = 2;
/// The window that brotli writes with, 256 KiB: enough for pages.
pub(crate) const BROTLI_WINDOW_LOG: u32 = 18;
/// As [`GZIP_LEVEL`].
pub(crate) const ZSTD_LEVEL: i32 = 1;
