//! Output buffers: initialised once, reused through a small per-thread store, so that sealing
//! into them neither allocates nor zeroes in the steady state.

use crate::core::with_core;
use crate::limits::{
    LARGE_SPARE_BYTES_MAX, LARGE_SPARES_MAX, OUTPUT_HIGH_WATER_BYTES, OUTPUT_STEP_BYTES, SMALL_SPARE_BYTES_MAX,
    SMALL_SPARES_MAX,
};

/// A byte buffer whose whole length is initialised; `len` says how much is in use.
#[derive(Debug, Default)]
pub(crate) struct OutBuf {
    bytes: Vec<u8>,
    len: usize,
}

impl OutBuf {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn extend_from_slice(&mut self, data: &[u8]) {
        self.tail(data.len())[..data.len()].copy_from_slice(data);
        self.advance(data.len());
    }

    /// At least `need` writable bytes behind what is in use.
    pub(crate) fn tail(&mut self, need: usize) -> &mut [u8] {
        let wanted = self.len + need;
        if self.bytes.len() < wanted {
            self.grow(wanted);
        }
        &mut self.bytes[self.len..]
    }

    /// Goes on in a larger buffer, taken only now, so that an idle connection holds none.
    fn grow(&mut self, wanted: usize) {
        let larger = with_core(|core| core.spares.borrow_mut().take(wanted));
        let mut smaller = std::mem::replace(self, larger);
        self.bytes[..smaller.len].copy_from_slice(smaller.as_slice());
        self.len = std::mem::take(&mut smaller.len);
        with_core(|core| core.spares.borrow_mut().put(smaller));
    }

    pub(crate) fn advance(&mut self, written: usize) {
        self.len += written;
        assert!(self.len <= self.bytes.len(), "more was written than the tail had room for");
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}

/// Spare buffers of one thread, last used first; small ones apart, so that streams find large ones.
#[derive(Debug, Default)]
pub(crate) struct OutBufs {
    small: Vec<OutBuf>,
    large: Vec<OutBuf>,
}

impl OutBufs {
    /// An empty one of at least `bytes`. A spare that is too small gives way to it.
    fn take(&mut self, bytes: usize) -> OutBuf {
        let spares = if bytes <= SMALL_SPARE_BYTES_MAX { &mut self.small } else { &mut self.large };
        let spare = spares.pop().filter(|spare| spare.bytes.len() >= bytes);
        spare.unwrap_or_else(|| OutBuf { bytes: vec![0; size(bytes)], len: 0 })
    }

    pub(crate) fn put(&mut self, mut buffer: OutBuf) {
        buffer.clear();
        match buffer.bytes.len() {
            1..=SMALL_SPARE_BYTES_MAX if self.small.len() < SMALL_SPARES_MAX => self.small.push(buffer),
            1..=SMALL_SPARE_BYTES_MAX => {}
            1..=LARGE_SPARE_BYTES_MAX if self.large.len() < LARGE_SPARES_MAX => self.large.push(buffer),
            _ => {} // nothing, too large, or one too many
        }
    }
}

/// Powers of two, then steps.
fn size(bytes: usize) -> usize {
    if bytes > OUTPUT_HIGH_WATER_BYTES {
        bytes.next_multiple_of(OUTPUT_STEP_BYTES)
    } else {
        bytes.next_power_of_two().max(SIZE_MIN)
    }
}

const SIZE_MIN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BackendKind;
    use crate::runtime::{Runtime, RuntimeOptions};

    fn sized(bytes: usize) -> OutBuf {
        OutBuf { bytes: vec![0; size(bytes)], len: 0 }
    }

    #[test]
    fn a_spare_is_as_large_as_was_asked_for_or_makes_way() {
        let mut spares = OutBufs::default();
        spares.put(sized(100));
        spares.put(sized(70_000));
        assert_eq!(spares.take(100).bytes.len(), 2048);
        assert_eq!(spares.take(60_000).bytes.len(), 131_072, "the large one");
        spares.put(sized(9_000));
        assert_eq!(spares.take(200_000).bytes.len(), 262_144);
        assert!(spares.large.is_empty(), "the one that was too small is gone");
    }

    #[test]
    fn spares_are_bounded_in_number_and_size() {
        let mut spares = OutBufs::default();
        for _ in 0..100 {
            spares.put(sized(1));
            spares.put(sized(LARGE_SPARE_BYTES_MAX));
        }
        spares.put(sized(LARGE_SPARE_BYTES_MAX + 1));
        spares.put(OutBuf::default());
        assert_eq!((spares.small.len(), spares.large.len()), (SMALL_SPARES_MAX, LARGE_SPARES_MAX));
        assert!(spares.large.iter().all(|spare| spare.bytes.len() == LARGE_SPARE_BYTES_MAX));
    }

    #[test]
    fn what_is_queued_at_most_fits_a_spare() {
        const PIECE: usize = 64 * 1024;
        // 22 bytes for each record of 16 KiB, and the rest of one.
        const TLS: usize = 22 * (PIECE / (16 * 1024) + 1);
        assert_eq!(size(OUTPUT_HIGH_WATER_BYTES + PIECE + TLS), LARGE_SPARE_BYTES_MAX);
    }

    #[test]
    fn a_buffer_keeps_what_it_holds_as_it_grows() {
        let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() };
        let done = Runtime::new(options).unwrap().run(async {
            let mut buffer = OutBuf::default();
            let mut expected = Vec::new();
            for length in [1, 2047, 1, 9_000, 70_000, 200_000, 60_000] {
                let piece: Vec<u8> = (0..length).map(|at| (expected.len() + at) as u8).collect();
                buffer.tail(length)[..length].copy_from_slice(&piece);
                buffer.advance(length);
                expected.extend_from_slice(&piece);
                assert_eq!(buffer.as_slice(), expected);
            }
            // Each it grew out of is a spare, and none of them is handed out with old bytes in use.
            let small = with_core(|core| core.spares.borrow_mut().take(1));
            assert_eq!(small.len(), 0);
        });
        done.unwrap();
    }
}
