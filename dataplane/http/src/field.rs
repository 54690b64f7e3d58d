//! One field of a [`crate::Headers`], and the names by which fields are asked for.

use std::fmt;

use crate::known::{Known, NameSet};
use crate::limits::NAME_BYTES_MAX;

/// Where a field stands in the text.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) start: u32,
    value_bytes: u32,
    name_bytes: u16,
    pub(crate) known: Option<Known>,
}

/// One field.
#[derive(Clone, Copy)]
pub struct FieldRef<'a> {
    pub(crate) line: &'a [u8],
    name_bytes: usize,
    known: Option<Known>,
}

/// A name to look up or to append: a [`Known`] one, or text in any case.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    /// A name with a number.
    Known(Known),
    /// Any other.
    Other(&'a str),
}

impl Field {
    pub(crate) fn new(start: usize, name_bytes: usize, value_bytes: usize, known: Option<Known>) -> Self {
        let end = start + name_bytes + value_bytes;
        assert!(end < u32::MAX as usize && name_bytes <= NAME_BYTES_MAX, "limits keep heads and names far smaller");
        Self { start: start as u32, value_bytes: value_bytes as u32, name_bytes: name_bytes as u16, known }
    }

    /// The same field in a text that begins so much later.
    pub(crate) fn moved(mut self, by: usize) -> Self {
        let start = self.start as usize + by;
        assert!(start + self.line_bytes() < u32::MAX as usize, "limits keep heads far smaller");
        self.start = start as u32;
        self
    }

    pub(crate) fn line_bytes(&self) -> usize {
        usize::from(self.name_bytes) + 2 + self.value_bytes as usize + 2
    }

    pub(crate) fn view<'a>(&self, text: &'a [u8]) -> FieldRef<'a> {
        let start = self.start as usize;
        let line = &text[start..start + self.line_bytes() - 2];
        FieldRef { line, name_bytes: usize::from(self.name_bytes), known: self.known }
    }

    #[inline]
    pub(crate) fn is_named(&self, text: &[u8], name: Name<'_>) -> bool {
        match (self.known, name) {
            (Some(known), Name::Known(wanted)) => known == wanted,
            (None, Name::Other(wanted)) => self.view(text).name_bytes().eq_ignore_ascii_case(wanted.as_bytes()),
            (Some(_), Name::Other(_)) | (None, Name::Known(_)) => false,
        }
    }
}

impl<'a> FieldRef<'a> {
    /// The name in lower case.
    pub fn name(self) -> &'a str {
        // A name is a token, so it is ASCII.
        std::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    /// The name in lower case, as bytes.
    pub fn name_bytes(self) -> &'a [u8] {
        &self.line[..self.name_bytes]
    }

    /// The name's number, if it has one.
    pub fn known(self) -> Option<Known> {
        self.known
    }

    /// The value.
    pub fn value(self) -> &'a [u8] {
        &self.line[self.name_bytes + 2..]
    }
}

impl<'a> Name<'a> {
    pub(crate) fn as_str(self) -> &'a str {
        match self {
            Name::Known(known) => known.as_str(),
            Name::Other(text) => text,
        }
    }

    /// `Known` whenever the name has a number, so that comparison need not look at both forms.
    #[inline]
    pub(crate) fn resolved(self) -> Self {
        match self {
            Name::Known(_) => self,
            Name::Other(text) => Self::find(text),
        }
    }

    #[inline(never)]
    fn find(text: &'a str) -> Self {
        let mut lower = [0; NAME_BYTES_MAX];
        let Some(lower) = lower.get_mut(..text.len()) else { return Name::Other(text) };
        lower.copy_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        Known::find(lower).map_or(Name::Other(text), Name::Known)
    }
}

impl From<Known> for Name<'_> {
    fn from(known: Known) -> Self {
        Name::Known(known)
    }
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(text: &'a str) -> Self {
        Name::Other(text)
    }
}

/// Shows credentials by their length only.
impl fmt::Debug for FieldRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.known.is_some_and(|known| SECRETS.has(known)) {
            return write!(f, "{}: ({} bytes)", self.name(), self.value().len());
        }
        write!(f, "{}: {}", self.name(), self.value().escape_ascii())
    }
}

const SECRETS: NameSet =
    NameSet::of(&[Known::Authorization, Known::ProxyAuthorization, Known::Cookie, Known::SetCookie]);
