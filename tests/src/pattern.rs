//! Bytes that anyone can make again from their offset: what a stream should hold, without storing it.

use std::sync::OnceLock;

use aws_lc_rs::digest;

/// A prime, so that no power-of-two buffer hides a shift.
const PERIOD: usize = 1_048_573;

fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        (0..PERIOD)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect()
    })
}

/// The longest piece of the pattern from `offset` that is at hand, at most `len` bytes.
pub fn piece(offset: u64, len: usize) -> &'static [u8] {
    let begin = usize::try_from(offset % PERIOD as u64).unwrap_or(0);
    let table = table();
    &table[begin..table.len().min(begin + len)]
}

/// The first `len` bytes of the pattern.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        out.extend_from_slice(piece(out.len() as u64, len - out.len()));
    }
    out
}

/// True when `data` is what the pattern holds from `offset`.
pub fn matches(mut offset: u64, mut data: &[u8]) -> bool {
    while !data.is_empty() {
        let expected = piece(offset, data.len());
        if &data[..expected.len()] != expected {
            return false;
        }
        offset += expected.len() as u64;
        data = &data[expected.len()..];
    }
    true
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_or_changed_stream_does_not_match() {
        let mut data = bytes(PERIOD + 10);
        assert!(matches(0, &data));
        assert!(matches(5, &data[5..]));
        assert!(!matches(4, &data[5..]));
        data[PERIOD + 3] ^= 1;
        assert!(!matches(0, &data));
    }
}
