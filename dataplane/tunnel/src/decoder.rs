//! Cuts the byte stream into frames. DATA is passed on piece by piece as it arrives, never assembled and never copied;
//! other frames are cut out of the input where they lie whole in it and are assembled otherwise.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::PeerMisbehaved;
use crate::frame::{END, FrameKind, HEADER_BYTES, Header, Parsed, WireId};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Frame(Header, Bytes),
    /// Part of a DATA frame; `first` and `end` only with its first and its last part.
    Data {
        stream: WireId,
        piece: Bytes,
        first: bool,
        end: bool,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    partial: BytesMut,
    body: Body,
}

/// What is left of a frame that is not assembled.
#[derive(Debug, Clone, Copy, Default)]
enum Body {
    #[default]
    None,
    Data(Rest),
    Skip(usize),
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    stream: WireId,
    left: usize,
    first: bool,
    end: bool,
}

impl Decoder {
    /// The next frame or piece of DATA in `input`; `None` when all of it was taken.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Item>, PeerMisbehaved> {
        loop {
            match self.body {
                Body::None => {}
                Body::Data(rest) => return Ok(self.piece(input, rest)),
                Body::Skip(left) => {
                    let taken = left.min(input.len());
                    input.advance(taken);
                    if taken < left {
                        self.body = Body::Skip(left - taken);
                        return Ok(None);
                    }
                    self.body = Body::None;
                }
            }
            let Some(parsed) = self.header(input)? else {
                return Ok(None);
            };
            match parsed {
                Parsed::Known(header) if header.kind == FrameKind::Data => {
                    self.drop_header(input);
                    if header.length == 0 {
                        return empty_data(header).map(Some);
                    }
                    self.body = Body::Data(Rest {
                        stream: header.stream,
                        left: header.length,
                        first: true,
                        end: header.flags & END != 0,
                    });
                }
                Parsed::Known(header) => return Ok(self.payload(input, header)),
                Parsed::Skip(length) => {
                    self.drop_header(input);
                    self.body = Body::Skip(length);
                }
            }
        }
    }

    fn piece(&mut self, input: &mut Bytes, rest: Rest) -> Option<Item> {
        if input.is_empty() {
            return None;
        }
        let piece = input.split_to(rest.left.min(input.len()));
        let left = rest.left - piece.len();
        self.body = if left == 0 { Body::None } else { Body::Data(Rest { left, first: false, ..rest }) };
        Some(Item::Data { stream: rest.stream, piece, first: rest.first, end: rest.end && left == 0 })
    }

    /// The header at the front, left where it is; `None` while it is incomplete.
    fn header(&mut self, input: &mut Bytes) -> Result<Option<Parsed>, PeerMisbehaved> {
        if self.partial.is_empty()
            && let Some(bytes) = input.first_chunk::<HEADER_BYTES>()
        {
            return Header::parse(*bytes).map(Some);
        }
        let missing = HEADER_BYTES.saturating_sub(self.partial.len());
        let taken = input.split_to(missing.min(input.len()));
        self.partial.extend_from_slice(&taken);
        match self.partial.first_chunk::<HEADER_BYTES>() {
            Some(bytes) => Header::parse(*bytes).map(Some),
            None => Ok(None),
        }
    }

    fn drop_header(&mut self, input: &mut Bytes) {
        if self.partial.is_empty() {
            input.advance(HEADER_BYTES);
        } else {
            debug_assert_eq!(self.partial.len(), HEADER_BYTES, "only a header is assembled");
            self.partial.clear();
        }
    }

    fn payload(&mut self, input: &mut Bytes, header: Header) -> Option<Item> {
        let whole = HEADER_BYTES + header.length;
        if self.partial.is_empty() && input.len() >= whole {
            input.advance(HEADER_BYTES);
            return Some(Item::Frame(header, input.split_to(header.length)));
        }
        let missing = whole - self.partial.len();
        let taken = input.split_to(missing.min(input.len()));
        self.partial.extend_from_slice(&taken);
        if self.partial.len() < whole {
            return None;
        }
        let mut frame = std::mem::take(&mut self.partial).freeze();
        frame.advance(HEADER_BYTES);
        Some(Item::Frame(header, frame))
    }
}

fn empty_data(header: Header) -> Result<Item, PeerMisbehaved> {
    let (stream, end) = (header.stream, header.flags & END != 0);
    if !end {
        return Err(PeerMisbehaved::DataEmpty { stream });
    }
    Ok(Item::Data { stream, piece: Bytes::new(), first: true, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::OPTIONAL;
    use proptest::prelude::*;

    fn frame(kind: FrameKind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let header = Header { length: payload.len(), kind, flags, stream: WireId(stream) };
        [&header.encode()[..], payload].concat()
    }

    fn decode(bytes: &[u8], cuts: &[usize]) -> Vec<Item> {
        let mut decoder = Decoder::default();
        let mut items = Vec::new();
        let mut rest = Bytes::copy_from_slice(bytes);
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let cut = cuts.next().copied().unwrap_or(usize::MAX).min(rest.len());
            let mut input = rest.split_to(cut.max(1));
            while let Some(item) = decoder.next(&mut input).unwrap() {
                join(&mut items, item);
            }
            assert!(input.is_empty(), "everything is taken");
        }
        items
    }

    /// Joins pieces of DATA, so that results do not depend on where the input was cut.
    fn join(items: &mut Vec<Item>, item: Item) {
        if let Item::Data { stream, piece, first: false, end } = &item
            && let Some(Item::Data { stream: before, piece: start, end: ended, .. }) = items.last_mut()
            && before == stream
            && !*ended
        {
            *start = [&start[..], &piece[..]].concat().into();
            *ended = *end;
            return;
        }
        items.push(item);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            frames in prop::collection::vec((0_usize..5, prop::collection::vec(any::<u8>(), 1..300)), 1..12),
            cuts in prop::collection::vec(1_usize..400, 1..10),
        ) {
            let mut bytes = Vec::new();
            for (choice, payload) in &frames {
                match choice {
                    0 => bytes.extend(frame(FrameKind::Head, 0, 7, payload)),
                    1 => bytes.extend(frame(FrameKind::Data, END, 7, payload)),
                    2 => bytes.extend(frame(FrameKind::Probe, 0, 0, payload)),
                    3 => bytes.extend(frame(FrameKind::Data, END, 9, &[])),
                    _ => {
                        let mut unknown = frame(FrameKind::Probe, OPTIONAL, 0, payload);
                        unknown[3] = 200;
                        bytes.extend(unknown);
                    }
                }
            }
            let whole = decode(&bytes, &[usize::MAX]);
            let unknown = frames.iter().filter(|(choice, _)| *choice == 4).count();
            prop_assert_eq!(whole.len(), frames.len() - unknown);
            prop_assert_eq!(decode(&bytes, &cuts), whole);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            let mut input = Bytes::from(bytes);
            while let Ok(Some(_)) = decoder.next(&mut input) {}
        }
    }

    #[test]
    fn data_is_a_slice_of_the_input() {
        let mut input = Bytes::from(frame(FrameKind::Data, END, 5, b"payload"));
        let at = input[HEADER_BYTES..].as_ptr();
        let Ok(Some(Item::Data { piece, end, .. })) = Decoder::default().next(&mut input) else {
            panic!("DATA was sent");
        };
        assert!(end && piece.as_ptr() == at);
    }

    #[test]
    fn empty_data_must_end_the_stream() {
        let mut input = Bytes::from(frame(FrameKind::Data, 0, 5, &[]));
        let error = Decoder::default().next(&mut input).unwrap_err();
        assert_eq!(error, PeerMisbehaved::DataEmpty { stream: WireId(5) });
    }
}
