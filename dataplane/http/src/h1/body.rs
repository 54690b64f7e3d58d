//! Content from bytes, without copying it.

use bytes::{Buf, Bytes};

use crate::h1::chunk::SizeLine;
use crate::h1::fields::{self, Cursor, Line, Parsed};
use crate::head::BodyKind;
use crate::headers::Headers;
use crate::hop;
use crate::limits::Limits;
use crate::malformed::{Malformed, Rule};

/// Decodes one message's content. Call [`BodyDecoder::decode`] with all input that is there until it yields `None`
/// (more input is needed) or `End`; bytes behind the end stay in the input.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// Content that may still come.
    budget_bytes: u64,
    limits: Limits,
}

/// What [`BodyDecoder::decode`] found next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEvent {
    /// Content, never empty; shares the input's memory.
    Data(Bytes),
    /// Trailer fields, at most once, just before `End`.
    Trailers(Headers),
    /// The content is complete. Yielded once more by every further call.
    End,
}

/// ```text
/// Length ──▶ Done        Forever (ends with the connection)
/// Size ──size──▶ Chunk ──▶ ChunkEnd ──CRLF──▶ Size
///   └────0────▶ Trailers ──empty line──▶ Done
/// ```
#[derive(Debug)]
enum State {
    Length(u64),
    Forever,
    Size(SizeLine),
    Chunk(u64),
    /// Bytes of CRLF seen.
    ChunkEnd(u8),
    /// The section so far, if it is more than its empty line.
    Trailers(Option<Box<Section>>),
    Done,
}

impl BodyDecoder {
    /// For a message whose head said `kind`. After an upgrade bytes are passed on as they are.
    pub fn new(kind: BodyKind, limits: Limits) -> Self {
        let state = match kind {
            BodyKind::None | BodyKind::Length(0) => State::Done,
            BodyKind::Length(length) => State::Length(length),
            BodyKind::Chunked => State::Size(SizeLine::default()),
            BodyKind::UntilClose | BodyKind::Upgrade => State::Forever,
        };
        let unbounded = kind == BodyKind::Upgrade;
        Self { state, budget_bytes: if unbounded { u64::MAX } else { limits.body_bytes_max }, limits }
    }

    /// Whether the content is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The next event in `input`, or `None` when all of it is consumed.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<BodyEvent>, Malformed> {
        loop {
            if self.is_done() {
                return Ok(Some(BodyEvent::End));
            }
            if input.is_empty() {
                return Ok(None);
            }
            if let Some(event) = self.step(input)? {
                return Ok(Some(event));
            }
        }
    }

    /// The connection has ended. Unless that is how this content ends it was cut short, and must not be passed on as
    /// complete.
    pub fn end_of_input(&mut self) -> Result<(), Malformed> {
        match self.state {
            State::Forever | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            State::Length(_) | State::Size(_) | State::Chunk(_) | State::ChunkEnd(_) | State::Trailers(_) => {
                Err(Rule::TruncatedBody.into())
            }
        }
    }

    fn step(&mut self, input: &mut Bytes) -> Result<Option<BodyEvent>, Rule> {
        match &mut self.state {
            State::Done => Ok(Some(BodyEvent::End)),
            State::Forever => {
                let data = std::mem::take(input);
                self.spend(data.len())?;
                Ok(Some(BodyEvent::Data(data)))
            }
            State::Length(left) => {
                let data = split_upto(input, left);
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(Some(BodyEvent::Data(data)))
            }
            State::Chunk(left) => {
                let data = split_upto(input, left);
                if *left == 0 {
                    self.state = State::ChunkEnd(0);
                }
                self.spend(data.len())?;
                Ok(Some(BodyEvent::Data(data)))
            }
            State::Size(line) => {
                if let Some(size) = line.take(input.get_u8(), self.limits.chunk_line_bytes_max)? {
                    self.state = if size == 0 { State::Trailers(None) } else { State::Chunk(size) };
                }
                Ok(None)
            }
            State::ChunkEnd(seen) => {
                *seen += 1;
                match (input.get_u8(), *seen) {
                    (b'\r', 1) => {}
                    (b'\n', 2) => self.state = State::Size(SizeLine::default()),
                    // Data that is longer than its size said, or a lone CR or LF.
                    _ => return Err(Rule::ChunkEnd),
                }
                Ok(None)
            }
            State::Trailers(_) => self.trailers(input),
        }
    }

    fn trailers(&mut self, input: &mut Bytes) -> Result<Option<BodyEvent>, Rule> {
        let State::Trailers(section) = &mut self.state else { return Ok(None) };
        let trailers = if section.is_none() && input.starts_with(b"\r\n") {
            input.advance(2);
            Headers::default()
        } else {
            let section = section.get_or_insert_default();
            let Some(trailers) = section.take(input, &self.limits)? else { return Ok(None) };
            trailers
        };
        self.state = State::Done;
        Ok(if trailers.is_empty() { Some(BodyEvent::End) } else { Some(BodyEvent::Trailers(trailers)) })
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Rule> {
        self.budget_bytes = self.budget_bytes.checked_sub(bytes as u64).ok_or(Rule::ContentTooLarge)?;
        Ok(())
    }
}

fn split_upto(input: &mut Bytes, left: &mut u64) -> Bytes {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= count as u64;
    input.split_to(count)
}

/// A trailer section that is more than its empty line.
#[derive(Debug, Default)]
struct Section {
    text: Vec<u8>,
    cursor: Cursor,
    headers: Headers,
}

impl Section {
    /// Takes from `input` up to the section's end; its fields once it is whole.
    fn take(&mut self, input: &mut Bytes, limits: &Limits) -> Result<Option<Headers>, Rule> {
        let before = self.text.len();
        let room = limits.trailer_bytes_max as usize - before;
        self.text.extend_from_slice(&input[..input.len().min(room)]);
        if self.cursor.has_line(&self.text)
            && let Some(end) = self.read_lines(limits)?
        {
            input.advance(end - before);
            return self.checked().map(Some);
        }
        self.cursor.wait(&self.text);
        if input.len() > room {
            return Err(Rule::TrailersTooLarge);
        }
        input.clear();
        Ok(None)
    }

    fn read_lines(&mut self, limits: &Limits) -> Result<Option<usize>, Rule> {
        loop {
            match fields::read_field(&self.text, self.cursor.at, &mut self.headers)? {
                Line::Incomplete => return Ok(None),
                Line::Whole(Parsed::End, next) => return Ok(Some(next)),
                Line::Whole(Parsed::Field, next) => self.cursor.at = next,
            }
            if self.headers.len() > limits.fields_max as usize {
                return Err(Rule::TooManyFields);
            }
        }
    }

    fn checked(&mut self) -> Result<Headers, Rule> {
        hop::check_trailers(&mut self.headers)?;
        Ok(std::mem::take(&mut self.headers))
    }
}
