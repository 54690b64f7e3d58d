//! Received bytes that are not consumed yet, contiguous. One segment that holds all that is wanted is never copied.

use bytes::{Buf, Bytes, BytesMut};

/// Input of one connection. It holds no memory while it is empty.
#[derive(Debug, Default)]
pub struct Inbox {
    whole: Bytes,
    /// Used instead of `whole` once a second segment came before the first was consumed.
    joined: BytesMut,
}

impl Inbox {
    /// Adds a segment at the end.
    pub fn push(&mut self, segment: Bytes) {
        if self.is_empty() {
            self.joined = BytesMut::new();
            self.whole = segment;
            return;
        }
        if self.joined.is_empty() {
            self.joined = BytesMut::from(std::mem::take(&mut self.whole));
        }
        self.joined.extend_from_slice(&segment);
    }

    /// All that is there.
    pub fn as_slice(&self) -> &[u8] {
        if self.joined.is_empty() { &self.whole } else { &self.joined }
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.joined.is_empty()
    }

    /// Bytes that are there.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Drops the first `count` bytes, for instance a parsed head.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn consume(&mut self, count: usize) {
        if self.joined.is_empty() {
            self.whole.advance(count);
        } else {
            self.joined.advance(count);
        }
    }

    /// All that is there as one segment that a body decoder may eat from; what it leaves belongs to the next message.
    pub fn segment(&mut self) -> &mut Bytes {
        if !self.joined.is_empty() {
            self.whole = std::mem::take(&mut self.joined).freeze();
        }
        &mut self.whole
    }

    /// Takes all that is there, for instance after an upgrade.
    pub fn take(&mut self) -> Bytes {
        std::mem::take(self.segment())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_segment_is_not_copied() {
        let segment = Bytes::from_static(b"headbody");
        let at = segment.as_ptr();
        let mut inbox = Inbox::default();
        inbox.push(segment);
        inbox.consume(4);
        assert_eq!(inbox.as_slice(), b"body");
        assert_eq!(inbox.take().as_ptr(), at.wrapping_add(4));
        assert!(inbox.is_empty());
    }

    #[test]
    fn segments_are_joined_in_order() {
        let mut inbox = Inbox::default();
        for part in ["a", "", "bc", "def"] {
            inbox.push(Bytes::from_static(part.as_bytes()));
        }
        assert_eq!(inbox.as_slice(), b"abcdef");
        inbox.consume(2);
        assert_eq!(inbox.segment().split_to(2), "cd");
        inbox.push(Bytes::from_static(b"g"));
        assert_eq!((inbox.len(), inbox.take()), (3, Bytes::from_static(b"efg")));
        inbox.push(Bytes::from_static(b"h"));
        assert_eq!(inbox.as_slice(), b"h");
    }
}
