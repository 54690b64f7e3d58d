//! The configuration file: TOML, flat, keys named as the flags. Every value keeps the line it stands on.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::Failure;

/// A parsed file: its path and its top-level keys in order.
pub(super) struct File {
    path: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// One `key = value`.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a key can hold; what never fits a flag is kept by its name for the message.
pub(super) enum Value {
    Switch(bool),
    One(Scalar),
    List(Vec<Scalar>),
    Unfit(&'static str),
}

/// Text or a number, as it would be written after a flag.
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) line: usize,
}

impl File {
    /// Reads and parses; errors carry file and line.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read the configuration file {}: {error}", path.display()))
        })?;
        let lines = Lines::of(&text);
        let table = DeTable::parse(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| lines.number_at(span.start));
            Failure::usage(format!("{}:{line}: {}", path.display(), error.message()))
        })?;
        let mut entries: Vec<Entry> = table
            .get_ref()
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                line: lines.number_at(key.span().start),
                value: Value::of(value, &lines),
            })
            .collect();
        entries.sort_by_key(|entry| entry.line);
        Ok(Self { path: path.to_owned(), entries })
    }

    /// A usage failure at a line of this file.
    pub(super) fn refuse(&self, line: usize, what: &str) -> Failure {
        Failure::usage(format!("{}:{line}: {what}", self.path.display()))
    }
}

impl Value {
    fn of(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Self {
        match value.get_ref() {
            DeValue::Boolean(switch) => Self::Switch(*switch),
            DeValue::Table(_) => Self::Unfit("a table"),
            DeValue::Datetime(_) => Self::Unfit("a date"),
            DeValue::Array(items) => items
                .iter()
                .map(|item| Scalar::of(item, lines))
                .collect::<Option<_>>()
                .map_or(Self::Unfit("a list of anything but text and numbers"), Self::List),
            DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) => {
                Scalar::of(value, lines).map_or(Self::Unfit("this number"), Self::One)
            }
        }
    }

    /// How a message names the kind of value that was found.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Switch(_) => "true or false",
            Self::One(_) => "text",
            Self::List(_) => "a list",
            Self::Unfit(kind) => kind,
        }
    }
}

impl Scalar {
    fn of(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Option<Self> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(integer) => decimal(integer.as_str(), integer.radix())?,
            DeValue::Float(float) => float.as_str().to_owned(),
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                return None;
            }
        };
        Some(Self { text, line: lines.number_at(value.span().start) })
    }
}

/// TOML writes integers in four radixes; flags know one.
fn decimal(digits: &str, radix: u32) -> Option<String> {
    if radix == 10 {
        return Some(digits.to_owned());
    }
    i128::from_str_radix(digits, radix).ok().map(|number| number.to_string())
}

/// Byte offsets to line numbers.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    fn number_at(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }
}
