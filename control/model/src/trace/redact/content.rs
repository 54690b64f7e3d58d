//! Content that is recorded: fields of forms and members of JSON whose names are those of secrets. It may be cut anywhere.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::json::without_secrets;
use super::{Ends, NESTED_MAX, REDACTED, is_secret, parameters};

/// A content, not in any coding, without the secrets that are found in its kind.
///
/// # Errors
/// Why nothing of it is to be recorded.
pub fn content<'a>(content_type: &str, body: &'a [u8]) -> Result<Cow<'a, [u8]>, &'static str> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with("multipart/") {
        return multipart(content_type, body).map(Cow::Owned);
    }
    of_one(&kind, content_type, body)
}

/// One that has no parts; its type without parameters and with them.
fn of_one<'a>(kind: &str, content_type: &str, body: &'a [u8]) -> Result<Cow<'a, [u8]>, &'static str> {
    let first = body.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let is_json_like = matches!(first, Some(b'{' | b'['));
    let is_form = kind == "application/x-www-form-urlencoded";
    let is_text = matches!(kind, "" | "text/plain");
    let is_xml = kind.ends_with("xml") || (is_text && first == Some(b'<'));
    let is_looked_into = is_form || is_text || is_xml || is_json_like || kind.ends_with("json");
    if is_looked_into && is_wide(content_type, body) {
        return Err("text in UTF-16, or another encoding that hides what it says");
    }
    if is_xml && names_secret(body) {
        return Err("XML with an element or an attribute that is named as a secret is");
    }
    let is_json = is_json_like || kind.ends_with("json");
    let ends = if is_form { Ends::Form } else { Ends::Lines };
    // What says not what it is may be either; so may a form, for its type is the one that scripts need not ask for, and what is called
    // JSON and is none.
    Ok(match (is_form || is_text, is_json) {
        (_, true) if is_form || is_text || !is_whole_or_cut(body) => Cow::Owned(either(body, ends)?),
        (_, true) => Cow::Owned(json(body)),
        (true, false) => Cow::Owned(form(body, ends)),
        (false, false) => Cow::Borrowed(body),
    })
}

/// What may be JSON and may be a form. Where secrets of both kinds are found in what is no right JSON, nobody knows where either ends: what
/// one pass takes for a string's end could hide a name from the other.
fn either(body: &[u8], ends: Ends) -> Result<Vec<u8>, &'static str> {
    let (as_form, as_json) = (form(body, ends), json(body));
    if as_json == body {
        return Ok(as_form);
    }
    if as_form != body && !is_whole_or_cut(body) {
        return Err("secrets in what is neither right JSON nor a form");
    }
    Ok(form(&as_json, ends))
}

fn json(body: &[u8]) -> Vec<u8> {
    without_secrets(body, NESTED_MAX)
}

/// Whether it is JSON, one or several after each other, of which only the end may be missing.
fn is_whole_or_cut(body: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<IgnoredAny>();
    values.find_map(Result::err).is_none_or(|error| error.is_eof())
}

/// Whether its characters take two bytes or more each, as it says or as it begins.
fn is_wide(content_type: &str, body: &[u8]) -> bool {
    let charset = parameter(content_type, "charset").unwrap_or_default().to_ascii_lowercase();
    let is_ascii = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    ["utf-16", "utf16", "utf-32", "utf32", "utf-7", "ucs"].iter().any(|wide| charset.contains(wide))
        || match body {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 0, 0xfe, 0xff, ..] => true,
            [0, 0, 0, other, ..] | [0, other, ..] | [other, 0, ..] => is_ascii(other),
            _ => false,
        }
}

/// Byte by byte, in whatever encoding it is: all that counts in a form is ASCII.
fn form(body: &[u8], ends: Ends) -> Vec<u8> {
    let text: String = body.iter().copied().map(char::from).collect();
    parameters(&text, ends, true).chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

/// RFC 2046 and 7578: a part whose name is a secret's keeps its head; others are content of their own types.
fn multipart(content_type: &str, body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let boundary =
        parameter(content_type, "boundary").filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()));
    let delimiter = format!("--{}", boundary.ok_or("a form that does not say where its fields end")?);
    let mut out = Vec::with_capacity(body.len());
    let mut parts = split(body, delimiter.as_bytes()).into_iter();
    let before = parts.next().unwrap_or_default();
    if !before.trim_ascii().is_empty() {
        // Nobody reads it, unless its fields end otherwise than it says.
        out.extend_from_slice(REDACTED.as_bytes());
    }
    let is_form = content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data");
    for part in parts {
        out.extend_from_slice(delimiter.as_bytes());
        part_of(part, is_form, &mut out);
    }
    Ok(out)
}

/// What stands behind one delimiter.
fn part_of(part: &[u8], is_form: bool, out: &mut Vec<u8>) {
    let ends = [b"\r\n\r\n".as_slice(), b"\n\n"].into_iter();
    let Some(end) = ends.filter_map(|end| Some(find(part, end)? + end.len())).min() else {
        // The end of the form, or a head that was cut.
        let is_end = matches!(part.trim_ascii(), b"" | b"--");
        out.extend_from_slice(if is_end { part } else { REDACTED.as_bytes() });
        return;
    };
    let (head, content) = part.split_at(end);
    out.extend_from_slice(head);
    let head = String::from_utf8_lossy(head);
    let line = content.strip_suffix(b"\n").map_or(content, |line| line.strip_suffix(b"\r").unwrap_or(line));
    let (content, line_end) = content.split_at(line.len());
    let name = parameter(&head, "name");
    let is_hidden = name.as_ref().map_or(is_form, |name| is_secret(name));
    let is_coded = field(&head, "content-transfer-encoding")
        .is_some_and(|coding| !["7bit", "8bit", "binary"].iter().any(|known| coding.eq_ignore_ascii_case(known)));
    let content_type = field(&head, "content-type").unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_kept = !is_hidden && !is_coded && !kind.starts_with("multipart/");
    match is_kept.then(|| of_one(&kind, content_type, content)) {
        Some(Ok(kept)) => out.extend_from_slice(&kept),
        Some(Err(_)) | None => out.extend_from_slice(REDACTED.as_bytes()),
    }
    out.extend_from_slice(line_end);
}

/// The value of a field of a part's head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
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

/// Whether an element or an attribute of XML is named as a secret is, or an attribute says that it is the name of one.
fn names_secret(body: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.');
    let is_named = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).into_owned();
        name.rsplit(':').next().is_some_and(|local| !local.is_empty() && is_secret(local))
    };
    let begun = |rest: &[u8]| is_named(&rest[..rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len())]);
    let of = |mark: u8| body.iter().enumerate().filter(move |(_, byte)| **byte == mark).map(|(at, _)| at);
    let is_attribute = |at: usize| {
        let before = body[..at].trim_ascii_end();
        let name = &before[before.iter().rposition(|byte| !is_name(byte)).map_or(0, |end| end + 1)..];
        let value = body[at + 1..].trim_ascii_start();
        let says_name = ["name", "key", "id"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        is_named(name) || (says_name && matches!(value.first(), Some(b'"' | b'\'')) && begun(&value[1..]))
    };
    of(b'<').any(|at| begun(&body[at + 1..])) || of(b'=').any(is_attribute)
}

/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;
