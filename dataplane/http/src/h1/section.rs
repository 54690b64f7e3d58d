//! Heads line by line: a first line that differs between requests and responses, then fields until the empty line.

use super::fields::{self, Cursor, Line, Parsed};
use crate::head::{RequestHead, ResponseHead};
use crate::headers::Headers;
use crate::limits::Limits;
use crate::malformed::{Malformed, Rule};

/// A head whose memory serves the next one.
pub(super) trait Head: Default {
    fn clear(&mut self);
    fn headers_mut(&mut self) -> &mut Headers;
}

/// A head of which some lines may have been read.
#[derive(Debug, Default)]
pub(super) struct Section<H> {
    pub(super) limits: Limits,
    /// Whole once [`Section::read`] said so.
    pub(super) head: H,
    cursor: Cursor,
}

impl<H: Head> Section<H> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Lets the next head use the memory of one that is done with.
    pub(super) fn recycle(&mut self, mut head: H) {
        if self.is_idle() {
            head.clear();
            self.head = head;
        }
    }

    /// Whether no line has been read.
    pub(super) fn is_idle(&self) -> bool {
        self.cursor.at == 0
    }

    /// The length of the head at the start of `input`, or `None` while it is incomplete: then call again with the same
    /// bytes and more. `first` reads the first line.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        first: impl FnOnce(&mut H, &[u8], &Limits) -> Result<Line<()>, Rule>,
    ) -> Result<Option<usize>, Malformed> {
        let bounded = &input[..input.len().min(self.limits.head_bytes_max as usize)];
        if self.cursor.has_line(bounded)
            && let Some(consumed) = self.read_lines(bounded, first)?
        {
            return Ok(Some(consumed));
        }
        self.cursor.wait(bounded);
        if bounded.len() < input.len() {
            return Err(Rule::HeadTooLarge.into());
        }
        Ok(None)
    }

    /// The head that was read; the next begins.
    pub(super) fn take(&mut self) -> H {
        self.cursor = Cursor::default();
        std::mem::take(&mut self.head)
    }

    fn read_lines(
        &mut self,
        input: &[u8],
        first: impl FnOnce(&mut H, &[u8], &Limits) -> Result<Line<()>, Rule>,
    ) -> Result<Option<usize>, Rule> {
        if self.is_idle() {
            let Line::Whole((), next) = first(&mut self.head, input, &self.limits)? else { return Ok(None) };
            self.cursor.at = next;
            let headers = self.head.headers_mut();
            headers.reserve((input.len() - next).min(TEXT_BYTES_RESERVED), FIELDS_RESERVED);
        }
        let headers = self.head.headers_mut();
        loop {
            match fields::read_field(input, self.cursor.at, headers)? {
                Line::Incomplete => return Ok(None),
                Line::Whole(Parsed::End, next) => return Ok(Some(next)),
                Line::Whole(Parsed::Field, next) => self.cursor.at = next,
            }
            if headers.len() > self.limits.fields_max as usize {
                return Err(Rule::TooManyFields);
            }
        }
    }
}

impl Head for RequestHead {
    fn clear(&mut self) {
        Self::clear(self);
    }

    fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }
}

impl Head for ResponseHead {
    fn clear(&mut self) {
        Self::clear(self);
    }

    fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }
}

/// Room made at once for a head of ordinary size.
const TEXT_BYTES_RESERVED: usize = 1024;
const FIELDS_RESERVED: usize = 16;
