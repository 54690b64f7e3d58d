//! Filters and PATCH paths (RFC 7644 §3.4.2.2, §3.5.2): read once, then decided on a resource's JSON.

mod decide;
mod parser;

use super::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, ScimError, ScimType, USER_SCHEMA};
use parser::Parser;

/// What a resource must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these.
    And(Vec<Filter>),
    /// One of these.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute has a value.
    Present(AttributePath),
    /// A value of the attribute compares so.
    Compare(AttributePath, Operator, Literal),
    /// One value of the attribute is all of this.
    Within(AttributePath, Box<Filter>),
}

/// How a value compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

/// What it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// No value.
    Null,
}

/// `userName`, `name.givenName`, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributePath {
    /// The extension it belongs to; `None`: the resource itself.
    pub schema: Option<String>,
    /// The attribute, or an extension as a whole.
    pub name: String,
    /// A part of it.
    pub sub: Option<String>,
}

/// Where a PATCH changes something: `displayName`, `members[value eq "u1-7"]`, `emails[type eq "work"].value`.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    /// The attribute.
    pub attribute: AttributePath,
    /// Which of its values; all without.
    pub filter: Option<Filter>,
    /// A part of each.
    pub sub: Option<String>,
}

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        Parser::new(text, ScimType::InvalidFilter)?.filter()
    }

    /// The one value that the attribute must equal, where that is all that is asked: found by an index, not by looking.
    #[must_use]
    pub fn is_eq(&self, name: &str) -> Option<&str> {
        match self {
            Self::Compare(path, Operator::Eq, Literal::Text(text)) if path.is(name) => Some(text),
            Self::Compare(..) | Self::And(_) | Self::Or(_) | Self::Not(_) | Self::Present(_) | Self::Within(..) => None,
        }
    }

    /// The values that the attribute may equal, where nothing else is asked.
    #[must_use]
    pub fn is_one_of(&self, name: &str) -> Option<Vec<&str>> {
        if let Self::Or(any) = self {
            return any.iter().map(|one| one.is_eq(name)).collect();
        }
        self.is_eq(name).map(|text| vec![text])
    }
}

impl Filter {
    /// Whether it asks for an attribute, wherever in it.
    #[must_use]
    pub fn asks_for(&self, name: &str) -> bool {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().any(|one| one.asks_for(name)),
            Self::Not(one) => one.asks_for(name),
            Self::Present(path) | Self::Compare(path, ..) | Self::Within(path, _) => {
                path.name.eq_ignore_ascii_case(name)
            }
        }
    }

    /// What must hold for all of it to hold: each by itself.
    #[must_use]
    pub fn conditions(&self) -> &[Filter] {
        if let Self::And(all) = self { all } else { std::slice::from_ref(self) }
    }
}

impl PatchPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        Parser::new(text, ScimType::InvalidPath)?.path()
    }
}

impl AttributePath {
    /// Reads an attribute's name. Whatever extension it is of must be one that is known here.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        Self::read(text).ok_or_else(|| {
            let shown: String = text.chars().take(GIVEN_CHARS_MAX).collect();
            ScimError::bad(
                ScimType::InvalidPath,
                format!("{shown:?} is not the name of an attribute that is known here"),
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case(ENTERPRISE_SCHEMA) {
            return Some(Self { schema: None, name: ENTERPRISE_SCHEMA.into(), sub: None });
        }
        let (schema, rest) = match text.rsplit_once(':') {
            None => (None, text),
            Some((urn, rest)) if urn.eq_ignore_ascii_case(ENTERPRISE_SCHEMA) => (Some(ENTERPRISE_SCHEMA.into()), rest),
            Some((urn, rest)) if [USER_SCHEMA, GROUP_SCHEMA].iter().any(|core| core.eq_ignore_ascii_case(urn)) => {
                (None, rest)
            }
            Some(_) => return None,
        };
        let (name, sub) = match rest.split_once('.') {
            Some((name, sub)) => (name, Some(sub)),
            None => (rest, None),
        };
        let fits = is_name(name) && sub.is_none_or(is_name);
        fits.then(|| Self { schema, name: name.into(), sub: sub.map(Into::into) })
    }

    /// Whether it is this attribute of the resource itself, as a whole.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.schema.is_none() && self.sub.is_none() && self.name.eq_ignore_ascii_case(name)
    }
}

/// RFC 7643 §2.1: a letter, then letters, digits, `-` and `_`; `$ref` is the one name that begins otherwise.
fn is_name(text: &str) -> bool {
    let rest = text.strip_prefix('$').unwrap_or(text);
    rest.starts_with(|c: char| c.is_ascii_alphabetic())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

const GIVEN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests;
