//! What has to be known of a text's character encoding: whether a byte that looks like ASCII is ASCII. Texts are not decoded:
//! URLs are ASCII, and what is around them stays byte for byte what it was.

use std::borrow::Cow;

use encoding_rs::{BIG5, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

/// How bytes become characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    /// A byte below 0x80 is ASCII wherever it stands: UTF-8, all of one byte, and EUC-JP.
    Plain,
    /// Some bytes take the next one with them, which may look like ASCII, a backslash for example.
    Wide(Wide),
    /// Not a superset of ASCII: UTF-16, ISO-2022-JP.
    Unfit,
}

/// Which bytes take the next one with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wide {
    /// Shift_JIS, which has characters of one byte between.
    ShiftJis,
    /// GBK, GB18030 (whose characters of four bytes are two pairs), Big5, EUC-KR.
    Upper,
}

impl Charset {
    /// By its label in the Encoding Standard; `None` for unknown ones.
    pub(crate) fn by_label(label: &str) -> Option<Self> {
        Encoding::for_label(label.as_bytes()).map(Self::of)
    }

    fn of(encoding: &'static Encoding) -> Self {
        if !encoding.is_ascii_compatible() {
            Self::Unfit
        } else if encoding == SHIFT_JIS {
            Self::Wide(Wide::ShiftJis)
        } else if [GBK, GB18030, BIG5, EUC_KR].contains(&encoding) {
            Self::Wide(Wide::Upper)
        } else {
            Self::Plain
        }
    }

    /// By the first bytes of a body: its byte order mark.
    pub(crate) fn by_mark(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
            Some(Self::Plain)
        } else if bytes.starts_with(&[0xfe, 0xff]) || bytes.starts_with(&[0xff, 0xfe]) {
            Some(Self::Unfit)
        } else {
            None
        }
    }

    pub(crate) fn wide(self) -> Option<Wide> {
        match self {
            Self::Wide(wide) => Some(wide),
            Self::Plain | Self::Unfit => None,
        }
    }
}

impl Wide {
    /// Whether the byte after `byte` belongs to the same character.
    pub(crate) fn leads(self, byte: u8) -> bool {
        match self {
            Self::ShiftJis => matches!(byte, 0x81..=0x9f | 0xe0..=0xfc),
            Self::Upper => matches!(byte, 0x81..=0xfe),
        }
    }
}

/// The value of `charset` in a media type's parameters.
pub(crate) fn parameter(media_type: &str) -> Option<&str> {
    media_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })
}

/// A byte order mark is at most this long.
pub(crate) const MARK_BYTES: usize = 3;

/// `bytes` as characters of one byte each, so that any bytes can be handled as text and come back as they were.
pub(crate) fn characters(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// The way back of [`characters`]; `None` if something else came in.
pub(crate) fn bytes(characters: &str) -> Option<Cow<'_, [u8]>> {
    if characters.is_ascii() {
        return Some(Cow::Borrowed(characters.as_bytes()));
    }
    characters.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect::<Option<_>>().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_encoding_standard() {
        for (label, charset) in [
            ("utf-8", Charset::Plain),
            ("ISO-8859-1", Charset::Plain),
            ("euc-jp", Charset::Plain),
            ("x-sjis", Charset::Wide(Wide::ShiftJis)),
            ("gb2312", Charset::Wide(Wide::Upper)),
            ("utf-16le", Charset::Unfit),
            ("iso-2022-jp", Charset::Unfit),
        ] {
            assert_eq!(Charset::by_label(label), Some(charset), "{label}");
        }
        assert_eq!(Charset::by_label("klingon"), None);
    }

    #[test]
    fn the_parameter_is_found_however_it_is_written() {
        for (media_type, label) in [
            ("text/html; charset=utf-8", Some("utf-8")),
            ("text/html;boundary=x; CHARSET = \"GBK\"", Some("GBK")),
            ("text/html;charset='x'", Some("x")),
            ("text/html", None),
            ("text/html; xcharset=utf-8", None),
        ] {
            assert_eq!(parameter(media_type), label, "{media_type}");
        }
    }

    #[test]
    fn any_bytes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&characters(&all)).as_deref(), Some(&all[..]));
        assert_eq!(bytes(&characters(&all[..128])).as_deref(), Some(&all[..128]));
        assert_eq!(bytes("\u{100}"), None);
    }
}
