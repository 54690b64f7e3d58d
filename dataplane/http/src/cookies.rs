//! Cookies by name (RFC 6265 §4.2): found, and taken out of what is forwarded. HTTP/2 may send each in a field of its own
//! (RFC 9113 §8.2.3); what is joined and what is not means the same.

use std::iter;

use crate::field::FieldRef;
use crate::headers::Headers;
use crate::known::Known;

/// The value of the only cookie of that name; `None` when there is none, or when there are two: which one counts would be
/// anybody's guess.
pub fn cookie<'h>(headers: &'h Headers, name: &str) -> Option<&'h [u8]> {
    let mut found = None;
    for line in headers.values(Known::Cookie) {
        for pair in pairs(line) {
            if let Some(value) = value(pair, name.as_bytes())
                && found.replace(value).is_some()
            {
                return None;
            }
        }
    }
    found
}

/// Names and values of all cookies whose name begins with `prefix`, in this case only.
pub fn cookies_with<'h>(headers: &'h Headers, prefix: &str) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
    let named = headers.get_all(Known::Cookie).flat_map(pairs).filter_map(|pair| {
        let pair = trimmed(pair);
        let end = pair.iter().position(|byte| *byte == b'=')?;
        Some((&pair[..end], &pair[end + 1..]))
    });
    named.filter(move |(name, _)| name.starts_with(prefix.as_bytes()))
}

/// Removes every cookie whose name begins with one of `prefixes` but the one named `keep`, and fields that are empty then. Others
/// stay as they were.
pub fn strip_cookies(headers: &mut Headers, prefixes: &[&str], keep: Option<&str>) {
    let is_ours = |pair: &[u8]| is_ours(trimmed(pair), prefixes, keep);
    let (mut any, mut all) = (false, true);
    for line in headers.values(Known::Cookie) {
        for pair in pairs(line) {
            let is_ours = is_ours(pair);
            (any, all) = (any | is_ours, all & is_ours);
        }
    }
    if !any {
        return;
    }
    // Most applications that leave sessions to us have no other cookie: nothing is put together.
    if all {
        headers.remove(Known::Cookie);
        return;
    }
    let kept: Vec<Vec<u8>> = headers
        .get_all(Known::Cookie)
        .map(|line| pairs(line).filter(|pair| !is_ours(pair)).map(trimmed).collect::<Vec<_>>().join(&b"; "[..]))
        .filter(|line| !line.is_empty())
        .collect();
    headers.remove(Known::Cookie);
    for line in kept {
        // Parts of a field value, joined by what may stand in one.
        let appended = headers.append(Known::Cookie, line.trim_ascii());
        debug_assert!(appended.is_ok(), "parts of a field value are one");
    }
}

/// Removes what a backend sets under names that begin with one of `prefixes`. A cookie without a name, `=NAME=VALUE`, is what some
/// browsers send back as `NAME=VALUE`.
pub fn strip_set_cookies(headers: &mut Headers, prefixes: &[&str], keep: Option<&str>) {
    let is_ours = |field: FieldRef<'_>| {
        let value = field.value().trim_ascii_start();
        let value = value.strip_prefix(b"=").map_or(value, <[u8]>::trim_ascii_start);
        field.known() == Some(Known::SetCookie) && is_ours(value, prefixes, keep)
    };
    if headers.contains(Known::SetCookie) {
        headers.retain(|field| !is_ours(field));
    }
}

/// Whether a cookie's name begins with one of `prefixes`, in whatever case, and is not `keep`.
fn is_ours(cookie: &[u8], prefixes: &[&str], keep: Option<&str>) -> bool {
    // Ours are as we wrote them, all but always; and others differ in their first letter.
    let begins = |prefix: &&str| {
        let prefix = prefix.as_bytes();
        cookie.starts_with(prefix) || cookie.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_kept = || keep.is_some_and(|keep| value(cookie, keep.as_bytes()).is_some());
    prefixes.iter().any(begins) && !is_kept()
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(line);
    iter::from_fn(move || {
        let line = left?;
        let end = memchr::memchr(b';', line);
        left = end.map(|end| &line[end + 1..]);
        Some(&line[..end.unwrap_or(line.len())])
    })
}

fn value<'p>(pair: &'p [u8], name: &[u8]) -> Option<&'p [u8]> {
    trimmed(pair).strip_prefix(name)?.strip_prefix(b"=")
}

fn trimmed(pair: &[u8]) -> &[u8] {
    pair.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[&str]) -> Headers {
        let mut headers = Headers::default();
        for line in lines {
            headers.append(Known::Cookie, line).unwrap();
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_wherever_it_stands_and_only_once() {
        for lines in [&["a=1; ours=x; b=2"][..], &["a=1", "ours=x"], &["ours=x;a=1"], &["xours=y; ours=x"]] {
            assert_eq!(cookie(&headers(lines), "ours"), Some(&b"x"[..]), "{lines:?}");
        }
        for lines in
            [&[][..], &["a=1"], &["ours"], &["Ours=x"], &["ours =x"], &["ours=x; ours=x"], &["ours=x", "ours=y"]]
        {
            assert_eq!(cookie(&headers(lines), "ours"), None, "{lines:?}");
        }
    }

    #[test]
    fn ours_are_taken_out_and_nothing_else_changes() {
        for (lines, kept) in [
            (&["a=1; p-x=secret; b=2"][..], &["a=1; b=2"][..]),
            (&["p-x=secret"], &[]),
            (&["p-x=secret; p-y=z", "a=1"], &["a=1"]),
            (&["P-X=secret;a=1"], &["a=1"]),
            (&["a=p-x; b"], &["a=p-x; b"]),
            (&["a=1;  b=2"], &["a=1;  b=2"]),
        ] {
            let mut headers = headers(lines);
            strip_cookies(&mut headers, &["p-"], None);
            let left: Vec<_> =
                headers.get_all(Known::Cookie).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
            assert_eq!(left, kept, "{lines:?}");
        }
    }

    #[test]
    fn ours_may_begin_in_several_ways() {
        let mut both = headers(&["p-x=1; a=2; q-x=3; r-x=4"]);
        strip_cookies(&mut both, &["p-", "q-"], None);
        assert_eq!(both.get_all(Known::Cookie).collect::<Vec<_>>(), [b"a=2; r-x=4"]);
    }

    #[test]
    fn a_backend_cannot_set_ours() {
        let mut headers = Headers::default();
        for set in ["a=1; Path=/", "p-x=forged; Path=/", " P-y=forged", "=p-x=forged", " = p-x=forged"] {
            headers.append(Known::SetCookie, set.trim()).unwrap();
        }
        strip_set_cookies(&mut headers, &["p-"], None);
        assert_eq!(headers.get_all(Known::SetCookie).collect::<Vec<_>>(), [b"a=1; Path=/"]);
    }

    #[test]
    fn one_may_be_kept_by_its_exact_name() {
        let mut request = headers(&["a=1; p-x=secret; p-own=mine; p-owner=x; P-own=y; p-own2=z"]);
        strip_cookies(&mut request, &["p-"], Some("p-own"));
        assert_eq!(request.get_all(Known::Cookie).collect::<Vec<_>>(), [b"a=1; p-own=mine"]);
        let mut response = Headers::default();
        for set in ["p-own=mine; Path=/", "p-x=forged", "P-own=forged", "=p-x=forged"] {
            response.append(Known::SetCookie, set).unwrap();
        }
        strip_set_cookies(&mut response, &["p-"], Some("p-own"));
        assert_eq!(response.get_all(Known::SetCookie).collect::<Vec<_>>(), [b"p-own=mine; Path=/"]);
    }

    proptest! {
        #[test]
        fn nothing_of_ours_is_left(line in "[a-cp=; -]{1,40}") {
            let mut headers = Headers::default();
            prop_assume!(headers.append(Known::Cookie, line.trim()).is_ok());
            strip_cookies(&mut headers, &["p-"], None);
            let left = headers.get_all(Known::Cookie).flat_map(pairs).any(|pair| trimmed(pair).starts_with(b"p-"));
            prop_assert!(!left);
        }
    }
}
