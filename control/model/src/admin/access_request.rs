//! Access requests in the admin API: a user asks for an application, somebody decides.

use serde::{Deserialize, Serialize};

use crate::directory::Line;
use crate::ids::{AccessRequestId, Name};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequestView {
    /// Its id.
    pub id: AccessRequestId,
    /// The login name of who asks.
    pub user: String,
    /// What for.
    pub app: Name,
    /// Why, in their words.
    pub justification: String,
    /// When.
    pub created_unix: u64,
    /// What became of it; `None`: it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionView>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionView {
    /// Whether it was approved.
    pub approved: bool,
    /// Who decided, as the audit log names them.
    pub by: String,
    /// When.
    pub at_unix: u64,
    /// What they said; may be empty.
    pub note: String,
}

/// Approves or denies a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideAccess {
    /// What is said to who asked.
    #[serde(default)]
    pub note: Line<JUSTIFICATION_BYTES_MAX>,
}

/// A request was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDecided {
    /// As it is now.
    pub request: AccessRequestView,
    /// Version of the log.
    pub version: u64,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Longest justification, and note.
pub const JUSTIFICATION_BYTES_MAX: usize = 1_024;
