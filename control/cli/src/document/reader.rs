//! TOML tables whose keys are known beforehand and whose values keep their lines.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use postern_model::document::APPLY_BYTES_MAX;
use postern_service::failure::Failure;
use postern_service::suggest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Places;
use crate::input::Input;

/// A file's text and where its lines begin.
pub(crate) struct Source {
    name: String,
    folder: PathBuf,
    pub(super) text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// Reads a file, or standard input for `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let Input { name, bytes } = Input::read(path, APPLY_BYTES_MAX)?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name} is not UTF-8")))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self::new(name, folder.to_owned(), text))
    }

    pub(super) fn new(name: String, folder: PathBuf, text: String) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { name, folder, text, line_starts }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A file that the document names, relative to its own folder.
    pub(super) fn beside(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    pub(super) fn refuse(&self, line: usize, what: impl std::fmt::Display) -> Failure {
        Failure::usage(format!("{}:{line}: {what}", self.name))
    }
}

/// One table: all its keys are known.
pub(super) struct Section<'a> {
    source: &'a Source,
    /// As its header says: `app.wiki`; empty for the whole file.
    name: String,
    line: usize,
    table: &'a DeTable<'a>,
}

/// One value with its line.
pub(super) struct Value<'a> {
    source: &'a Source,
    key: &'a str,
    pub(super) line: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// A table with these keys and no others.
    pub(super) fn closed(
        source: &'a Source,
        name: String,
        line: usize,
        table: &'a DeTable<'a>,
        known: &[&str],
    ) -> Result<Self, Failure> {
        let section = Self::open(source, name, line, table);
        let mut unknown: Vec<Value<'_>> = section.entries().filter(|value| !known.contains(&value.key)).collect();
        unknown.sort_by_key(|value| value.line);
        match unknown.first() {
            None => Ok(section),
            Some(value) => Err(value.refuse(section.unknown(value.key, known))),
        }
    }

    /// A table whose keys are names.
    pub(super) fn open(source: &'a Source, name: String, line: usize, table: &'a DeTable<'a>) -> Self {
        Self { source, name, line, table }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Value<'a>> {
        let source = self.source;
        self.table.iter().map(move |(key, value)| Value {
            source,
            key: key.get_ref(),
            line: source.line_at(key.span().start),
            value: value.get_ref(),
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entries().find(|value| value.key == key)
    }

    pub(super) fn need(&self, key: &str) -> Result<Value<'a>, Failure> {
        self.get(key).ok_or_else(|| self.source.refuse(self.line, format_args!("[{}] needs `{key}`", self.name)))
    }

    /// Notes where it stands, and its keys.
    pub(super) fn note(&self, pointer: &str, places: &mut Places) {
        places.0.insert(pointer.to_owned(), self.line);
        places.0.extend(self.entries().map(|value| (format!("{pointer}.{}", value.key), value.line)));
    }

    fn unknown(&self, key: &str, known: &[&str]) -> String {
        let of = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
        match suggest::nearest(key, known.iter().copied()) {
            Some(nearest) => format!("unknown key `{key}`{of}; did you mean `{nearest}`?"),
            None => format!("unknown key `{key}`{of}; known keys: {}", known.join(", ")),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    pub(super) fn refuse(&self, what: impl std::fmt::Display) -> Failure {
        self.source.refuse(self.line, what)
    }

    /// The value as text; numbers and switches as they are written.
    pub(super) fn text(&self) -> Result<String, Failure> {
        self.scalar().ok_or_else(|| self.unfit("text"))
    }

    /// The value as a point in time: text, or a date and time as TOML writes them.
    pub(super) fn time(&self) -> Result<String, Failure> {
        if let DeValue::Datetime(time) = self.value { Ok(time.to_string()) } else { self.text() }
    }

    /// The value read as something.
    pub(super) fn parse<T: FromStr<Err: std::fmt::Display>>(&self) -> Result<T, Failure> {
        let text = self.text()?;
        text.parse().map_err(|error| self.refuse(format_args!("`{}` = `{text}`: {error}", self.key)))
    }

    /// A list of texts, each read as something; one text is a list of one.
    pub(super) fn list<T: FromStr<Err: std::fmt::Display>>(&self) -> Result<Vec<T>, Failure> {
        let DeValue::Array(items) = self.value else { return Ok(vec![self.parse()?]) };
        let item = |item: &'a Spanned<DeValue<'a>>| {
            let line = self.source.line_at(item.span().start);
            Value { line, value: item.get_ref(), ..*self }.parse()
        };
        items.iter().map(item).collect()
    }

    /// The value as a table with these keys.
    pub(super) fn section(&self, name: String, known: &[&str]) -> Result<Section<'a>, Failure> {
        Section::closed(self.source, name, self.line, self.table()?, known)
    }

    /// The value as a table of names.
    pub(super) fn names(&self) -> Result<Section<'a>, Failure> {
        Ok(Section::open(self.source, self.key.to_owned(), self.line, self.table()?))
    }

    /// The value as `[[name]]` tables.
    pub(super) fn sections(&self, known: &[&str]) -> Result<Vec<Section<'a>>, Failure> {
        let DeValue::Array(items) = self.value else { return Err(self.unfit("a list of tables")) };
        let item = |item: &'a Spanned<DeValue<'a>>| {
            let line = self.source.line_at(item.span().start);
            Value { line, value: item.get_ref(), ..*self }.section(self.key.to_owned(), known)
        };
        items.iter().map(item).collect()
    }

    fn table(&self) -> Result<&'a DeTable<'a>, Failure> {
        let DeValue::Table(table) = self.value else { return Err(self.unfit("a table")) };
        Ok(table)
    }

    fn scalar(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str().to_owned()),
            DeValue::Integer(integer) => {
                i128::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| number.to_string())
            }
            DeValue::Float(float) => Some(float.as_str().to_owned()),
            DeValue::Boolean(switch) => Some(switch.to_string()),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    fn unfit(&self, expected: &str) -> Failure {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(format_args!("`{}` must be {expected}, not {found}", self.key))
    }
}
