//! HTML: every start tag and the text of `<style>` and `<script>` go by [`Page`]; everything else passes byte for byte. A tokenizer
//! that does what browsers do (HTML Standard §13.2.5) as far as it takes to find tags, and holds no more than one tag.
//!
//! Bytes are not decoded. In every charset that pages may have here, whatever is below `@` is what it looks like, so that `<`, `>`,
//! quotes and white space are never a part of another character.

use std::ops::Range;
use std::rc::Rc;

use memchr::{memchr, memchr_iter};

use crate::Links;
use crate::charset::Charset;
use crate::content::Kinds;
use crate::limits::HTML_BYTES_MAX;
use crate::page::{Page, Text};

mod open;
mod opening;
mod raw;
pub(crate) mod tag;
pub(crate) mod tree;

use opening::{BOGUS_BYTES, CDATA, COMMENT, Opening, Tail};
use raw::{Next, Raw};
use tag::Tag;
use tree::{Element, Reading, Tree};

/// One document.
pub(crate) struct Html {
    page: Page,
    tree: Tree,
    state: State,
    tag: Tag,
    /// What belongs to the tag, or to what else `<` begins, and did not come out yet.
    held: Vec<u8>,
    edits: Vec<Edit>,
    /// The text is that of a `<style>` or `<script>`.
    reads: Option<Text>,
}

/// A part of a tag that something else takes the place of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) place: Range<usize>,
    pub(crate) with: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Text with tags in it.
    Markup,
    /// After a `<` that is held, and what does not tell yet what it begins.
    Opened,
    /// In a tag that is held.
    Tag,
    /// To `-->`.
    Comment(Tail),
    /// To `>`: what is taken for a comment, and `<!doctype`.
    Bogus,
    /// To `]]>`.
    Cdata(Tail),
    Raw(Raw),
    /// It passes as it is from there on.
    Left,
}

impl Html {
    pub(crate) fn new(kinds: Kinds, charset: Option<Charset>, links: Rc<dyn Links>, is_xml: bool) -> Self {
        Self {
            page: Page::new(kinds, charset, links),
            tree: Tree::new(is_xml),
            state: State::Markup,
            tag: Tag::new(),
            held: Vec::new(),
            edits: Vec::new(),
            reads: None,
        }
    }

    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.reserve(input.len());
        let mut rest = input;
        while !rest.is_empty() {
            rest = match self.state {
                State::Markup => self.markup(rest, out),
                State::Opened => self.opened(rest, out),
                State::Tag => self.in_tag(rest, out),
                State::Comment(tail) => self.comment(tail, rest, out),
                State::Bogus => self.bogus(rest, out),
                State::Cdata(tail) => self.cdata(tail, rest, out),
                State::Raw(raw) => self.raw(raw, rest, out),
                State::Left => {
                    out.extend_from_slice(rest);
                    &[]
                }
            };
        }
    }

    /// Whatever is held comes out as it is.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        if self.state == State::Tag {
            self.end_text(out);
            out.extend_from_slice(&held);
        } else {
            self.text(&held, out);
            self.end_text(out);
        }
    }

    /// Text, and all tags that are whole.
    fn markup<'i>(&mut self, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        // What is before it came out.
        let mut copied = 0;
        let mut at = 0;
        while let Some(length) = memchr(b'<', &input[at..]) {
            let start = at + length;
            let markup = &input[start..];
            let opening = Opening::of(markup, self.tree.has_cdata());
            let length = match opening {
                Opening::Text => {
                    at = start + 1;
                    continue;
                }
                Opening::Tag => {
                    self.tag.begin(markup);
                    self.tag.scan(markup)
                }
                Opening::Bogus => Some(BOGUS_BYTES),
                Opening::Comment => Some(COMMENT.len()),
                Opening::Cdata => Some(CDATA.len()),
                Opening::Unknown => None,
            };
            let Some(length) = length else {
                self.text(&input[copied..start], out);
                self.held.extend_from_slice(markup);
                self.state = if matches!(opening, Opening::Tag) { State::Tag } else { State::Opened };
                return &[];
            };
            if self.reads.is_some() {
                self.text(&input[copied..start], out);
                self.end_text(out);
                copied = start;
            }
            at = start + length;
            if matches!(opening, Opening::Tag) {
                self.tag(&markup[..length]);
                // Text that is read begins behind it.
                if !self.edits.is_empty() || self.reads.is_some() {
                    out.extend_from_slice(&input[copied..start]);
                    self.write(&markup[..length], out);
                    copied = at;
                }
            } else {
                self.state = State::after(&opening);
            }
            if self.state != State::Markup {
                out.extend_from_slice(&input[copied..at]);
                return &input[at..];
            }
        }
        self.text(&input[copied..], out);
        &[]
    }

    /// One byte more tells, or does not.
    fn opened<'i>(&mut self, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        let (byte, rest) = input.split_at(1);
        self.held.extend_from_slice(byte);
        let opening = Opening::of(&self.held, self.tree.has_cdata());
        match opening {
            Opening::Unknown => rest,
            Opening::Tag => {
                self.tag.begin(&self.held);
                self.state = State::Tag;
                rest
            }
            Opening::Comment | Opening::Cdata => {
                self.end_text(out);
                out.append(&mut self.held);
                self.state = State::after(&opening);
                rest
            }
            // That byte may end it already, or begin something.
            Opening::Text | Opening::Bogus => {
                self.held.pop();
                let held = std::mem::take(&mut self.held);
                self.text(&held, out);
                if matches!(opening, Opening::Bogus) {
                    self.end_text(out);
                }
                self.state = State::after(&opening);
                input
            }
        }
    }

    fn in_tag<'i>(&mut self, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        let (piece, rest) = input.split_at(memchr(b'>', input).map_or(input.len(), |at| at + 1));
        self.held.extend_from_slice(piece);
        if self.tag.scan(&self.held).is_none() {
            if self.held.len() > HTML_BYTES_MAX {
                self.end_text(out);
                // With its memory: nothing is held any more.
                out.append(&mut std::mem::take(&mut self.held));
                self.state = State::Left;
            }
            return rest;
        }
        self.end_text(out);
        let held = std::mem::take(&mut self.held);
        self.tag(&held);
        self.write(&held, out);
        rest
    }

    fn comment<'i>(&mut self, tail: Tail, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        let end = memchr_iter(b'>', input).find(|at| tail.and(&input[..*at]).ends_comment());
        self.pass(end, State::Comment(tail.and(input)), input, out)
    }

    fn bogus<'i>(&mut self, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        self.pass(memchr(b'>', input), State::Bogus, input, out)
    }

    fn pass<'i>(&mut self, end: Option<usize>, or: State, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        let (piece, rest) = input.split_at(end.map_or(input.len(), |at| at + 1));
        out.extend_from_slice(piece);
        self.state = if end.is_some() { State::Markup } else { or };
        rest
    }

    fn cdata<'i>(&mut self, tail: Tail, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        let end = memchr_iter(b'>', input).find(|at| tail.and(&input[..*at]).ends_cdata());
        let (piece, rest) = input.split_at(end.unwrap_or(input.len()));
        self.text(piece, out);
        if end.is_none() {
            self.state = State::Cdata(tail.and(input));
            return rest;
        }
        self.end_text(out);
        self.state = State::Markup;
        // The `>` is none that begins or ends anything else.
        let (end, rest) = rest.split_at(1);
        out.extend_from_slice(end);
        rest
    }

    fn raw<'i>(&mut self, mut raw: Raw, input: &'i [u8], out: &mut Vec<u8>) -> &'i [u8] {
        if self.held.is_empty() {
            let next = raw.next(input);
            self.state = State::Raw(raw);
            let end = match next {
                Next::Text => input.len(),
                Next::Cut(at) | Next::EndTag(at) => at,
            };
            let (text, rest) = input.split_at(end);
            self.text(text, out);
            if matches!(next, Next::EndTag(_)) {
                self.end_text(out);
                self.reads = None;
                self.state = State::Markup;
                return rest;
            }
            self.held.extend_from_slice(rest);
            return &[];
        }
        let (byte, rest) = input.split_at(1);
        self.held.extend_from_slice(byte);
        let next = raw.next(&self.held);
        self.state = State::Raw(raw);
        match next {
            Next::Text | Next::Cut(_) => {
                let cut = if let Next::Cut(at) = next { at } else { self.held.len() };
                let held = self.held.split_off(cut);
                let text = std::mem::replace(&mut self.held, held);
                self.text(&text, out);
                rest
            }
            Next::EndTag(_) => {
                self.end_text(out);
                self.reads = None;
                // That byte belongs to the rest of the tag.
                self.held.pop();
                self.tag.begin(&self.held);
                self.state = State::Tag;
                input
            }
        }
    }

    /// A whole tag: what changes in it, and how what follows is read.
    fn tag(&mut self, bytes: &[u8]) {
        let tag = &self.tag;
        let element = Element::of(tag.name(bytes));
        if !tag.is_end() {
            self.page.tag(element, tag, bytes, &mut self.edits);
        }
        let reading = self.tree.tag(element, tag, bytes).filter(|_| !self.page.is_left());
        let is_open = !tag.is_end() && (reading != Some(Reading::Markup) || !tag.is_self_closing());
        self.reads = is_open.then(|| Text::of(element)).flatten();
        self.state = match reading {
            Some(Reading::Markup) => State::Markup,
            Some(Reading::Raw(name)) => State::Raw(Raw::new(name)),
            Some(Reading::Plain) | None => State::Left,
        };
    }

    /// A tag, with what changes in it.
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.edits.sort_unstable_by_key(|edit| edit.place.start);
        let mut copied = 0;
        for edit in self.edits.drain(..) {
            out.extend_from_slice(&bytes[copied..edit.place.start]);
            out.extend_from_slice(&edit.with);
            copied = edit.place.end;
        }
        out.extend_from_slice(&bytes[copied..]);
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        match self.reads {
            Some(kind) => self.page.text(kind, text, out),
            None => out.extend_from_slice(text),
        }
    }

    fn end_text(&mut self, out: &mut Vec<u8>) {
        self.page.end_text(out);
    }
}

impl State {
    /// Behind what is no tag.
    fn after(opening: &Opening) -> Self {
        match opening {
            Opening::Unknown => Self::Opened,
            Opening::Text => Self::Markup,
            Opening::Tag => Self::Tag,
            Opening::Bogus => Self::Bogus,
            Opening::Comment => Self::Comment(Tail::default()),
            Opening::Cdata => Self::Cdata(Tail::default()),
        }
    }
}
