//! One request's way through its limiters: in at all of them or at none. It holds its places until dropped.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use postern_model::directory::LoginName;

use super::bucket::Bucket;
use super::limiter::{Entered, Limiter, Refused, Terms};
use super::sources::{SourceEntered, SourceRefused};
use super::table::{AppLimits, Named, NamedRule};

/// Places at every limiter that a request meets. A request in progress is counted for as long as this lives.
pub(crate) struct Admission {
    limits: Arc<AppLimits>,
    app_source: Option<SourceEntered>,
    source: Option<SourceEntered>,
    prefix: Option<(usize, Entered)>,
    user: Option<(usize, Entered)>,
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
    /// Asks the narrowest limiters first: a source that is refused by itself takes nothing from the others. `user` is who
    /// has signed in.
    ///
    /// # Errors
    /// The first limiter that refuses; none counts the request then.
    pub(crate) fn enter(
        limits: &Arc<AppLimits>,
        (address, user): (IpAddr, Option<&LoginName>),
        worker: u16,
        now_ns: u64,
    ) -> Result<Self, Limited> {
        let mut admission = Self::nowhere(limits);
        admission.enter_sources(limits, address.to_canonical(), worker, now_ns)?;
        let enter =
            |named: &Named| named.limiter.enter(worker, now_ns).map_err(|refused| Limited::new(&named.name, refused));
        if let Some(place) = limits.place_of(user)
            && let Some(named) = limits.user(place)
        {
            admission.user = Some((place, enter(named)?));
        }
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
            user: None,
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
            user: self.user.map(|(place, _)| place),
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
        if let Some(named) = self.user.and_then(|(place, _)| limits.user(place)) {
            each(&named.limiter);
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
    user: Option<usize>,
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
        let prefix = self.prefix.map(|place| &limits.prefixes[place].1.limiter);
        let all = [&limits.app.limiter, &limits.tenant.limiter];
        let user = self.user.and_then(|place| limits.user(place)).map(|named| &named.limiter);
        for limiter in prefix.into_iter().chain(user).chain(all) {
            each(limiter.terms(), limiter.bytes());
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
        if let Some((place, entered)) = self.user
            && let Some(named) = self.limits.user(place)
        {
            self.leave(&named.limiter, Some(entered));
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
mod tests;
