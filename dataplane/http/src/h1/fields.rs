//! Field lines (RFC 9112 §5), for heads and trailers alike, and the cursor that lets a head arrive in pieces.

use crate::headers::Headers;
use crate::limits::NAME_BYTES_MAX;
use crate::malformed::Rule;
use crate::scan;

/// Outcome of reading one line that may not be there in full.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<T> {
    /// The line is whole; what it says, and where the next begins.
    Whole(T, usize),
    Incomplete,
}

/// A field was added, or the empty line ends the section.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Field,
    End,
}

/// Where reading a section stands. Only whole lines are judged, so the outcome does not depend on how input is split;
/// input that brings no line end is not looked at twice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    /// Start of the first line not read yet.
    pub(super) at: usize,
    /// No LF stands between `at` and here.
    searched: usize,
}

impl Cursor {
    /// Whether `input` may hold a whole line that has not been read.
    pub(super) fn has_line(&mut self, input: &[u8]) -> bool {
        // The first look reads the line at once: mostly the whole head is there.
        if self.searched <= self.at {
            return true;
        }
        let found = has_line_feed(input, self.searched);
        self.searched = input.len();
        found
    }

    /// Remembers that `input` ended before the line did.
    pub(super) fn wait(&mut self, input: &[u8]) {
        self.searched = input.len();
    }
}

/// Reads one field line at `at` into `headers`.
pub(super) fn read_field(input: &[u8], at: usize, headers: &mut Headers) -> Result<Line<Parsed>, Rule> {
    only_if_whole(input, at, try_read_field(input, at, headers))
}

/// An error in a line counts when the line has come to its end.
pub(super) fn only_if_whole<T>(input: &[u8], at: usize, read: Result<Line<T>, Rule>) -> Result<Line<T>, Rule> {
    match read {
        Err(_) if !has_line_feed(input, at) => Ok(Line::Incomplete),
        read => read,
    }
}

fn has_line_feed(input: &[u8], from: usize) -> bool {
    input.get(from..).is_some_and(|rest| memchr::memchr(b'\n', rest).is_some())
}

/// The position after the CRLF expected at `at`, where a control character stands.
pub(super) fn line_end(input: &[u8], at: usize, other: Rule) -> Result<Line<()>, Rule> {
    match (input.get(at), input.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Line::Whole((), at + 2)),
        (Some(b'\r'), Some(_)) => Err(Rule::BareCr),
        (Some(b'\n'), _) => Err(Rule::BareLf),
        (Some(b'\r'), None) | (None, _) => Ok(Line::Incomplete),
        (Some(_), _) => Err(other),
    }
}

fn try_read_field(input: &[u8], at: usize, headers: &mut Headers) -> Result<Line<Parsed>, Rule> {
    match input.get(at) {
        None => return Ok(Line::Incomplete),
        Some(b'\r' | b'\n') => {
            return Ok(match line_end(input, at, Rule::BareCr)? {
                Line::Whole((), next) => Line::Whole(Parsed::End, next),
                Line::Incomplete => Line::Incomplete,
            });
        }
        Some(b' ' | b'\t') => return Err(Rule::FieldFold),
        Some(_) => {}
    }
    let Some(colon) = find_colon(input, at)? else { return Ok(Line::Incomplete) };
    let value_end = find_value_end(input, colon + 1);
    let Line::Whole((), next) = line_end(input, value_end, Rule::FieldValue)? else { return Ok(Line::Incomplete) };
    push(&input[at..next], colon - at, headers);
    Ok(Line::Whole(Parsed::Field, next))
}

/// Mostly the line already has the form in which it is kept: one space before the value, none behind.
fn push(line: &[u8], name_bytes: usize, headers: &mut Headers) {
    let value = &line[name_bytes + 1..line.len() - 2];
    if let [b' ', first, .., last] = value
        && !matches!(first, b' ' | b'\t')
        && !matches!(last, b' ' | b'\t')
    {
        headers.push_line(line, name_bytes);
    } else {
        headers.push_checked(&line[..name_bytes], scan::trim(value));
    }
}

fn find_colon(input: &[u8], at: usize) -> Result<Option<usize>, Rule> {
    let rest = &input[at..];
    let Some(end) = rest.iter().position(|&byte| !scan::is_token_byte(byte)) else { return Ok(None) };
    match rest[end] {
        b':' if end == 0 => Err(Rule::FieldNameEmpty),
        b':' if end > NAME_BYTES_MAX => Err(Rule::FieldNameTooLong),
        b':' => Ok(Some(at + end)),
        b' ' | b'\t' if scan::trim(until_colon(&rest[end..])).is_empty() => Err(Rule::FieldNameSpace),
        b'\r' if rest.get(end + 1).is_some_and(|&byte| byte != b'\n') => Err(Rule::BareCr),
        b'\r' | b'\n' => Err(Rule::FieldColon),
        // Every other byte that no name may hold.
        _ => Err(Rule::FieldName),
    }
}

fn until_colon(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == b':').next().unwrap_or_default()
}

/// The first control character that is not HTAB.
fn find_value_end(input: &[u8], mut at: usize) -> usize {
    loop {
        at = scan::control(input, at);
        if input.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: impl AsRef<[u8]>) -> Result<Option<(String, String)>, Rule> {
        let line = line.as_ref();
        let mut headers = Headers::default();
        Ok(match read_field(line, 0, &mut headers)? {
            Line::Whole(Parsed::Field, next) => {
                assert_eq!(next, line.len());
                let field = headers.iter().next().unwrap();
                Some((field.name().to_owned(), String::from_utf8_lossy(field.value()).into_owned()))
            }
            Line::Whole(Parsed::End, _) => Some((String::new(), String::new())),
            Line::Incomplete => None,
        })
    }

    #[test]
    fn values_lose_surrounding_white_space_only() {
        for line in ["A-b:c\td\r\n", "a-B: c\td\r\n", "a-b:\t c\td \t\r\n"] {
            assert_eq!(read(line), Ok(Some(("a-b".into(), "c\td".into()))), "{line:?}");
        }
        assert_eq!(read("a:\r\n"), Ok(Some(("a".into(), "".into()))));
        assert_eq!(read("a: \t \r\n"), Ok(Some(("a".into(), "".into()))));
        assert_eq!(read("\r\n"), Ok(Some(("".into(), "".into()))));
    }

    #[test]
    fn broken_lines_are_refused_once_they_are_whole() {
        let table = [
            ("a: b\n", Rule::BareLf),
            ("\n", Rule::BareLf),
            ("a: b\rc\r\n", Rule::BareCr),
            ("a\rb: c\r\n", Rule::BareCr),
            ("\rX\n", Rule::BareCr),
            (" a: b\r\n", Rule::FieldFold),
            ("\ta: b\r\n", Rule::FieldFold),
            (": b\r\n", Rule::FieldNameEmpty),
            ("a : b\r\n", Rule::FieldNameSpace),
            ("a\t: b\r\n", Rule::FieldNameSpace),
            ("a b: c\r\n", Rule::FieldName),
            ("a(b: c\r\n", Rule::FieldName),
            ("a\0: c\r\n", Rule::FieldName),
            ("\u{e4}: c\r\n", Rule::FieldName),
            ("abc\r\n", Rule::FieldColon),
            ("a: \0\r\n", Rule::FieldValue),
            ("a: b\x0bc\r\n", Rule::FieldValue),
            ("a: b\x7f\r\n", Rule::FieldValue),
            ("a: b\x08\r\n", Rule::FieldValue),
        ];
        for (line, rule) in table {
            assert_eq!(read(line), Err(rule), "{line:?}");
            let end = line.find('\n').unwrap();
            for cut in 0..end {
                assert_eq!(read(&line.as_bytes()[..cut]), Ok(None), "{line:?} cut at {cut}");
            }
        }
        assert_eq!(read(format!("{}: x\r\n", "n".repeat(257))), Err(Rule::FieldNameTooLong));
    }
}
