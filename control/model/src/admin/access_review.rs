//! Access reviews in the admin API: somebody looks at who is assigned to an application, one by one, and says who stays.

use serde::{Deserialize, Serialize};

use super::{DecisionView, JUSTIFICATION_BYTES_MAX};
use crate::directory::Line;
use crate::ids::{AccessReviewId, Name};

/// Starts a review of everybody who is assigned to an application now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartReview {
    /// The application: name or id.
    pub app: String,
    /// Who decides besides operators: `user/LOGIN` and `group/NAME`.
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// Until when.
    pub due_unix: u64,
}

/// One review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReviewView {
    /// Its id.
    pub id: AccessReviewId,
    /// The application.
    pub app: Name,
    /// Who decides besides operators.
    pub reviewers: Vec<String>,
    /// Who started it, as the audit log names them.
    pub by: String,
    /// When.
    pub created_unix: u64,
    /// Until when it is to be done. Nothing happens by itself then.
    pub due_unix: u64,
    /// When it was finished; `None`: it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_unix: Option<u64>,
    /// Assignments that it is about.
    pub assignments: u32,
    /// Of them, those that nobody decided about.
    pub undecided: u32,
}

/// A review with what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReviewDetail {
    /// The review.
    pub review: AccessReviewView,
    /// The assignments that there were when it began.
    pub items: Vec<ReviewItemView>,
}

/// An assignment under review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewItemView {
    /// Who: `user/anna`, `group/sales`, `everyone`.
    pub principal: String,
    /// Whether they are still assigned.
    pub assigned: bool,
    /// When the assignment last let somebody in, to the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_unix: Option<u64>,
    /// What became of it, `approved` for one that stays; `None`: nobody decided yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionView>,
}

/// Decides about one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideReview {
    /// Which: `user/anna`, `group/sales`, `everyone`.
    pub principal: String,
    /// Whether it stays; otherwise it is taken away at once.
    pub keep: bool,
    /// Why.
    #[serde(default)]
    pub note: Line<JUSTIFICATION_BYTES_MAX>,
}

/// Finishes a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishReview {
    /// What becomes of those that nobody decided about: they stay, or are taken away.
    pub keep: bool,
}

/// A review after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReviewChanged {
    /// As it is now.
    pub review: AccessReviewView,
    /// Version of the log.
    pub version: u64,
    /// What an operator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}
