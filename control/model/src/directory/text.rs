//! Texts of the directory, each with its bound: once parsed they fit a line, a table and the audit log.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::as_text;

/// One line of at most `BYTES_MAX` bytes without control characters, those of the direction of writing among them. It may be
/// empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line<const BYTES_MAX: usize>(Box<str>);

/// Text that does not fit a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineInvalid {
    /// Too long.
    #[error("{found} bytes are too long: at most {max}")]
    TooLong {
        /// How long it is.
        found: usize,
        /// How long it may be.
        max: usize,
    },
    /// A line break, a tab, an escape.
    #[error("control characters such as line breaks are not allowed")]
    Control,
    /// One that turns the direction of what follows, or is seen nowhere but there.
    #[error("characters that change the direction of writing are not allowed")]
    Direction,
}

impl<const BYTES_MAX: usize> Line<BYTES_MAX> {
    /// The line as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const BYTES_MAX: usize> fmt::Display for Line<BYTES_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const BYTES_MAX: usize> FromStr for Line<BYTES_MAX> {
    type Err = LineInvalid;

    fn from_str(text: &str) -> Result<Self, LineInvalid> {
        if text.len() > BYTES_MAX {
            return Err(LineInvalid::TooLong { found: text.len(), max: BYTES_MAX });
        }
        if text.contains(char::is_control) {
            return Err(LineInvalid::Control);
        }
        if text.contains(is_bidi_control) {
            return Err(LineInvalid::Direction);
        }
        Ok(Self(text.into()))
    }
}

/// Unicode's `Bidi_Control` (UAX #9 §2): with them a name is displayed as another one, and what stands behind it, too.
#[must_use]
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl<const BYTES_MAX: usize> Serialize for Line<BYTES_MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const BYTES_MAX: usize> Deserialize<'de> for Line<BYTES_MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Where a user gets mail: `LOCAL@DOMAIN`. Not looked at more closely, for only the mail's way decides whether it is right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailAddress(Box<str>);

/// Text that is no mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mail address such as anna@example.com")]
pub struct MailInvalid(String);

impl MailAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MailAddress {
    type Err = MailInvalid;

    fn from_str(text: &str) -> Result<Self, MailInvalid> {
        let parts = text.split_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
        let clean = !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '<' || c == '>');
        match parts {
            Some((_, domain)) if clean && !domain.contains('@') && text.len() <= MAIL_BYTES_MAX => {
                Ok(Self(text.into()))
            }
            Some(_) | None => Err(MailInvalid(text.chars().take(GIVEN_CHARS_MAX).collect())),
        }
    }
}

as_text!(MailAddress);

/// `department`, `cost_centre`: `[a-z][a-z0-9_]{0,62}`, but no word that rules have a meaning for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeName(Box<str>);

/// Text that names no attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeInvalid {
    /// Not of the form.
    #[error("{0:?} is not an attribute's name: 1 to 63 of a-z, 0-9 and '_', first a letter")]
    Malformed(String),
    /// Taken.
    #[error("{0:?} cannot be an attribute's name: it means something else in rules")]
    Reserved(String),
}

impl AttributeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AttributeName {
    type Err = AttributeInvalid;

    fn from_str(text: &str) -> Result<Self, AttributeInvalid> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !first || !rest || text.len() > ATTRIBUTE_NAME_BYTES_MAX {
            return Err(AttributeInvalid::Malformed(text.chars().take(GIVEN_CHARS_MAX).collect()));
        }
        if RESERVED.contains(&text) {
            return Err(AttributeInvalid::Reserved(text.into()));
        }
        Ok(Self(text.into()))
    }
}

as_text!(AttributeName);

/// Keys of a user that are no attributes, and words of the rule language. `enabled` and `groups` are kept free: a rule that
/// asked for them would have no effect, or would stand on itself.
const RESERVED: &[&str] = &[
    "login",
    "mail",
    "display_name",
    "kind",
    "id",
    "enabled",
    "groups",
    "and",
    "or",
    "not",
    "in",
    "contains",
    "starts_with",
    "ends_with",
    "present",
];
const ATTRIBUTE_NAME_BYTES_MAX: usize = 63;
const MAIL_BYTES_MAX: usize = 254;
const GIVEN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_bounded_and_clean() {
        assert_eq!("".parse::<Line<4>>().unwrap().as_str(), "");
        assert_eq!("häß".parse::<Line<4>>(), Err(LineInvalid::TooLong { found: 5, max: 4 }));
        for wrong in ["a\nb", "\t", "\u{1b}[m", "\u{85}"] {
            assert_eq!(wrong.parse::<Line<9>>(), Err(LineInvalid::Control), "{wrong:?}");
        }
        for direction in
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars()
        {
            let wrong = format!("a{direction}b");
            assert_eq!(wrong.parse::<Line<9>>(), Err(LineInvalid::Direction), "{wrong:?}");
        }
        assert!("שלום".parse::<Line<9>>().is_ok());
        assert!(serde_json::from_str::<Line<2>>("\"abc\"").unwrap_err().to_string().contains("at most 2"));
    }

    #[test]
    fn mail_addresses_have_two_sides() {
        for right in ["a@b", "Anna.Berg+x@Example.com", "ä@ö.example"] {
            assert!(right.parse::<MailAddress>().is_ok(), "{right}");
        }
        for wrong in ["", "a", "@b", "a@", "a@b@c", "a b@c", "<a@b>", "a@b\n", &format!("a@{}", "b".repeat(253))] {
            assert!(wrong.parse::<MailAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn attributes_have_plain_names() {
        for right in ["a", "cost_centre", "x9", &"a".repeat(63)] {
            assert!(right.parse::<AttributeName>().is_ok(), "{right}");
        }
        for wrong in ["", "9a", "_a", "A", "a-b", "a.b", &"a".repeat(64)] {
            assert!(matches!(wrong.parse::<AttributeName>(), Err(AttributeInvalid::Malformed(_))), "{wrong}");
        }
        let error = "login".parse::<AttributeName>().unwrap_err().to_string();
        assert!(error.contains("means something else"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = (text.parse::<Line<8>>(), text.parse::<MailAddress>(), text.parse::<AttributeName>());
        }
    }
}
