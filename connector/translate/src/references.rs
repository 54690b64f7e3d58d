//! Character references in attributes' values (`&#47;`, `&quot;`), as far as URLs need them. An ampersand stays as it is
//! written: taking one out or putting one in is all that could change what the rest of a value means. So does `<`, which no
//! attribute of XHTML may hold.

use std::borrow::Cow;
use std::ops::Range;

/// `value` with every reference to an ASCII character but `&` and `<` replaced by that character.
pub(crate) fn resolved(value: &str) -> Cow<'_, str> {
    if !may_refer(value) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(spelled(value).map(|(character, _)| character).collect())
}

/// Whether anything in `value` may stand for something else than itself. Most ampersands are between a query's parameters.
fn may_refer(value: &str) -> bool {
    value.match_indices('&').any(|(at, _)| reference(&value[at..]).is_some())
}

/// The characters that `value` stands for, each with how it is written there.
fn spelled(value: &str) -> impl Iterator<Item = (char, &str)> {
    // What stands after an ampersand that stayed could become a reference with it.
    let mut open = false;
    let mut rest = value;
    std::iter::from_fn(move || {
        let character = rest.chars().next()?;
        let (character, bytes) = match reference(rest) {
            Some((resolved, bytes)) if !(open && may_continue(resolved)) => {
                open = false;
                (resolved, bytes)
            }
            Some(_) | None => {
                open = character == '&' || open && may_continue(character);
                (character, character.len_utf8())
            }
        };
        let (spelling, behind) = rest.split_at(bytes);
        rest = behind;
        Some((character, spelling))
    })
}

/// Of `raw`, whose characters are to become those of `value`, the part that changes, and what takes its place: what is alike before
/// and behind it stays as it is written. Nothing that could end a value, a text or a string in it gets another spelling on the way,
/// so that also what only looks like an attribute keeps its meaning for what is around it.
pub(crate) fn change(raw: &str, value: &str, quote: Option<u8>) -> (Range<usize>, String) {
    let (place, with) = changed(raw, value);
    let text = raw.get(place.clone()).unwrap_or_default();
    let is_reference = |(character, spelling): (char, &str)| spelling.len() != character.len_utf8();
    let had_references = may_refer(text) && spelled(text).any(is_reference);
    let mut out = String::with_capacity(with.len());
    for character in with.chars() {
        let is_written_anew = match character {
            '"' | '\'' if quote.is_some_and(|quote| char::from(quote) == character) => true,
            '"' | '\'' | '<' | '>' | '\\' | '`' => had_references || quote.is_none(),
            _ => quote.is_none() && character.is_ascii_whitespace(),
        };
        if is_written_anew {
            out.push_str(&format!("&#{};", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    (place, out)
}

/// Where `raw` changes to become `value`, and what of `value` stands there.
fn changed<'v>(raw: &str, value: &'v str) -> (Range<usize>, &'v str) {
    if raw.is_ascii() && value.is_ascii() && !may_refer(raw) {
        let start = raw.bytes().zip(value.bytes()).take_while(|(is, to)| is == to).count();
        let (rest, with) = (&raw[start..], &value[start..]);
        let same = rest.bytes().rev().zip(with.bytes().rev()).take_while(|(is, to)| is == to).count();
        return (start..raw.len() - same, &with[..with.len() - same]);
    }
    // A reference without a semicolon would go on in what comes behind it.
    let stays = |spelling: &str| !spelling.starts_with('&') || spelling.ends_with(';') || spelling == "&";
    let alike = |((is, spelling), to): &((char, &str), char)| is == to && stays(spelling);
    let same = spelled(raw).zip(value.chars()).take_while(alike);
    let (start, with_start) =
        same.fold((0, 0), |(at, with), ((_, spelling), to)| (at + spelling.len(), with + to.len_utf8()));
    let (rest, with) = (&raw[start..], &value[with_start..]);
    // Both end at once: how much the longer has before the other begins.
    let (count, with_count) = (spelled(rest).count(), with.chars().count());
    let (before, with_before) = (count.saturating_sub(with_count), with_count.saturating_sub(count));
    let mut at: usize = spelled(rest).take(before).map(|(_, spelling)| spelling.len()).sum();
    let mut with_at: usize = with.chars().take(with_before).map(char::len_utf8).sum();
    let (mut end, mut with_end) = (at, with_at);
    for ((is, spelling), to) in spelled(rest).skip(before).zip(with.chars().skip(with_before)) {
        at += spelling.len();
        with_at += to.len_utf8();
        if is != to {
            (end, with_end) = (at, with_at);
        }
    }
    (start..start + end, &with[..with_end])
}

fn may_continue(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '#' | ';')
}

/// The reference that `text` begins with: what it stands for and how long it is.
fn reference(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    let (resolved, bytes) = match body.strip_prefix('#') {
        Some(number) => numeric(number).map(|(resolved, bytes)| (resolved, bytes + 2))?,
        None => NAMED.iter().find(|(name, _)| body.starts_with(name)).map(|(name, to)| (*to, name.len() + 1))?,
    };
    (!matches!(resolved, '&' | '<')).then_some((resolved, bytes))
}

fn numeric(text: &str) -> Option<(char, usize)> {
    let (digits, radix, before) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 1),
        None => (text, 10, 0),
    };
    let length = digits.find(|character: char| !character.is_digit(radix)).unwrap_or(digits.len());
    let code = u8::try_from(u32::from_str_radix(digits.get(..length)?, radix).ok()?).ok()?;
    let end = usize::from(digits[length..].starts_with(';'));
    // Control characters are not for URLs; a tab or a line's end would be dropped from one.
    matches!(code, 0x20..=0x7e).then_some((char::from(code), before + length + end))
}

/// Of the named ones those that stand for what URLs and style sheets are made of.
const NAMED: &[(&str, char)] = &[
    ("sol;", '/'),
    ("colon;", ':'),
    ("period;", '.'),
    ("quest;", '?'),
    ("num;", '#'),
    ("equals;", '='),
    ("lowbar;", '_'),
    ("percnt;", '%'),
    ("plus;", '+'),
    ("comma;", ','),
    ("semi;", ';'),
    ("lpar;", '('),
    ("rpar;", ')'),
    ("commat;", '@'),
    ("bsol;", '\\'),
    ("quot;", '"'),
    ("QUOT;", '"'),
    ("apos;", '\''),
    ("gt;", '>'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_written_anew() {
        for (raw, value, quote, expected) in [
            ("http://in/a", "https://out/a", None, "https://out/a"),
            ("http://in/\u{e9}", "https://out/\u{e9}", None, "https://out/\u{e9}"),
            ("/a?b&amp;c 1x, /d 2x", "/A?b&amp;c 1x, /D 2x", Some(b'"'), "/A?b&amp;c 1x, /D 2x"),
            (" http:&#47;&sol;in/&#39;&gt; ", " https://out/'> ", Some(b'\''), " https://out/&#39;&gt; "),
            ("&#47base/x", "/shop/x", None, "/shop/x"),
            ("a&quot;b\"c", "a\"B\"c", Some(b'\''), "a&quot;B\"c"),
            ("a&quot;b'", "'A>", Some(b'"'), "&#39;A&#62;"),
            ("a'b", "'A>", Some(b'"'), "'A>"),
            ("ab", "'A>", None, "&#39;A&#62;"),
            ("aa", "aaa", None, "aaa"),
            ("aaa", "a", None, "a"),
            ("a", "", None, ""),
            ("<&sol;p>/x", "</p>/y", Some(b'"'), "<&sol;p>/y"),
        ] {
            let (place, with) = change(raw, value, quote);
            let mut out = raw.to_owned();
            out.replace_range(place, &with);
            assert_eq!(out, expected, "{raw} {value}");
        }
    }

    #[test]
    fn ascii_is_resolved_and_ampersands_stay() {
        for (value, expected) in [
            ("http://a/?b&c", "http://a/?b&c"),
            ("http:&#47;&#x2F;a&sol;b&quest;c&amp;d", "http://a/b?c&amp;d"),
            ("url(&quot;a&quot;)", "url(\"a\")"),
            ("&#38;lt; &#x26;", "&#38;lt; &#x26;"),
            ("&eacute;&#233;", "&eacute;&#233;"),
            ("&&#108;t;", "&&#108;t;"),
            ("&#47", "/"),
            ("&#; &#x; &#99999999999;", "&#; &#x; &#99999999999;"),
            ("&#10;", "&#10;"),
        ] {
            assert_eq!(resolved(value), expected, "{value}");
        }
    }
}
