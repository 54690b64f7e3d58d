//! Slots that are shared fairly: there are so many in all, and one source address never holds more than its share.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bounded number of slots. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    slots_max: usize,
    per_source_max: usize,
    held: Arc<Mutex<HashMap<Source, usize>>>,
}

/// A taken slot; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    source: Source,
    held: Arc<Mutex<HashMap<Source, usize>>>,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSlot {
    /// None is left for anybody.
    AllTaken,
    /// This source holds its share.
    ShareTaken,
}

/// An IPv4 address, or the /64 of an IPv6 address: what one host or one site's subnet can pick freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl Shares {
    pub(crate) fn new(slots_max: usize, per_source_max: usize) -> Self {
        Self { slots_max, per_source_max, held: Arc::default() }
    }

    /// A slot for a connection from `address`.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Slot, NoSlot> {
        let source = Source::of(address);
        let mut held = lock(&self.held);
        if held.values().sum::<usize>() >= self.slots_max {
            return Err(NoSlot::AllTaken);
        }
        let own = held.entry(source).or_insert(0);
        if *own >= self.per_source_max {
            return Err(NoSlot::ShareTaken);
        }
        *own += 1;
        Ok(Slot { source, held: Arc::clone(&self.held) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(own) = held.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                held.remove(&self.source);
            }
        }
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
}

fn lock(held: &Mutex<HashMap<Source, usize>>) -> MutexGuard<'_, HashMap<Source, usize>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_holds_its_share_and_others_find_room() {
        let shares = Shares::new(64, 8);
        let mut slots: Vec<Slot> = (0..8).map(|_| shares.take(ip("192.0.2.1")).unwrap()).collect();
        assert_eq!(shares.take(ip("192.0.2.1")).unwrap_err(), NoSlot::ShareTaken);
        assert_eq!(shares.take(ip("::ffff:192.0.2.1")).unwrap_err(), NoSlot::ShareTaken, "the same host");
        assert!(shares.take(ip("192.0.2.2")).is_ok());
        slots.pop();
        assert!(shares.take(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_subnet_of_ipv6_is_one_source() {
        let shares = Shares::new(64, 2);
        let _slots = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| shares.take(ip(text)).unwrap());
        assert_eq!(shares.take(ip("2001:db8::2")).unwrap_err(), NoSlot::ShareTaken);
        assert!(shares.take(ip("2001:db8:0:1::2")).is_ok());
    }

    #[test]
    fn all_together_are_bounded_and_nothing_is_remembered_of_who_left() {
        let shares = Shares::new(4, 2);
        let slots: Vec<Slot> = (0..4).map(|n| shares.take(ip(&format!("192.0.2.{n}"))).unwrap()).collect();
        assert_eq!(shares.take(ip("192.0.2.9")).unwrap_err(), NoSlot::AllTaken);
        drop(slots);
        assert!(lock(&shares.held).is_empty());
    }
}
