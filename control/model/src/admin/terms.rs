//! Terms of use in the admin API.

use serde::{Deserialize, Serialize};

use crate::directory::{Line, LoginName};
use crate::ids::{Name, UserId};
use crate::terms::{TERMS_TITLE_BYTES_MAX, TermsFormat, TermsText};

/// Makes terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTerms {
    /// What policies call them.
    pub name: Name,
    /// What users call them.
    pub title: Line<TERMS_TITLE_BYTES_MAX>,
    /// What they say.
    pub text: TermsText,
    /// How that is shown.
    #[serde(default)]
    pub format: TermsFormat,
    /// They are to be accepted again after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_s: Option<u32>,
}

/// Changes terms. Another title or text is a new version, as is `again` by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateTerms {
    /// Another title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Line<TERMS_TITLE_BYTES_MAX>>,
    /// Another text, and how it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<(TermsText, TermsFormat)>,
    /// They are to be accepted again after so many seconds; 0: once is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_s: Option<u32>,
    /// Whoever accepted an earlier version is asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Terms as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsView {
    /// What policies call them.
    pub name: Name,
    /// What users call them.
    pub title: Line<TERMS_TITLE_BYTES_MAX>,
    /// The version that is shown to whoever is asked.
    pub version: u32,
    /// Whoever accepted this version, or a later one, is not asked.
    pub again_from: u32,
    /// They are to be accepted again after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_s: Option<u32>,
    /// When this version was made.
    pub made_unix: u64,
    /// Policies that ask for them.
    pub policies: Vec<Name>,
    /// How it is shown.
    pub format: TermsFormat,
    /// What it says; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TermsText>,
}

/// Terms that were made or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsChanged {
    /// As they are now.
    pub terms: TermsView,
    /// Version of the log that holds the change.
    pub version: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Someone accepted a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptanceView {
    /// Who.
    pub user: UserId,
    /// Their login name.
    pub login: LoginName,
    /// Which version.
    pub version: u32,
    /// When, last.
    pub accepted_unix: u64,
    /// Whether it counts still.
    pub counts: bool,
}

/// Who accepted terms, by their users' numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptancesPage {
    /// These.
    pub items: Vec<AcceptanceView>,
    /// There are more behind this user's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}
