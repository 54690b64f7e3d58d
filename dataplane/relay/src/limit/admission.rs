//! One request's way through its limiters: in at all of them or at none. It holds its places until dropped.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::bucket::Bucket;
use super::limiter::{Entered, Limiter, Refused, Terms};
use super::sources::{SourceEntered, SourceRefused};
use super::table::{AppLimits, NamedRule};

/// Places at every limiter that a request meets. A request in progress is counted for as long as this lives.
pub(crate) struct Admission {
    limits: Arc<AppLimits>,
    app_source: Option<SourceEntered>,
    source: Option<SourceEntered>,
    prefix: Option<(usize, Entered)>,
    app: Option<Entered>,
    tenant: Option<Entered>,
    /// All limiters let it in.
    whole: bool,
}

/// A request that one limiter refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limited {
    /// The limit, as `postern throttle` names it.
    pub(crate) limit: Arc<str>,
    pub(crate) refused: Refused,
    /// Its source sends so much more than it may that answering it is not worth while.
    pub(crate) floods: bool,
}

impl Admission {
    /// Asks the narrowest limiters first: a source that is refused by itself takes nothing from the others.
    ///
    /// # Errors
    /// The first limiter that refuses; none counts the request then.
    pub(crate) fn enter(limits: &Arc<AppLimits>, address: IpAddr, worker: u16, now_ns: u64) -> Result<Self, Limited> {
        let mut admission = Self::nowhere(limits);
        admission.enter_sources(limits, address.to_canonical(), worker, now_ns)?;
        let enter = |named: &super::table::Named| {
            named.limiter.enter(worker, now_ns).map_err(|refused| Limited::new(&named.name, refused))
        };
        admission.app = Some(enter(&limits.app)?);
        admission.tenant = Some(enter(&limits.tenant)?);
        admission.whole = true;
        admission.each_limiter(|limiter| limiter.admitted(worker));
        Ok(admission)
    }

    /// Counts a request that is not let in for another reason, at its source and nowhere else.
    ///
    /// # Errors
    /// The source's limiter that refuses.
    pub(crate) fn knock(limits: &Arc<AppLimits>, address: IpAddr, worker: u16, now_ns: u64) -> Result<(), Limited> {
        let mut admission = Self::nowhere(limits);
        admission.enter_sources(limits, address.to_canonical(), worker, now_ns)?;
        // It leaves as one that was let in: what it took of the rate is taken.
        admission.whole = true;
        admission.each_limiter(|limiter| limiter.admitted(worker));
        Ok(())
    }

    fn nowhere(limits: &Arc<AppLimits>) -> Self {
        Self {
            limits: Arc::clone(limits),
            app_source: None,
            source: None,
            prefix: None,
            app: None,
            tenant: None,
            whole: false,
        }
    }

    fn enter_sources(&mut self, limits: &AppLimits, address: IpAddr, worker: u16, now_ns: u64) -> Result<(), Limited> {
        let by_source = |rule: &Option<NamedRule>| match (rule, &limits.sources) {
            (Some(named), Some(table)) => table
                .enter(&named.rule, address, worker, now_ns)
                .map(Some)
                .map_err(|refused| Limited::source(&named.name, refused)),
            (None, _) | (_, None) => Ok(None),
        };
        self.app_source = by_source(&limits.app_source)?;
        match limits.prefix_of(address) {
            Some(place) => {
                let named = &limits.prefixes[place].1;
                let entered = named.limiter.enter(worker, now_ns);
                self.prefix = Some((place, entered.map_err(|refused| Limited::new(&named.name, refused))?));
            }
            None => self.source = by_source(&limits.source)?,
        }
        Ok(())
    }

    /// Whether any of its limiters paces content.
    pub(crate) fn paces(&self) -> bool {
        let mut paces = false;
        self.each_limiter(|limiter| paces |= limiter.terms().paces());
        paces
    }

    /// Counts content at every limiter: a place in the queue of each.
    pub(crate) fn reserve(&self, bytes: u64, now_ns: u64) -> Reservation {
        let prefix = self.prefix.map(|(place, _)| place);
        let mut reservation = Reservation {
            limits: Arc::clone(&self.limits),
            app_source: self.app_source,
            source: self.source,
            prefix,
            bytes,
            terms: 0,
            from_ns: 0,
        };
        let (mut terms_version, mut from_ns) = (0u64, 0);
        reservation.each(|terms, bucket| {
            terms_version = terms_version.wrapping_add(terms.version());
            from_ns = from_ns.max(terms.reserve(bucket, bytes, now_ns));
        });
        reservation.terms = terms_version;
        reservation.from_ns = from_ns;
        reservation
    }

    /// Those it is in.
    fn each_limiter(&self, mut each: impl FnMut(&Limiter)) {
        let limits = &*self.limits;
        if let (Some(named), Some(_)) = (&limits.app_source, self.app_source) {
            each(&named.rule.limiter);
        }
        if let (Some(named), Some(_)) = (&limits.source, self.source) {
            each(&named.rule.limiter);
        }
        if let Some((place, _)) = self.prefix {
            each(&limits.prefixes[place].1.limiter);
        }
        if self.app.is_some() {
            each(&limits.app.limiter);
        }
        if self.tenant.is_some() {
            each(&limits.tenant.limiter);
        }
    }

    fn leave_source(&self, rule: &Option<NamedRule>, entered: Option<SourceEntered>) {
        let (Some(named), Some(table), Some(entered)) = (rule, &self.limits.sources, entered) else { return };
        if self.whole {
            table.leave(&named.rule, entered);
        } else {
            table.turn_back(&named.rule, entered);
        }
    }

    fn leave(&self, limiter: &Limiter, entered: Option<Entered>) {
        match entered {
            Some(entered) if self.whole => limiter.leave(entered),
            Some(entered) => limiter.turn_back(entered),
            None => {}
        }
    }
}

/// Content's place in the queue of its limits. One that is dropped before its turn is given back, so that requests which
/// are given up leave nothing for others to wait for.
pub(crate) struct Reservation {
    limits: Arc<AppLimits>,
    app_source: Option<SourceEntered>,
    source: Option<SourceEntered>,
    prefix: Option<usize>,
    bytes: u64,
    /// The sum of its limiters' versions of terms.
    terms: u64,
    from_ns: u64,
}

impl Reservation {
    /// From when the content may pass, in ns of the engine's clock.
    pub(crate) fn due_ns(&self) -> u64 {
        self.from_ns
    }

    /// Whether the terms it was made under still hold: under others it need not wait any longer.
    pub(crate) fn holds(&self) -> bool {
        let mut version = 0u64;
        self.each(|terms, _| version = version.wrapping_add(terms.version()));
        version == self.terms
    }

    /// The content passes.
    pub(crate) fn used(mut self) {
        self.bytes = 0;
    }

    /// What paces it.
    fn each(&self, mut each: impl FnMut(&Terms, &Bucket)) {
        let limits = &*self.limits;
        for (rule, entered) in [(&limits.app_source, self.app_source), (&limits.source, self.source)] {
            if let (Some(named), Some(table), Some(entered)) = (rule, &limits.sources, entered) {
                each(named.rule.limiter.terms(), table.bytes(&named.rule, entered));
            }
        }
        let prefix = self.prefix.map(|place| &limits.prefixes[place].1);
        for named in prefix.into_iter().chain([&limits.app, &limits.tenant]) {
            each(named.limiter.terms(), named.limiter.bytes());
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, from_ns, .. } = self;
        f.debug_struct("Reservation").field("bytes", bytes).field("from_ns", from_ns).finish_non_exhaustive()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // New terms have forgotten it already.
        if self.bytes > 0 && self.holds() {
            self.each(|terms, bucket| terms.unreserve(bucket, self.bytes));
        }
    }
}

impl Limited {
    fn new(name: &Arc<str>, refused: Refused) -> Self {
        Self { limit: Arc::clone(name), refused, floods: false }
    }

    fn source(name: &Arc<str>, SourceRefused { refused, floods }: SourceRefused) -> Self {
        Self { limit: Arc::clone(name), refused, floods }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.leave_source(&self.limits.app_source, self.app_source);
        self.leave_source(&self.limits.source, self.source);
        if let Some((place, entered)) = self.prefix {
            self.leave(&self.limits.prefixes[place].1.limiter, Some(entered));
        }
        self.leave(&self.limits.app.limiter, self.app);
        self.leave(&self.limits.tenant.limiter, self.tenant);
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("limit", &self.limits.app.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use postern_model::Snapshot;
    use postern_model::limit::{Allowance, Limit, LimitScope};
    use postern_model::plan::Plan;

    use super::*;
    use crate::limit::LimitTable;
    use crate::side::testing::{app, snapshot};

    const NOW: u64 = 1 << 40;

    fn set(snapshot: &mut Snapshot, scope: LimitScope, rps: u64, burst: u64) {
        let tenant = postern_model::ids::TenantId::DEFAULT;
        let limit = Limit { rps: Some(Allowance::At(rps)), burst: Some(burst), ..Limit::new(tenant, scope) };
        snapshot.limits.insert(limit.key(), limit);
    }

    fn limits(held: &LimitTable, snapshot: &Snapshot) -> (LimitTable, Arc<AppLimits>) {
        let table = LimitTable::next(held, &Plan::build(snapshot).unwrap(), NOW);
        let limits = Arc::clone(table.app(app("http://x/").id).unwrap());
        (table, limits)
    }

    fn tries(limits: &Arc<AppLimits>, address: &str, count: u32) -> (u32, Option<String>) {
        let (mut admitted, mut by) = (0, None);
        for _ in 0..count {
            match Admission::enter(limits, address.parse().unwrap(), 0, NOW) {
                Ok(_) => admitted += 1,
                Err(limited) => by = Some(limited.limit.to_string()),
            }
        }
        (admitted, by)
    }

    #[test]
    fn the_narrowest_limit_refuses_and_the_others_lose_nothing() {
        let mut snapshot = snapshot(1);
        let id = app("http://x/").id;
        set(&mut snapshot, LimitScope::Tenant, 1, 30);
        set(&mut snapshot, LimitScope::App(id), 1, 20);
        set(&mut snapshot, LimitScope::Source { app: None }, 1, 5);
        set(&mut snapshot, LimitScope::Source { app: Some(id) }, 1, 8);
        set(&mut snapshot, LimitScope::SourcePrefix("192.0.2.0/24".parse().unwrap()), 1, 7);
        set(&mut snapshot, LimitScope::SourcePrefix("192.0.2.9/32".parse().unwrap()), 1, 2);
        let (table, limits) = limits(&LimitTable::default(), &snapshot);
        assert_eq!(tries(&limits, "10.0.0.1", 9), (5, Some("source".into())));
        assert_eq!(tries(&limits, "192.0.2.9", 9), (2, Some("source/192.0.2.9/32".into())));
        assert_eq!(tries(&limits, "192.0.2.1", 9), (7, Some("source/192.0.2.0/24".into())));
        assert_eq!(tries(&limits, "192.0.2.2", 9), (0, Some("source/192.0.2.0/24".into())), "together");
        assert_eq!(tries(&limits, "10.0.0.2", 9), (5, Some("source".into())));
        assert_eq!(tries(&limits, "10.0.0.3", 9), (1, Some("app/app".into())), "20 in all");
        let held = &table.all[&postern_model::limit::LimitKey { tenant: id.tenant, scope: LimitScope::Tenant }];
        let figures = held.limiter.figures();
        assert_eq!((figures.admitted, figures.refused, figures.in_progress), (20, 0, 0));
    }

    #[test]
    fn who_is_turned_away_counts_at_its_source_alone() {
        let mut snapshot = snapshot(1);
        let id = app("http://x/").id;
        set(&mut snapshot, LimitScope::App(id), 1, 9);
        set(&mut snapshot, LimitScope::Source { app: None }, 1, 3);
        let (table, limits) = limits(&LimitTable::default(), &snapshot);
        let knock = || Admission::knock(&limits, "192.0.2.1".parse().unwrap(), 0, NOW);
        assert!((0..3).all(|_| knock().is_ok()));
        assert_eq!(&*knock().unwrap_err().limit, "source");
        assert_eq!(tries(&limits, "192.0.2.1", 1).0, 0, "nor is it let in with what is good");
        assert_eq!(tries(&limits, "192.0.2.2", 3).0 + tries(&limits, "192.0.2.3", 3).0, 6);
        assert_eq!(tries(&limits, "192.0.2.4", 9), (3, Some("source".into())), "9 of the application's are left");
        let key = postern_model::limit::LimitKey { tenant: id.tenant, scope: LimitScope::Source { app: None } };
        assert_eq!(table.all[&key].limiter.figures().in_progress, 0);
    }

    #[test]
    fn content_that_is_given_up_leaves_nothing_to_wait_for() {
        let mut snapshot = snapshot(1);
        let id = app("http://x/").id;
        for scope in [LimitScope::Tenant, LimitScope::App(id), LimitScope::Source { app: None }] {
            let limit = Limit { bps: Some(Allowance::At(100_000)), ..Limit::new(id.tenant, scope) };
            snapshot.limits.insert(limit.key(), limit);
        }
        let (table, held) = limits(&LimitTable::default(), &snapshot);
        let enter = |limits| Admission::enter(limits, "192.0.2.1".parse().unwrap(), 0, NOW).unwrap();
        let first = enter(&held);
        first.reserve(100_000, NOW).used();
        let waits = first.reserve(1, NOW).due_ns() - NOW;
        assert!(waits > 900_000_000, "{waits}");
        drop((0..1000).map(|_| enter(&held).reserve(16_384, NOW)).collect::<Vec<_>>());
        assert!(first.reserve(1, NOW).due_ns() <= NOW + waits + 1_000_000, "the thousand have left no debt");

        // New terms have forgotten what was reserved under the old: nothing is given back twice.
        let old = first.reserve(1_000_000, NOW);
        let limit = Limit { bps: Some(Allowance::At(200_000)), ..Limit::new(id.tenant, LimitScope::App(id)) };
        snapshot.limits.insert(limit.key(), limit);
        let (_, held) = limits(&table, &snapshot);
        assert!(!old.holds());
        enter(&held).reserve(200_000, NOW).used();
        drop(old);
        assert!(enter(&held).reserve(1, NOW).due_ns() > NOW + 900_000_000);
    }

    #[test]
    fn limiters_keep_what_they_hold_when_the_configuration_changes() {
        let mut snapshot = snapshot(1);
        let id = app("http://x/").id;
        set(&mut snapshot, LimitScope::App(id), 1, 5);
        let (table, old) = limits(&LimitTable::default(), &snapshot);
        assert_eq!(tries(&old, "10.0.0.1", 3).0, 3);
        let (table, same) = limits(&table, &snapshot);
        assert_eq!(tries(&same, "10.0.0.1", 9).0, 2);
        set(&mut snapshot, LimitScope::App(id), 1000, 5);
        let (_, _) = limits(&table, &snapshot);
        let later = NOW + 2_000_000;
        assert!(Admission::enter(&old, "10.0.0.1".parse().unwrap(), 0, later).is_ok(), "new terms hold in place");
    }

    #[test]
    fn places_are_held_until_dropped() {
        let mut snapshot = snapshot(1);
        let scope = LimitScope::Source { app: None };
        let limit = Limit { conns: Some(Allowance::At(1)), ..Limit::new(postern_model::ids::TenantId::DEFAULT, scope) };
        snapshot.limits.insert(limit.key(), limit);
        let (_, limits) = limits(&LimitTable::default(), &snapshot);
        let address = "2001:db8::1".parse().unwrap();
        let held = Admission::enter(&limits, address, 0, NOW).unwrap();
        let refused = Admission::enter(&limits, address, 1, NOW).unwrap_err();
        assert_eq!((&*refused.limit, refused.refused), ("source", Refused::Concurrency { conns: 1 }));
        drop(held);
        assert!(Admission::enter(&limits, address, 1, NOW).is_ok());
    }
}
