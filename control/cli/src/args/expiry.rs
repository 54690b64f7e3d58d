//! Ends, as people give them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_service::duration;

use crate::time_text::unix;

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// So long from now.
    In(Duration),
    /// At this second.
    At(u64),
    /// When someone says so.
    Never,
}

impl Expiry {
    /// In seconds since 1970.
    pub(crate) fn unix(self, now: SystemTime) -> Option<u64> {
        match self {
            Self::In(after) => Some((now + after).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
            Self::At(unix) => Some(unix),
            Self::Never => None,
        }
    }
}

/// Reads an end: a span from now, a time, or `never`.
pub(super) fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    let (duration, time) = (duration::parse(text), unix(text));
    let expected = || format!("`{text}` is no end; write for example 30d, 2030-01-31T00:00:00Z or never");
    duration.map(Expiry::In).or_else(|_| time.map(Expiry::At)).map_err(|_| expected())
}
