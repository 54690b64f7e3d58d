//! What may be a URL, held back until that is known, in a text whose characters may have several bytes.

use crate::charset::Wide;

/// No character of several bytes has a smaller one behind its first, but for digits in GB18030, which look like nothing else.
const TRAIL_BYTE_MIN: u8 = 0x40;

/// The bytes of one text that have not come out yet.
#[derive(Debug)]
pub(crate) struct Held {
    wide: Option<Wide>,
    /// The next byte belongs to the character before.
    trail: bool,
    bytes: Vec<u8>,
    /// Some of them look like ASCII and are not.
    opaque: bool,
}

impl Held {
    pub(crate) fn new(wide: Option<Wide>) -> Self {
        Self { wide, trail: false, bytes: Vec::new(), opaque: false }
    }

    /// Looks at every byte of the text first, and takes those that belong to the character before: they mean nothing by
    /// themselves.
    #[inline]
    pub(crate) fn takes_trail(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        // Behind a lead byte such a byte is what it looks like, for browsers, too (Encoding Standard, "gbk decoder" and the others).
        if !std::mem::take(&mut self.trail) || byte < TRAIL_BYTE_MIN {
            self.trail = self.wide.is_some_and(|wide| wide.leads(byte));
            return false;
        }
        if self.bytes.is_empty() {
            out.push(byte);
        } else {
            self.bytes.push(byte);
            self.opaque = true;
        }
        true
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Adds what has no characters of several bytes in it that look like ASCII.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether every byte that looks like ASCII is.
    #[inline]
    pub(crate) fn is_narrow(&self) -> bool {
        self.wide.is_none()
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All that is held, if there is something and nothing in it is other than it looks.
    pub(crate) fn plain(&self) -> Option<&[u8]> {
        (!self.bytes.is_empty() && !self.opaque).then_some(self.bytes.as_slice())
    }

    /// Something else came out in its place.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.opaque = false;
    }

    /// It comes out as it is.
    pub(crate) fn release(&mut self, out: &mut Vec<u8>) {
        self.opaque = false;
        out.append(&mut self.bytes);
    }
}
