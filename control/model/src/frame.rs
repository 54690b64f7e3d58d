//! Length-prefixed JSON: u32 big endian, then that many bytes. Used by the control link and by enrolment.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not a frame this side accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameInvalid {
    /// Announced longer than the limit.
    #[error("a message of {length} bytes exceeds the limit of {limit}")]
    TooLong {
        /// What the peer announced, or what was to be sent.
        length: usize,
        /// The limit that applies here.
        limit: usize,
    },
    /// Not the JSON expected.
    #[error("a message cannot be read: {0}")]
    Malformed(String),
}

/// Encodes `message` with its length in front.
///
/// # Errors
/// When it exceeds `limit`.
pub fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, FrameInvalid> {
    let mut frame = vec![0; PREFIX_BYTES];
    serde_json::to_writer(&mut frame, message).map_err(|error| FrameInvalid::Malformed(error.to_string()))?;
    let length = frame.len() - PREFIX_BYTES;
    let prefix = u32::try_from(length).ok().filter(|_| length <= limit);
    let prefix = prefix.ok_or(FrameInvalid::TooLong { length, limit })?;
    frame[..PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(frame)
}

/// Collects bytes as they come and gives whole messages. Holds at most one message and what was pushed behind it.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    start: usize,
    limit: usize,
}

impl Frames {
    /// Accepts messages of at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, limit }
    }

    /// Adds bytes as read from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message's bytes, or `None` until more is pushed.
    ///
    /// # Errors
    /// As soon as the prefix announces more than the limit; the connection is of no use after that.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameInvalid> {
        let rest = &self.buffer[self.start..];
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(FrameInvalid::TooLong { length, limit: self.limit });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.start + PREFIX_BYTES;
        self.start = begin + length;
        Ok(Some(&self.buffer[begin..begin + length]))
    }

    /// The next whole message, decoded.
    ///
    /// # Errors
    /// A message that is too long or not a `T`.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameInvalid> {
        let Some(frame) = self.next_frame()? else {
            return Ok(None);
        };
        serde_json::from_slice(frame).map(Some).map_err(|error| FrameInvalid::Malformed(error.to_string()))
    }
}

/// Bytes of the length prefix.
pub const PREFIX_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_long_is_refused_from_its_prefix_alone() {
        let mut frames = Frames::new(10);
        frames.push(&11u32.to_be_bytes());
        assert_eq!(frames.next_frame(), Err(FrameInvalid::TooLong { length: 11, limit: 10 }));
        assert!(encode(&"123456789", 10).is_err());
        assert!(encode(&"12345678", 10).is_ok());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(texts in prop::collection::vec(".{0,20}", 0..8), cut in 1usize..9) {
            let bytes: Vec<u8> = texts.iter().flat_map(|t| encode(t, 1000).unwrap()).collect();
            let mut frames = Frames::new(1000);
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                frames.push(piece);
                while let Some(text) = frames.next_message::<String>().unwrap() {
                    found.push(text);
                }
            }
            prop_assert_eq!(found, texts);
        }
    }
}
