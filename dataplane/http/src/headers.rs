//! Fields of a head or trailer section: one buffer that already is the HTTP/1.1 text, and an index into it.

use std::fmt;

use crate::known::{Known, NameSet};
use crate::limits::NAME_BYTES_MAX;
use crate::scan;

/// An ordered multimap of fields.
///
/// Names are in lower case, values without surrounding white space and free of control characters except HTAB; values
/// need not be UTF-8. Removal leaves the text in place until [`Headers::clear`], which keeps the memory for reuse.
#[derive(Clone, Default)]
pub struct Headers {
    /// `name: value\r\n` for every field ever appended.
    text: Vec<u8>,
    fields: Vec<Field>,
    /// Which known names may be among the fields.
    names: NameSet,
}

#[derive(Clone, Copy)]
struct Field {
    start: u32,
    value_bytes: u32,
    name_bytes: u16,
    known: Option<Known>,
}

/// One field.
#[derive(Clone, Copy)]
pub struct FieldRef<'a> {
    line: &'a [u8],
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

/// The name is not a token of at most 256 bytes, or the value holds a control character or surrounding white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name is not a token, or the value holds a control character or surrounding white space")]
pub struct InvalidField;

impl Headers {
    /// Fields in all.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Removes every field and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
        self.names = NameSet::default();
    }

    /// Bytes that the fields take as HTTP/1.1 text.
    pub fn text_bytes(&self) -> usize {
        self.fields.iter().map(Field::line_bytes).sum()
    }

    /// Every field in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = FieldRef<'_>> + ExactSizeIterator {
        self.fields.iter().map(|field| field.view(&self.text))
    }

    /// The first value of `name`.
    pub fn get<'n>(&self, name: impl Into<Name<'n>>) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The first value of `name`, if it is UTF-8.
    pub fn get_str<'n>(&self, name: impl Into<Name<'n>>) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Every value of `name` in order.
    pub fn get_all<'n>(&self, name: impl Into<Name<'n>>) -> impl Iterator<Item = &[u8]> {
        let name = name.into().resolved();
        let fields = if self.may_have(name) { self.fields.as_slice() } else { &[] };
        let wanted = fields.iter().filter(move |field| field.is_named(&self.text, name));
        wanted.map(|field| field.view(&self.text).value())
    }

    /// Whether a field is named `name`.
    pub fn contains<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field at the end.
    pub fn append<'n>(&mut self, name: impl Into<Name<'n>>, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        let field = self.write(name.into(), value.as_ref())?;
        self.push(field);
        Ok(())
    }

    /// Adds a field whose value the program fixes.
    ///
    /// # Panics
    /// When `value` is not a field value.
    pub fn append_static(&mut self, name: Known, value: &'static str) {
        assert!(self.append(name, value).is_ok(), "a fixed value of {} is valid", name.as_str());
    }

    /// Puts `value` in the place of the first field of that name and removes the others, or appends.
    pub fn set<'n>(&mut self, name: impl Into<Name<'n>>, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        let name = name.into().resolved();
        let field = self.write(name, value.as_ref())?;
        let Some(first) = self.fields.iter().position(|field| field.is_named(&self.text, name)) else {
            self.push(field);
            return Ok(());
        };
        let text = &self.text;
        let mut at = 0;
        self.fields.retain(|field| {
            at += 1;
            at - 1 <= first || !field.is_named(text, name)
        });
        self.fields[first] = field;
        Ok(())
    }

    /// Removes every field of that name and says whether there was one.
    pub fn remove<'n>(&mut self, name: impl Into<Name<'n>>) -> bool {
        let name = name.into().resolved();
        if !self.may_have(name) {
            return false;
        }
        let (before, text) = (self.fields.len(), &self.text);
        self.fields.retain(|field| !field.is_named(text, name));
        if let Name::Known(known) = name {
            self.names = self.names.without(known);
        }
        self.fields.len() != before
    }

    /// Keeps the fields for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldRef<'_>) -> bool) {
        let text = &self.text;
        self.fields.retain(|field| keep(field.view(text)));
    }

    /// Appends every field as HTTP/1.1 text, without the empty line.
    pub(crate) fn write_text(&self, out: &mut Vec<u8>) {
        let (mut start, mut end) = (0, 0);
        for field in &self.fields {
            // Neighbours in the text are copied together.
            if field.start as usize != end {
                out.extend_from_slice(&self.text[start..end]);
                start = field.start as usize;
            }
            end = field.start as usize + field.line_bytes();
        }
        out.extend_from_slice(&self.text[start..end]);
    }

    /// The known names that may be among the fields.
    pub(crate) fn names(&self) -> NameSet {
        self.names
    }

    /// Removes every field whose name is in `names`.
    pub(crate) fn remove_known(&mut self, names: NameSet) {
        if self.names.meets(names) {
            self.fields.retain(|field| !field.known.is_some_and(|known| names.has(known)));
            self.names = self.names.minus(names);
        }
    }

    /// Makes room for a message of `text_bytes`.
    pub(crate) fn reserve(&mut self, text_bytes: usize, fields: usize) {
        self.text.reserve(text_bytes);
        self.fields.reserve(fields);
    }

    /// Adds a field that the caller has checked; `name` may be in any case.
    pub(crate) fn push_checked(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text[start..].make_ascii_lowercase();
        let known = Known::find(&self.text[start..]);
        self.text.extend_from_slice(b": ");
        let field = self.close_line(start, name.len(), value, known);
        self.push(field);
    }

    /// Adds a field whose value the caller has checked.
    pub(crate) fn push_known_checked(&mut self, known: Known, value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(known.line_start().as_bytes());
        let field = self.close_line(start, known.as_str().len(), value, Some(known));
        self.push(field);
    }

    fn write(&mut self, name: Name<'_>, value: &[u8]) -> Result<Field, InvalidField> {
        let bytes = name.as_str().as_bytes();
        let valid = scan::is_token(bytes) && bytes.len() <= NAME_BYTES_MAX;
        if !valid || !scan::is_field_value(value) || scan::trim(value).len() != value.len() {
            return Err(InvalidField);
        }
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        self.text[start..].make_ascii_lowercase();
        let known = Known::find(&self.text[start..]);
        self.text.extend_from_slice(b": ");
        Ok(self.close_line(start, bytes.len(), value, known))
    }

    fn close_line(&mut self, start: usize, name_bytes: usize, value: &[u8], known: Option<Known>) -> Field {
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
        assert!(self.text.len() <= u32::MAX as usize, "limits keep a head far below 4 GiB");
        Field { start: start as u32, value_bytes: value.len() as u32, name_bytes: name_bytes as u16, known }
    }

    fn push(&mut self, field: Field) {
        if let Some(known) = field.known {
            self.names = self.names.with(known);
        }
        self.fields.push(field);
    }

    fn may_have(&self, name: Name<'_>) -> bool {
        match name {
            Name::Known(known) => self.names.has(known),
            Name::Other(_) => true,
        }
    }
}

impl Field {
    fn line_bytes(&self) -> usize {
        usize::from(self.name_bytes) + 2 + self.value_bytes as usize + 2
    }

    fn view<'a>(&self, text: &'a [u8]) -> FieldRef<'a> {
        let start = self.start as usize;
        let line = &text[start..start + self.line_bytes() - 2];
        FieldRef { line, name_bytes: usize::from(self.name_bytes), known: self.known }
    }

    fn is_named(&self, text: &[u8], name: Name<'_>) -> bool {
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
    fn as_str(self) -> &'a str {
        match self {
            Name::Known(known) => known.as_str(),
            Name::Other(text) => text,
        }
    }

    /// `Known` whenever the name has a number, so that comparison need not look at both forms.
    fn resolved(self) -> Self {
        let Name::Other(text) = self else { return self };
        let mut lower = [0; NAME_BYTES_MAX];
        let Some(lower) = lower.get_mut(..text.len()) else { return self };
        lower.copy_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        Known::find(lower).map_or(self, Name::Known)
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

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a.line == b.line)
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::default();
        headers.append("Accept", "a").unwrap();
        headers.append("X-Thing", "1").unwrap();
        headers.append(Known::Cookie, "k=v").unwrap();
        headers.append("x-thing", "2").unwrap();
        headers
    }

    fn text(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write_text(&mut out);
        assert_eq!(out.len(), headers.text_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keeps_order_and_duplicates() {
        let headers = sample();
        assert_eq!(text(&headers), "accept: a\r\nx-thing: 1\r\ncookie: k=v\r\nx-thing: 2\r\n");
        assert_eq!(headers.get_all("X-THING").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(headers.get("cookie"), Some(&b"k=v"[..]));
        assert_eq!(headers.get_str(Known::Accept), Some("a"));
        assert!(!headers.contains("host"));
        assert!(!headers.contains("x-thin"));
    }

    #[test]
    fn set_replaces_in_place_and_removes_the_others() {
        let mut headers = sample();
        headers.set("x-thing", "3").unwrap();
        assert_eq!(text(&headers), "accept: a\r\nx-thing: 3\r\ncookie: k=v\r\n");
        headers.set(Known::Cookie, "n").unwrap();
        headers.set("new", "").unwrap();
        assert_eq!(text(&headers), "accept: a\r\nx-thing: 3\r\ncookie: n\r\nnew: \r\n");
    }

    #[test]
    fn remove_retain_and_clear() {
        let mut headers = sample();
        assert!(headers.remove("X-Thing"));
        assert!(!headers.remove("x-thing"));
        assert!(headers.remove("accept"));
        assert!(!headers.contains(Known::Accept));
        assert_eq!(text(&headers), "cookie: k=v\r\n");
        headers.append("accept", "b").unwrap();
        headers.retain(|field| field.known() != Some(Known::Cookie));
        assert_eq!(text(&headers), "accept: b\r\n");
        headers.clear();
        assert!(headers.is_empty());
        assert_eq!(text(&headers), "");
    }

    #[test]
    fn refuses_what_would_break_a_head() {
        let mut headers = Headers::default();
        for (name, value) in
            [("", "v"), ("a b", "v"), ("a:", "v"), ("a", "x\r\ny: z"), ("a", "\0"), ("a", " v"), ("a", "v\t"), ("ä", "v")]
        {
            assert_eq!(headers.append(name, value), Err(InvalidField), "{name}: {value}");
            assert_eq!(headers.set(name, value), Err(InvalidField), "{name}: {value}");
        }
        assert_eq!(headers.append("n".repeat(257).as_str(), "v"), Err(InvalidField));
        assert!(headers.append("n".repeat(256).as_str(), "a\tb \u{e4}").is_ok());
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn debug_hides_credentials() {
        let mut headers = sample();
        headers.append("authorization", "Basic c2VjcmV0").unwrap();
        let shown = format!("{headers:?}");
        assert!(shown.contains("accept: a") && !shown.contains("k=v") && !shown.contains("c2VjcmV0"), "{shown}");
    }

    #[test]
    fn equality_ignores_removed_text() {
        let mut headers = sample();
        headers.remove("cookie");
        let mut same = Headers::default();
        for (name, value) in [("accept", "a"), ("x-thing", "1"), ("x-thing", "2")] {
            same.append(name, value).unwrap();
        }
        assert_eq!(headers, same);
    }
}
