//! Content that is recorded: fields of forms and members of JSON whose names are those of secrets. It may be cut anywhere.

use std::borrow::Cow;

use super::{Ends, REDACTED, is_secret, parameters};

/// A content, not in any coding, without the secrets that are found in its kind.
///
/// # Errors
/// Why nothing of it is to be recorded.
pub fn content<'a>(content_type: &str, body: &'a [u8]) -> Result<Cow<'a, [u8]>, &'static str> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let first = body.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let is_json_like = matches!(first, Some(b'{' | b'['));
    match kind.as_str() {
        "multipart/form-data" => multipart(content_type, body).map(Cow::Owned),
        "application/x-www-form-urlencoded" => Ok(Cow::Owned(form(body))),
        // What says not what it is may be either.
        "" | "text/plain" if is_json_like => Ok(Cow::Owned(form(&json(body)))),
        "" | "text/plain" => Ok(Cow::Owned(form(body))),
        _ if kind.ends_with("json") || is_json_like => Ok(Cow::Owned(json(body))),
        _ if kind.ends_with("xml") && names_secret(body) => Err("XML with an element that is named as a secret is"),
        _ => Ok(Cow::Borrowed(body)),
    }
}

/// Byte by byte, in whatever encoding it is: all that counts in a form is ASCII.
fn form(body: &[u8]) -> Vec<u8> {
    let text: String = body.iter().copied().map(char::from).collect();
    parameters(&text, Ends::Form, true).chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

/// RFC 7578: a part whose name is a secret's keeps its head.
fn multipart(content_type: &str, body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let boundary =
        parameter(content_type, "boundary").filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()));
    let delimiter = format!("--{}", boundary.ok_or("a form that does not say where its fields end")?);
    let mut out = Vec::with_capacity(body.len());
    let mut parts = split(body, delimiter.as_bytes()).into_iter();
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.extend_from_slice(delimiter.as_bytes());
        let Some(end) = find(part, b"\r\n\r\n") else {
            // The end of the form, or a head that was cut.
            out.extend_from_slice(part);
            continue;
        };
        let (head, content) = part.split_at(end + 4);
        out.extend_from_slice(head);
        let head = String::from_utf8_lossy(head);
        if parameter(&head, "name").is_none_or(|name| is_secret(&name)) {
            out.extend_from_slice(REDACTED.as_bytes());
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(content);
        }
    }
    Ok(out)
}

/// `; name="value"` of a field.
fn parameter(field: &str, name: &str) -> Option<String> {
    let named = field.split([';', '\r', '\n']).find_map(|part| {
        let (known, value) = part.split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })?;
    Some(named.trim_matches('"').to_owned())
}

fn split<'a>(mut bytes: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = find(bytes, delimiter) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + delimiter.len()..];
    }
    parts.push(bytes);
    parts
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// JSON, whole, cut, or several after each other. What is none passes as it is, but for what stands where a secret's value would.
fn json(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
        out.extend_from_slice(&rest[..at]);
        let name = string(&rest[at..]);
        let after = &rest[at + name.len()..];
        let space = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        out.extend_from_slice(name);
        rest = after;
        if after.get(space) != Some(&b':') || !is_secret(&unescaped(name)) {
            continue;
        }
        let value_at = space + 1 + after[space + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
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

fn unescaped(name: &[u8]) -> String {
    serde_json::from_slice(name).unwrap_or_else(|_| String::from_utf8_lossy(name).into_owned())
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

/// Whether an element of XML is named as a secret is.
fn names_secret(body: &[u8]) -> bool {
    let name = |rest: &[u8]| {
        let end =
            rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b':' | b'-' | b'_' | b'.'));
        let name = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]).into_owned();
        name.rsplit(':').next().is_some_and(|local| !local.is_empty() && is_secret(local))
    };
    let starts = body.iter().enumerate().filter(|(_, byte)| **byte == b'<');
    starts.map(|(at, _)| &body[at + 1..]).any(name)
}

/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;
