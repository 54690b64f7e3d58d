//! JSON without secrets: the values of members that are named as some, and what stands in other strings.

use std::borrow::Cow;

use super::{REDACTED, is_secret, text};

/// JSON, whole, cut, or several after each other. What is none passes as it is, but for what stands where a secret's value would. JSON in
/// strings is looked into, and so are URLs in it, so `depth`.
pub(super) fn without_secrets(body: &[u8], depth: u32) -> Vec<u8> {
    let named = named_values(body);
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
        out.extend_from_slice(&rest[..at]);
        let name_at = body.len() - rest.len() + at;
        let name = string(&rest[at..]);
        let after = &rest[at + name.len()..];
        rest = after;
        let space = spaces(after);
        let is_member = after.get(space) == Some(&b':');
        let is_hidden = is_member && (named.binary_search(&name_at).is_ok() || is_secret(&unescaped(name)));
        if !is_hidden {
            out.extend_from_slice(&looked_into(name, depth));
            continue;
        }
        out.extend_from_slice(name);
        let value_at = space + 1 + spaces(&after[space + 1..]);
        let value = value(&after[value_at..]);
        out.extend_from_slice(&after[..value_at]);
        if !value.is_empty() {
            out.extend(["\"", REDACTED, "\""].iter().flat_map(|part| part.bytes()));
        }
        rest = &after[value_at + value.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// As [`without_secrets`], of text.
pub(super) fn text_without_secrets(text: &str, depth: u32) -> String {
    String::from_utf8_lossy(&without_secrets(text.as_bytes(), depth)).into_owned()
}

/// A string as it was, or without the secrets in it.
fn looked_into(string: &[u8], depth: u32) -> Cow<'_, [u8]> {
    // In none of the others can be any.
    if !string.iter().any(|byte| matches!(byte, b'=' | b'@' | b'.' | b'{' | b'[' | b'\\')) {
        return Cow::Borrowed(string);
    }
    let plain = unescaped(string);
    let shown = text(&plain, depth);
    match shown == plain {
        true => Cow::Borrowed(string),
        false => serde_json::to_vec(&shown).map_or(Cow::Borrowed(b"\"\"".as_slice()), Cow::Owned),
    }
}

/// Where the members stand, in order, whose values are secrets for what is beside them: `{"name":"password","value":…}`.
fn named_values(body: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut objects = vec![Object::default()];
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => {
                let name = string(&body[at..]);
                if let Some(object) = objects.last_mut() {
                    object.member(at, name, &body[at + name.len()..]);
                }
                at += name.len() - 1;
            }
            b'{' => objects.push(Object::default()),
            b'}' => found.extend(objects.pop().into_iter().flat_map(Object::secrets)),
            _ => {}
        }
        at += 1;
    }
    // What was cut ends here.
    found.extend(objects.into_iter().flat_map(Object::secrets));
    found.sort_unstable();
    found
}

/// What was seen of an object's members.
#[derive(Default)]
struct Object {
    names_secret: bool,
    values: Vec<usize>,
}

impl Object {
    fn member(&mut self, at: usize, name: &[u8], after: &[u8]) {
        let space = spaces(after);
        if after.get(space) != Some(&b':') {
            return;
        }
        let name = unescaped(name).to_ascii_lowercase();
        match name.as_str() {
            "value" | "values" => self.values.push(at),
            "name" | "key" | "id" | "field" => {
                let value = &after[space + 1..];
                let value = &value[spaces(value)..];
                self.names_secret |= value.first() == Some(&b'"') && is_secret(&unescaped(string(value)));
            }
            _ => {}
        }
    }

    fn secrets(self) -> Vec<usize> {
        if self.names_secret { self.values } else { Vec::new() }
    }
}

fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// From its quotation mark to the next, or to the end.
fn string(bytes: &[u8]) -> &[u8] {
    let mut escaped = false;
    let end = bytes.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(bytes, |end| &bytes[..end + 2])
}

/// What stands between its quotation marks, whatever of it is there.
fn unescaped(string: &[u8]) -> String {
    let text = String::from_utf8_lossy(string);
    let mut chars = text.strip_prefix('"').unwrap_or(&text).chars();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => out.extend(escaped(&mut chars)),
            _ => out.push(c),
        }
    }
    out
}

/// What stands behind a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            // What is no digit stays: in malformed JSON it may be where a name begins.
            let rest = chars.as_str();
            let length = rest.bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
            let (digits, rest) = rest.split_at(length);
            *chars = rest.chars();
            // Half of a pair: no ASCII, and thus of no name.
            u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        other => other,
    })
}

/// One value, to its end or that of what is there.
fn value(bytes: &[u8]) -> &[u8] {
    match bytes.first() {
        Some(b'"') => string(bytes),
        Some(b'{' | b'[') => nested(bytes),
        Some(_) | None => {
            let end = bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace());
            &bytes[..end.unwrap_or(bytes.len())]
        }
    }
}

/// An object or an array with all that is in it.
fn nested(bytes: &[u8]) -> &[u8] {
    let (mut at, mut depth) = (0, 0_u32);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += string(&bytes[at..]).len() - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    &bytes[..at]
}
