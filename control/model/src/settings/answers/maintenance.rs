//! When an application is out of service on purpose.

use super::MAINTENANCE;
use crate::directory::Line;
use crate::settings::{SettingInvalid, unfit};

/// An application that is out of service on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// What users read of it, in the operator's words.
    pub text: Option<Line<MAINTENANCE_BYTES_MAX>>,
    /// When it is said to end. It goes on until it is set to `off` all the same.
    pub until_unix: Option<u64>,
}

impl Maintenance {
    /// `None` for `off`.
    pub(super) fn parse(value: &str) -> Result<Option<Self>, SettingInvalid> {
        let refused = || {
            let expected = "must be off, on, or what users read, one line of at most 256 bytes: \"Upgrade until 2030-01-31T06:00:00Z\"";
            unfit(MAINTENANCE, value, expected)
        };
        match value.trim() {
            "off" => Ok(None),
            "on" => Ok(Some(Self::default())),
            // Meant as a switch: nobody would read it.
            "" | "true" | "false" | "yes" | "no" | "0" | "1" => Err(refused()),
            text => {
                let text: Line<MAINTENANCE_BYTES_MAX> = text.parse().map_err(|_| refused())?;
                let until_unix = until(text.as_str());
                Ok(Some(Self { text: Some(text), until_unix }))
            }
        }
    }
}

/// `… until TIME` at its end.
fn until(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace().rev();
    let time = words.next()?;
    words.next()?.eq_ignore_ascii_case("until").then(|| unix(time.trim_end_matches('.'))).flatten()
}

/// `2030-01-31T06:00Z`, with seconds or without, in seconds since 1970.
fn unix(time: &str) -> Option<u64> {
    let (date, time) = time.strip_suffix('Z')?.split_once('T')?;
    let (mut date, mut time) = (date.split('-'), time.split(':'));
    let year = digits(date.next()?, 4).filter(|year| *year >= 1970)?;
    let month = digits(date.next()?, 2).filter(|month| (1..=12).contains(month))?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31, // every other month
    };
    let day = digits(date.next()?, 2).filter(|day| (1..=days).contains(day))?;
    let hour = digits(time.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = digits(time.next()?, 2).filter(|minute| *minute < 60)?;
    let second = match time.next() {
        Some(second) => digits(second, 2).filter(|second| *second < 60)?,
        None => 0,
    };
    if date.next().is_some() || time.next().is_some() {
        return None;
    }
    // Years that begin in March: a leap day is the last of its year then.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    let days = before + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Bytes of what users read.
const MAINTENANCE_BYTES_MAX: usize = 256;
/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::super::tests::parsed;
    use super::*;

    #[test]
    fn it_is_off_on_or_what_users_read() {
        let of = |value: &str| parsed(&[(MAINTENANCE, value)]).unwrap().maintenance;
        assert_eq!(of("off"), None);
        assert_eq!(of("on"), Some(Maintenance::default()));
        let read = of("We upgrade the wiki until 2030-01-31T06:00:00Z").unwrap();
        assert_eq!(read.text.unwrap().as_str(), "We upgrade the wiki until 2030-01-31T06:00:00Z");
        assert_eq!(read.until_unix, Some(1_896_069_600));
        assert_eq!(of("Back until tonight").unwrap().until_unix, None);
        for wrong in ["", "true", "no", "a\nb", &"a".repeat(257)] {
            assert!(parsed(&[(MAINTENANCE, wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_counted_from_1970() {
        for (time, seconds) in [
            ("1970-01-01T00:00Z", Some(0)),
            ("2000-02-29T12:30:15Z", Some(951_827_415)),
            ("2026-03-01T00:00:00Z", Some(1_772_323_200)),
            ("2100-02-29T00:00Z", None),
            ("2026-13-01T00:00Z", None),
            ("2026-1-01T00:00Z", None),
            ("2026-01-01T24:00Z", None),
            ("2026-01-01T00:00:00:00Z", None),
            ("2026-01-01T00:00", None),
            ("1969-12-31T00:00Z", None),
        ] {
            assert_eq!(unix(time), seconds, "{time}");
        }
    }
}
