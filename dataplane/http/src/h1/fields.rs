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
    if let Some(next) = read_usual(input, at, headers) {
        return Ok(Line::Whole(Parsed::Field, next));
    }
    read_unusual(input, at, headers)
}

/// Where the next line begins, if this one is whole, right, and in the form in which it is kept, as nearly all are: one space before
/// the value, none behind. It costs one look for the colon and one for the end of the value; the name is judged where it is kept.
fn read_usual(input: &[u8], at: usize, headers: &mut Headers) -> Option<usize> {
    let rest = input.get(at..)?;
    let name_bytes = scan::colon(rest.get(..=NAME_BYTES_MAX).unwrap_or(rest))?;
    let value_end = find_value_end(input, at + name_bytes + 1);
    let line = input.get(at..value_end + 2)?;
    let (text, end) = line.split_at(line.len() - 2);
    let ([b' ', first, ..], [.., last]) = (&text[name_bytes + 1..], text) else { return None };
    let is_kept = end == b"\r\n" && !matches!(first, b' ' | b'\t') && !matches!(last, b' ' | b'\t');
    (is_kept && headers.push_line(line, name_bytes)).then_some(value_end + 2)
}

/// The same of a line of any other form: an odd one, a broken one, or the part of one.
fn read_unusual(input: &[u8], at: usize, headers: &mut Headers) -> Result<Line<Parsed>, Rule> {
    let Some(colon) = find_colon(input, at)? else { return Ok(Line::Incomplete) };
    let value_end = find_value_end(input, colon + 1);
    let Line::Whole((), next) = line_end(input, value_end, Rule::FieldValue)? else { return Ok(Line::Incomplete) };
    headers.push_checked(&input[at..colon], scan::trim(&input[colon + 1..value_end]));
    Ok(Line::Whole(Parsed::Field, next))
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
    use proptest::prelude::*;

    /// Lines and parts of lines, of what makes a difference.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec!["Host", "accept", "x_y", "X-Forwarded-For", "a", "bc", "q=1", "\u{e4}"]),
            4 => prop::sample::select(vec![":", ": ", ": ", "\r\n", "\r\n"]),
            1 => prop::sample::select(vec![" ", "\t", "\r", "\n", "\0", "\x7f", "\x0b", "(", "@", "[", "`", "{"]),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn usual_lines_are_read_as_all_others_are(mut input in pieces(), whole: bool) {
            if whole {
                input.extend_from_slice(b"\r\n");
            }
            let (mut usual, mut all) = (Headers::default(), Headers::default());
            match read_usual(&input, 0, &mut usual) {
                Some(next) => {
                    prop_assert_eq!(read_unusual(&input, 0, &mut all), Ok(Line::Whole(Parsed::Field, next)));
                    prop_assert_eq!(&usual, &all);
                    let known = |headers: &Headers| headers.iter().next().map(|field| field.known());
                    prop_assert_eq!(known(&usual), known(&all));
                }
                None => prop_assert!(usual.is_empty()),
            }
        }
    }

    #[test]
    fn lines_of_the_usual_form_take_the_short_way() {
        let longest = format!("{}: x\r\n", "n".repeat(256));
        for line in ["Host: a.example\r\n", "DNT: 1\r\n", "x_own: a\tb\r\n", "a: b: c\r\n", "a: \u{e4}\r\n", &*longest]
        {
            let mut headers = Headers::default();
            assert_eq!(read_usual(line.as_bytes(), 0, &mut headers), Some(line.len()), "{line:?}");
            assert_eq!(read(line).unwrap().unwrap().0, line.split(':').next().unwrap().to_ascii_lowercase());
        }
        let too_long = format!("n{longest}");
        for line in
            ["a:b\r\n", "a:  b\r\n", "a: b \r\n", "a:\r\n", "a: \r\n", "a : b\r\n", ": b\r\n", "a: b", &*too_long]
        {
            assert_eq!(read_usual(line.as_bytes(), 0, &mut Headers::default()), None, "{line:?}");
        }
    }

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
