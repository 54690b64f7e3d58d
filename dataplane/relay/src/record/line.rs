//! A line of the access log, written field by field into memory that is reused: JSON without building a value first. The
//! fields are those of [`postern_model::record::RequestRecord`]; a test reads every line back as one.

use std::fmt::Write as _;
use std::net::SocketAddr;

use postern_http::{RequestHead, Version};
use postern_model::ids::{AppId, ConnectorId, RequestId};

use crate::limits::{LOGGED_HOST_BYTES_MAX, LOGGED_PATH_BYTES_MAX, LOGGED_TEXT_BYTES_MAX};

/// Appends one JSON object to a buffer.
pub(crate) struct Line<'a> {
    out: &'a mut String,
}

impl<'a> Line<'a> {
    /// Begins with the two fields that every line has, of fixed length: `explain` looks for the second.
    pub(crate) fn begin(out: &'a mut String, time: &str, request: RequestId) -> Self {
        debug_assert_eq!(time.len(), TIME_BYTES, "times have one length");
        out.push_str("{\"time\":\"");
        out.push_str(time);
        out.push_str("\",\"request_id\":\"");
        push_hex(out, request.0);
        out.push('"');
        Self { out }
    }

    /// Fields alone, for [`Line::ready`].
    pub(super) fn inside(out: &'a mut String) -> Self {
        Self { out }
    }

    /// Fields that were written before.
    pub(crate) fn ready(&mut self, fields: &str) {
        self.out.push_str(fields);
    }

    /// Text that comes from a peer: cut to `max` bytes, and escaped.
    pub(crate) fn text(&mut self, name: &str, value: &str, max: usize) {
        self.key(name);
        self.out.push('"');
        escape(self.out, &value[..value.floor_char_boundary(max)]);
        self.out.push('"');
    }

    /// Text of ours, which needs no escapes.
    pub(crate) fn word(&mut self, name: &str, value: &str) {
        self.key(name);
        self.out.push('"');
        self.out.push_str(value);
        self.out.push('"');
    }

    /// Who asks: `service/NAME`.
    pub(crate) fn subject(&mut self, kind: &str, name: &str) {
        self.key("subject");
        for part in ["\"", kind, "/", name, "\""] {
            self.out.push_str(part);
        }
    }

    /// Address and port, as [`SocketAddr`] shows them.
    pub(crate) fn client(&mut self, client: SocketAddr) {
        self.out.push_str(",\"client\":\"");
        match client {
            SocketAddr::V4(v4) => {
                for (nth, octet) in v4.ip().octets().into_iter().enumerate() {
                    if nth > 0 {
                        self.out.push('.');
                    }
                    push_number(self.out, octet.into());
                }
                self.out.push(':');
                push_number(self.out, v4.port().into());
            }
            // Writing to a string does not fail.
            SocketAddr::V6(v6) => {
                let _ = write!(self.out, "{v6}");
            }
        }
        self.out.push('"');
    }

    pub(crate) fn app(&mut self, app: AppId) {
        self.key("tenant");
        self.out.push_str("\"t");
        push_number(self.out, app.tenant.0.into());
        self.out.push_str("\",\"app\":\"a");
        push_number(self.out, app.tenant.0.into());
        self.out.push('-');
        push_number(self.out, app.seq.into());
        self.out.push('"');
    }

    pub(crate) fn connector(&mut self, connector: ConnectorId) {
        self.key("connector");
        self.out.push_str("\"c");
        push_number(self.out, connector.tenant.0.into());
        self.out.push('-');
        push_number(self.out, connector.seq.into());
        self.out.push('"');
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.key(name);
        push_number(self.out, value);
    }

    /// What was asked for.
    pub(crate) fn request(&mut self, head: &RequestHead, query: bool) {
        self.text("method", head.method.as_str(), LOGGED_TEXT_BYTES_MAX);
        self.text("host", head.authority.as_str(), LOGGED_HOST_BYTES_MAX);
        let path = if query { head.target.as_str() } else { head.target.path() };
        self.text("path", path, LOGGED_PATH_BYTES_MAX);
        self.key("protocol");
        self.out.push_str(match head.version {
            Version::Http10 => "\"HTTP/1.0\"",
            Version::Http11 => "\"HTTP/1.1\"",
            Version::Http2 => "\"HTTP/2\"",
        });
    }

    /// Begins the last field; its members follow by [`push_member`], and `}}` ends the line.
    pub(crate) fn times(self) {
        self.out.push_str(",\"us\":{");
    }

    /// Begins a field whose value is an object; whoever asks writes all of it.
    pub(super) fn member(&mut self, name: &str) -> &mut String {
        self.key(name);
        self.out
    }

    fn key(&mut self, name: &str) {
        self.out.push_str(",\"");
        self.out.push_str(name);
        self.out.push_str("\":");
    }
}

/// `"name":value`, after a comma unless it is the object's first.
pub(crate) fn push_member(out: &mut String, name: &str, value: u64) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
    push_number(out, value);
}

pub(super) fn push_number(out: &mut String, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while first == digits.len() || value > 0 {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    push_ascii(out, &digits[first..]);
}

fn push_hex(out: &mut String, value: u128) {
    push_ascii(out, &hex(value));
}

/// The first 8 of 32 digits.
pub(super) fn push_hex_start(out: &mut String, value: u128) {
    push_ascii(out, &hex(value)[..8]);
}

fn hex(value: u128) -> [u8; 32] {
    let digit = |nth: u32| (value >> (nth * 4)) as usize & 15;
    std::array::from_fn(|nth| HEX[digit(31 - nth as u32)])
}

fn push_ascii(out: &mut String, ascii: &[u8]) {
    out.push_str(str::from_utf8(ascii).unwrap_or_default());
}

/// RFC 8259 §7; runs that need no escape, the rule, are copied whole. DEL is escaped, too: terminals obey it.
fn escape(out: &mut String, text: &str) {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            control => {
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(control >> 4)]));
                out.push(char::from(HEX[usize::from(control & 15)]));
            }
        }
    }
    out.push_str(&text[copied..]);
}

/// Where a line's request id begins.
pub(crate) const ID_AT: usize = "{\"time\":\"".len() + TIME_BYTES + "\",\"request_id\":\"".len();
/// `2026-01-01T00:00:00.000Z`.
pub(crate) const TIME_BYTES: usize = 24;
const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_reads_back_and_stays_on_its_line(text in any::<String>(), number in any::<u64>(), id in any::<u128>()) {
            let mut out = String::new();
            let mut line = Line::begin(&mut out, "2026-01-01T00:00:00.000Z", RequestId(id));
            line.text("path", &text, 1 << 20);
            line.number("n", number);
            line.times();
            push_member(&mut out, "a", 0);
            push_member(&mut out, "b", number);
            out.push_str("}}");
            prop_assert!(out.bytes().all(|byte| byte >= b' ' && byte != 0x7f));
            let value: serde_json::Value = serde_json::from_str(&out).unwrap();
            prop_assert_eq!(value["path"].as_str().unwrap(), text);
            prop_assert_eq!(value["n"].as_u64().unwrap(), number);
            prop_assert_eq!(&value["us"], &serde_json::json!({"a": 0, "b": number}));
            prop_assert_eq!(&out[ID_AT..ID_AT + 32], RequestId(id).to_string());
        }
    }

    #[test]
    fn clients_are_shown_as_addresses_are() {
        for client in ["192.0.2.1:443", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:9"] {
            let mut out = String::new();
            Line::begin(&mut out, "2026-01-01T00:00:00.000Z", RequestId(1)).client(client.parse().unwrap());
            assert!(out.ends_with(&format!("\"client\":\"{client}\"")), "{out}");
        }
    }

    #[test]
    fn text_is_cut_at_a_character() {
        let mut out = String::new();
        Line::begin(&mut out, "2026-01-01T00:00:00.000Z", RequestId(1)).text("path", "aéé", 4);
        assert!(out.ends_with("\"aé\""), "{out}");
    }
}
