//! What holds in the end: what was set, and the defaults for the rest.

use std::collections::BTreeMap;

use super::{Bound, Limit, LimitKey, LimitScope, Origin, bound, default_burst, default_rps};
use crate::snapshot::Snapshot;

/// A limit with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedLimit {
    /// Whose and what.
    pub key: LimitKey,
    /// As people call it: `app/wiki`.
    pub name: String,
    /// Requests a second.
    pub rps: Bound,
    /// Requests at once.
    pub burst: Bound,
    /// Requests in progress.
    pub conns: Bound,
    /// Bytes a second.
    pub bps: Bound,
}

impl PlannedLimit {
    pub(super) fn new(key: LimitKey, name: String, set: Option<&Limit>) -> Self {
        let empty = Limit::new(key.tenant, key.scope.clone());
        let set = set.unwrap_or(&empty);
        let rps = bound(set.rps, default_rps(&key.scope));
        let burst = match (set.burst, rps.limit) {
            (Some(burst), Some(_)) => Bound { limit: Some(burst), origin: Origin::Set },
            (None, Some(rps)) => Bound { limit: Some(default_burst(rps)), origin: Origin::Default },
            (Some(_) | None, None) => Bound { limit: None, origin: Origin::Default },
        };
        Self { rps, burst, conns: bound(set.conns, None), bps: bound(set.bps, None), key, name }
    }

    /// What holds where `set` was set, or would be.
    #[must_use]
    pub fn of(snapshot: &Snapshot, set: &Limit) -> Self {
        Self::new(set.key(), set.scope.name(snapshot), Some(set))
    }

    /// Where it comes from as a whole: set as soon as one of its bounds is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let bounds = [self.rps, self.burst, self.conns, self.bps];
        if bounds.iter().any(|bound| bound.origin == Origin::Set) { Origin::Set } else { Origin::Default }
    }

    /// Why it is not applied, if it is not.
    #[must_use]
    pub const fn not_in_use(&self) -> Option<&'static str> {
        match &self.key.scope {
            LimitScope::Other(_) => Some("not in use: this version does not know its scope"),
            LimitScope::Tenant
            | LimitScope::App(_)
            | LimitScope::User(_)
            | LimitScope::Source { .. }
            | LimitScope::SourcePrefix(_) => None,
        }
    }
}

/// Every limit that holds: one for each tenant and application, and what else was set.
#[must_use]
pub fn planned(snapshot: &Snapshot) -> Vec<PlannedLimit> {
    let tenants = snapshot.tenants.keys().map(|id| LimitKey { tenant: *id, scope: LimitScope::Tenant });
    let apps = snapshot.apps.keys().map(|id| LimitKey { tenant: id.tenant, scope: LimitScope::App(*id) });
    let mut all: BTreeMap<LimitKey, Option<&Limit>> = tenants.chain(apps).map(|key| (key, None)).collect();
    all.extend(snapshot.limits.iter().map(|(key, limit)| (key.clone(), Some(limit))));
    all.into_iter()
        .map(|(key, set)| {
            let name = key.scope.name(snapshot);
            PlannedLimit::new(key, name, set)
        })
        .collect()
}
