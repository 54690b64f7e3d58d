//! As much of DER as signatures and OCSP need: elements that follow each other, read and written. Indefinite lengths and tags of several bytes
//! are not in it.

/// One element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Tag, length and content.
    pub(crate) whole: &'a [u8],
}

/// Elements that follow each other. Every read takes one, or gives `None` for what cannot be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn element(&mut self) -> Option<Element<'a>> {
        let bytes = self.0;
        let (tag, rest) = bytes.split_first().filter(|(tag, _)| **tag & LONG_TAG != LONG_TAG)?;
        let (first, rest) = rest.split_first()?;
        let digits = usize::from(first & 0x7f);
        let (length, rest) = if *first < 0x80 {
            (digits, rest)
        } else {
            // None at all is an indefinite length, and more than four are gigabytes.
            let (length, rest) = rest.split_at_checked(digits).filter(|_| (1..=4).contains(&digits))?;
            (length.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = bytes.get(..bytes.len() - after.len())?;
        self.0 = after;
        Some(Element { tag: *tag, content, whole })
    }

    /// The content of the next one, which has to be of that kind.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|element| element.tag == tag).map(|element| element.content)
    }

    /// The same for one that may be missing: what is there instead stays.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let content = ahead.expect(tag)?;
        *self = ahead;
        Some(content)
    }

    /// Says that nothing may follow.
    pub(crate) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// The one element of that kind that these bytes are.
pub(crate) fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes);
    let content = reader.expect(tag)?;
    reader.end()?;
    Some(content)
}

/// The bytes of a BIT STRING of whole bytes, from its content.
pub(crate) fn bits(content: &[u8]) -> Option<&[u8]> {
    content.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bits)| bits)
}

/// One element of these parts.
pub(crate) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(content.len()).ok().filter(|short| *short < 0x80) {
        Some(short) => out.push(short),
        None => {
            let digits: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
            // Eight at most.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_ID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[0]` and so on, explicit.
pub(crate) const EXPLICIT: [u8; 2] = [0xa0, 0xa1];
const LONG_TAG: u8 = 0x1f;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 70_000] {
            let content = vec![7; length];
            let written = [write(SEQUENCE, &[&content]), vec![INTEGER, 1, 5]].concat();
            let mut reader = Reader::new(&written);
            let element = reader.element().unwrap();
            assert_eq!((element.tag, element.content), (SEQUENCE, content.as_slice()));
            assert_eq!(element.whole.len() + 3, written.len());
            assert!(reader.optional(SEQUENCE).is_none());
            assert_eq!(reader.expect(INTEGER), Some([5].as_slice()));
            assert!(reader.element().is_none());
        }
    }

    #[test]
    fn nothing_may_follow_the_only_one() {
        let mut written = write(SEQUENCE, &[&[7; 3]]);
        assert_eq!(only(&written, SEQUENCE), Some([7; 3].as_slice()));
        assert!(only(&written, INTEGER).is_none());
        written.push(0);
        assert!(only(&written, SEQUENCE).is_none());
    }

    #[test]
    fn what_is_cut_or_has_no_length_is_nothing() {
        let written = write(SEQUENCE, &[&[7; 300]]);
        for end in 0..written.len() {
            assert!(Reader::new(&written[..end]).element().is_none(), "{end}");
        }
        for wrong in [[0x30, 0x80, 0, 0, 0, 0, 0].as_slice(), &[0x30, 0x85, 0, 0, 0, 0, 0], &[0x1f, 1, 0]] {
            assert!(Reader::new(wrong).element().is_none(), "{wrong:?}");
        }
        assert_eq!(bits(&[0, 1, 2]), Some([1, 2].as_slice()));
        assert!(bits(&[3, 8]).is_none() && bits(&[]).is_none());
    }
}
