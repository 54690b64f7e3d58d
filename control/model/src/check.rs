//! A look at an application from where its connectors are: what is asked, and what they found. Control asks a relay, the relay asks
//! the connector, which knows the application by its own configuration. What comes back passes through both: it is words, bounded and
//! printable, and holds no secret.

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectorId, GroupId, Name};

/// What a connector is asked of one application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAsked {
    /// Whether signing users on is looked at, too.
    pub sign_on: bool,
    /// Whom to sign on as a trial: a name of Kerberos, or with passwords of the vault the user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// As it should be.
    Ok,
    /// It works, and there is something to know.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be looked at, and says nothing.
    #[serde(other)]
    Skipped,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStep {
    /// Which: `name`, `connect`, `tls`, `http`, …
    pub step: String,
    /// How it went.
    pub result: StepResult,
    /// How long it took.
    pub ms: u64,
    /// What was seen.
    pub seen: String,
    /// What to do about it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cure: String,
}

/// What a connector found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// In the order in which they were taken.
    pub steps: Vec<CheckStep>,
}

/// What became of a question to one connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CheckOutcome {
    /// It looked.
    Found {
        /// What it found.
        report: CheckReport,
    },
    /// No tunnel to it is online at this relay.
    NotHere,
    /// It is of a version that does not know checks.
    TooOld,
    /// It did not answer in time.
    Late,
    /// It was not asked: too many other questions wait, for the relay or for the connector.
    Busy,
    /// It answered with what is no report, or something newer than this version knows.
    #[serde(other)]
    Damaged,
}

/// `POST /v1/tenants/T/apps/A/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckApp {
    /// Only from this one; else from every one of the group that is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// A user to sign on as a trial, by login or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether signing users on is looked at.
    pub sign_on: bool,
}

/// What all of them found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppChecked {
    /// The application.
    pub app: Name,
    /// The group that serves it.
    pub group: Name,
    /// The group's id.
    pub group_id: GroupId,
    /// Whether nothing failed.
    pub passed: bool,
    /// By connector.
    pub connectors: Vec<ConnectorChecked>,
    /// Steps that went otherwise on one connector than on another.
    pub differences: Vec<String>,
    /// What else there is to know.
    pub warnings: Vec<String>,
}

/// What one of them found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorChecked {
    /// Which one.
    pub connector: ConnectorId,
    /// By which relay it was asked.
    pub relay: String,
    /// In the order in which they were taken.
    pub steps: Vec<CheckStep>,
}

impl StepResult {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }
}

impl CheckStep {
    /// A step; texts are made printable and cut.
    #[must_use]
    pub fn new(step: &str, result: StepResult, ms: u64, seen: &str, cure: &str) -> Self {
        Self {
            step: printable(step, STEP_CHARS_MAX),
            result,
            ms,
            seen: printable(seen, TEXT_CHARS_MAX),
            cure: printable(cure, TEXT_CHARS_MAX),
        }
    }
}

impl CheckReport {
    /// The same within the bounds, whatever a connector or a relay made of it.
    #[must_use]
    pub fn bounded(self) -> Self {
        let steps = self.steps.into_iter().take(STEPS_MAX);
        Self { steps: steps.map(|s| CheckStep::new(&s.step, s.result, s.ms, &s.seen, &s.cure)).collect() }
    }
}

/// Text from strangers (headers, names in certificates, what a KDC says) for a terminal: no control characters, none that turn the
/// direction of text, and no more than so many.
#[must_use]
pub fn printable(text: &str, chars_max: usize) -> String {
    let clean = |c: char| if c.is_control() || is_format(c) { '\u{fffd}' } else { c };
    if text.chars().nth(chars_max).is_none() {
        return text.chars().map(clean).collect();
    }
    text.chars().map(clean).take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// Marks that turn the direction of what is written, separators of lines and what has no width.
const fn is_format(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A connector looks for so long; what is not done then is not looked at.
pub const CHECK_TIME_MS: u64 = 25_000;
/// One connection and its answer get so long at most, however long requests would wait.
pub const CHECK_PATIENCE_MS: u64 = 8_000;
/// A relay waits so long for the connector.
pub const CHECK_ANSWER_TIMEOUT_MS: u64 = 30_000;
/// Control waits so long for the relay.
pub const CHECK_TIMEOUT_MS: u64 = 35_000;
/// Steps of one connector. With the longest texts, in four bytes each, they fit an answer of the tunnel's 64 KiB.
pub const STEPS_MAX: usize = 20;
/// Characters of a step's texts.
pub const TEXT_CHARS_MAX: usize = 380;
const STEP_CHARS_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_strangers_are_printable_and_cut() {
        assert_eq!(printable("a\x1b[2J\u{202e}b\n", 10), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
        assert_eq!(printable("abcdef", 4), "abc…");
        assert_eq!(printable("abcd", 4), "abcd");
    }

    #[test]
    fn a_report_of_any_size_becomes_one_that_fits_the_tunnel() {
        let step = CheckStep {
            step: "𝄞".repeat(1000),
            result: StepResult::Ok,
            ms: u64::MAX,
            seen: "𝄞".repeat(5000),
            cure: "𝄞".repeat(5000),
        };
        let report = CheckReport { steps: vec![step; 1000] }.bounded();
        assert_eq!(report.steps.len(), STEPS_MAX);
        assert!(serde_json::to_vec(&report).unwrap().len() <= 65_528);
    }

    #[test]
    fn what_a_newer_version_says_is_not_taken_for_good() {
        let step: CheckStep = serde_json::from_str(r#"{"step":"x","result":"splendid","ms":1,"seen":""}"#).unwrap();
        assert_eq!(step.result, StepResult::Skipped);
        let outcome: CheckOutcome = serde_json::from_str(r#"{"outcome":"dreamt"}"#).unwrap();
        assert_eq!(outcome, CheckOutcome::Damaged);
    }
}
