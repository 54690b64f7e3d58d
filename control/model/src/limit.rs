//! How much may pass: limits as set, the defaults, and what holds in the end with where it comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::ids::{AppId, Name, TenantId};
use crate::prefix::IpPrefix;
use crate::snapshot::Snapshot;

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
    /// Requests let through at once by a limiter that was idle; a tenth of `rps` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Requests in progress at a time; an upgraded connection (WebSocket) is one for as long as it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conns: Option<Allowance>,
    /// Bytes of content a second, both directions together. More is not refused but delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bps: Option<Allowance>,
}

/// What a limit is about. As text: `tenant`, `app/a1-7`, `app/a1-7/source`, `user/alice`, `source`, `source/10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitScope {
    /// All requests of a tenant together.
    Tenant,
    /// All requests to an application together.
    App(AppId),
    /// All requests of a user together.
    User(Name),
    /// Each source address (IPv6: each /64) by itself; with an application, only its requests.
    Source {
        /// To this application only.
        app: Option<AppId>,
    },
    /// All addresses of a prefix together. They are not counted as [`LimitScope::Source`] without an application then.
    SourcePrefix(IpPrefix),
    /// A scope of a newer version: kept, not applied.
    Other(Box<str>),
}

/// A tenant's scope: one limit each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKey {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub scope: LimitScope,
}

/// So many, or any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// At most so many.
    At(u64),
    /// No limit, also where there is one by default.
    Unlimited,
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

/// A limit with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedLimit {
    /// Whose and what.
    pub key: LimitKey,
    /// As people call it: `app/wiki`.
    pub name: String,
    /// Requests a second.
    pub rps: Bound,
    /// Requests at once.
    pub burst: Bound,
    /// Requests in progress.
    pub conns: Bound,
    /// Bytes a second.
    pub bps: Bound,
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

impl PlannedLimit {
    fn new(key: LimitKey, name: String, set: Option<&Limit>) -> Self {
        let empty = Limit::new(key.tenant, key.scope.clone());
        let set = set.unwrap_or(&empty);
        let rps = bound(set.rps, default_rps(&key.scope));
        let burst = match (set.burst, rps.limit) {
            (Some(burst), Some(_)) => Bound { limit: Some(burst), origin: Origin::Set },
            (None, Some(rps)) => Bound { limit: Some(default_burst(rps)), origin: Origin::Default },
            (Some(_) | None, None) => Bound { limit: None, origin: Origin::Default },
        };
        Self { rps, burst, conns: bound(set.conns, None), bps: bound(set.bps, None), key, name }
    }

    /// Where it comes from as a whole: set as soon as one of its bounds is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let bounds = [self.rps, self.burst, self.conns, self.bps];
        if bounds.iter().any(|bound| bound.origin == Origin::Set) { Origin::Set } else { Origin::Default }
    }

    /// Why it is not applied, if it is not.
    #[must_use]
    pub const fn not_in_use(&self) -> Option<&'static str> {
        match &self.key.scope {
            LimitScope::User(_) => Some("not in use: there are no users yet"),
            LimitScope::Other(_) => Some("not in use: this version does not know its scope"),
            LimitScope::Tenant | LimitScope::App(_) | LimitScope::Source { .. } | LimitScope::SourcePrefix(_) => None,
        }
    }
}

/// Every limit that holds: one for each tenant and application, and what else was set.
#[must_use]
pub fn planned(snapshot: &Snapshot) -> Vec<PlannedLimit> {
    let tenants = snapshot.tenants.keys().map(|id| LimitKey { tenant: *id, scope: LimitScope::Tenant });
    let apps = snapshot.apps.keys().map(|id| LimitKey { tenant: id.tenant, scope: LimitScope::App(*id) });
    let mut all: BTreeMap<LimitKey, Option<&Limit>> = tenants.chain(apps).map(|key| (key, None)).collect();
    all.extend(snapshot.limits.iter().map(|(key, limit)| (key.clone(), Some(limit))));
    all.into_iter()
        .map(|(key, set)| {
            let name = key.scope.name(snapshot);
            PlannedLimit::new(key, name, set)
        })
        .collect()
}

impl LimitScope {
    /// As people write it: applications by name.
    #[must_use]
    pub fn name(&self, snapshot: &Snapshot) -> String {
        let app = |id: &AppId| {
            let name = snapshot.apps.get(id).map(|app| app.name.to_string());
            name.unwrap_or_else(|| id.to_string())
        };
        match self {
            Self::App(id) => format!("app/{}", app(id)),
            Self::Source { app: Some(id) } => format!("app/{}/source", app(id)),
            Self::Tenant | Self::User(_) | Self::Source { app: None } | Self::SourcePrefix(_) | Self::Other(_) => {
                self.to_string()
            }
        }
    }

    /// Reads what people write; `app` finds an application by its name or id.
    ///
    /// # Errors
    /// What `app` says, or the forms that there are.
    pub fn parse<E: From<ScopeInvalid>>(text: &str, app: impl Fn(&str) -> Result<AppId, E>) -> Result<Self, E> {
        let invalid = |reason: Option<String>| E::from(ScopeInvalid::new(text, reason));
        match text.split_once('/') {
            None => match text {
                "tenant" => Ok(Self::Tenant),
                "source" => Ok(Self::Source { app: None }),
                _ => Err(invalid(None)),
            },
            Some(("app", name)) => match name.split_once('/') {
                None => Ok(Self::App(app(name)?)),
                Some((name, "source")) => Ok(Self::Source { app: Some(app(name)?) }),
                Some(_) => Err(invalid(None)),
            },
            Some(("user", name)) => {
                name.parse().map(Self::User).map_err(|error: crate::ids::IdInvalid| invalid(Some(error.to_string())))
            }
            Some(("source", prefix)) => prefix
                .parse()
                .map(Self::SourcePrefix)
                .map_err(|error: crate::prefix::PrefixInvalid| invalid(Some(error.to_string()))),
            Some(_) => Err(invalid(None)),
        }
    }

    /// The application it is about.
    #[must_use]
    pub const fn app(&self) -> Option<AppId> {
        match self {
            Self::App(id) => Some(*id),
            Self::Source { app } => *app,
            Self::Tenant | Self::User(_) | Self::SourcePrefix(_) | Self::Other(_) => None,
        }
    }
}

/// Text that names nothing that can be limited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not something to limit{}: write app/NAME, app/NAME/source, tenant, user/NAME, source or source/PREFIX",
    reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
)]
pub struct ScopeInvalid {
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What is wrong with a part of it.
    pub reason: Option<String>,
}

impl ScopeInvalid {
    fn new(text: &str, reason: Option<String>) -> Self {
        Self { text: text.chars().take(64).collect(), reason }
    }
}

impl fmt::Display for LimitScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::App(id) => write!(f, "app/{id}"),
            Self::User(name) => write!(f, "user/{name}"),
            Self::Source { app: None } => f.write_str("source"),
            Self::Source { app: Some(id) } => write!(f, "app/{id}/source"),
            Self::SourcePrefix(prefix) => write!(f, "source/{prefix}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Serialize for LimitScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitScope {
    /// Never fails: what this version does not know is kept as [`LimitScope::Other`], so that an older relay goes on.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::known(&String::deserialize(deserializer)?))
    }
}

impl LimitScope {
    fn known(text: &str) -> Self {
        let by_id = |id: &str| id.parse().map_err(|_| ScopeInvalid::new(id, None));
        Self::parse(text, by_id).unwrap_or_else(|_| Self::Other(text.chars().take(256).collect()))
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.scope)
    }
}

impl Serialize for LimitKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (tenant, scope) = text.split_once('/').ok_or_else(|| de::Error::custom("a limit's key is TENANT/SCOPE"))?;
        Ok(Self { tenant: tenant.parse().map_err(de::Error::custom)?, scope: LimitScope::known(scope) })
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
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self::At(number)),
            Either::Text(text) => text.parse().map_err(de::Error::custom),
        }
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

/// 100 ms worth of requests, at least one.
fn default_burst(rps: u64) -> u64 {
    (rps / 10).max(1)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(text: &str) -> LimitScope {
        LimitScope::known(text)
    }

    #[test]
    fn scopes_have_one_spelling() {
        for text in [
            "tenant",
            "app/a1-7",
            "app/a1-7/source",
            "user/alice",
            "source",
            "source/10.0.0.0/8",
            "source/2001:db8::/32",
        ] {
            let parsed = scope(text);
            assert!(!matches!(parsed, LimitScope::Other(_)), "{text}");
            assert_eq!(parsed.to_string(), text);
            let key = LimitKey { tenant: TenantId(3), scope: parsed };
            let json = serde_json::to_string(&key).unwrap();
            assert_eq!(json, format!("\"t3/{text}\""));
            assert_eq!(serde_json::from_str::<LimitKey>(&json).unwrap(), key);
        }
    }

    #[test]
    fn a_scope_of_a_newer_version_is_kept() {
        let text = r#"{"tenant":"t1","scope":"country/is","rps":5}"#;
        let limit: Limit = serde_json::from_str(text).unwrap();
        assert_eq!(limit.scope, LimitScope::Other("country/is".into()));
        assert_eq!(serde_json::to_string(&limit).unwrap(), text);
    }

    #[test]
    fn what_people_write_wrong_is_named() {
        let parse = |text: &str| LimitScope::parse::<ScopeInvalid>(text, |_| Ok(AppId::new(TenantId(1), 1)));
        assert_eq!(parse("app/wiki/source").unwrap(), LimitScope::Source { app: Some(AppId::new(TenantId(1), 1)) });
        for (text, says) in [
            ("apps/wiki", "app/NAME"),
            ("app/wiki/x", "app/NAME"),
            ("user/A", "a name"),
            ("source/10.1.0.0/8", "write 10.0.0.0/8"),
            ("source/x", "not an address prefix"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn quantities_have_units() {
        for (text, number) in [("50", 50), ("10k", 10_000), ("5M", 5_000_000), ("64Ki", 65_536), ("1G", 1_000_000_000)]
        {
            assert_eq!(quantity(text), Ok(number));
        }
        for wrong in ["", "-1", "1.5", "k", "10K", "99999999999G", " 1"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn absurd_limits_are_refused_by_field() {
        let limit = |rps: Option<u64>, burst, bps: Option<u64>| Limit {
            rps: rps.map(Allowance::At),
            burst,
            bps: bps.map(Allowance::At),
            ..Limit::new(TenantId(1), LimitScope::Tenant)
        };
        for (limit, says) in [
            (limit(Some(0), None, None), "rps = 0: must be from 1 to 10000000"),
            (limit(Some(10_000_001), None, None), "rps = 10000001: must be from 1 to 10000000"),
            (limit(Some(1), Some(0), None), "burst = 0: must be from 1 to 10000000"),
            (limit(None, None, Some(1023)), "bps = 1023: must be from 1024 to 1000000000000"),
        ] {
            assert_eq!(limit.check().unwrap_err().to_string(), says);
        }
        assert_eq!(limit(None, Some(5), None).check(), Ok(()), "the tenant has a rate by default");
        let source = Limit { scope: LimitScope::Source { app: None }, ..limit(None, Some(5), None) };
        assert!(source.check().unwrap_err().to_string().contains("goes with rps"));
    }

    #[test]
    fn defaults_hold_until_set() {
        let bounds = |set: Option<Limit>| {
            let key = LimitKey { tenant: TenantId(1), scope: LimitScope::Tenant };
            let planned = PlannedLimit::new(key, "tenant".into(), set.as_ref());
            (planned.rps.limit, planned.burst.limit, planned.conns.limit, planned.origin())
        };
        let empty = Limit::new(TenantId(1), LimitScope::Tenant);
        assert_eq!(bounds(None), (Some(100_000), Some(10_000), None, Origin::Default));
        let set = Limit { conns: Some(Allowance::At(5)), ..empty.clone() };
        assert_eq!(bounds(Some(set)), (Some(100_000), Some(10_000), Some(5), Origin::Set));
        let set = Limit { rps: Some(Allowance::Unlimited), ..empty.clone() };
        assert_eq!(bounds(Some(set)), (None, None, None, Origin::Set));
        let set = Limit { rps: Some(Allowance::At(3)), ..empty };
        assert_eq!(bounds(Some(set)), (Some(3), Some(1), None, Origin::Set));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = (scope(&text), quantity(&text), text.parse::<Allowance>());
        }
    }
}
