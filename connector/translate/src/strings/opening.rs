//! Where in a text a string may open that is a URL.

use super::Quotes;

/// The place of the first quote in `text` that has to be stepped over: a URL may begin after it, or another string, or nothing is
/// after it yet. After any other one [`super::Strings::inside`] is outside again, with nothing held. The text's length if there
/// is none.
pub(super) fn opening(quotes: Quotes, text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = text.get(at..=at + BLOCK_BYTES) {
        let opens = match quotes {
            Quotes::Json => opens_in(block, |byte| Quotes::Json.open_with(byte)),
            Quotes::JavaScript => opens_in(block, |byte| Quotes::JavaScript.open_with(byte)),
        };
        if opens {
            break;
        }
        at += BLOCK_BYTES;
    }
    let rest = &text[at..];
    let opens = |(place, &byte): (usize, &u8)| {
        quotes.open_with(byte) && rest.get(place + 1).is_none_or(|&next| may_be_first(next) || quotes.open_with(next))
    };
    rest.iter().enumerate().position(opens).map_or(text.len(), |place| at + place)
}

/// What is looked at in one go, with one byte after it.
const BLOCK_BYTES: usize = 32;

/// Every byte is looked at, whatever those before it are, so that the compiler takes many at once.
#[inline]
fn opens_in(block: &[u8], is_quote: impl Fn(u8) -> bool) -> bool {
    let pairs = block.iter().zip(&block[1..]);
    pairs.fold(0, |any, (&byte, &next)| any | u8::from(is_quote(byte) & (is_quote(next) | may_be_first(next)))) != 0
}

/// Whether it is the first byte of one of [`super::BEGINNINGS`].
#[inline]
pub(super) fn may_be_first(byte: u8) -> bool {
    let lower = byte | 0x20;
    (lower == b'h') | (lower == b'w') | (byte == b'/') | (byte == b'\\')
}
