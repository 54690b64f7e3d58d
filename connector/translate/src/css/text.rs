//! Escapes in style sheets' strings and URLs (CSS Syntax 3 §4.3.7).

use std::borrow::Cow;

/// `text` without its escapes. None where they stand for what must not stand there as itself: what would end a `<style>`, or is
/// not ASCII and would have to be written in the sheet's charset.
pub(super) fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let hex = after.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if hex > 0 {
            let code = u32::from_str_radix(&after[..hex], 16).ok();
            out.push(code.and_then(char::from_u32).filter(char::is_ascii)?);
            rest = after[hex..].strip_prefix(SPACES).unwrap_or(&after[hex..]);
        } else if let Some(rest_of_line) = after.strip_prefix('\n') {
            rest = rest_of_line;
        } else {
            let next = after.chars().next();
            out.extend(next);
            rest = &after[next.map_or(0, char::len_utf8)..];
        }
    }
    out.push_str(rest);
    (!out.contains(['<', '>', '&'])).then_some(Cow::Owned(out))
}

const SPACES: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];

/// `url` as it is written between `quote`s, or without.
pub(super) fn escaped(url: &str, quote: Option<u8>) -> Cow<'_, str> {
    let is_special = |byte: u8| match quote {
        Some(quote) => byte == quote || byte == b'\\',
        None => matches!(byte, b'"' | b'\'' | b'(' | b')' | b' ' | b'\\'),
    };
    if !url.bytes().any(|byte| byte.is_ascii_control() || is_special(byte)) {
        return Cow::Borrowed(url);
    }
    let mut out = String::with_capacity(url.len());
    for character in url.chars() {
        if character.is_ascii_control() {
            out.push_str(&format!("\\{:x} ", u32::from(character)));
            continue;
        }
        if u8::try_from(character).is_ok_and(is_special) {
            out.push('\\');
        }
        out.push(character);
    }
    Cow::Owned(out)
}
