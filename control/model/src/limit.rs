//! How much may pass: limits as set, the defaults, and what holds in the end with where it comes from.

mod planned;
mod scope;

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::ids::TenantId;
pub use planned::{PlannedLimit, planned};
pub use scope::{LimitKey, LimitScope, ScopeInvalid};

/// A limit as an operator set it. What is `None` is left to the default of its scope.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limit {
    /// Whose.
    pub tenant: TenantId,
    /// What it limits.
    pub scope: LimitScope,
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rps: Option<Allowance>,
    /// Requests let through at once by a limiter that was idle; a tenth of `rps`, at least two, unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Requests in progress at a time; an upgraded connection (WebSocket) is one for as long as it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conns: Option<Allowance>,
    /// Bytes of content a second, both directions together. More is not refused but delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bps: Option<Allowance>,
}

/// So many, or any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// At most so many.
    At(u64),
    /// No limit, also where there is one by default.
    Unlimited,
}

/// What becomes of one bound of a limit. As text: `default`, `none`, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is left to the default.
    Default,
    /// This holds.
    Set(Allowance),
}

/// Why a limit was refused. Names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value}: {expected}")]
pub struct LimitInvalid {
    /// `rps`, `burst`, `conns`, `bps`.
    pub field: &'static str,
    /// What was given, cut to 64 characters.
    pub value: String,
    /// What it may be.
    pub expected: String,
}

/// Where what holds comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// An operator did.
    Set,
}

/// One bound that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bound {
    /// `None`: no limit.
    pub limit: Option<u64>,
    /// Who says so.
    pub origin: Origin,
}

impl Limit {
    /// A limit that sets nothing.
    #[must_use]
    pub const fn new(tenant: TenantId, scope: LimitScope) -> Self {
        Self { tenant, scope, rps: None, burst: None, conns: None, bps: None }
    }

    /// Its place among all limits.
    #[must_use]
    pub fn key(&self) -> LimitKey {
        LimitKey { tenant: self.tenant, scope: self.scope.clone() }
    }

    /// Whether it leaves everything to the defaults.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rps.is_none() && self.burst.is_none() && self.conns.is_none() && self.bps.is_none()
    }

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn check(&self) -> Result<(), LimitInvalid> {
        within("rps", self.rps, 1, RPS_MAX)?;
        within("burst", self.burst.map(Allowance::At), 1, BURST_MAX)?;
        within("conns", self.conns, 1, CONNS_MAX)?;
        within("bps", self.bps, BPS_MIN, BPS_MAX)?;
        if let Some(burst) = self.burst
            && bound(self.rps, default_rps(&self.scope)).limit.is_none()
        {
            let expected = String::from("a burst goes with rps: set both");
            return Err(LimitInvalid { field: "burst", value: burst.to_string(), expected });
        }
        Ok(())
    }
}

impl FromStr for Allowance {
    type Err = String;

    /// `none`, or a number with `k`, `M`, `G` (thousands) or `Ki`, `Mi`, `Gi` (times 1,024) behind it.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        quantity(text).map(Self::At)
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(number) => number.fmt(f),
            Self::Unlimited => f.write_str("none"),
        }
    }
}

impl Serialize for Allowance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(number) => serializer.serialize_u64(*number),
            Self::Unlimited => serializer.serialize_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for Allowance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(NumberOrText)? {
            Either::Number(number) => Ok(Self::At(number)),
            Either::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl Choice {
    /// As a limit keeps it.
    #[must_use]
    pub const fn allowance(self) -> Option<Allowance> {
        match self {
            Self::Default => None,
            Self::Set(allowance) => Some(allowance),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" { Ok(Self::Default) } else { text.parse().map(Self::Set) }
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str("default"),
            Self::Set(allowance) => allowance.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(NumberOrText)? {
            Either::Number(number) => Ok(Self::Set(Allowance::At(number))),
            Either::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

enum Either {
    Number(u64),
    Text(String),
}

struct NumberOrText;

impl de::Visitor<'_> for NumberOrText {
    type Value = Either;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, \"none\" or \"default\"")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Either, E> {
        Ok(Either::Number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Either, E> {
        let unsigned = u64::try_from(number);
        unsigned.map(Either::Number).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_str<E>(self, text: &str) -> Result<Either, E> {
        Ok(Either::Text(text.to_owned()))
    }
}

/// A whole number, perhaps with a unit: `50`, `10k`, `64Ki`.
///
/// # Errors
/// What to write instead.
pub fn quantity(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let number = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    number.ok_or_else(|| String::from("write a whole number, such as 50, 10k, 5M or 64Ki"))
}

fn within(field: &'static str, value: Option<Allowance>, min: u64, max: u64) -> Result<(), LimitInvalid> {
    match value {
        Some(Allowance::At(number)) if !(min..=max).contains(&number) => {
            let expected = format!("must be from {min} to {max}");
            Err(LimitInvalid { field, value: number.to_string(), expected })
        }
        Some(Allowance::At(_) | Allowance::Unlimited) | None => Ok(()),
    }
}

fn bound(set: Option<Allowance>, default: Option<u64>) -> Bound {
    match set {
        Some(Allowance::At(number)) => Bound { limit: Some(number), origin: Origin::Set },
        Some(Allowance::Unlimited) => Bound { limit: None, origin: Origin::Set },
        None => Bound { limit: default, origin: Origin::Default },
    }
}

const fn default_rps(scope: &LimitScope) -> Option<u64> {
    match scope {
        LimitScope::App(_) => Some(APP_RPS_DEFAULT),
        LimitScope::Tenant => Some(TENANT_RPS_DEFAULT),
        LimitScope::User(_) | LimitScope::Source { .. } | LimitScope::SourcePrefix(_) | LimitScope::Other(_) => None,
    }
}

/// 100 ms worth of requests, at least two: with one alone every gap between a request's due time and the next to come would
/// be lost, 7 % of 10/s where requests come 14 ms apart.
fn default_burst(rps: u64) -> u64 {
    (rps / 10).max(2)
}

const UNITS: [(&str, u64); 7] =
    [("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];

/// Requests a second to one application unless set: far above typical use, so that one runaway client or test does not take
/// a relay from all the others.
pub const APP_RPS_DEFAULT: u64 = 50_000;
/// Requests a second of one tenant unless set.
pub const TENANT_RPS_DEFAULT: u64 = 100_000;
/// Ten million a second is 100 ns each: beyond any relay.
pub const RPS_MAX: u64 = 10_000_000;
/// As many at once.
pub const BURST_MAX: u64 = 10_000_000;
/// As many in progress.
pub const CONNS_MAX: u64 = 10_000_000;
/// Slower, a single read of 16 KiB would stop a connection for longer than clients wait.
pub const BPS_MIN: u64 = 1_024;
/// 1 TB/s.
pub const BPS_MAX: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests;
