//! Fields of a head or trailer section: one buffer that already is the HTTP/1.1 text, and an index into it.

mod checked;
mod rewrite;

use std::fmt;

use bytes::Bytes;

use crate::field::{Field, FieldRef, Name};
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
    /// Which known names may be among the fields, and whether others may.
    names: NameSet,
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

    /// Adds every field of `other` at the end, in one piece.
    pub fn append_all(&mut self, other: &Self) {
        let shift = self.text.len();
        self.text.extend_from_slice(&other.text);
        self.fields.extend(other.fields.iter().map(|field| field.moved(shift)));
        self.names = self.names.union(other.names);
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

    /// Every name, in lower case, and value in order; the values share one allocation with each other.
    pub(crate) fn shared(mut self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let text = Bytes::from(std::mem::take(&mut self.text));
        self.fields.into_iter().map(move |field| {
            let view = field.view(&text);
            (text.slice_ref(view.name_bytes()), text.slice_ref(view.value()))
        })
    }

    /// As [`Headers::get_all`] of a known name, for what every message is searched for: where there is none it costs next to nothing.
    #[inline]
    pub fn values(&self, name: Known) -> impl Iterator<Item = &[u8]> {
        let fields = if self.names.has(name) { self.fields.as_slice() } else { &[] };
        fields.iter().filter(move |field| field.known == Some(name)).map(|field| field.view(&self.text).value())
    }

    /// The known names that may be among the fields, and whether others may.
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

    fn write(&mut self, name: Name<'_>, value: &[u8]) -> Result<Field, InvalidField> {
        let bytes = name.as_str().as_bytes();
        let valid = scan::is_token(bytes) && bytes.len() <= NAME_BYTES_MAX;
        if !valid || !scan::is_field_value(value) || scan::trim(value).len() != value.len() {
            return Err(InvalidField);
        }
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        scan::make_lowercase(&mut self.text[start..]);
        let known = Known::find(&self.text[start..]);
        self.text.extend_from_slice(b": ");
        Ok(self.close_line(start, bytes.len(), value, known))
    }

    fn close_line(&mut self, start: usize, name_bytes: usize, value: &[u8], known: Option<Known>) -> Field {
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
        Field::new(start, name_bytes, value.len(), known)
    }

    fn push(&mut self, field: Field) {
        self.names = match field.known {
            Some(known) => self.names.with(known),
            None => self.names.with_others(),
        };
        self.fields.push(field);
    }

    fn may_have(&self, name: Name<'_>) -> bool {
        match name {
            Name::Known(known) => self.names.has(known),
            Name::Other(_) => self.names.has_others(),
        }
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
    fn another_ones_fields_are_added_as_they_are() {
        let mut other = Headers::default();
        other.append("gone", "x").unwrap();
        other.append("x-user", "anna").unwrap();
        other.append(Known::Accept, "b").unwrap();
        other.remove("gone");
        let mut headers = sample();
        headers.remove("x-thing");
        headers.append_all(&other);
        assert_eq!(text(&headers), "accept: a\r\ncookie: k=v\r\nx-user: anna\r\naccept: b\r\n");
        assert_eq!(headers.get_all(Known::Accept).count(), 2);
        assert_eq!(headers.get("X-User"), Some(&b"anna"[..]));
        let mut empty = Headers::default();
        empty.append_all(&other);
        assert_eq!((empty.get(Known::Accept), empty.get("X-User")), (Some(&b"b"[..]), Some(&b"anna"[..])));
    }

    #[test]
    fn refuses_what_would_break_a_head() {
        let mut headers = Headers::default();
        for (name, value) in [
            ("", "v"),
            ("a b", "v"),
            ("a:", "v"),
            ("a", "x\r\ny: z"),
            ("a", "\0"),
            ("a", " v"),
            ("a", "v\t"),
            ("ä", "v"),
        ] {
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
