//! Any text as the value of a header field, so that no two texts become the same value.

use super::VALUE_BYTES_MAX;
use super::evaluate::TooLong;

/// A text as a header's value; `None` for the empty text, which is not sent.
///
/// Visible ASCII with spaces inside stays as it is. Anything else – other letters, control characters, spaces around it – is
/// written as RFC 8187 does: `UTF-8''J%C3%B6rg`. So is what begins like that itself, in any case: whoever is called so is not
/// taken for somebody else.
///
/// # Errors
/// When it is longer than [`VALUE_BYTES_MAX`].
pub fn field_value(text: &str) -> Result<Option<String>, TooLong> {
    if text.is_empty() {
        return Ok(None);
    }
    let value = if is_plain(text) { text.to_owned() } else { encoded(text) };
    if value.len() > VALUE_BYTES_MAX { Err(TooLong) } else { Ok(Some(value)) }
}

fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let looks_encoded = bytes.get(..MARK.len()).is_some_and(|start| start.eq_ignore_ascii_case(MARK.as_bytes()));
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !looks_encoded
}

fn encoded(text: &str) -> String {
    let mut value = String::from(MARK);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte) {
            value.push(char::from(byte));
        } else {
            value.push_str(&format!("%{byte:02X}"));
        }
    }
    value
}

/// Charset and language, the latter empty (RFC 8187 §3.2.1).
const MARK: &str = "UTF-8''";
/// `attr-char` besides letters and digits.
const UNRESERVED: &[u8] = b"!#$&+-.^_`|~";
