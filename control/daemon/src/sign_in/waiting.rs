//! What waits for a browser that comes again: bounded, so that whoever begins the most loses first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::limits::{FLOW_S, FLOWS_MAX};
use crate::source::network;

/// The hash of the secret that the browser has.
type Key = [u8; 32];

/// By keys, each kept as long as a sign-in may take.
pub(super) struct Waiting<T> {
    by_key: BTreeMap<Key, One<T>>,
    /// In the order in which they began.
    begun: BTreeSet<(u64, Key)>,
    /// The same by where they come from.
    by_source: BTreeMap<IpAddr, BTreeSet<(u64, Key)>>,
    max: usize,
}

struct One<T> {
    what: T,
    begun_unix: u64,
    source: IpAddr,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), begun: BTreeSet::new(), by_source: BTreeMap::new(), max: FLOWS_MAX }
    }
}

impl<T> Waiting<T> {
    /// Keeps one. Where there are too many, the oldest of the source goes that has the most.
    pub(super) fn keep(&mut self, key: Key, source: IpAddr, what: T, now_unix: u64) {
        while let Some((begun, oldest)) = self.begun.first().copied()
            && (begun + FLOW_S <= now_unix)
        {
            self.take(&oldest);
        }
        if self.by_key.len() >= self.max {
            let most = self.by_source.values().max_by_key(|of| of.len());
            if let Some((_, oldest)) = most.and_then(|of| of.first().copied()) {
                self.take(&oldest);
            }
        }
        let source = network(source);
        self.begun.insert((now_unix, key));
        self.by_source.entry(source).or_default().insert((now_unix, key));
        self.by_key.insert(key, One { what, begun_unix: now_unix, source });
    }

    pub(super) fn find(&self, key: &Key, now_unix: u64) -> Option<&T> {
        let one = self.by_key.get(key).filter(|one| one.begun_unix + FLOW_S > now_unix);
        one.map(|one| &one.what)
    }

    /// The same, once.
    pub(super) fn take_if_good(&mut self, key: &Key, now_unix: u64) -> Option<T> {
        let one = self.take(key).filter(|one| one.begun_unix + FLOW_S > now_unix);
        one.map(|one| one.what)
    }

    fn take(&mut self, key: &Key) -> Option<One<T>> {
        let one = self.by_key.remove(key)?;
        let place = (one.begun_unix, *key);
        self.begun.remove(&place);
        if let Some(of) = self.by_source.get_mut(&one.source) {
            of.remove(&place);
            if of.is_empty() {
                self.by_source.remove(&one.source);
            }
        }
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8, second: u8) -> Key {
        let mut key = [0; 32];
        (key[0], key[1]) = (first, second);
        key
    }

    #[test]
    fn who_begins_the_most_loses_first() {
        let mut waiting = Waiting { max: 10, ..Waiting::default() };
        let source = |last: u8| IpAddr::from([192, 0, 2, last]);
        waiting.keep(key(1, 0), source(1), "a person", 100);
        for n in 0..200 {
            waiting.keep(key(2, n), source(2), "a flood", 101);
        }
        assert_eq!(waiting.find(&key(1, 0), 102), Some(&"a person"));
        assert_eq!(waiting.by_key.len(), 10);
        // Of IPv6 a whole network is one source.
        for n in 0..200 {
            waiting.keep(key(3, n), IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, n.into()]), "another", 102);
        }
        assert_eq!(waiting.find(&key(1, 0), 102), Some(&"a person"));
        assert_eq!((waiting.by_key.len(), waiting.begun.len(), waiting.by_source.len()), (10, 10, 3));
    }

    #[test]
    fn each_is_good_once_and_for_a_while() {
        let mut waiting = Waiting::default();
        waiting.keep(key(1, 0), IpAddr::from([192, 0, 2, 1]), "one", 100);
        assert!(waiting.find(&key(1, 0), 100 + FLOW_S).is_none() && waiting.find(&key(1, 0), 99 + FLOW_S).is_some());
        assert_eq!(waiting.take_if_good(&key(1, 0), 101), Some("one"));
        assert_eq!(waiting.take_if_good(&key(1, 0), 101), None);
        waiting.keep(key(1, 1), IpAddr::from([192, 0, 2, 1]), "two", 100);
        assert_eq!(waiting.take_if_good(&key(1, 1), 100 + FLOW_S), None, "too late");
        waiting.keep(key(1, 2), IpAddr::from([192, 0, 2, 1]), "three", 100);
        waiting.keep(key(1, 3), IpAddr::from([192, 0, 2, 1]), "four", 100 + FLOW_S);
        assert_eq!(waiting.by_key.len(), 1, "what is over is forgotten");
    }
}
