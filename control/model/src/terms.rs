//! Terms of use: what an organisation wants its users to agree to. Policies name them (`terms/NAME`), control keeps the texts
//! and who accepted which version; relays know of each user only which ones they accepted, and until when that counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::directory::{as_text, is_bidi_control};
use crate::ids::{IdInvalid, Name};
use crate::policy::{Requirement, Step, StepUp};

/// The terms that a user accepted, as far as that counts; of those that are to be accepted again, until when (Unix seconds).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AcceptedTerms(BTreeMap<Name, Option<u64>>);

/// Terms of use of which any one is to be accepted. As text: their names with `~` between, which needs no escaping in a query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnyTerms(BTreeSet<Name>);

/// A text that people read before they accept it: 1 byte to 64 KiB, lines and tabs, no other control characters and none that
/// turn the direction of writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TermsText(Box<str>);

/// How a text is shown. Whatever it is, it is text: no HTML of it reaches a browser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TermsFormat {
    /// Line by line, as it is.
    #[default]
    Plain,
    /// Lines that begin with `#`, `##` or `###` are headings, those that begin with `- ` or `* ` items of a list; what follows
    /// without an empty line between is one paragraph.
    Markdown,
}

/// Why a text is none of terms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsTextInvalid {
    /// Nothing to read.
    #[error("the text is empty")]
    Empty,
    /// Too much of it.
    #[error("the text has {found} bytes; at most {TERMS_TEXT_BYTES_MAX} are kept")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// It has something that nobody sees and that does something.
    #[error("line {line}: {found:?} is a control character, or one that turns the direction of writing")]
    Control {
        /// Counted from 1.
        line: usize,
        /// Which.
        found: char,
    },
}

impl AcceptedTerms {
    /// Whether these were accepted, and that counts at this time.
    #[must_use]
    pub fn count(&self, name: &Name, now_unix: u64) -> bool {
        self.0.get(name).is_some_and(|until| until.is_none_or(|until| now_unix < until))
    }

    /// Whether nothing was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These were, until then.
    pub fn insert(&mut self, name: Name, until_unix: Option<u64>) {
        self.0.insert(name, until_unix);
    }
}

impl FromIterator<Name> for AcceptedTerms {
    /// For good.
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        Self(names.into_iter().map(|name| (name, None)).collect())
    }
}

impl AnyTerms {
    /// Those among what a step asks one of, if there are any.
    #[must_use]
    pub fn of(Step(any): &Step) -> Option<Self> {
        let names = any.iter().filter_map(|step| match step {
            StepUp::Meet(Requirement::Terms(name)) => Some(name.clone()),
            StepUp::Meet(Requirement::Mfa | Requirement::RegisteredDevice | Requirement::CompliantDevice)
            | StepUp::Reauthenticate => None,
        });
        let names: BTreeSet<Name> = names.collect();
        (!names.is_empty()).then_some(Self(names))
    }

    /// Their names, of which there is one at least.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.iter()
    }
}

impl From<Name> for AnyTerms {
    fn from(name: Name) -> Self {
        Self(BTreeSet::from([name]))
    }
}

impl fmt::Display for AnyTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().map(Name::as_str).collect();
        f.write_str(&names.join(OR))
    }
}

impl FromStr for AnyTerms {
    type Err = IdInvalid;

    fn from_str(text: &str) -> Result<Self, IdInvalid> {
        text.split(OR).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

as_text!(AnyTerms);

impl TermsText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TermsText {
    type Error = TermsTextInvalid;

    fn try_from(text: String) -> Result<Self, TermsTextInvalid> {
        if text.trim().is_empty() {
            return Err(TermsTextInvalid::Empty);
        }
        if text.len() > TERMS_TEXT_BYTES_MAX {
            return Err(TermsTextInvalid::TooLong { found: text.len() });
        }
        // Files of other systems end lines by two characters.
        let text = text.replace("\r\n", "\n");
        for (line, at) in text.split('\n').zip(1..) {
            if let Some(found) = line.chars().find(|c| c.is_control() && *c != '\t' || is_bidi_control(*c)) {
                return Err(TermsTextInvalid::Control { line: at, found });
            }
        }
        Ok(Self(text.into()))
    }
}

impl From<TermsText> for String {
    fn from(text: TermsText) -> Self {
        text.0.into()
    }
}

impl TermsFormat {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Markdown => "markdown",
        }
    }
}

impl fmt::Display for TermsFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TermsFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plain" => Ok(Self::Plain),
            "markdown" => Ok(Self::Markdown),
            _ => Err(String::from("a format of terms is plain or markdown")),
        }
    }
}

/// Longest text.
pub const TERMS_TEXT_BYTES_MAX: usize = 64 << 10;
/// Longest title.
pub const TERMS_TITLE_BYTES_MAX: usize = 128;
/// Terms of one tenant.
pub const TERMS_MAX: usize = 100;
/// The versions that one can have.
pub const TERMS_VERSIONS_MAX: u32 = 1_000;
/// The shortest time after which terms are asked for again: an hour.
pub const TERMS_EVERY_S_MIN: u32 = 3_600;
/// The longest: ten years.
pub const TERMS_EVERY_S_MAX: u32 = 10 * 366 * 86_400;
/// Between terms of which any one is to be accepted.
const OR: &str = "~";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_counts_for_as_long_as_it_was() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut accepted: AcceptedTerms = [name("house")].into_iter().collect();
        accepted.insert(name("lab"), Some(100));
        assert!(accepted.count(&name("house"), u64::MAX));
        assert!(accepted.count(&name("lab"), 99) && !accepted.count(&name("lab"), 100));
        assert!(!accepted.count(&name("other"), 0));
        let json = serde_json::to_string(&accepted).unwrap();
        assert_eq!(json, r#"{"house":null,"lab":100}"#);
        assert_eq!(serde_json::from_str::<AcceptedTerms>(&json).unwrap(), accepted);
    }

    #[test]
    fn any_one_of_terms_has_one_spelling() {
        let any: AnyTerms = "lab~house~lab".parse().unwrap();
        assert_eq!((any.to_string(), any.names().count()), ("house~lab".into(), 2));
        for wrong in ["", "~", "house~", "house lab", "House", "house~~lab"] {
            assert!(wrong.parse::<AnyTerms>().is_err(), "{wrong:?}");
        }
        let step = |steps: &[&str]| Step(steps.iter().map(|step| step.parse().unwrap()).collect());
        assert_eq!(AnyTerms::of(&step(&["mfa", "terms/lab", "terms/house"])), Some(any));
        assert_eq!(AnyTerms::of(&step(&["mfa", "reauthenticate"])), None);
    }

    #[test]
    fn texts_are_bounded_and_do_nothing() {
        let text = |text: &str| TermsText::try_from(text.to_owned());
        assert_eq!(text("# A\r\n\tb\r\n").unwrap().as_str(), "# A\n\tb\n");
        assert_eq!(text(" \n "), Err(TermsTextInvalid::Empty));
        assert_eq!(text("a\nb\u{1b}[m"), Err(TermsTextInvalid::Control { line: 2, found: '\u{1b}' }));
        assert_eq!(text("a\u{202e}b"), Err(TermsTextInvalid::Control { line: 1, found: '\u{202e}' }));
        assert_eq!(text("a\rb"), Err(TermsTextInvalid::Control { line: 1, found: '\r' }));
        let long = "a".repeat(TERMS_TEXT_BYTES_MAX + 1);
        assert_eq!(text(&long), Err(TermsTextInvalid::TooLong { found: TERMS_TEXT_BYTES_MAX + 1 }));
    }
}
