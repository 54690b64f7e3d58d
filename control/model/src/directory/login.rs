//! Login names: what people type to sign in. Each has one spelling, so that two users never differ by case alone.

use std::fmt;
use std::str::FromStr;

use super::{LOGIN_BYTES_MAX, as_text};
use crate::ids::Name;

/// `anna`, `anna.berg@example.com`: 1 to 254 bytes of `[a-z0-9._%+'-]`, beginning with a letter or digit, perhaps with one
/// `@` and a domain behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginName(Box<str>);

/// Text that is no login name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginInvalid {
    /// Right but for its case.
    #[error("{given:?} has capital letters: write {lower}")]
    Case {
        /// What was given.
        given: String,
        /// The login name that it would be.
        lower: LoginName,
    },
    /// Not of the form.
    #[error(
        "{0:?} is not a login name: 1 to 254 of a-z, 0-9 and ._%+'-, first a letter or digit, perhaps with @ and a domain"
    )]
    Malformed(String),
}

impl LoginName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LoginName {
    type Err = LoginInvalid;

    fn from_str(text: &str) -> Result<Self, LoginInvalid> {
        if is_login(text) {
            return Ok(Self(text.into()));
        }
        let given = text.chars().take(GIVEN_CHARS_MAX).collect();
        let lower = text.to_ascii_lowercase();
        if is_login(&lower) {
            return Err(LoginInvalid::Case { given, lower: Self(lower.into()) });
        }
        Err(LoginInvalid::Malformed(given))
    }
}

as_text!(LoginName);

fn is_login(text: &str) -> bool {
    let (local, domain) = match text.split_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (text, None),
    };
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let first = local.bytes().next().is_some_and(letter);
    let rest = local.bytes().all(|b| letter(b) || b"._%+'-".contains(&b));
    let domain = domain.is_none_or(|domain| domain.split('.').all(|label| label.parse::<Name>().is_ok()));
    text.len() <= LOGIN_BYTES_MAX && first && rest && domain
}

const GIVEN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logins_have_one_spelling() {
        for right in ["a", "0", "anna.berg@example.com", "o'neil", "a+b%c_d-e", "a@b", &"a".repeat(254)] {
            assert_eq!(right.parse::<LoginName>().unwrap().as_str(), right);
        }
        for wrong in ["", "@", "@example.com", "a@", "a@b@c", "a@-b", "a@b..c", "-a", ".a", "a b", "ä", "a/b", "a\n"] {
            let error = wrong.parse::<LoginName>().unwrap_err();
            assert!(matches!(error, LoginInvalid::Malformed(_)), "{wrong:?}: {error}");
        }
        assert!("a".repeat(255).parse::<LoginName>().is_err());
        let error = "Anna@Example.com".parse::<LoginName>().unwrap_err().to_string();
        assert_eq!(error, "\"Anna@Example.com\" has capital letters: write anna@example.com");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<LoginName>();
        }
    }
}
