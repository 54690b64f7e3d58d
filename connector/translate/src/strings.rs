//! JSON and JavaScript: string literals that begin with a whole URL (`"http://…"`, also with `\/`). Neither is parsed: what
//! counts is a quote, such a beginning and the same quote, and what is between is a URL only if it leads to something published.

use crate::Links;
use crate::charset::{Wide, bytes, characters};
use crate::held::Held;
use crate::limits::URL_BYTES_MAX;

/// What may open a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// `"`
    Json,
    /// `"`, `'` and `` ` ``
    JavaScript,
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
        for &byte in input {
            if self.held.takes_trail(byte, out) {
                continue;
            }
            match self.open {
                None => self.outside(byte, out),
                Some(quote) => self.inside(byte, quote, links, out),
            }
        }
    }

    /// What is held comes out as it is.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(out);
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        let opens = match self.quotes {
            Quotes::Json => byte == b'"',
            Quotes::JavaScript => matches!(byte, b'"' | b'\'' | b'`'),
        };
        if opens {
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
        at >= LONGEST_BEGINNING
            || BEGINNINGS.iter().any(|beginning| {
                let compared = at.min(beginning.len());
                held[..compared].eq_ignore_ascii_case(&beginning[..compared])
                    && beginning.get(at).is_none_or(|expected| expected.eq_ignore_ascii_case(&byte))
            })
    }

    fn complete(&mut self, links: &dyn Links, out: &mut Vec<u8>) {
        match self.external(links) {
            Some(external) => {
                out.extend_from_slice(&external);
                self.held.clear();
            }
            None => self.release(out),
        }
    }

    fn external(&self, links: &dyn Links) -> Option<Vec<u8>> {
        // A backslash before a backslash would make the slash after it something else.
        let held = self.held.plain().filter(|held| !held.windows(2).any(|pair| pair == b"\\\\"))?;
        let literal = characters(held);
        let url = literal.replace("\\/", "/");
        let external = links.outwards(&url)?;
        bytes(&if url.len() < literal.len() { external.replace('/', "\\/") } else { external })
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        self.held.release(out);
    }
}

const BEGINNINGS: [&[u8]; 6] = [b"http:", b"https:", b"ws:", b"wss:", b"//", b"\\/\\/"];
const LONGEST_BEGINNING: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn links(url: &str) -> Option<String> {
        let rest = url.strip_prefix("http://in")?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("https://out{rest}"))
    }

    fn check(quotes: Quotes, text: &str, expected: &str) {
        for piece in 1..=text.len() {
            let (mut strings, mut out) = (Strings::new(quotes, None), Vec::new());
            for piece in text.as_bytes().chunks(piece) {
                strings.push(piece, &links, &mut out);
            }
            strings.finish(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn strings_that_are_urls_come_out() {
        for (text, expected) in [
            (r#"{"a":"http://in/x","b":["http://in"]}"#, r#"{"a":"https://out/x","b":["https://out"]}"#),
            (r#"{"a":"http:\/\/in\/x"}"#, r#"{"a":"https:\/\/out\/x"}"#),
            (r#"{"a":"http://in/\"x\n"}"#, r#"{"a":"https://out/\"x\n"}"#),
            (r#"["","http://in/x"]"#, r#"["","https://out/x"]"#),
        ] {
            check(Quotes::Json, text, expected);
            check(Quotes::JavaScript, text, expected);
        }
        check(
            Quotes::JavaScript,
            "a='http://in/x'+`http://in/${y}`+\"z\"",
            "a='https://out/x'+`https://out/${y}`+\"z\"",
        );
    }

    #[test]
    fn what_is_none_stays() {
        for text in [
            r#"{"a":" http://in/x"}"#,
            r#"{"a":"see http://in/x"}"#,
            r#"{"a":"http://inner/x"}"#,
            r#"{"a":"http://in/x"#,
            "\"http://in/x\n\"",
            "// http://in/x",
            r#""http:\\/\\/in/x""#,
            "\"h\" \"htt\" \"https\" \"\\\\\"",
        ] {
            check(Quotes::JavaScript, text, text);
        }
        check(Quotes::Json, "'http://in/x'", "'http://in/x'");
    }
}
