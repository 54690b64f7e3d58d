//! Rules of dynamic groups: `department == "sales" and (country in ["DE", "FR"] or not title contains "intern")`.
//!
//! A rule is true or false of a user, from nothing but what the user is. Texts are compared as they are, case included. An
//! attribute that a user does not have equals nothing: `==`, `in`, `contains`, `starts_with`, `ends_with` and `present` are
//! false, `!=` is true. `not` binds closest, then `and`, then `or`.

mod parser;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AttributeName, RULE_BYTES_MAX, User, as_text};

/// A rule that was read. Its text is written out anew, so that one rule has one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(Expression);

/// Text that is no rule: where, what could stand there, and what does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}, found {found}")]
pub struct RuleInvalid {
    /// Character of the text, from 1.
    pub column: usize,
    /// What could stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

/// One test of a rule on one user: why a rule is true or false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// The test: `department == "sales"`.
    pub test: String,
    /// What the user has there; `None`: nothing.
    pub value: Option<String>,
    /// Whether it is true of the user.
    pub holds: bool,
}

/// `All` and `Any` have two parts or more, none of their own kind.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Test(Test),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Test {
    key: Key,
    check: Check,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Login,
    Mail,
    DisplayName,
    Kind,
    Attribute(AttributeName),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Check {
    Equals(String),
    Differs(String),
    OneOf(Vec<String>),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Present,
}

impl Rule {
    /// Whether it is true of a user. Whether the user counts at all, [`User::is_active`] says.
    #[must_use]
    pub fn matches(&self, user: &User) -> bool {
        self.0.holds(user)
    }

    /// Every test in it, in order, each by itself.
    #[must_use]
    pub fn tested(&self, user: &User) -> Vec<Tested> {
        let mut tested = Vec::new();
        self.0.test_each(user, &mut tested);
        tested
    }
}

impl FromStr for Rule {
    type Err = RuleInvalid;

    fn from_str(text: &str) -> Result<Self, RuleInvalid> {
        let too_long = |found: usize| RuleInvalid {
            column: RULE_BYTES_MAX + 1,
            expected: format!("a rule of at most {RULE_BYTES_MAX} bytes"),
            found: format!("{found}"),
        };
        if text.len() > RULE_BYTES_MAX {
            return Err(too_long(text.len()));
        }
        let rule = Self(parser::parse(text)?);
        // Written out it may be longer, and it must read again.
        let written = rule.to_string().len();
        if written > RULE_BYTES_MAX { Err(too_long(written)) } else { Ok(rule) }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_text!(Rule);

impl Expression {
    /// All of them; one alone is itself, and what is `and` already is joined.
    fn all(parts: Vec<Self>) -> Self {
        let mut joined = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All(inner) => joined.extend(inner),
                Self::Any(_) | Self::Not(_) | Self::Test(_) => joined.push(part),
            }
        }
        if joined.len() == 1 { joined.remove(0) } else { Self::All(joined) }
    }

    /// As [`Expression::all`], with `or`.
    fn any(parts: Vec<Self>) -> Self {
        let mut joined = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Any(inner) => joined.extend(inner),
                Self::All(_) | Self::Not(_) | Self::Test(_) => joined.push(part),
            }
        }
        if joined.len() == 1 { joined.remove(0) } else { Self::Any(joined) }
    }

    fn holds(&self, user: &User) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(user)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(user)),
            Self::Not(part) => !part.holds(user),
            Self::Test(test) => test.check.holds(test.key.value(user)),
        }
    }

    fn test_each(&self, user: &User, tested: &mut Vec<Tested>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.test_each(user, tested)),
            Self::Not(part) => part.test_each(user, tested),
            Self::Test(test) => {
                let value = test.key.value(user);
                let holds = test.check.holds(value);
                tested.push(Tested { test: test.to_string(), value: value.map(str::to_owned), holds });
            }
        }
    }
}

impl Key {
    /// By its name; any other is an attribute's, if it has the form.
    fn named(name: &str) -> Option<Self> {
        match name {
            "login" => Some(Self::Login),
            "mail" => Some(Self::Mail),
            "display_name" => Some(Self::DisplayName),
            "kind" => Some(Self::Kind),
            _ => name.parse().ok().map(Self::Attribute), // text has no end of names
        }
    }

    fn value<'u>(&self, user: &'u User) -> Option<&'u str> {
        match self {
            Self::Login => Some(user.login.as_str()),
            Self::Mail => user.mail.as_ref().map(super::MailAddress::as_str),
            Self::DisplayName => Some(user.display_name.as_str()).filter(|name| !name.is_empty()),
            Self::Kind => Some(user.kind.as_str()),
            Self::Attribute(name) => user.attributes.get(name).map(super::Line::as_str),
        }
    }
}

impl Check {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Equals(text) => value == Some(text),
            Self::Differs(text) => value != Some(text),
            Self::OneOf(texts) => value.is_some_and(|value| texts.iter().any(|text| text == value)),
            Self::Contains(text) => value.is_some_and(|value| value.contains(text.as_str())),
            Self::StartsWith(text) => value.is_some_and(|value| value.starts_with(text.as_str())),
            Self::EndsWith(text) => value.is_some_and(|value| value.ends_with(text.as_str())),
            Self::Present => value.is_some(),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::All(parts) => (parts, "and"),
            Self::Any(parts) => (parts, "or"),
            Self::Not(part) => return write!(f, "not {}", Inner { part, of: "not" }),
            Self::Test(test) => return test.fmt(f),
        };
        for (nth, part) in parts.iter().enumerate() {
            if nth > 0 {
                write!(f, " {word} ")?;
            }
            Inner { part, of: word }.fmt(f)?;
        }
        Ok(())
    }
}

/// A part of `and`, `or` or `not`: in parentheses where it would be read otherwise without.
struct Inner<'a> {
    part: &'a Expression,
    of: &'static str,
}

impl fmt::Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = match self.part {
            Expression::Any(_) => true,
            Expression::All(_) => self.of == "not",
            Expression::Not(_) | Expression::Test(_) => false,
        };
        if needed { write!(f, "({})", self.part) } else { self.part.fmt(f) }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::Mail => "mail",
            Self::DisplayName => "display_name",
            Self::Kind => "kind",
            Self::Attribute(name) => name.as_str(),
        })
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, check } = self;
        match check {
            Check::Equals(text) => write!(f, "{key} == {}", Quoted(text)),
            Check::Differs(text) => write!(f, "{key} != {}", Quoted(text)),
            Check::OneOf(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| Quoted(text).to_string()).collect();
                write!(f, "{key} in [{}]", texts.join(", "))
            }
            Check::Contains(text) => write!(f, "{key} contains {}", Quoted(text)),
            Check::StartsWith(text) => write!(f, "{key} starts_with {}", Quoted(text)),
            Check::EndsWith(text) => write!(f, "{key} ends_with {}", Quoted(text)),
            Check::Present => write!(f, "{key} present"),
        }
    }
}

/// Text in quotes: `\"` and `\\` are all there is to escape, for control characters are not allowed.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
