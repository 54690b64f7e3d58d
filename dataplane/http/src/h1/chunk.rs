//! The line before each chunk: `size[;extension]` (RFC 9112 §7.1), read byte by byte so that it may arrive in pieces.

use crate::malformed::Rule;

/// Reads one size line. Extensions are checked against their grammar, without white space, and then ignored.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SizeLine {
    size: u64,
    digits: u8,
    bytes: u32,
    at: Place,
}

/// ```text
/// Size ──;──▶ NameStart ──▶ Name ──=──▶ ValueStart ──▶ Value          any of Size, Name, Value, QuoteEnd ──CR──▶ Cr ──LF──▶ done
///               ▲            │ ;          │ "            │ ;
///               └────────────┴────────────│──────────────┤
///                                         └▶ Quoted ⇄ Escape   Quoted ──"──▶ QuoteEnd ──;──▶ NameStart
/// ```
#[derive(Debug, Clone, Copy, Default)]
enum Place {
    #[default]
    Size,
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    Escape,
    QuoteEnd,
    Cr,
}

impl SizeLine {
    /// Takes the next byte; the size once the line is whole.
    pub(super) fn take(&mut self, byte: u8, bytes_max: u32) -> Result<Option<u64>, Rule> {
        self.bytes += 1;
        if self.bytes > bytes_max.saturating_add(2) {
            return Err(Rule::ChunkLine);
        }
        self.at = match (self.at, byte) {
            (Place::Cr, b'\n') => return Ok(Some(self.size)),
            (Place::Cr, _) => return Err(Rule::BareCr),
            (_, b'\n') => return Err(Rule::BareLf),
            (Place::Size, _) => self.size_byte(byte)?,
            (Place::NameStart | Place::Name, _) => name_byte(self.at, byte)?,
            (Place::ValueStart, b'"') => Place::Quoted,
            (Place::ValueStart | Place::Value, _) => value_byte(self.at, byte)?,
            (Place::Quoted, b'"') => Place::QuoteEnd,
            (Place::Quoted, b'\\') => Place::Escape,
            (Place::Quoted | Place::Escape, b'\t' | b' '..=b'~' | 0x80..) => Place::Quoted,
            (Place::Quoted | Place::Escape, _) => return Err(Rule::ChunkExtension),
            (Place::QuoteEnd, b';') => Place::NameStart,
            (Place::QuoteEnd, b'\r') => Place::Cr,
            (Place::QuoteEnd, _) => return Err(Rule::ChunkExtension),
        };
        Ok(None)
    }

    fn size_byte(&mut self, byte: u8) -> Result<Place, Rule> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            self.digits += 1;
            // 16 digits are 64 bits: the shift cannot lose any.
            self.size = self.size << 4 | u64::from(digit);
            return if self.digits > 16 { Err(Rule::ChunkSize) } else { Ok(Place::Size) };
        }
        match byte {
            b';' if self.digits > 0 => Ok(Place::NameStart),
            b'\r' if self.digits > 0 => Ok(Place::Cr),
            // White space, signs, `0x`, nothing at all.
            _ => Err(Rule::ChunkSize),
        }
    }
}

fn name_byte(at: Place, byte: u8) -> Result<Place, Rule> {
    let begun = matches!(at, Place::Name);
    match byte {
        b';' if begun => Ok(Place::NameStart),
        b'=' if begun => Ok(Place::ValueStart),
        b'\r' if begun => Ok(Place::Cr),
        _ if crate::scan::is_token_byte(byte) => Ok(Place::Name),
        _ => Err(Rule::ChunkExtension),
    }
}

fn value_byte(at: Place, byte: u8) -> Result<Place, Rule> {
    let begun = matches!(at, Place::Value);
    match byte {
        b';' if begun => Ok(Place::NameStart),
        b'\r' if begun => Ok(Place::Cr),
        _ if crate::scan::is_token_byte(byte) => Ok(Place::Value),
        _ => Err(Rule::ChunkExtension),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<u64>, Rule> {
        let mut size = SizeLine::default();
        for (at, byte) in line.bytes().enumerate() {
            if let Some(value) = size.take(byte, 64)? {
                assert_eq!(at + 1, line.len());
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    #[test]
    fn sizes_and_well_formed_extensions() {
        let table = [
            ("0\r\n", 0),
            ("a\r\n", 10),
            ("00Ff\r\n", 255),
            ("ffffffffffffffff\r\n", u64::MAX),
            ("5;a\r\n", 5),
            ("5;a=b;c;d=\"x;\\\"y \t=\"\r\n", 5),
            ("5;a=\"\"\r\n", 5),
        ];
        for (line, value) in table {
            assert_eq!(read(line), Ok(Some(value)), "{line:?}");
            assert_eq!(read(&line[..line.len() - 1]), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn odd_lines_are_refused() {
        let table = [
            ("\r\n", Rule::ChunkSize),
            ("+5\r\n", Rule::ChunkSize),
            ("-5\r\n", Rule::ChunkSize),
            ("0x5\r\n", Rule::ChunkSize),
            (" 5\r\n", Rule::ChunkSize),
            ("5 \r\n", Rule::ChunkSize),
            ("5\t;a\r\n", Rule::ChunkSize),
            ("5 ;a\r\n", Rule::ChunkSize),
            ("5_0\r\n", Rule::ChunkSize),
            ("g\r\n", Rule::ChunkSize),
            (";a\r\n", Rule::ChunkSize),
            ("00000000000000005\r\n", Rule::ChunkSize),
            ("10000000000000000\r\n", Rule::ChunkSize),
            ("5\n", Rule::BareLf),
            ("5;a\n", Rule::BareLf),
            ("5;a=\"\n", Rule::BareLf),
            ("5\rX", Rule::BareCr),
            ("5\r\r\n", Rule::BareCr),
            ("5;\r\n", Rule::ChunkExtension),
            ("5;=b\r\n", Rule::ChunkExtension),
            ("5; a\r\n", Rule::ChunkExtension),
            ("5;a =b\r\n", Rule::ChunkExtension),
            ("5;a=\r\n", Rule::ChunkExtension),
            ("5;a=b c\r\n", Rule::ChunkExtension),
            ("5;a=\"b\r\n", Rule::ChunkExtension),
            ("5;a=\"b\"c\r\n", Rule::ChunkExtension),
            ("5;a=\"\\\0\"\r\n", Rule::ChunkExtension),
            ("5;a\0\r\n", Rule::ChunkExtension),
        ];
        for (line, rule) in table {
            assert_eq!(read(line), Err(rule), "{line:?}");
        }
        assert_eq!(read(&format!("5;{}\r\n", "a".repeat(62))), Ok(Some(5)));
        assert_eq!(read(&format!("5;{}\r\n", "a".repeat(63))), Err(Rule::ChunkLine));
    }
}
