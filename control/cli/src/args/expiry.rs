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

/// Reads a moment: so long ago, or a time. In milliseconds since 1970.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let ago = |ago: Duration| {
        let then = SystemTime::now().checked_sub(ago).and_then(|then| then.duration_since(UNIX_EPOCH).ok());
        then.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    };
    let time = || unix(text).map(|seconds| seconds.saturating_mul(1_000));
    let expected = || format!("`{text}` is no time; write for example 24h, for a day ago, or 2030-01-31T00:00:00Z");
    duration::parse(text).map(ago).or_else(|_| time()).map_err(|_| expected())
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
