//! Values by the host names of published applications, exact or with a wildcard.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::app_url::HOST_BYTES_MAX;
use crate::host::lowered;

/// Values by host name: exact names, and `*.` patterns by what follows.
#[derive(Debug)]
pub(super) struct ByHost<T> {
    exact: HashMap<Box<str>, T, BuildHasherDefault<Fnv>>,
    wildcards: HashMap<Box<str>, T, BuildHasherDefault<Fnv>>,
}

impl<T> ByHost<T> {
    pub(super) fn insert(&mut self, pattern: &str, value: T) {
        match pattern.strip_prefix("*.") {
            Some(suffix) => self.wildcards.insert(suffix.into(), value),
            None => self.exact.insert(pattern.into(), value),
        };
    }

    /// Adds one where there is none. Of a wildcard `name` is what follows `*.`.
    pub(super) fn insert_vacant(&mut self, wildcard: bool, name: &str, value: T) {
        let values = if wildcard { &mut self.wildcards } else { &mut self.exact };
        values.entry(name.into()).or_insert(value);
    }

    pub(super) fn entry(&mut self, pattern: &str) -> &mut T
    where
        T: Default,
    {
        match pattern.strip_prefix("*.") {
            Some(suffix) => self.wildcards.entry(suffix.into()).or_default(),
            None => self.exact.entry(pattern.into()).or_default(),
        }
    }

    /// Looks a host up in any case, without allocating; a wildcard may stand for `labels_max` labels.
    pub(super) fn find(&self, host: &str, labels_max: usize) -> Option<&T> {
        let mut buffer = [0; HOST_BYTES_MAX];
        let host = lowered(host, &mut buffer)?;
        if let Some(found) = self.exact.get(host) {
            return Some(found);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let dots = host.match_indices('.').take(labels_max.min(HOST_LABELS_MAX));
        dots.filter(|(at, _)| *at > 0).find_map(|(at, _)| self.wildcards.get(&host[at + 1..]))
    }
}

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        Self { exact: HashMap::default(), wildcards: HashMap::default() }
    }
}

/// FNV-1a: short keys, chosen by operators and fixed once built, so that no defence against chosen collisions is needed.
#[derive(Debug)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// A DNS name of 253 bytes has at most 127 labels.
const HOST_LABELS_MAX: usize = 127;
