//! Limits and corporate networks in the admin API.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::Name;
use crate::limit::{Bound, Choice, PlannedLimit};
use crate::prefix::IpPrefix;
use crate::question::LimiterReport;

/// Changes a limit; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLimit {
    /// `app/NAME`, `app/NAME/source`, `tenant`, `user/LOGIN`, `source`, `source/PREFIX`.
    pub scope: String,
    /// Requests a second.
    #[serde(default, deserialize_with = "rps", skip_serializing_if = "Option::is_none")]
    pub rps: Option<Choice>,
    /// Requests let through at once.
    #[serde(default, deserialize_with = "burst", skip_serializing_if = "Option::is_none")]
    pub burst: Option<Choice>,
    /// Requests in progress.
    #[serde(default, deserialize_with = "conns", skip_serializing_if = "Option::is_none")]
    pub conns: Option<Choice>,
    /// Bytes a second.
    #[serde(default, deserialize_with = "bps", skip_serializing_if = "Option::is_none")]
    pub bps: Option<Choice>,
}

/// A limit that holds, and where each bound comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// What it limits.
    pub scope: String,
    /// Requests a second.
    pub rps: Bound,
    /// Requests let through at once.
    pub burst: Bound,
    /// Requests in progress.
    pub conns: Bound,
    /// Bytes a second.
    pub bps: Bound,
    /// Why it is not applied, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A limit after it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChanged {
    /// What holds now.
    pub limit: LimitView,
    /// Version of the log that holds it.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// `GET /v1/tenants/T/limiters`: what the limits do at the relays, added up. Each relay applies them by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitersView {
    /// One for each limit that is applied, and for the sources that were refused most lately; those that refused most first.
    pub items: Vec<LimiterReport>,
    /// Relays that answered.
    pub relays: Vec<String>,
    /// Relays that did not, and why.
    pub warnings: Vec<String>,
}

/// Names a corporate network, or gives one other addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetNetwork {
    /// Its addresses as relays see them.
    pub prefixes: Vec<IpPrefix>,
    /// It is a list of anonymisers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymiser: bool,
}

/// A corporate network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    /// Its name.
    pub name: Name,
    /// Its addresses as relays see them; of a list of anonymisers none are shown.
    pub prefixes: Vec<IpPrefix>,
    /// How many there are.
    pub count: usize,
    /// It is a list of anonymisers.
    pub anonymiser: bool,
}

/// A choice whose error names its field.
fn named<'de, D: Deserializer<'de>>(field: &str, deserializer: D) -> Result<Option<Choice>, D::Error> {
    Choice::deserialize(deserializer).map(Some).map_err(|error| D::Error::custom(format!("{field}: {error}")))
}

fn rps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Choice>, D::Error> {
    named("rps", deserializer)
}

fn burst<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Choice>, D::Error> {
    named("burst", deserializer)
}

fn conns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Choice>, D::Error> {
    named("conns", deserializer)
}

fn bps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Choice>, D::Error> {
    named("bps", deserializer)
}

impl From<&PlannedLimit> for LimitView {
    fn from(planned: &PlannedLimit) -> Self {
        Self {
            scope: planned.name.clone(),
            rps: planned.rps,
            burst: planned.burst,
            conns: planned.conns,
            bps: planned.bps,
            note: planned.not_in_use().map(str::to_owned),
        }
    }
}
