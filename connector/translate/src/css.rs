//! Style sheets: `url(…)`, `@import`, `image-set(…)` (CSS Syntax 3, CSS Values 4 §4.5). A tokenizer that knows what may hold a
//! URL and passes everything else byte for byte. It holds no more than one URL.

use crate::Links;
use crate::charset::{Wide, bytes, characters};
use crate::held::Held;
use crate::limits::URL_BYTES_MAX;

mod runs;
mod text;

/// One style sheet, or what is in one `<style>` or `style=`.
#[derive(Debug)]
pub(crate) struct Css {
    state: State,
    /// The URL that is being read, as it is written.
    held: Held,
    word: Word,
    rule: Rule,
    /// Open parentheses, from that of `image-set(` on.
    image_set: u32,
}

/// ```text
/// Between ─/→ Slash ─*→ Comment ─*/→ Between
///    │ ├──"→ Quoted ──"──→ Between, or UrlTail within url( )
///    │ └──\→ Escape ──→ Between
///    └ url( → Function ─"→ Quoted
///                  └────→ Unquoted ──)→ Between; white space → UrlTail ─)→ Between
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Slash,
    Comment {
        star: bool,
    },
    Escape,
    Quoted {
        quote: u8,
        url: bool,
        function: bool,
        escaped: bool,
    },
    Function {
        url: bool,
    },
    /// `escape`: 1 after a backslash, more after as many hexadecimal digits.
    Unquoted {
        url: bool,
        escape: u8,
    },
    UrlTail,
}

/// Which at-rule this is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Other,
    /// Its first string is a URL.
    Import,
    /// Its URL is a name.
    Namespace,
}

/// The identifier before the current byte, in lower case, if it is not too long to be a known one.
#[derive(Debug, Default)]
struct Word {
    bytes: [u8; WORD_BYTES],
    length: usize,
}

/// `-webkit-image-set`.
const WORD_BYTES: usize = 17;

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte.to_ascii_lowercase();
        }
        self.length = self.length.saturating_add(1);
    }

    /// Adds a run in which nothing but a word's bytes or what ends words stands.
    fn push_run(&mut self, run: &[u8]) {
        // One byte more than fits shows that it is too long.
        let last = run.iter().rev().take(WORD_BYTES + 1).take_while(|&&byte| is_word(byte)).count();
        if last < run.len() {
            self.length = 0;
        }
        for &byte in &run[run.len() - last..] {
            self.push(byte);
        }
    }

    /// It may become the name of an at-rule that is known.
    fn is_at_rule(&self) -> bool {
        self.length > 0 && self.bytes.get(..self.length).is_some_and(|word| word.starts_with(b"@"))
    }

    fn take(&mut self) -> Option<&[u8]> {
        let length = std::mem::take(&mut self.length);
        self.bytes.get(..length)
    }
}

impl Css {
    pub(crate) fn new(wide: Option<Wide>) -> Self {
        Self { state: State::Between, held: Held::new(wide), word: Word::default(), rule: Rule::Other, image_set: 0 }
    }

    pub(crate) fn push(&mut self, input: &[u8], links: &dyn Links, out: &mut Vec<u8>) {
        out.reserve(input.len());
        if !self.held.is_narrow() {
            return self.push_bytes(input, links, out);
        }
        let mut rest = input;
        loop {
            let run = self.run(rest, out);
            let Some((&byte, after)) = rest[run..].split_first() else { return };
            self.step(byte, links, out);
            rest = after;
        }
    }

    /// What [`Css::push`] does, byte by byte.
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
        match self.state {
            State::Between => self.between(byte, out),
            State::Slash => {
                if byte == b'*' {
                    self.state = State::Comment { star: false };
                    out.push(byte);
                } else {
                    self.state = State::Between;
                    self.between(byte, out);
                }
            }
            State::Comment { star } => {
                self.state = if star && byte == b'/' { State::Between } else { State::Comment { star: byte == b'*' } };
                out.push(byte);
            }
            State::Escape => {
                self.state = State::Between;
                out.push(byte);
            }
            State::Quoted { quote, url, function, escaped } => {
                self.quoted(byte, Quoted { quote, url, function, escaped }, links, out);
            }
            State::Function { url } => self.function(byte, url, links, out),
            State::Unquoted { url, escape } => self.unquoted(byte, url, escape, links, out),
            State::UrlTail => {
                if byte == b')' {
                    self.state = State::Between;
                }
                out.push(byte);
            }
        }
    }

    fn between(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        if byte == b'@' || is_word(byte) {
            if byte == b'@' {
                self.word.length = 0;
            }
            self.word.push(byte);
            return;
        }
        if byte == b'\\' {
            // An identifier with an escape in it is none of those that are known.
            self.word.length = WORD_BYTES + 1;
            self.state = State::Escape;
            return;
        }
        let word = self.word.take();
        match word {
            Some(b"@import") => self.rule = Rule::Import,
            Some(b"@namespace") => self.rule = Rule::Namespace,
            Some(_) | None => {}
        }
        match byte {
            b'/' => self.state = State::Slash,
            b'"' | b'\'' => {
                let url = self.rule == Rule::Import || self.image_set > 0;
                if self.rule == Rule::Import {
                    self.rule = Rule::Other;
                }
                self.state = State::Quoted { quote: byte, url, function: false, escaped: false };
            }
            b'(' => match word {
                Some(b"url" | b"src") => {
                    self.state = State::Function { url: self.rule != Rule::Namespace };
                    if self.rule == Rule::Import {
                        self.rule = Rule::Other;
                    }
                }
                Some(b"image-set" | b"-webkit-image-set") => self.image_set = self.image_set.saturating_add(1),
                Some(_) | None if self.image_set > 0 => self.image_set = self.image_set.saturating_add(1),
                Some(_) | None => {}
            },
            b')' => self.image_set = self.image_set.saturating_sub(1),
            b';' | b'{' | b'}' => {
                self.rule = Rule::Other;
                self.image_set = 0;
            }
            _ => {}
        }
    }

    /// After `url(`.
    fn function(&mut self, byte: u8, url: bool, links: &dyn Links, out: &mut Vec<u8>) {
        match byte {
            b'"' | b'\'' => {
                self.state = State::Quoted { quote: byte, url, function: true, escaped: false };
                out.push(byte);
            }
            b')' => {
                self.state = State::Between;
                out.push(byte);
            }
            _ if is_space(byte) => out.push(byte),
            _ => {
                self.state = State::Unquoted { url, escape: 0 };
                self.unquoted(byte, url, 0, links, out);
            }
        }
    }

    fn quoted(&mut self, byte: u8, string: Quoted, links: &dyn Links, out: &mut Vec<u8>) {
        let Quoted { quote, function, escaped, .. } = string;
        let after = if function { State::UrlTail } else { State::Between };
        if !escaped && byte == quote {
            self.complete(Some(quote), links, out);
            self.state = after;
            out.push(byte);
        } else if !escaped && matches!(byte, b'\n' | b'\r' | 0x0c) {
            // Not a string, for browsers neither.
            self.release(out);
            self.state = after;
            out.push(byte);
        } else {
            let url = string.url && self.hold(byte, out);
            if !string.url {
                out.push(byte);
            }
            let escaped = !escaped && byte == b'\\';
            self.state = State::Quoted { quote, url, function, escaped };
        }
    }

    fn unquoted(&mut self, byte: u8, url: bool, escape: u8, links: &dyn Links, out: &mut Vec<u8>) {
        let digit = byte.is_ascii_hexdigit() && (1..=6).contains(&escape);
        // White space ends an escape of digits and is part of it.
        let escaped = escape == 1 || digit || escape > 1 && is_space(byte);
        if !escaped && (byte == b')' || is_space(byte)) {
            self.complete(None, links, out);
            self.state = if byte == b')' { State::Between } else { State::UrlTail };
            out.push(byte);
            return;
        }
        let mut still = url && self.hold(byte, out);
        if !url {
            out.push(byte);
        }
        if !escaped && matches!(byte, b'"' | b'\'' | b'(') {
            // A bad URL: it goes on to the parenthesis and is none.
            self.release(out);
            still = false;
        }
        let escape = match (digit, escaped) {
            (true, _) => escape + 1,
            (false, true) => 0,
            (false, false) => u8::from(byte == b'\\'),
        };
        self.state = State::Unquoted { url: still, escape };
    }

    /// Adds to the URL. `false` if it cannot be one that matters: what was held came out.
    fn hold(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        self.held.push(byte);
        let held = self.held.bytes();
        let possible = matches!(held[0], b'/' | b'\\' | b'h' | b'H' | b'w' | b'W') || is_space(held[0]);
        if possible && held.len() <= URL_BYTES_MAX {
            return true;
        }
        self.release(out);
        false
    }

    fn complete(&mut self, quote: Option<u8>, links: &dyn Links, out: &mut Vec<u8>) {
        let held = self.held.plain().map(characters);
        let url = held.as_deref().and_then(text::unescaped);
        let external = url.and_then(|url| links.outwards(url.trim_matches(|character: char| character <= ' ')));
        let external = external.as_deref().map(|external| text::escaped(external, quote));
        match external.as_deref().and_then(bytes) {
            Some(external) => {
                out.extend_from_slice(&external);
                self.held.clear();
            }
            None => self.release(out),
        }
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        self.held.release(out);
    }
}

/// A string that is being read.
struct Quoted {
    quote: u8,
    url: bool,
    function: bool,
    escaped: bool,
}

/// Whether it belongs to an identifier.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | 0x80..)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

#[cfg(test)]
mod tests;
