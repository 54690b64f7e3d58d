//! Durations as people write them: `30` (seconds), `500ms`, `30s`, `5m`, `1h`, `7d`, `1h30m`.

use std::time::Duration;

/// The longest duration taken from a person: ten years. Anything above is a slip of the keyboard.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads a duration; a bare number is seconds. The error says what would have been accepted.
pub fn parse(text: &str) -> Result<Duration, String> {
    let total = total_ms(text.trim())
        .ok_or_else(|| format!("`{text}` is not a duration; write for example 30, 500ms, 30s, 5m, 1h30m or 7d"))?;
    let duration = Duration::from_millis(total);
    if duration > DURATION_MAX {
        return Err(format!("`{text}` is more than ten years"));
    }
    Ok(duration)
}

/// Writes a duration with at most two units: `1h 30m`, `12s`, `250ms`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{}ms", duration.subsec_millis());
    }
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = units.iter().position(|&(size, _)| seconds >= size).unwrap_or(units.len() - 1);
    let (size, name) = units[first];
    let rest = units.get(first + 1).map(|&(next, name)| (seconds % size / next, name));
    match rest {
        Some((count, rest_name)) if count > 0 => {
            format!("{}{name} {count}{rest_name}", seconds / size)
        }
        Some(_) | None => format!("{}{name}", seconds / size),
    }
}

fn total_ms(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_ms(unit)?)?)?;
        rest = tail.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

fn unit_ms(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("30", 30_000),
            ("0", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_what_is_accepted() {
        for text in ["", "h", "1x", "-5s", "1.5h", "1h30", "99999999999999999999", "99999999d"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn writes_at_most_two_units() {
        for (ms, text) in [
            (250, "250ms"),
            (12_000, "12s"),
            (60_000, "1m"),
            (5_400_000, "1h 30m"),
            (90_061_000, "1d 1h"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(human(Duration::from_millis(ms)), text);
        }
    }
}
