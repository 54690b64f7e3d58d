//! How long an application may take for what, and how large what passes may be. Times are kept in milliseconds.

use super::{AppSettings, BACKEND_TIMEOUT_MS, CONNECT_TIMEOUT_MS, SettingInvalid, unfit};
use crate::limit::quantity;

/// Bounds of one application. What is `None` has none of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppLimits {
    /// `header_timeout`: from when the backend has the whole request to the last byte of its answer's head. Default:
    /// `backend_timeout_ms`, begun anew with every byte.
    pub header_timeout_ms: Option<u32>,
    /// `idle_timeout`: how long nothing may pass either way once the answer's head came. Default: `backend_timeout_ms`,
    /// which does not count while it is the client's turn.
    pub idle_timeout_ms: Option<u32>,
    /// `total_timeout`: the whole exchange, from when the request was let in. Default none.
    pub total_timeout_ms: Option<u32>,
    /// `request_body_bytes_max`: content of a request. Default none.
    pub request_body_bytes_max: Option<u64>,
    /// `request_header_bytes_max`: a request's fields as HTTP/1.1 text. Default what relays take.
    pub request_header_bytes_max: Option<u32>,
    /// `request_headers_max`: a request's fields. Default what relays take.
    pub request_headers_max: Option<u32>,
    /// `response_header_bytes_max`: an answer's fields as HTTP/1.1 text. Default what relays take.
    pub response_header_bytes_max: Option<u32>,
}

impl AppLimits {
    /// Takes a setting if it is one of these.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<bool, SettingInvalid> {
        match name {
            HEADER_TIMEOUT => self.header_timeout_ms = Some(duration(HEADER_TIMEOUT, value)?),
            IDLE_TIMEOUT => self.idle_timeout_ms = Some(duration(IDLE_TIMEOUT, value)?),
            TOTAL_TIMEOUT => self.total_timeout_ms = Some(duration(TOTAL_TIMEOUT, value)?),
            REQUEST_BODY_BYTES_MAX => self.request_body_bytes_max = Some(body_bytes(value)?),
            REQUEST_HEADER_BYTES_MAX => {
                self.request_header_bytes_max = Some(header_bytes(REQUEST_HEADER_BYTES_MAX, value)?);
            }
            REQUEST_HEADERS_MAX => self.request_headers_max = Some(headers(value)?),
            RESPONSE_HEADER_BYTES_MAX => {
                self.response_header_bytes_max = Some(header_bytes(RESPONSE_HEADER_BYTES_MAX, value)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl AppSettings {
    /// How long the backend may take for its answer's head once it has the request.
    #[must_use]
    pub fn head_patience_ms(&self) -> u32 {
        self.limits.header_timeout_ms.unwrap_or(self.backend_timeout_ms)
    }

    /// How long nothing may pass once that head came.
    #[must_use]
    pub fn idle_patience_ms(&self) -> u32 {
        self.limits.idle_timeout_ms.unwrap_or(self.backend_timeout_ms)
    }
}

pub(super) fn backend_timeout(value: &str) -> Result<u32, SettingInvalid> {
    let named = match value {
        "default" => Some(BACKEND_TIMEOUT_DEFAULT_MS),
        "long" => Some(BACKEND_TIMEOUT_LONG_MS),
        _ => milliseconds(value),
    };
    let expected = "must be default (75 s), long (180 s), a duration such as 90s or 3m, or milliseconds, up to 24h";
    named.ok_or_else(|| unfit(BACKEND_TIMEOUT_MS, value, expected))
}

pub(super) fn connect_timeout(value: &str) -> Result<u32, SettingInvalid> {
    let parsed = if value == "default" { Some(CONNECT_TIMEOUT_DEFAULT_MS) } else { milliseconds(value) };
    let expected = "must be default (5 s), a duration such as 500ms or 10s, or milliseconds, up to 24h";
    parsed.ok_or_else(|| unfit(CONNECT_TIMEOUT_MS, value, expected))
}

/// A number alone means milliseconds where the setting's name says so.
fn milliseconds(value: &str) -> Option<u32> {
    value.parse().ok().filter(|ms| (1..=TIME_MS_MAX).contains(ms)).or_else(|| span(value))
}

pub(super) fn duration(name: &'static str, value: &str) -> Result<u32, SettingInvalid> {
    span(value).ok_or_else(|| unfit(name, value, "must be a duration such as 500ms, 90s, 3m or 1h, up to 24h"))
}

/// A whole number and its unit.
fn span(value: &str) -> Option<u32> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let ms = number.parse::<u32>().ok()?.checked_mul(*factor)?;
    (1..=TIME_MS_MAX).contains(&ms).then_some(ms)
}

fn body_bytes(value: &str) -> Result<u64, SettingInvalid> {
    let parsed = quantity(value).ok().filter(|bytes| (1..=BODY_BYTES_MAX).contains(bytes));
    parsed.ok_or_else(|| unfit(REQUEST_BODY_BYTES_MAX, value, "must be bytes from 1, such as 500k, 10M or 64Mi"))
}

fn header_bytes(name: &'static str, value: &str) -> Result<u32, SettingInvalid> {
    let parsed = quantity(value).ok().and_then(|bytes| u32::try_from(bytes).ok());
    let parsed = parsed.filter(|bytes| (HEADER_BYTES_MIN..=HEADER_BYTES_MAX).contains(bytes));
    parsed.ok_or_else(|| unfit(name, value, "must be bytes from 256 to 32Ki, which is what relays take at most"))
}

fn headers(value: &str) -> Result<u32, SettingInvalid> {
    let parsed = value.parse().ok().filter(|count| (1..=HEADERS_MAX).contains(count));
    parsed.ok_or_else(|| unfit(REQUEST_HEADERS_MAX, value, "must be from 1 to 128, which is what relays take at most"))
}

const HEADER_TIMEOUT: &str = "header_timeout";
const IDLE_TIMEOUT: &str = "idle_timeout";
const TOTAL_TIMEOUT: &str = "total_timeout";
const REQUEST_BODY_BYTES_MAX: &str = "request_body_bytes_max";
const REQUEST_HEADER_BYTES_MAX: &str = "request_header_bytes_max";
const REQUEST_HEADERS_MAX: &str = "request_headers_max";
const RESPONSE_HEADER_BYTES_MAX: &str = "response_header_bytes_max";
/// Names.
pub(super) const ALL: [&str; 7] = [
    HEADER_TIMEOUT,
    IDLE_TIMEOUT,
    TOTAL_TIMEOUT,
    REQUEST_BODY_BYTES_MAX,
    REQUEST_HEADER_BYTES_MAX,
    REQUEST_HEADERS_MAX,
    RESPONSE_HEADER_BYTES_MAX,
];

/// How long a backend may be silent unless set.
pub(super) const BACKEND_TIMEOUT_DEFAULT_MS: u32 = 75_000;
const BACKEND_TIMEOUT_LONG_MS: u32 = 180_000;
/// How long connecting may take unless set.
pub(super) const CONNECT_TIMEOUT_DEFAULT_MS: u32 = 5_000;
const UNITS: [(&str, u32); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
/// A day.
const TIME_MS_MAX: u32 = 86_400_000;
/// What nobody uploads in a day.
const BODY_BYTES_MAX: u64 = 1_000_000_000_000_000;
/// Less than the fields that every browser sends.
const HEADER_BYTES_MIN: u32 = 256;
/// A head that relays take.
pub const HEADER_BYTES_MAX: u32 = 32 << 10;
/// Fields of a head that relays take.
pub const HEADERS_MAX: u32 = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn parse(name: &str, value: &str) -> Result<AppSettings, SettingInvalid> {
        AppSettings::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn times_are_words_durations_or_milliseconds() {
        for (value, ms) in [
            ("default", 75_000),
            ("long", 180_000),
            ("10", 10),
            ("75000", 75_000),
            ("250ms", 250),
            ("90s", 90_000),
            ("3m", 180_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(parse("backend_timeout_ms", value).unwrap().backend_timeout_ms, ms, "{value}");
        }
        assert_eq!(parse("connect_timeout_ms", "default").unwrap().connect_timeout_ms, 5_000);
        assert_eq!(parse("connect_timeout_ms", "2s").unwrap().connect_timeout_ms, 2_000);
        assert_eq!(parse("total_timeout", "10m").unwrap().limits.total_timeout_ms, Some(600_000));
    }

    #[test]
    fn silence_is_what_holds_where_nothing_else_is_set() {
        let settings = AppSettings::default();
        assert_eq!((settings.head_patience_ms(), settings.idle_patience_ms()), (75_000, 75_000));
        assert_eq!(settings.limits, AppLimits::default());
        let settings = parse("header_timeout", "10m").unwrap();
        assert_eq!((settings.head_patience_ms(), settings.idle_patience_ms()), (600_000, 75_000));
        let settings = parse("idle_timeout", "5s").unwrap();
        assert_eq!((settings.head_patience_ms(), settings.idle_patience_ms()), (75_000, 5_000));
    }

    #[test]
    fn sizes_are_numbers_with_units() {
        assert_eq!(parse("request_body_bytes_max", "10M").unwrap().limits.request_body_bytes_max, Some(10_000_000));
        let limits = parse("request_header_bytes_max", "8Ki").unwrap().limits;
        assert_eq!(limits.request_header_bytes_max, Some(8192));
        assert_eq!(parse("request_headers_max", "40").unwrap().limits.request_headers_max, Some(40));
        let limits = parse("response_header_bytes_max", "4k").unwrap().limits;
        assert_eq!(limits.response_header_bytes_max, Some(4_000));
    }

    #[test]
    fn unfit_values_are_refused_by_name() {
        for (name, value) in [
            ("backend_timeout_ms", "0"),
            ("backend_timeout_ms", "0s"),
            ("backend_timeout_ms", "25h"),
            ("backend_timeout_ms", "86400001"),
            ("backend_timeout_ms", "longer"),
            ("backend_timeout_ms", "3 m"),
            ("backend_timeout_ms", "-1"),
            ("connect_timeout_ms", "long"),
            ("connect_timeout_ms", "s"),
            ("header_timeout", "90"),
            ("header_timeout", "1.5s"),
            ("idle_timeout", "0s"),
            ("idle_timeout", "99999999999h"),
            ("total_timeout", "none"),
            ("request_body_bytes_max", "0"),
            ("request_body_bytes_max", "10MB"),
            ("request_body_bytes_max", "2000000G"),
            ("request_header_bytes_max", "255"),
            ("request_header_bytes_max", "33Ki"),
            ("request_headers_max", "0"),
            ("request_headers_max", "129"),
            ("response_header_bytes_max", "1M"),
        ] {
            let error = parse(name, value).unwrap_err();
            assert_eq!(error.name(), name, "{value}");
            assert!(error.to_string().starts_with(&format!("{name}={value}: must be ")), "{error}");
        }
        let error = parse("header_timeuot", "5s").unwrap_err().to_string();
        assert!(error.ends_with("did you mean header_timeout?"), "{error}");
    }
}
