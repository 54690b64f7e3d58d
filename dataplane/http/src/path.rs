//! What a request target's path and query may hold. Checked once; the bytes are never changed.

use std::borrow::Cow;

use crate::malformed::Rule;
use crate::scan;

/// What an application may allow in paths beyond the strict default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathRules {
    /// Lets `%2f` through. It still separates segments where dot segments are looked for.
    pub allow_encoded_slash: bool,
}

/// What one pass over a target has learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathFacts {
    /// Bytes before `?`, or all.
    pub(crate) path_bytes: usize,
    pub(crate) encoded_slash: bool,
}

/// Checks `path[?query]`; the path must begin with `/`.
///
/// The path holds visible ASCII except `" # < > \`; every `%` begins a valid escape, of neither a control character,
/// a backslash nor (unless allowed) a slash; no segment is `.` or `..` in any spelling, also not with parameters
/// (`..;a`). A query holds visible ASCII except `#`: applications use it too freely for more, and nothing routes on it.
pub(crate) fn check(target: &[u8], rules: PathRules) -> Result<PathFacts, Rule> {
    if target.first() != Some(&b'/') {
        return Err(Rule::TargetForm);
    }
    let mut deep = false;
    let mut path_bytes = target.len();
    let mut at = 0;
    while let Some(plain) = target[at..].iter().position(|&byte| CLASS[usize::from(byte)] != Class::Plain) {
        at += plain;
        match CLASS[usize::from(target[at])] {
            Class::Plain => {}
            Class::Query => {
                path_bytes = at;
                break;
            }
            Class::Percent => deep = true,
            Class::Dot => deep |= target.get(at.wrapping_sub(1)) == Some(&b'/'),
            Class::Backslash => return Err(Rule::PathBackslash),
            Class::Fragment => return Err(Rule::TargetFragment),
            Class::Refused => return Err(Rule::TargetByte),
        }
        at += 1;
    }
    check_query(&target[path_bytes..])?;
    let encoded_slash = deep && check_segments(&target[..path_bytes], rules)?;
    Ok(PathFacts { path_bytes, encoded_slash })
}

/// The path as routes are compared with it: escapes decoded, empty segments and segment parameters left out.
///
/// A backend may treat all these spellings alike, so a route that protects `/admin` must also catch `//admin`,
/// `/%61dmin` and `/admin;x`. What is forwarded stays as it came.
pub(crate) fn routing_form(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let plain = !bytes.iter().any(|byte| matches!(byte, b'%' | b';')) && !bytes.windows(2).any(|pair| pair == b"//");
    if plain { Cow::Borrowed(path) } else { Cow::Owned(canonical(bytes)) }
}

fn canonical(path: &[u8]) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut in_parameters = false;
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let byte = if byte == b'%' { escape(path, at).unwrap_or(byte) } else { byte };
        match (byte, path[at] == b'%') {
            (b'/', _) => {
                in_parameters = false;
                if out.last() != Some(&b'/') {
                    out.push(b'/');
                }
            }
            (b';', false) => in_parameters = true,
            (byte, _) if !in_parameters => out.push(byte),
            // A parameter's byte.
            _ => {}
        }
        at += if path[at] == b'%' { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn check_query(query: &[u8]) -> Result<(), Rule> {
    if scan::is_query(query) {
        return Ok(());
    }
    // The first byte that does not fit decides.
    let refused = query.iter().find(|&&byte| !byte.is_ascii_graphic() || byte == b'#');
    Err(if refused == Some(&b'#') { Rule::TargetFragment } else { Rule::TargetByte })
}

/// Checks escapes and dot segments; says whether there is an encoded slash.
fn check_segments(path: &[u8], rules: PathRules) -> Result<bool, Rule> {
    let mut encoded_slash = false;
    let mut segment = Segment::default();
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        if byte != b'%' {
            segment.take(byte)?;
            at += 1;
            continue;
        }
        match escape(path, at).ok_or(Rule::PathEscape)? {
            b'\\' => return Err(Rule::PathBackslash),
            b'/' if !rules.allow_encoded_slash => return Err(Rule::PathEncodedSlash),
            byte if byte.is_ascii_control() => return Err(Rule::PathControl),
            b'/' => {
                encoded_slash = true;
                segment.take(b'/')?;
            }
            // An encoded semicolon begins no parameters.
            b';' => segment.take(b'x')?,
            byte => segment.take(byte)?,
        }
        at += 3;
    }
    segment.take(b'/')?;
    Ok(encoded_slash)
}

/// The decoded segment so far, without its parameters.
#[derive(Default)]
struct Segment {
    bytes: usize,
    dots: usize,
    in_parameters: bool,
}

impl Segment {
    fn take(&mut self, byte: u8) -> Result<(), Rule> {
        match byte {
            b'/' if self.dots == self.bytes && matches!(self.bytes, 1 | 2) => return Err(Rule::PathDotSegment),
            b'/' => *self = Self::default(),
            b';' => self.in_parameters = true,
            // Parameters do not belong to the segment's name.
            _ if self.in_parameters => {}
            _ => {
                self.bytes += 1;
                self.dots += usize::from(byte == b'.');
            }
        }
        Ok(())
    }
}

fn escape(path: &[u8], at: usize) -> Option<u8> {
    let digit = |at| char::from(*path.get(at)?).to_digit(16);
    Some((digit(at + 1)? * 16 + digit(at + 2)?) as u8)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Query,
    Percent,
    Dot,
    Backslash,
    Fragment,
    Refused,
}

static CLASS: [Class; 256] = {
    let mut table = [Class::Refused; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = match byte as u8 {
            b'?' => Class::Query,
            b'%' => Class::Percent,
            b'.' => Class::Dot,
            b'\\' => Class::Backslash,
            b'#' => Class::Fragment,
            b'"' | b'<' | b'>' => Class::Refused,
            // RFC 3986's characters and those that browsers leave unencoded: [ ] ^ ` { | }
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const LAX: PathRules = PathRules { allow_encoded_slash: true };

    #[test]
    fn ordinary_paths_pass_unchanged() {
        let table = [
            "/",
            "/a",
            "/a/b.html",
            "/a.b/c..d/e...",
            "/...",
            "/.well-known/x",
            "/..a/.b",
            "//a//b",
            "/a;v=1/b",
            "/a|b[c]^`{d}",
            "/%E4%f6",
            "/%41%2e%41",
            "/?",
            "/?q=../../x&y=%zz\\|<>\"",
            "/a?x?y/..",
            "/a%3b..%3b",
            "/%25%32%65",
            "/*~!$&'()+,:@=",
        ];
        for path in table {
            let facts = check(path.as_bytes(), PathRules::default()).unwrap_or_else(|rule| panic!("{path}: {rule}"));
            assert_eq!(facts.path_bytes, path.find('?').unwrap_or(path.len()), "{path}");
            assert!(!facts.encoded_slash);
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        let table = [
            ("", Rule::TargetForm),
            ("a", Rule::TargetForm),
            ("/a b", Rule::TargetByte),
            ("/a\tb", Rule::TargetByte),
            ("/a\x7f", Rule::TargetByte),
            ("/\u{e4}", Rule::TargetByte),
            ("/?\u{e4}", Rule::TargetByte),
            ("/?a b", Rule::TargetByte),
            ("/<a>", Rule::TargetByte),
            ("/a#b", Rule::TargetFragment),
            ("/a?b#c", Rule::TargetFragment),
            ("/a\\b", Rule::PathBackslash),
            ("/a%5cb", Rule::PathBackslash),
            ("/a%5Cb", Rule::PathBackslash),
            ("/a%00", Rule::PathControl),
            ("/a%0d%0ab", Rule::PathControl),
            ("/a%7f", Rule::PathControl),
            ("/a%", Rule::PathEscape),
            ("/a%4", Rule::PathEscape),
            ("/a%4g", Rule::PathEscape),
            ("/a%?41", Rule::PathEscape),
            ("/a%u0041", Rule::PathEscape),
            ("/a%2fb", Rule::PathEncodedSlash),
            ("/a%2Fb", Rule::PathEncodedSlash),
            ("/.", Rule::PathDotSegment),
            ("/..", Rule::PathDotSegment),
            ("/a/./b", Rule::PathDotSegment),
            ("/a/../b", Rule::PathDotSegment),
            ("/a/..", Rule::PathDotSegment),
            ("/a/..?x", Rule::PathDotSegment),
            ("/%2e", Rule::PathDotSegment),
            ("/%2E%2e/", Rule::PathDotSegment),
            ("/.%2e/a", Rule::PathDotSegment),
            ("/%2e./a", Rule::PathDotSegment),
            ("/a/..;/b", Rule::PathDotSegment),
            ("/a/..;x=1/b", Rule::PathDotSegment),
            ("/a/%2e%2e;x", Rule::PathDotSegment),
            ("/.;", Rule::PathDotSegment),
        ];
        for (path, rule) in table {
            assert_eq!(check(path.as_bytes(), PathRules::default()), Err(rule), "{path}");
        }
    }

    #[test]
    fn an_allowed_encoded_slash_still_separates_segments() {
        assert!(check(b"/a%2fb", LAX).unwrap().encoded_slash);
        for path in ["/a%2f..", "/a/..%2fb", "/%2e%2e%2Fb", "/a%2f.%2fb"] {
            assert_eq!(check(path.as_bytes(), LAX), Err(Rule::PathDotSegment), "{path}");
        }
    }

    #[test]
    fn the_routing_form_unites_spellings() {
        let table = [
            ("/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("//admin", "/admin"),
            ("/admin;x=1/y", "/admin/y"),
            ("/admin%3bx", "/admin;x"),
            ("/a%2fb", "/a/b"),
            ("/a//b///", "/a/b/"),
            ("/%C3%A4", "/\u{e4}"),
        ];
        for (path, form) in table {
            assert_eq!(routing_form(path), form, "{path}");
        }
        assert!(matches!(routing_form("/plain/path.html"), Cow::Borrowed(_)));
        assert_eq!(routing_form("/%ff"), "/\u{fffd}");
    }
}
