//! How often clients may ask. Each token has its share, whoever holds it; wrong tokens are counted by where they come from.
//! A right token is never held up by the wrong ones of others at the same address: it has nothing to guess.

use std::collections::BTreeMap;
use std::net::IpAddr;

use postern_model::ids::TenantId;

use crate::limits::{SCIM_BURST_MS, SCIM_REQUEST_MS, SCIM_SOURCES_MAX, SCIM_WRONG_BURST_MS, SCIM_WRONG_MS};
use crate::source::network;

/// What was used of what there is.
#[derive(Default)]
pub(crate) struct Throttle {
    tenants: BTreeMap<TenantId, Bucket>,
    sources: BTreeMap<IpAddr, Bucket>,
    used: BTreeMap<TenantId, u64>,
}

/// When all of it is there again; until then that much of it is used.
#[derive(Clone, Copy, Default)]
struct Bucket(u64);

impl Throttle {
    /// A request with a right token. The error: wait so many seconds.
    pub(super) fn right(&mut self, tenant: TenantId, now_ms: u64) -> Result<(), u64> {
        self.used.insert(tenant, now_ms);
        self.tenants.entry(tenant).or_default().take(SCIM_REQUEST_MS, SCIM_BURST_MS, now_ms)
    }

    /// It costs as much as another request: it is paid for after.
    pub(super) fn charge(&mut self, tenant: TenantId, now_ms: u64) {
        let bucket = self.tenants.entry(tenant).or_default();
        bucket.0 = bucket.0.max(now_ms) + SCIM_REQUEST_MS;
    }

    /// A wrong token.
    pub(super) fn wrong(&mut self, source: IpAddr, now_ms: u64) -> Result<(), u64> {
        let source = network(source);
        if self.sources.len() >= SCIM_SOURCES_MAX && !self.sources.contains_key(&source) {
            self.sources.retain(|_, bucket| bucket.0 > now_ms);
            if self.sources.len() >= SCIM_SOURCES_MAX {
                return Err(SCIM_WRONG_MS.div_ceil(1000));
            }
        }
        self.sources.entry(source).or_default().take(SCIM_WRONG_MS, SCIM_WRONG_BURST_MS, now_ms)
    }

    /// When a tenant's token was shown last, since control started.
    pub(super) fn used_unix_ms(&self, tenant: TenantId) -> Option<u64> {
        self.used.get(&tenant).copied()
    }
}

impl Bucket {
    fn take(&mut self, cost_ms: u64, burst_ms: u64, now_ms: u64) -> Result<(), u64> {
        let used = self.0.saturating_sub(now_ms);
        if used + cost_ms > burst_ms {
            return Err((used + cost_ms - burst_ms).div_ceil(1000));
        }
        self.0 = now_ms + used + cost_ms;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn source(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn a_token_has_its_share_and_gets_it_back() {
        let mut throttle = Throttle::default();
        let burst = SCIM_BURST_MS / SCIM_REQUEST_MS;
        (0..burst).for_each(|_| throttle.right(TenantId(1), NOW).unwrap());
        assert_eq!(throttle.right(TenantId(1), NOW), Err(1));
        assert_eq!(throttle.right(TenantId(2), NOW), Ok(()), "others have their own");
        assert_eq!(throttle.right(TenantId(1), NOW + SCIM_REQUEST_MS), Ok(()));
        assert!(throttle.right(TenantId(1), NOW + SCIM_REQUEST_MS).is_err());
        (0..100).for_each(|_| throttle.charge(TenantId(1), NOW + SCIM_REQUEST_MS));
        assert!(throttle.right(TenantId(1), NOW + 100 * SCIM_REQUEST_MS).is_err(), "what was paid for after counts");
        assert_eq!(throttle.used_unix_ms(TenantId(2)), Some(NOW));
    }

    #[test]
    fn wrong_tokens_wait_by_where_they_come_from_and_memory_is_bounded() {
        let mut throttle = Throttle::default();
        let burst = SCIM_WRONG_BURST_MS / SCIM_WRONG_MS;
        (0..burst).for_each(|_| throttle.wrong(source(1), NOW).unwrap());
        assert!(throttle.wrong(source(1), NOW).is_err() && throttle.wrong(source(2), NOW).is_ok());
        assert!(throttle.right(TenantId(1), NOW).is_ok(), "a right token does not wait for them");
        for n in 3..u32::try_from(SCIM_SOURCES_MAX).unwrap() + 10 {
            let _ = throttle.wrong(source(n), NOW);
        }
        assert!(throttle.sources.len() <= SCIM_SOURCES_MAX);
        assert!(throttle.wrong(source(0), NOW).is_err() && throttle.wrong(source(0), NOW + SCIM_WRONG_MS).is_ok());
        let six = |text: &str| network(text.parse().unwrap());
        assert_eq!(six("2001:db8::1"), six("2001:db8::ffff"));
    }
}
