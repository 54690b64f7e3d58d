//! What an application is told of its user: expressions over what is known of them, and the headers that carry the results.
//! No expression can fail but by its length, and none is evaluated that was not read and checked as a whole before.
//!
//! ```text
//! text  = "TEXT" | 'TEXT' | source | function
//! source = login | user-part | domain | mail | mail-prefix | display-name | id | role | guest | provider | auth-time
//!        | attribute.NAME
//! function = join("SEPARATOR", value, …) | lower(text) | upper(text) | trim(text) | prefix(text, "TEXT")
//!        | suffix(text, "TEXT") | replace(text, "REGEX", "WITH") | extract(text, "REGEX", GROUP) | truncate(text, CHARACTERS)
//!        | if-empty(text, text) | if-not-empty(text, text) | if-in-group("GROUP", text, text)
//! list  = groups | groups-matching("REGEX") | groups-matching("REGEX", GROUP) | groups-mapped("GROUP" = "TEXT", …) | methods
//! value = text | list
//! ```
//!
//! In double quotes `\"` and `\\` stand for what follows the backslash; in single quotes every character stands for itself.
//! A source that a user has nothing for is the empty text. `lower` and `upper` change the letters of ASCII alone: of others
//! some become an ASCII letter, and one user's name another's.

mod attributes;
mod evaluate;
mod field_value;
mod functions;
mod headers;
mod parser;
mod pattern;
mod rules;
#[cfg(test)]
mod tests;
pub mod who;

use std::str::FromStr;

use crate::directory::AttributeName;
use crate::ids::Name;

pub use attributes::{SamlAttribute, SamlAttributes};
pub use evaluate::{Claims, TooLong};
pub use field_value::field_value;
pub use headers::{HeaderName, HeaderNameInvalid, SsoHeader, SsoHeaders, TooLongFor};
use pattern::{Pattern, Template};
pub use rules::{Direction, HeaderRule, HeaderRules, RULES_MAX};

/// An expression whose result is one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(Text);

/// Text that is no expression: where, what could stand there, and what does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}, found {found}")]
pub struct ExpressionInvalid {
    /// Character of the text, from 1.
    pub column: usize,
    /// What could stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    Literal(Box<str>),
    Source(Source),
    Attribute(AttributeName),
    Join(Box<str>, Vec<Value>),
    Lower(Box<Text>),
    Upper(Box<Text>),
    Trim(Box<Text>),
    Prefix(Box<Text>, Box<str>),
    Suffix(Box<Text>, Box<str>),
    Replace(Box<Text>, Pattern, Template),
    Extract(Box<Text>, Pattern, usize),
    Truncate(Box<Text>, usize),
    IfEmpty(Box<Text>, Box<Text>),
    IfNotEmpty(Box<Text>, Box<Text>),
    IfInGroup(Name, Box<Text>, Box<Text>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum List {
    Groups,
    /// Those that match: the name, or what a group of the pattern caught of it.
    Matching(Pattern, Option<usize>),
    Mapped(Vec<(Name, Box<str>)>),
    Methods,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(Text),
    List(List),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Login,
    UserPart,
    Domain,
    Mail,
    MailPrefix,
    DisplayName,
    Id,
    Role,
    Guest,
    Provider,
    AuthTime,
}

impl FromStr for Expression {
    type Err = ExpressionInvalid;

    fn from_str(text: &str) -> Result<Self, ExpressionInvalid> {
        parser::expression(text).map(Self)
    }
}

/// Bytes of `sso_headers`, and of one expression.
pub const EXPRESSION_BYTES_MAX: usize = 8 << 10;
/// Functions inside each other.
pub const DEPTH_MAX: usize = 16;
/// Bytes of any text that comes up on the way, and of a header's value.
pub const VALUE_BYTES_MAX: usize = 4 << 10;
/// Bytes of all of an application's headers together.
pub const HEADERS_BYTES_MAX: usize = 16 << 10;
/// Headers of an application.
pub const HEADERS_MAX: usize = 32;
/// Attributes of an application's assertions.
pub const ATTRIBUTES_MAX: usize = 64;
/// Bytes of all of their values together.
pub const ATTRIBUTES_BYTES_MAX: usize = 64 << 10;
