//! Quotes as RFC 4180 §2 has them. The library that reads records takes them less strictly: what is quoted by halves would be read
//! as something else than was meant.

use super::MISTAKES_MAX;
use super::sheet::Mistake;

/// Where in a record a byte stands.
///
/// ```text
/// Start ──"──▶ Quoted ◀──"──▶ Closed ──separator──▶ Start
///   └──────▶ Plain ──separator──▶ Start
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// At a field's first byte.
    Start,
    /// In a field without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote that ends a field, unless another one follows.
    Closed,
}

/// Every quote at a wrong place.
pub(super) fn misquoted(name: &str, text: &str, delimiter: u8) -> Vec<Mistake> {
    let (mut at, mut line, mut opened) = (At::Start, 1_usize, 1_usize);
    let mut mistakes = Vec::new();
    for byte in text.bytes() {
        let wrong = matches!((at, byte), (At::Plain, b'"')) || (at == At::Closed && !ends_field(byte, delimiter));
        if wrong && mistakes.len() < MISTAKES_MAX {
            mistakes.push(Mistake::of(format!("{name}:{line}"), HALF_QUOTED));
        }
        at = match (at, byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Closed | At::Start, b'"') => {
                opened = if at == At::Start { line } else { opened };
                At::Quoted
            }
            (At::Quoted, _) => At::Quoted,
            (At::Start | At::Plain | At::Closed, _) if is_separator(byte, delimiter) => At::Start,
            (At::Start | At::Plain | At::Closed, _) => At::Plain,
        };
        line += usize::from(byte == b'\n');
    }
    if at == At::Quoted {
        mistakes.push(Mistake::of(format!("{name}:{opened}"), "a field begins with a quote here, and none ends it"));
    }
    mistakes
}

/// A quote doubles the one before, anything else must be a separator.
fn ends_field(byte: u8, delimiter: u8) -> bool {
    byte == b'"' || is_separator(byte, delimiter)
}

fn is_separator(byte: u8, delimiter: u8) -> bool {
    byte == delimiter || matches!(byte, b'\r' | b'\n')
}

const HALF_QUOTED: &str =
    "a quote stands within a field: put the whole field in quotes, and write each quote in it twice";

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        misquoted("a.csv", text, b',').iter().map(ToString::to_string).collect()
    }

    #[test]
    fn quotes_are_where_they_may_be() {
        assert!(told("a,\"b, \"\"c\"\"\r\nd\",e\r\n\"\",f\r\n").is_empty());
        assert!(told("").is_empty());
    }

    #[test]
    fn half_quoted_fields_are_found_with_their_lines() {
        assert_eq!(
            told("a,b\n\"c\"d,e\nf,g\"h\n"),
            [format!("a.csv:2: {HALF_QUOTED}"), format!("a.csv:3: {HALF_QUOTED}")]
        );
        let open = told("a,b\nc,\"d\ne,f\n");
        assert_eq!(open, ["a.csv:2: a field begins with a quote here, and none ends it"]);
    }
}
