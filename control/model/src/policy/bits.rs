//! Sets of policies, by their places in a list: one bit each, 64 to a word.

/// A set of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into_boxed_slice())
    }

    /// Those that are so.
    pub(super) fn of(are: impl ExactSizeIterator<Item = bool>) -> Self {
        let mut bits = Self::new(are.len());
        are.zip(0u16..).filter(|(is, _)| *is).for_each(|(_, place)| bits.set(place));
        bits
    }

    pub(super) fn set(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place / 64)) {
            *word |= 1 << (place % 64);
        }
    }

    pub(super) fn clear(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place / 64)) {
            *word &= !(1 << (place % 64));
        }
    }

    pub(super) fn put(&mut self, place: u16, is_in: bool) {
        if is_in { self.set(place) } else { self.clear(place) }
    }

    pub(super) fn has(&self, place: u16) -> bool {
        self.word(usize::from(place / 64)) & 1 << (place % 64) != 0
    }

    /// The places from 64 times `at` on.
    pub(super) fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(super) fn retain(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// The words that are not empty, and where they are.
    pub(super) fn words(&self) -> Box<[(u16, u64)]> {
        (0u16..).zip(self.0.iter().copied()).filter(|(_, word)| *word != 0).collect()
    }
}

/// The places of a word's bits; `at`: where the word is.
pub(super) fn places(at: u16, word: u64) -> impl Iterator<Item = u16> {
    let mut left = word;
    std::iter::from_fn(move || {
        let bit = left.checked_ilog2().map(|_| left.trailing_zeros() as u16)?;
        left &= left - 1;
        Some(at * 64 + bit)
    })
}
