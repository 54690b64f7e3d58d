//! What of a style sheet means nothing where it stands, taken in one go: what is between the few bytes that a state heeds.
//! Only where a byte that looks like ASCII is ASCII.

use memchr::memchr;

use super::{Css, Rule, State, is_space};
use crate::limits::URL_BYTES_MAX;

impl Css {
    /// Takes what [`Css::step`] would pass on or hold byte by byte with nothing else coming of it, from the front of `input`, and
    /// says how much that is. The byte after it is one to step over.
    pub(super) fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let run = match self.state {
            // Whatever ends its name counts.
            State::Between if self.word.is_at_rule() => return 0,
            State::Between => {
                let is_plain = self.rule == Rule::Other && self.image_set == 0;
                let run = until(input, if is_plain { BETWEEN } else { BETWEEN | RULE });
                self.word.push_run(run);
                run
            }
            State::Comment { star } => {
                let run = until_byte(input, b'/');
                self.state = State::Comment { star: run.last().map_or(star, |&last| last == b'*') };
                run
            }
            State::Quoted { url, escaped: false, .. } => return self.literal(input, STRING, url, out),
            State::Unquoted { url, escape: 0 } => return self.literal(input, UNQUOTED, url, out),
            State::UrlTail => until_byte(input, b')'),
            State::Slash
            | State::Escape
            | State::Function { .. }
            | State::Quoted { escaped: true, .. }
            | State::Unquoted { .. } => return 0,
        };
        out.extend_from_slice(run);
        run.len()
    }

    /// A run in a string or between parentheses; of what may be a `url`, after its first byte.
    fn literal(&mut self, input: &[u8], ends: u8, url: bool, out: &mut Vec<u8>) -> usize {
        if !url {
            let run = until(input, ends);
            out.extend_from_slice(run);
            return run.len();
        }
        let held = self.held.bytes().len();
        if held == 0 {
            return 0;
        }
        let run = until(&input[..input.len().min(URL_BYTES_MAX.saturating_sub(held))], ends);
        self.held.extend(run);
        run.len()
    }
}

fn until(input: &[u8], heeded: u8) -> &[u8] {
    let end = input.iter().position(|&byte| HEEDED[usize::from(byte)] & heeded != 0);
    &input[..end.unwrap_or(input.len())]
}

fn until_byte(input: &[u8], byte: u8) -> &[u8] {
    &input[..memchr(byte, input).unwrap_or(input.len())]
}

/// Heeded everywhere between strings, comments and URLs.
const BETWEEN: u8 = 1;
/// There, too, within an at-rule that is known or an `image-set(`.
const RULE: u8 = 2;
/// In a string, whichever quote it has.
const STRING: u8 = 4;
/// In a URL without quotes.
const UNQUOTED: u8 = 8;

/// Where each byte is heeded.
static HEEDED: [u8; 256] = {
    let (mut heeded, mut byte) = ([0; 256], 0u8);
    loop {
        let mut places = match byte {
            b'(' | b'"' | b'\'' => BETWEEN | UNQUOTED,
            b'\\' => BETWEEN | STRING | UNQUOTED,
            b'/' | b'@' => BETWEEN,
            b')' => RULE | UNQUOTED,
            b';' | b'{' | b'}' => RULE,
            _ => 0,
        };
        if matches!(byte, b'"' | b'\'' | b'\n' | b'\r' | 0x0c) {
            places |= STRING;
        }
        if is_space(byte) {
            places |= UNQUOTED;
        }
        heeded[byte as usize] = places;
        if byte == u8::MAX {
            break heeded;
        }
        byte += 1;
    }
};
