//! Byte classes and word-at-a-time scanning; allocates nothing and knows no protocol beyond RFC 9110's character sets.

/// RFC 9110 `tchar`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// A non-empty RFC 9110 token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// A token without upper-case letters.
pub(crate) fn is_lowercase_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte) && !byte.is_ascii_uppercase())
}

/// No control character but HTAB: what a field value may hold once its surrounding white space is gone.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    if !blocks.iter().any(block_has_control) && !rest.iter().any(u8::is_ascii_control) {
        return true;
    }
    let mut at = 0;
    loop {
        at = control(bytes, at);
        match bytes.get(at) {
            None => return true,
            Some(b'\t') => at += 1,
            Some(_) => return false,
        }
    }
}

/// Position of the first control character (below 0x20, or 0x7f) from `at` on, or the length.
#[inline]
pub(crate) fn control(bytes: &[u8], mut at: usize) -> usize {
    let (blocks, _) = bytes.get(at..).unwrap_or_default().as_chunks::<BLOCK>();
    at += blocks.iter().take_while(|block| !block_has_control(block)).count() * BLOCK;
    while let Some(word) = word(bytes, at) {
        let low = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let del = word ^ (ONES * 0x7f);
        let del = del.wrapping_sub(ONES) & !del & HIGHS;
        let found = low | del;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| byte.is_ascii_control()).unwrap_or(rest.len())
}

/// Position of the first colon.
#[inline]
pub(crate) fn colon(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ (ONES * u64::from(b':'));
        // The lowest high bit is that of the first byte which is zero.
        let found = other.wrapping_sub(ONES) & !other & HIGHS;
        if found != 0 {
            return Some(nth * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    rest.iter().position(|&byte| byte == b':').map(|at| words.len() * 8 + at)
}

/// Position of the first space or control character.
pub(crate) fn blank(bytes: &[u8]) -> Option<usize> {
    let is_blank = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let clear = blocks.iter().take_while(|block| !block.iter().fold(false, |found, byte| found | is_blank(byte)));
    let at = clear.count() * BLOCK;
    bytes[at..].iter().position(is_blank).map(|found| at + found)
}

/// Without leading and trailing SP and HTAB.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// As `make_ascii_lowercase`, a word at a time: names are too short for the library's loop to gain speed. What the last word has in
/// common with the one before stays as that made it.
pub(crate) fn make_lowercase(bytes: &mut [u8]) {
    match bytes.len() {
        0..4 => bytes.iter_mut().for_each(|byte| *byte = byte.to_ascii_lowercase()),
        4..8 => {
            for at in [0, bytes.len() - 4] {
                if let Some(half) = bytes[at..].first_chunk_mut::<4>() {
                    *half = (lowercase(u32::from_le_bytes(*half).into()) as u32).to_le_bytes();
                }
            }
        }
        8.. => {
            let lower = |word: &mut [u8; 8]| *word = lowercase(u64::from_le_bytes(*word)).to_le_bytes();
            bytes.as_chunks_mut::<8>().0.iter_mut().for_each(lower);
            bytes.last_chunk_mut::<8>().into_iter().for_each(lower);
        }
    }
}

/// Each byte in lower case.
fn lowercase(word: u64) -> u64 {
    // Bit 7 of each byte: at least `A`, at most `Z`, and ASCII.
    let low = word & !HIGHS;
    let upper = (low + ONES * (0x80 - 0x41)) & !(low + ONES * (0x80 - 0x5b)) & !word & HIGHS;
    word | upper >> 2
}

/// Whether all bytes are visible ASCII other than `#`.
pub(crate) fn is_query(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let fits = |fits, &byte: &u8| fits & byte.is_ascii_graphic() & (byte != b'#');
    blocks.iter().all(|block| block.iter().fold(true, fits)) && rest.iter().fold(true, fits)
}

/// Decimal digits only, no sign, no overflow.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Appends `value` in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Compares all bytes of a block at once: compiled to vector instructions, which the early exit of a search prevents.
#[inline]
fn block_has_control(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(false, |found, byte| found | byte.is_ascii_control())
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let chunk = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*chunk))
}

const BLOCK: usize = 16;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn control_agrees_with_a_plain_loop(bytes: Vec<u8>, at in 0usize..40) {
            let at = at.min(bytes.len());
            let plain = bytes[at..].iter().position(|&b| b < 0x20 || b == 0x7f).map_or(bytes.len(), |p| at + p);
            prop_assert_eq!(control(&bytes, at), plain);
        }

        #[test]
        fn control_finds_rare_bytes(mut bytes in proptest::collection::vec(0x20u8..0x7f, 0..64), at in 0usize..64, byte: u8) {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            let plain = bytes.iter().position(|&b| b < 0x20 || b == 0x7f).unwrap_or(bytes.len());
            prop_assert_eq!(control(&bytes, 0), plain);
        }

        #[test]
        fn lower_case_agrees_with_the_library(
            long: Vec<u8>,
            names in proptest::collection::vec(proptest::collection::vec(0x38u8..0x88, 0..20), 8)
        ) {
            for mut bytes in names.into_iter().chain([long]) {
                let mut expected = bytes.clone();
                expected.make_ascii_lowercase();
                make_lowercase(&mut bytes);
                prop_assert_eq!(bytes, expected);
            }
        }

        #[test]
        fn queries_are_visible_ascii(mut bytes in proptest::collection::vec(0x21u8..0x7f, 0..64), at in 0usize..64, byte: u8) {
            bytes.retain(|&byte| byte != b'#');
            prop_assert!(is_query(&bytes));
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
                prop_assert_eq!(is_query(&bytes), (0x21..0x7f).contains(&byte) && byte != b'#');
            }
        }

        #[test]
        fn blank_agrees_with_a_plain_loop(mut bytes in proptest::collection::vec(0x21u8..0x7f, 0..64), at in 0usize..64, byte: u8) {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            prop_assert_eq!(blank(&bytes), bytes.iter().position(|&b| b <= b' ' || b == 0x7f));
        }

        #[test]
        fn colon_agrees_with_a_plain_loop(bytes in proptest::collection::vec(0x38u8..0x3d, 0..40), others: Vec<u8>) {
            for bytes in [bytes, others] {
                prop_assert_eq!(colon(&bytes), bytes.iter().position(|&byte| byte == b':'));
            }
        }

        #[test]
        fn decimal_round_trips(value: u64) {
            let mut text = Vec::new();
            push_decimal(&mut text, value);
            prop_assert_eq!(&text, &value.to_string().into_bytes());
            prop_assert_eq!(decimal(&text), Some(value));
        }
    }

    #[test]
    fn decimal_refuses_what_is_not_digits() {
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1_0", "18446744073709551616", "99999999999999999999999"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }
}
