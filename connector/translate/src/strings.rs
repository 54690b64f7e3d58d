//! JSON and JavaScript: string literals that begin with a whole URL (`"http://…"`, also with `\/`). Neither is parsed: what
//! counts is a quote, such a beginning and the same quote, and what is between is a URL only if it leads to something published.

use std::borrow::Cow;

use crate::Links;
use crate::charset::{Wide, bytes, characters};
use crate::held::Held;
use crate::limits::URL_BYTES_MAX;
use opening::{may_be_first, opening};

mod opening;

/// What may open a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// `"`
    Json,
    /// `"`, `'` and `` ` ``
    JavaScript,
}

impl Quotes {
    #[inline]
    fn open_with(self, byte: u8) -> bool {
        match self {
            Self::Json => byte == b'"',
            Self::JavaScript => (byte == b'"') | (byte == b'\'') | (byte == b'`'),
        }
    }
}

/// One text.
#[derive(Debug)]
pub(crate) struct Strings {
    quotes: Quotes,
    /// The quote that was opened.
    open: Option<u8>,
    escaped: bool,
    held: Held,
}

impl Strings {
    pub(crate) fn new(quotes: Quotes, wide: Option<Wide>) -> Self {
        Self { quotes, open: None, escaped: false, held: Held::new(wide) }
    }

    pub(crate) fn push(&mut self, input: &[u8], links: &dyn Links, out: &mut Vec<u8>) {
        out.reserve(input.len());
        if !self.held.is_narrow() {
            return self.push_bytes(input, links, out);
        }
        let mut rest = input;
        loop {
            let run = if self.open.is_some() { self.run_inside(rest) } else { self.run_outside(rest, out) };
            let Some((&byte, after)) = rest[run..].split_first() else { return };
            self.step(byte, links, out);
            rest = after;
        }
    }

    /// What [`Strings::push`] does, byte by byte.
    fn push_bytes(&mut self, input: &[u8], links: &dyn Links, out: &mut Vec<u8>) {
        for &byte in input {
            if !self.held.takes_trail(byte, out) {
                self.step(byte, links, out);
            }
        }
    }

    /// What is held comes out as it is.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(out);
    }

    fn step(&mut self, byte: u8, links: &dyn Links, out: &mut Vec<u8>) {
        match self.open {
            None => self.outside(byte, out),
            Some(quote) => self.inside(byte, quote, links, out),
        }
    }

    /// Takes what is before the next quote that a URL may follow on, and says how much that is.
    fn run_outside(&self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let run = opening(self.quotes, input);
        out.extend_from_slice(&input[..run]);
        run
    }

    /// Takes what begins like a URL, or more of it, up to what may end it, and says how much that is.
    fn run_inside(&mut self, input: &[u8]) -> usize {
        let held = self.held.bytes().len();
        let begun = BEGINNINGS.iter().find(|beginning| held == 0 && begins_with(input, beginning));
        let begun = begun.map_or(0, |beginning| beginning.len());
        if self.escaped || begun == 0 && held < LONGEST_BEGINNING {
            return 0;
        }
        // A beginning has neither quotes nor an escape that is not whole.
        let input = &input[..input.len().min(URL_BYTES_MAX.saturating_sub(held))];
        let mut run = begun;
        while let Some(before) = input[run..].iter().position(|&byte| is_heeded(byte)) {
            run += before;
            match (input[run], input.get(run + 1)) {
                (b'\\', Some(escaped)) if !matches!(escaped, b'\n' | b'\r') => run += 2,
                _ => {
                    self.held.extend(&input[..run]);
                    return run;
                }
            }
        }
        self.held.extend(input);
        input.len()
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        if self.quotes.open_with(byte) {
            self.open = Some(byte);
            self.escaped = false;
        }
    }

    fn inside(&mut self, byte: u8, quote: u8, links: &dyn Links, out: &mut Vec<u8>) {
        if !self.escaped && byte == quote {
            self.complete(links, out);
            self.open = None;
            out.push(byte);
            return;
        }
        let ends = matches!(byte, b'\n' | b'\r') && quote != b'`';
        let possible = !ends && self.held.bytes().len() < URL_BYTES_MAX && self.may_begin_with(byte);
        if !possible {
            // The quote may have been one that closes: the next one opens.
            self.release(out);
            self.open = None;
            self.outside(byte, out);
            return;
        }
        self.escaped = !self.escaped && byte == b'\\';
        self.held.push(byte);
    }

    /// Whether what is held, and `byte`, may be the beginning of a whole URL.
    fn may_begin_with(&self, byte: u8) -> bool {
        let held = self.held.bytes();
        let at = held.len();
        if at == 0 {
            return may_be_first(byte);
        }
        at >= LONGEST_BEGINNING
            || BEGINNINGS.iter().any(|beginning| {
                let compared = at.min(beginning.len());
                held[..compared].eq_ignore_ascii_case(&beginning[..compared])
                    && beginning.get(at).is_none_or(|expected| expected.eq_ignore_ascii_case(&byte))
            })
    }

    fn complete(&mut self, links: &dyn Links, out: &mut Vec<u8>) {
        let external = self.external(links);
        match external.as_deref().and_then(bytes) {
            Some(external) => {
                out.extend_from_slice(&external);
                self.held.clear();
            }
            None => self.release(out),
        }
    }

    fn external(&self, links: &dyn Links) -> Option<String> {
        let literal = self.held.plain().map(characters)?;
        let url = without_escapes(&literal)?;
        let external = links.outwards(&url)?;
        Some(if url.len() < literal.len() { external.replace('/', "\\/") } else { external })
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        self.held.release(out);
    }
}

/// `literal` with its slashes as they are; `None` if a backslash stands before another: it would make a slash after it something
/// else.
fn without_escapes(literal: &str) -> Option<Cow<'_, str>> {
    if !literal.contains('\\') {
        return Some(Cow::Borrowed(literal));
    }
    let (mut out, mut rest) = (String::with_capacity(literal.len()), literal);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.as_bytes().first() {
            Some(b'\\') => return None,
            Some(b'/') => {}
            Some(_) | None => out.push('\\'),
        }
        rest = after;
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

const BEGINNINGS: [&[u8]; 6] = [b"http:", b"https:", b"ws:", b"wss:", b"//", b"\\/\\/"];
const LONGEST_BEGINNING: usize = 6;

fn begins_with(input: &[u8], beginning: &[u8]) -> bool {
    input.get(..beginning.len()).is_some_and(|input| input.eq_ignore_ascii_case(beginning))
}

/// Whether it may be more than another byte of a URL.
fn is_heeded(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests;
