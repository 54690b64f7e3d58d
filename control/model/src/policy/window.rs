//! Times of the week. As text: `mon-fri 08:00-18:00 +01:00`, `sat,sun 00:00-24:00 UTC`.

use std::fmt;
use std::str::FromStr;

use crate::directory::as_text;

/// The same hours on some days of each week. The offset from UTC is fixed: it does not follow summer time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeWindow {
    /// One bit for each day on which it begins, Monday the lowest.
    days: u8,
    /// Minutes of the day; below 1,440.
    from_minute: u16,
    /// From 1 to 1,440. Not behind `from_minute`: it ends on the next day.
    to_minute: u16,
    /// Ahead of UTC; below a day.
    offset_minutes: i16,
}

/// Text that is no time window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowInvalid {
    /// Not of the form.
    #[error("{0:?} is not a time window such as \"mon-fri 08:00-18:00 +01:00\" or \"sat,sun 00:00-24:00 UTC\"")]
    Malformed(String),
    /// No such day.
    #[error("{0:?} is not a day: mon, tue, wed, thu, fri, sat, sun")]
    Day(String),
    /// From a time to itself: nothing, or a whole day?
    #[error("it begins when it ends: a whole day is 00:00-24:00")]
    Empty,
}

impl TimeWindow {
    /// Its parts of a week in UTC: from a minute, up to and without another, Monday 00:00 being 0.
    pub(super) fn minutes_utc(self) -> impl Iterator<Item = (u16, u16)> {
        let days = (0..7).filter(move |day| self.days & (1 << day) != 0);
        let length = if self.to_minute > self.from_minute {
            self.to_minute - self.from_minute
        } else {
            self.to_minute + DAY - self.from_minute
        };
        days.flat_map(move |day| {
            let local = i32::from(day * DAY + self.from_minute);
            let start = (local - i32::from(self.offset_minutes)).rem_euclid(i32::from(WEEK));
            let start = u16::try_from(start).unwrap_or(0); // below a week's minutes
            let end = start + length;
            // What goes beyond Sunday goes on at the week's begin.
            [(start, end.min(WEEK)), (0, end.saturating_sub(WEEK))]
        })
        .filter(|(start, end)| start < end)
    }

    /// Whether a second is in it.
    #[must_use]
    pub fn contains(self, unix: u64) -> bool {
        let minute = minute_of_week(unix);
        self.minutes_utc().any(|(start, end)| (start..end).contains(&minute))
    }
}

/// The minute of the week in UTC, Monday 00:00 being 0.
pub(super) fn minute_of_week(unix: u64) -> u16 {
    // 1970 began on a Thursday.
    let minute = (unix / 60 + 3 * u64::from(DAY)) % u64::from(WEEK);
    u16::try_from(minute).unwrap_or(0) // below a week's minutes
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut day = 0;
        let mut first = true;
        while day < 7 {
            let run = (day..7).take_while(|day| self.days & (1 << day) != 0).count();
            if run > 0 {
                f.write_str(if std::mem::take(&mut first) { "" } else { "," })?;
                f.write_str(DAYS[day])?;
            }
            if run > 1 {
                write!(f, "{}{}", if run > 2 { "-" } else { "," }, DAYS[day + run - 1])?;
            }
            day += run.max(1);
        }
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, " {}-{} ", clock(self.from_minute), clock(self.to_minute))?;
        match self.offset_minutes {
            0 => f.write_str("UTC"),
            offset => {
                write!(f, "{}{}", if offset < 0 { '-' } else { '+' }, clock(offset.unsigned_abs()))
            }
        }
    }
}

impl FromStr for TimeWindow {
    type Err = WindowInvalid;

    /// The zone may be left out: UTC then.
    fn from_str(text: &str) -> Result<Self, WindowInvalid> {
        let malformed = || WindowInvalid::Malformed(text.chars().take(64).collect());
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let (days_text, hours, zone) = match parts.as_slice() {
            [days, hours] => (*days, *hours, "UTC"),
            [days, hours, zone] => (*days, *hours, *zone),
            _ => return Err(malformed()), // fewer or more
        };
        let (from, to) = hours.split_once('-').ok_or_else(malformed)?;
        let from_minute = clock(from).filter(|minute| *minute < DAY).ok_or_else(malformed)?;
        let to_minute = match clock(to).ok_or_else(malformed)? {
            0 => DAY,
            minute => minute,
        };
        let offset_minutes = offset(zone).ok_or_else(malformed)?;
        if from_minute == to_minute {
            return Err(WindowInvalid::Empty);
        }
        Ok(Self { days: days(days_text)?, from_minute, to_minute, offset_minutes })
    }
}

as_text!(TimeWindow);

/// `mon-fri`, `sat,sun`, `fri-mon,wed`.
fn days(text: &str) -> Result<u8, WindowInvalid> {
    let day = |name: &str| {
        let found = DAYS.iter().position(|day| *day == name);
        found.ok_or_else(|| WindowInvalid::Day(name.chars().take(16).collect()))
    };
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        for nth in first..=first + length {
            days |= 1 << (nth % 7);
        }
    }
    Ok(days)
}

/// `HH:MM` in minutes, up to 24:00.
fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY).then_some(minute)
}

/// `UTC`, `Z`, `+HH:MM` or `-HH:MM`, up to 14 hours as there are (RFC 3339 §4.2 has the form).
fn offset(text: &str) -> Option<i16> {
    if text == "UTC" || text == "Z" {
        return Some(0);
    }
    let minutes = |rest: &str| clock(rest).filter(|minutes| *minutes <= OFFSET_MAX).and_then(|m| i16::try_from(m).ok());
    match text.split_at_checked(1)? {
        ("+", rest) => minutes(rest),
        ("-", rest) => minutes(rest).map(|minutes| -minutes),
        _ => None, // no sign
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u16 = 24 * 60;
const WEEK: u16 = 7 * DAY;
const OFFSET_MAX: u16 = 14 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_have_one_spelling() {
        for (given, kept) in [
            ("mon-fri 08:00-18:00 +01:00", "mon-fri 08:00-18:00 +01:00"),
            ("sun,sat 00:00-00:00", "sat,sun 00:00-24:00 UTC"),
            ("fri-mon 22:00-06:00 -03:30", "mon,fri-sun 22:00-06:00 -03:30"),
            ("mon,tue,wed 00:00-24:00 Z", "mon-wed 00:00-24:00 UTC"),
        ] {
            let window: TimeWindow = given.parse().unwrap();
            assert_eq!(window.to_string(), kept);
            assert_eq!(kept.parse(), Ok(window));
        }
        for wrong in
            ["", "mon", "mon 8:00-18:00", "mon 08:00-18:60", "mon 24:00-01:00", "mon 08:00-18:00 CET", "mon 08:00 UTC"]
        {
            assert!(matches!(wrong.parse::<TimeWindow>(), Err(WindowInvalid::Malformed(_))), "{wrong}");
        }
        assert_eq!("mo 08:00-18:00".parse::<TimeWindow>(), Err(WindowInvalid::Day("mo".into())));
        assert_eq!("mon 08:00-08:00".parse::<TimeWindow>(), Err(WindowInvalid::Empty));
    }

    #[test]
    fn a_window_covers_its_hours_where_it_is() {
        // 2026-05-04 is a Monday.
        let monday = 1_777_852_800;
        let at = |day: u64, hour: u64, minute: u64| monday + day * 86_400 + hour * 3_600 + minute * 60;
        let office: TimeWindow = "mon-fri 08:00-18:00 +01:00".parse().unwrap();
        assert!(office.contains(at(0, 7, 0)) && office.contains(at(4, 16, 59)));
        assert!(!office.contains(at(0, 6, 59)) && !office.contains(at(4, 17, 0)) && !office.contains(at(5, 10, 0)));
        let night: TimeWindow = "sun 22:00-06:00 UTC".parse().unwrap();
        assert!(night.contains(at(6, 23, 0)) && night.contains(at(0, 5, 59)) && !night.contains(at(0, 6, 0)));
        let early: TimeWindow = "mon 00:00-02:00 +14:00".parse().unwrap();
        assert!(early.contains(at(6, 10, 0)) && !early.contains(at(6, 12, 0)), "it is Sunday still in UTC");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<TimeWindow>();
        }

        #[test]
        fn every_window_reads_back(days in 1u8..128, from in 0u16..1440, to in 1u16..=1440, offset in -840i16..=840, unix in 0u64..4_000_000_000) {
            prop_assume!(from != to);
            let window = TimeWindow { days, from_minute: from, to_minute: to, offset_minutes: offset };
            prop_assert_eq!(window.to_string().parse(), Ok(window));
            // By the local clock, day by day.
            let local = (i64::try_from(unix).unwrap() / 60 + i64::from(offset)).rem_euclid(i64::MAX);
            let (day, minute) = ((local / 1440 + 3) % 7, u16::try_from(local % 1440).unwrap());
            let on = |day: i64| days & (1 << day.rem_euclid(7)) != 0;
            let expected = if from < to { on(day) && (from..to).contains(&minute) }
                else { on(day) && minute >= from || on(day - 1) && minute < to };
            prop_assert_eq!(window.contains(unix), expected);
        }
    }
}
