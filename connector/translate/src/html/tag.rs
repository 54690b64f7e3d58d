//! One tag, from its `<` to its `>` (HTML Standard §13.2.5, from "tag name state" on): where its name ends and where the values of
//! those attributes are that matter here. It may come in pieces; what was looked at is not looked at again.

use std::ops::Range;

use memchr::memchr;

/// An attribute whose name is in [`known`].
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    /// In lower case.
    pub(crate) name: &'static str,
    /// All of it in the tag, its value and quotes included.
    pub(crate) whole: Range<usize>,
    /// What is between the quotes; empty where there is none.
    pub(crate) value: Range<usize>,
    pub(crate) quote: Option<u8>,
}

/// What is known of a tag so far. All places count from its `<`.
#[derive(Debug)]
pub(crate) struct Tag {
    scan: Scan,
    /// The first byte that was not looked at.
    at: usize,
    /// Where the attribute that is read begins, where its name ends, and where its value begins.
    attribute: usize,
    attribute_name_end: usize,
    value: usize,
    name_end: usize,
    /// Where the way to the next attribute began: what stands before belongs to a name or a value.
    between: usize,
    is_end: bool,
    is_self_closing: bool,
    /// At most one of each name: of several the first counts.
    attributes: Vec<Attribute>,
}

/// ```text
/// Name ─→ Before ─→ AttributeName ─→ AfterName ─=→ BeforeValue ─→ Quoted | Unquoted ─→ Before
///            └─>→ the end                └─────→ Before
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Name,
    Before,
    AttributeName,
    AfterName,
    BeforeValue,
    Quoted(u8),
    Unquoted,
}

impl Tag {
    pub(crate) fn new() -> Self {
        Self {
            scan: Scan::Name,
            at: 0,
            attribute: 0,
            attribute_name_end: 0,
            value: 0,
            name_end: 0,
            between: 0,
            is_end: false,
            is_self_closing: false,
            attributes: Vec::new(),
        }
    }

    /// The next tag: `bytes` begins with `<` and a letter, or `</` and a letter.
    pub(crate) fn begin(&mut self, bytes: &[u8]) {
        self.is_end = bytes.get(1) == Some(&b'/');
        self.is_self_closing = false;
        self.scan = Scan::Name;
        self.at = 1 + usize::from(self.is_end);
        self.attributes.clear();
    }

    /// Goes on in `bytes`, which hold all of the tag that came. How long the tag is, once its end has come.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            let rest = bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            match self.scan {
                Scan::Name => {
                    self.skip(rest, |byte| !ends_name(byte))?;
                    self.name_end = self.at;
                    self.between = self.at;
                    self.scan = Scan::Before;
                }
                Scan::Before => {
                    if self.skip(rest, |byte| byte == b'/' || is_space(byte))? == b'>' {
                        self.is_self_closing = bytes[self.between..self.at].ends_with(b"/");
                        return Some(self.at + 1);
                    }
                    self.attribute = self.at;
                    // An equals sign that comes first is part of the name.
                    self.at += 1;
                    self.scan = Scan::AttributeName;
                }
                Scan::AttributeName => {
                    self.skip(rest, |byte| byte != b'=' && !ends_name(byte))?;
                    self.attribute_name_end = self.at;
                    self.scan = Scan::AfterName;
                }
                Scan::AfterName => {
                    if self.skip(rest, is_space)? == b'=' {
                        self.at += 1;
                        self.scan = Scan::BeforeValue;
                    } else {
                        self.complete(bytes, self.attribute_name_end..self.attribute_name_end, None);
                    }
                }
                Scan::BeforeValue => {
                    let first = self.skip(rest, is_space)?;
                    self.value = self.at;
                    match first {
                        b'"' | b'\'' => {
                            self.at += 1;
                            self.value = self.at;
                            self.scan = Scan::Quoted(first);
                        }
                        b'>' => self.complete(bytes, self.at..self.at, None),
                        _ => self.scan = Scan::Unquoted,
                    }
                }
                Scan::Quoted(quote) => {
                    let Some(length) = memchr(quote, rest) else {
                        self.at = bytes.len();
                        return None;
                    };
                    let end = self.at + length;
                    self.at = end + 1;
                    self.complete(bytes, self.value..end, Some(quote));
                }
                Scan::Unquoted => {
                    self.skip(rest, |byte| byte != b'>' && !is_space(byte))?;
                    self.complete(bytes, self.value..self.at, None);
                }
            }
        }
    }

    /// Goes to the first byte of `rest` that is none of those; that byte, if it has come.
    #[inline]
    fn skip(&mut self, rest: &[u8], those: impl Fn(u8) -> bool) -> Option<u8> {
        match rest.iter().position(|byte| !those(*byte)) {
            Some(length) => {
                self.at += length;
                rest.get(length).copied()
            }
            None => {
                self.at += rest.len();
                None
            }
        }
    }

    fn complete(&mut self, bytes: &[u8], value: Range<usize>, quote: Option<u8>) {
        self.scan = Scan::Before;
        self.between = self.at;
        let Some(name) = bytes.get(self.attribute..self.attribute_name_end).and_then(known) else { return };
        if !self.is_end && self.attribute(name).is_none() {
            let end = self.attribute_name_end.max(value.end + usize::from(quote.is_some()));
            self.attributes.push(Attribute { name, whole: self.attribute..end, value, quote });
        }
    }

    /// Its name, as it stands in `bytes`.
    pub(crate) fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(1 + usize::from(self.is_end)..self.name_end).unwrap_or_default()
    }

    /// `</…>`.
    pub(crate) fn is_end(&self) -> bool {
        self.is_end
    }

    /// `<…/>`.
    pub(crate) fn is_self_closing(&self) -> bool {
        self.is_self_closing
    }

    pub(crate) fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

/// The names of attributes that matter to a page or to its tree, in lower case.
fn known(name: &[u8]) -> Option<&'static str> {
    let mut lower = [0; ATTRIBUTE_NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    // `data-…`, `aria-…` and the like are longer than most of these.
    for (to, from) in lower.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    Some(match &*lower {
        b"src" => "src",
        b"href" => "href",
        b"data" => "data",
        b"cite" => "cite",
        b"ping" => "ping",
        b"type" => "type",
        b"name" => "name",
        b"face" => "face",
        b"size" => "size",
        b"style" => "style",
        b"color" => "color",
        b"action" => "action",
        b"poster" => "poster",
        b"srcset" => "srcset",
        b"lowsrc" => "lowsrc",
        b"dynsrc" => "dynsrc",
        b"content" => "content",
        b"charset" => "charset",
        b"profile" => "profile",
        b"archive" => "archive",
        b"manifest" => "manifest",
        b"codebase" => "codebase",
        b"longdesc" => "longdesc",
        b"property" => "property",
        b"encoding" => "encoding",
        b"integrity" => "integrity",
        b"background" => "background",
        b"formaction" => "formaction",
        b"xlink:href" => "xlink:href",
        b"http-equiv" => "http-equiv",
        b"imagesrcset" => "imagesrcset",
        _ => return None,
    })
}

/// `imagesrcset`.
const ATTRIBUTE_NAME_BYTES_MAX: usize = 11;

/// HTML Standard, "ASCII whitespace".
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r' | 0x0c)
}

/// What a tag's or an attribute's name ends at.
pub(super) fn ends_name(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'/' | b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(bytes: &[u8], piece: usize) -> (Tag, usize) {
        let mut tag = Tag::new();
        tag.begin(bytes);
        let mut came = 3;
        loop {
            if let Some(length) = tag.scan(&bytes[..came.min(bytes.len())]) {
                return (tag, length);
            }
            assert!(came < bytes.len(), "{} has no end", String::from_utf8_lossy(bytes));
            came += piece;
        }
    }

    #[test]
    fn attributes_are_found_however_they_are_written() {
        let cases: [(&str, &[(&str, &str)]); 14] = [
            ("<a>", &[]),
            ("<a href=x>", &[("href", "x")]),
            ("<A\tHREF = 'x>y' Src\n=\r\"z\">", &[("href", "x>y"), ("src", "z")]),
            ("<a href='x'src=y/>", &[("href", "x"), ("src", "y/")]),
            ("<a/href='x'/src=y>", &[("href", "x"), ("src", "y")]),
            ("<a href src=y>", &[("href", ""), ("src", "y")]),
            ("<a href=>", &[("href", "")]),
            ("<a href=x href=y>", &[("href", "x")]),
            ("<a =href=x>", &[]),
            ("<a class='href=x' id=\"src='y'\">", &[]),
            ("<a href=x'y\"z>", &[("href", "x'y\"z")]),
            ("<a hrefs=x data-src=y>", &[]),
            ("<a href = >", &[("href", "")]),
            ("</a href=x>", &[]),
        ];
        for (text, expected) in cases {
            for piece in 1..=text.len() {
                let (tag, length) = scanned(text.as_bytes(), piece);
                assert_eq!(length, text.len(), "{text}");
                let found: Vec<_> = tag.attributes().iter().map(|of| (of.name, &text[of.value.clone()])).collect();
                assert_eq!(found, expected, "{text}");
                assert_eq!(tag.name(text.as_bytes()).to_ascii_lowercase(), b"a", "{text}");
            }
        }
    }

    #[test]
    fn what_closes_itself_is_told_from_a_slash_in_a_value() {
        for (text, closes) in [
            ("<a/>", true),
            ("<a />", true),
            ("<a href=x />", true),
            ("<a href='x'/>", true),
            ("<a href/>", true),
            ("<a href=x/>", false),
            ("<a b=/>", false),
            ("<a / >", false),
            ("<a>", false),
        ] {
            assert_eq!(scanned(text.as_bytes(), 1).0.is_self_closing(), closes, "{text}");
        }
    }
}
