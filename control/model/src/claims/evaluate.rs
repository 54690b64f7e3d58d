//! From a user to the texts that an application is told. Every text on the way is bounded.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Expression, List, Source, Text, VALUE_BYTES_MAX, Value};
use crate::directory::Assignment;
use crate::ids::Name;
use crate::session::{AuthMethod, SessionRecord, Subject};

/// What is known of a user who was let in.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    user: &'a Subject,
    role: Option<&'a Name>,
    provider: Option<&'a Name>,
    methods: &'a BTreeSet<AuthMethod>,
    authenticated_unix: u64,
}

/// A text became longer than [`VALUE_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is to be told of the user is longer than {VALUE_BYTES_MAX} bytes")]
pub struct TooLong;

type Evaluated<'a> = Result<Cow<'a, str>, TooLong>;

impl<'a> Claims<'a> {
    /// Of a session that an assignment lets in.
    #[must_use]
    pub fn of(record: &'a SessionRecord, assignment: &'a Assignment) -> Self {
        Self {
            user: &record.user,
            role: assignment.role.as_ref(),
            provider: record.provider.as_ref(),
            methods: &record.methods,
            authenticated_unix: record.authenticated_unix,
        }
    }
}

impl Expression {
    /// What it comes to.
    ///
    /// # Errors
    /// When it, or a part of it, is too long.
    pub fn evaluate<'a>(&'a self, claims: &Claims<'a>) -> Result<Cow<'a, str>, TooLong> {
        self.0.evaluate(claims)
    }
}

impl Text {
    fn evaluate<'a>(&'a self, claims: &Claims<'a>) -> Evaluated<'a> {
        let result = match self {
            Self::Literal(text) => Cow::Borrowed(&**text),
            Self::Source(source) => source.evaluate(claims),
            Self::Attribute(name) => Cow::Borrowed(claims.user.attributes.get(name).map_or("", |value| value.as_str())),
            Self::Join(separator, values) => joined(separator, values, claims)?,
            Self::Lower(text) => Cow::Owned(text.evaluate(claims)?.to_ascii_lowercase()),
            Self::Upper(text) => Cow::Owned(text.evaluate(claims)?.to_ascii_uppercase()),
            Self::Trim(text) => part(text.evaluate(claims)?, |text| text.trim()),
            Self::Truncate(text, chars) => part(text.evaluate(claims)?, |text| {
                text.char_indices().nth(*chars).map_or(text, |(end, _)| &text[..end])
            }),
            Self::Prefix(text, prefix) => around(prefix, text.evaluate(claims)?, ""),
            Self::Suffix(text, suffix) => around("", text.evaluate(claims)?, suffix),
            Self::Replace(text, pattern, with) => {
                let text = text.evaluate(claims)?;
                Cow::Owned(pattern.replace(&text, with, VALUE_BYTES_MAX).ok_or(TooLong)?)
            }
            Self::Extract(text, pattern, group) => {
                part(text.evaluate(claims)?, |text| pattern.extract(text, *group).unwrap_or_default())
            }
            Self::IfEmpty(text, other) => match text.evaluate(claims)? {
                empty if empty.is_empty() => other.evaluate(claims)?,
                text => text,
            },
            Self::IfNotEmpty(text, other) => match text.evaluate(claims)? {
                empty if empty.is_empty() => empty,
                _ => other.evaluate(claims)?,
            },
            Self::IfInGroup(name, inside, outside) => {
                let is_in = claims.user.groups.values().any(|group| group == name);
                if is_in { inside.evaluate(claims)? } else { outside.evaluate(claims)? }
            }
        };
        if result.len() > VALUE_BYTES_MAX { Err(TooLong) } else { Ok(result) }
    }
}

impl Value {
    /// One text, or each element of a list.
    pub(super) fn values(&self, claims: &Claims<'_>) -> Result<Vec<String>, TooLong> {
        Ok(match self {
            Self::Text(text) => vec![text.evaluate(claims)?.into_owned()],
            Self::List(list) => list.evaluate(claims).into_iter().map(str::to_owned).collect(),
        })
    }
}

impl Source {
    fn evaluate<'a>(self, claims: &Claims<'a>) -> Cow<'a, str> {
        let user = claims.user;
        let login = || user.login.as_str().split_once('@').unwrap_or((user.login.as_str(), ""));
        let mail = user.mail.as_ref().map_or("", |mail| mail.as_str());
        Cow::Borrowed(match self {
            Self::Login => user.login.as_str(),
            Self::UserPart => login().0,
            Self::Domain => login().1,
            Self::Mail => mail,
            Self::MailPrefix => mail.split_once('@').map_or("", |(prefix, _)| prefix),
            Self::DisplayName => user.display_name.as_str(),
            Self::Role => claims.role.map_or("", Name::as_str),
            Self::Guest => {
                if user.guest {
                    "true"
                } else {
                    "false"
                }
            }
            Self::Provider => claims.provider.map_or("", Name::as_str),
            Self::Id => return Cow::Owned(user.id.to_string()),
            Self::AuthTime => return Cow::Owned(claims.authenticated_unix.to_string()),
        })
    }
}

impl List {
    /// Each once, groups in the order in which they were made.
    fn evaluate<'a>(&'a self, claims: &Claims<'a>) -> Vec<&'a str> {
        let groups = || claims.user.groups.values();
        let mut found = Vec::new();
        let mut add = |text: &'a str| {
            if !text.is_empty() && !found.contains(&text) {
                found.push(text);
            }
        };
        match self {
            Self::Groups => groups().map(Name::as_str).for_each(add),
            Self::Matching(pattern, group) => {
                let told = |name: &'a Name| {
                    let caught = pattern.extract(name.as_str(), group.unwrap_or_default());
                    if group.is_none() { caught.map(|_| name.as_str()) } else { caught }
                };
                groups().filter_map(told).for_each(add);
            }
            Self::Mapped(names) => names.iter().for_each(|(name, text)| {
                if groups().any(|group| group == name) {
                    add(text);
                }
            }),
            Self::Methods => claims.methods.iter().map(|method| method.as_str()).for_each(add),
        }
        found
    }
}

/// Texts count even when they are empty: `-anna` is not `anna`.
fn joined<'a>(separator: &str, values: &'a [Value], claims: &Claims<'a>) -> Evaluated<'a> {
    let (mut result, mut is_first) = (String::new(), true);
    let mut add = |text: &str| {
        if !std::mem::take(&mut is_first) {
            result.push_str(separator);
        }
        result.push_str(text);
        if result.len() > VALUE_BYTES_MAX { Err(TooLong) } else { Ok(()) }
    };
    for value in values {
        match value {
            Value::Text(text) => add(&text.evaluate(claims)?)?,
            Value::List(list) => list.evaluate(claims).into_iter().try_for_each(&mut add)?,
        }
    }
    Ok(Cow::Owned(result))
}

fn part<'a>(text: Cow<'a, str>, choose: impl Fn(&str) -> &str) -> Cow<'a, str> {
    Cow::Owned(choose(&text).to_owned())
}

/// Nothing stays nothing.
fn around<'a>(before: &str, text: Cow<'a, str>, after: &str) -> Cow<'a, str> {
    if text.is_empty() { text } else { Cow::Owned(format!("{before}{text}{after}")) }
}
