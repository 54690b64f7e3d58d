//! Requests that are over, looked at again in the admin API: why one was let in or not, and what other policies would have said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{Name, SessionId};
use crate::policy::{PolicyEntry, Traced};
use crate::record::LoggedRequest;

/// Why a request was let in or not, where its application asks who it is: what the relay recorded, and what control knows of
/// that now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessExplained {
    /// Who asked: `user/anna`, `service/backup`, or `nobody`.
    pub who: String,
    /// The whole id of the session, as long as there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Through whom the user was assigned (`group/staff`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<String>,
    /// What the device is called that the session began with, as long as there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What was missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Policies that applied, would have if they did not only report, or would now, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Traced>,
    /// What is not now as it was then, and what is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Asks what changed policies would have said of requests, with users, groups and networks as they are now. Nothing is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Policies that are to be exactly so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub put: BTreeMap<Name, PolicyEntry>,
    /// Policies of which some keys are to be others, as in [`super::SetPolicy`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<Name, Map<String, Value>>,
    /// The requests, at most [`REPLAYED_MAX`].
    pub requests: Vec<LoggedRequest>,
}

/// One answer for each request, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The answers.
    pub items: Vec<ReplayedRequest>,
}

/// What would be decided about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReplayedRequest {
    /// It can be decided about.
    Decided {
        /// By the policies as they are: [`crate::policy::Outcome`] in words.
        now: String,
        /// By the changed ones.
        changed: String,
        /// The policies that make the difference between these two, or, where there is none, the outcome.
        policies: Vec<Name>,
    },
    /// The user is no more.
    NoUser,
    /// The application is no more, or is another tenant's.
    NoApp,
}

/// Requests that are replayed at once: at about 300 bytes each well below [`super::REQUEST_BYTES_MAX`].
pub const REPLAYED_MAX: usize = 500;
