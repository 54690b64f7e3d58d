//! An entry of the directory as bytes: what the LDAP library decoded, looked at without trust in its form.

use std::collections::BTreeMap;

use ldap3::asn1::{PL, StructureTag};

/// An entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    /// Values by the attribute's name in small letters; options such as `;range=0-1499` apart.
    attributes: BTreeMap<String, Attribute>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Attribute {
    values: Vec<Vec<u8>>,
    range: Range,
}

/// Which values these are (Active Directory, [MS-ADTS] 3.1.1.3.1.3.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Range {
    /// All, or the last.
    #[default]
    Whole,
    /// Some: the next begin here.
    Next(u32),
    /// It cannot be told.
    Malformed,
}

impl Entry {
    /// RFC 4511 §4.5.2: `SearchResultEntry`. `None` is for what has another form.
    pub(crate) fn read(tag: StructureTag) -> Option<Self> {
        let mut parts = constructed(tag)?.into_iter();
        let dn = String::from_utf8_lossy(&primitive(parts.next()?)?).into_owned();
        let mut entry = Self { dn, attributes: BTreeMap::new() };
        for attribute in constructed(parts.next()?)? {
            let mut parts = constructed(attribute)?.into_iter();
            let description = String::from_utf8(primitive(parts.next()?)?).ok()?.to_ascii_lowercase();
            let values = constructed(parts.next()?)?.into_iter().map(primitive).collect::<Option<Vec<_>>>()?;
            let mut options = description.split(';');
            let name = options.next()?.to_owned();
            let range = options.find_map(|option| option.strip_prefix("range="));
            let known = entry.attributes.entry(name).or_default();
            known.values.extend(values);
            // The same attribute may be there without a range, too, and without values.
            if let Some(range) = range {
                known.range = range_of(range);
            }
        }
        Some(entry)
    }

    /// The first value.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.values(name).first().map(Vec::as_slice)
    }

    /// The first value, if it is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    pub(crate) fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes.get(&name.to_ascii_lowercase()).map_or(&[], |attribute| &attribute.values)
    }

    /// Whether these values are all.
    pub(crate) fn range(&self, name: &str) -> Range {
        self.attributes.get(&name.to_ascii_lowercase()).map_or(Range::Whole, |attribute| attribute.range)
    }

    #[cfg(test)]
    pub(crate) fn of(dn: &str, attributes: &[(&str, &[u8])]) -> Self {
        let mut entry = Self { dn: dn.into(), attributes: BTreeMap::new() };
        for (name, value) in attributes {
            entry.attributes.entry(name.to_ascii_lowercase()).or_default().values.push(value.to_vec());
        }
        entry
    }
}

/// `0-1499`: go on with 1500; `1500-*`: that was the last.
fn range_of(range: &str) -> Range {
    let Some((_, last)) = range.split_once('-') else { return Range::Malformed };
    if last == "*" {
        return Range::Whole;
    }
    last.parse::<u32>().ok().and_then(|last| last.checked_add(1)).map_or(Range::Malformed, Range::Next)
}

/// The cookie that leads to the next page (RFC 2696): `SEQUENCE { size INTEGER, cookie OCTET STRING }`. Empty on the last.
pub(crate) fn cookie_of(control: &[u8]) -> Option<Vec<u8>> {
    let (tag, sequence, _) = element(control)?;
    let (size, _, rest) = element(sequence)?;
    let (string, cookie, _) = element(rest)?;
    ((tag, size, string) == (0x30, 0x02, 0x04)).then(|| cookie.to_vec())
}

/// Tag, contents, and what comes behind.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if *first >= 0x80 {
        let long = usize::from(first & 0x7f);
        if !(1..=4).contains(&long) {
            return None;
        }
        length = rest.get(..long)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = rest.get(long..)?;
    }
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

fn constructed(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn primitive(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldap3::asn1::TagClass;

    fn tag(payload: PL) -> StructureTag {
        StructureTag { class: TagClass::Universal, id: 4, payload }
    }

    fn octets(text: &str) -> StructureTag {
        tag(PL::P(text.as_bytes().to_vec()))
    }

    #[test]
    fn entries_are_read_with_their_ranges() {
        let attribute = |name: &str, values: &[&str]| {
            tag(PL::C(vec![octets(name), tag(PL::C(values.iter().map(|value| octets(value)).collect()))]))
        };
        let attributes = vec![
            attribute("Mail", &["a@b", "c@d"]),
            attribute("member;range=0-1499", &["cn=a"]),
            attribute("member", &[]),
        ];
        let entry = Entry::read(tag(PL::C(vec![octets("cn=x"), tag(PL::C(attributes))]))).unwrap();
        assert_eq!((entry.dn.as_str(), entry.text("MAIL"), entry.values("mail").len()), ("cn=x", Some("a@b"), 2));
        assert_eq!((entry.range("member"), entry.range("mail")), (Range::Next(1500), Range::Whole));
        assert_eq!(range_of("1500-*"), Range::Whole);
        for wrong in ["", "0", "0-", "0-x", "0-4294967295", "0-1499-2"] {
            assert_eq!(range_of(wrong), Range::Malformed, "{wrong}");
        }
    }

    #[test]
    fn entries_of_another_form_are_none() {
        for wrong in [
            octets("x"),
            tag(PL::C(vec![])),
            tag(PL::C(vec![octets("cn=x")])),
            tag(PL::C(vec![octets("cn=x"), octets("y")])),
            tag(PL::C(vec![octets("cn=x"), tag(PL::C(vec![octets("y")]))])),
            tag(PL::C(vec![octets("cn=x"), tag(PL::C(vec![tag(PL::C(vec![octets("a"), octets("b")]))]))])),
        ] {
            assert_eq!(Entry::read(wrong), None);
        }
    }

    #[test]
    fn cookies_are_read_narrowly() {
        let good = b"\x30\x08\x02\x01\x00\x04\x03abc";
        assert_eq!(cookie_of(good), Some(b"abc".to_vec()));
        assert_eq!(cookie_of(b"\x30\x84\x00\x00\x00\x05\x02\x01\x00\x04\x00"), Some(Vec::new()));
        for cut in 0..good.len() {
            assert_eq!(cookie_of(&good[..cut]), None, "{cut} bytes");
        }
        assert_eq!(cookie_of(b"\x30\xff\x02"), None);
    }
}
