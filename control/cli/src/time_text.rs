//! Times as people read them: how long ago, or the date in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_service::duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `3m 2s ago`, `in 7d`, or `-` for never.
pub(crate) fn relative_ms(at_unix_ms: u64, now: SystemTime) -> String {
    if at_unix_ms == 0 {
        return "-".into();
    }
    let now_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let distance = |ms: u64| duration::human(whole_seconds(ms));
    match at_unix_ms.checked_sub(now_ms) {
        Some(0) => "now".into(),
        Some(ahead) if ahead >= 1_000 => format!("in {}", distance(ahead)),
        Some(_) => "now".into(),
        None if now_ms - at_unix_ms < 1_000 => "now".into(),
        None => format!("{} ago", distance(now_ms - at_unix_ms)),
    }
}

/// As [`relative_ms`], for seconds.
pub(crate) fn relative(at_unix: u64, now: SystemTime) -> String {
    relative_ms(at_unix.saturating_mul(1_000), now)
}

/// `2026-05-01T12:00:00Z`, or `-` for never.
pub(crate) fn utc(at_unix: u64) -> String {
    let date = i64::try_from(at_unix).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    match date.and_then(|date| date.format(&Rfc3339).ok()) {
        Some(text) if at_unix > 0 => text,
        Some(_) | None => "-".into(),
    }
}

/// Seconds since 1970 of a time in RFC 3339.
pub(crate) fn unix(text: &str) -> Result<u64, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().and_then(|time| u64::try_from(time.unix_timestamp()).ok());
    time.filter(|unix| *unix > 0).ok_or_else(|| "write a time such as 2030-01-31T00:00:00Z".into())
}

/// How long since, without "ago".
pub(crate) fn since_ms(at_unix_ms: u64, now: SystemTime) -> String {
    relative_ms(at_unix_ms, now).trim_end_matches(" ago").to_owned()
}

fn whole_seconds(ms: u64) -> Duration {
    Duration::from_secs(ms / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (at, text) in [
            (0, "-"),
            (1_000_000_000, "now"),
            (999_999_500, "now"),
            (1_000_000_900, "now"),
            (999_878_000, "2m 2s ago"),
            (1_086_400_000, "in 1d"),
        ] {
            assert_eq!(relative_ms(at, now), text, "{at}");
        }
        assert_eq!(utc(1_777_636_800), "2026-05-01T12:00:00Z");
        assert_eq!(utc(0), "-");
        assert_eq!(unix("2026-05-01T14:00:00.5+02:00"), Ok(1_777_636_800));
        for wrong in ["", "2026-05-01", "1969-05-01T00:00:00Z", "tomorrow"] {
            assert!(unix(wrong).is_err(), "{wrong}");
        }
    }
}
