//! Character references in attributes' values (`&#47;`, `&quot;`), as far as URLs need them. An ampersand stays as it is
//! written: taking one out or putting one in is all that could change what the rest of a value means. So does `<`, which no
//! attribute of XHTML may hold.

use std::borrow::Cow;

/// `value` with every reference to an ASCII character but `&` and `<` replaced by that character.
///
/// The result is written between quotes, single or double, by something that escapes whichever these are, and nothing else.
pub(crate) fn resolved(value: &str) -> Cow<'_, str> {
    if !value.contains('&') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    // What stands after an ampersand that stayed could become a reference with it.
    let mut open = false;
    let mut rest = value;
    while let Some(character) = rest.chars().next() {
        match reference(rest) {
            Some((resolved, bytes)) if !(open && may_continue(resolved)) => {
                out.push(resolved);
                open = false;
                rest = &rest[bytes..];
            }
            Some(_) | None => {
                out.push(character);
                open = character == '&' || open && may_continue(character);
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    Cow::Owned(out)
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
