//! Which limiters a request meets, by application. Made anew with every publication out of the limiters there are.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use postern_model::directory::LoginName;
use postern_model::ids::{AppId, TenantId};
use postern_model::limit::{LimitKey, LimitScope, PlannedLimit};
use postern_model::plan::Plan;
use postern_model::prefix::IpPrefix;

use super::limiter::Limiter;
use super::sources::{SourceRule, SourceTable};

/// All limiters. [`Default`] holds none: nothing is limited.
#[derive(Default)]
pub(crate) struct LimitTable {
    pub(super) apps: HashMap<AppId, Arc<AppLimits>>,
    pub(super) all: BTreeMap<LimitKey, Held>,
    /// Made with the first limit on sources, and kept.
    pub(super) sources: Option<Arc<SourceTable>>,
    rules_made: u32,
}

/// A limiter and the plan it follows.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) planned: PlannedLimit,
    pub(super) limiter: Arc<Limiter>,
    pub(super) rule: Option<Arc<SourceRule>>,
}

/// The limiters of one application's requests.
pub(crate) struct AppLimits {
    pub(super) app: Named,
    pub(super) tenant: Named,
    /// Each source to this application.
    pub(super) app_source: Option<NamedRule>,
    /// Each source of the tenant, but for those in a prefix.
    pub(super) source: Option<NamedRule>,
    /// Longest first.
    pub(super) prefixes: Arc<[(IpPrefix, Named)]>,
    /// The tenant's users with a limit; `None` where it has none of these.
    pub(super) users: Option<Arc<UserLimits>>,
    pub(super) sources: Option<Arc<SourceTable>>,
}

/// The limiters of one tenant's users, each with its place by login name.
#[derive(Default)]
pub(super) struct UserLimits {
    places: HashMap<LoginName, usize>,
    all: Vec<Named>,
}

/// A limiter with the name that whoever it refuses is told.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) name: Arc<str>,
    pub(super) limiter: Arc<Limiter>,
}

/// The same for each source by itself.
#[derive(Clone)]
pub(super) struct NamedRule {
    pub(super) name: Arc<str>,
    pub(super) rule: Arc<SourceRule>,
}

impl LimitTable {
    /// The table for `plan`. Limiters that `held` has stay, with new terms where the plan has some: these hold at once,
    /// also for workers that have not looked at the new table yet.
    pub(crate) fn next(held: &Self, plan: &Plan, now_ns: u64) -> Self {
        let mut next = Self { sources: held.sources.clone(), rules_made: held.rules_made, ..Self::default() };
        for planned in plan.limits().iter().filter(|planned| planned.not_in_use().is_none()) {
            let kept = held.all.get(&planned.key);
            let entry = next.take_over(kept, planned, now_ns);
            next.all.insert(planned.key.clone(), entry);
        }
        // What is limited no more is held back no more, also where it is in progress.
        for (_, gone) in held.all.iter().filter(|(key, _)| !next.all.contains_key(*key)) {
            gone.limiter.lift(now_ns);
        }
        let (prefixes, users) = (next.prefixes(), next.users());
        let apps = plan.apps().filter_map(|app| {
            let limits = next.app_limits(app.id, &prefixes, users.get(&app.id.tenant))?;
            Some((app.id, Arc::new(limits)))
        });
        next.apps = apps.collect();
        next
    }

    /// The limiters of an application.
    pub(crate) fn app(&self, app: AppId) -> Option<&Arc<AppLimits>> {
        self.apps.get(&app)
    }

    /// Closes a source's new connections for a while.
    pub(crate) fn shut_out(&self, address: IpAddr, until_ns: u64, now_ns: u64) {
        if let Some(sources) = &self.sources {
            sources.shut_out(address.to_canonical(), until_ns, now_ns);
        }
    }

    /// Whether a source's new connections are closed.
    pub(crate) fn is_shut_out(&self, address: IpAddr, now_ns: u64) -> bool {
        self.sources.as_ref().is_some_and(|sources| sources.is_shut_out(address.to_canonical(), now_ns))
    }

    /// Looks at every limiter's last second; called about once a second.
    pub(crate) fn sample(&self, now_ns: u64) {
        for held in self.all.values() {
            held.limiter.sample(now_ns);
        }
    }

    fn take_over(&mut self, kept: Option<&Held>, planned: &PlannedLimit, now_ns: u64) -> Held {
        let limiter = kept.map_or_else(Arc::default, |kept| Arc::clone(&kept.limiter));
        let changed = limiter.set(planned, now_ns);
        let mut rule = kept.and_then(|kept| kept.rule.clone());
        if matches!(planned.key.scope, LimitScope::Source { .. }) {
            let table = self.sources.get_or_insert_with(|| Arc::new(SourceTable::new()));
            match &rule {
                Some(rule) if changed => table.adapt(rule, now_ns),
                Some(_) => {}
                None => {
                    self.rules_made += 1;
                    rule = Some(Arc::new(SourceRule::new(self.rules_made, Arc::clone(&limiter))));
                }
            }
        }
        Held { planned: planned.clone(), limiter, rule }
    }

    fn prefixes(&self) -> HashMap<TenantId, Arc<[(IpPrefix, Named)]>> {
        let mut by_tenant: HashMap<TenantId, Vec<(IpPrefix, Named)>> = HashMap::new();
        for (key, held) in &self.all {
            if let LimitScope::SourcePrefix(prefix) = key.scope {
                by_tenant.entry(key.tenant).or_default().push((prefix, held.named()));
            }
        }
        for prefixes in by_tenant.values_mut() {
            prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.length()));
        }
        by_tenant.into_iter().map(|(tenant, prefixes)| (tenant, prefixes.into())).collect()
    }

    fn users(&self) -> HashMap<TenantId, Arc<UserLimits>> {
        let mut by_tenant: HashMap<TenantId, UserLimits> = HashMap::new();
        for (key, held) in &self.all {
            if let LimitScope::User(login) = &key.scope {
                let users = by_tenant.entry(key.tenant).or_default();
                users.places.insert(login.clone(), users.all.len());
                users.all.push(held.named());
            }
        }
        by_tenant.into_iter().map(|(tenant, users)| (tenant, Arc::new(users))).collect()
    }

    fn app_limits(
        &self,
        id: AppId,
        prefixes: &HashMap<TenantId, Arc<[(IpPrefix, Named)]>>,
        users: Option<&Arc<UserLimits>>,
    ) -> Option<AppLimits> {
        let find = |scope| self.all.get(&LimitKey { tenant: id.tenant, scope });
        let rule = |app| find(LimitScope::Source { app }).and_then(Held::named_rule);
        Some(AppLimits {
            app: find(LimitScope::App(id))?.named(),
            tenant: find(LimitScope::Tenant)?.named(),
            app_source: rule(Some(id)),
            source: rule(None),
            prefixes: prefixes.get(&id.tenant).cloned().unwrap_or_default(),
            users: users.cloned(),
            sources: self.sources.clone(),
        })
    }
}

impl Held {
    fn named(&self) -> Named {
        Named { name: self.planned.name.as_str().into(), limiter: Arc::clone(&self.limiter) }
    }

    fn named_rule(&self) -> Option<NamedRule> {
        Some(NamedRule { name: self.planned.name.as_str().into(), rule: Arc::clone(self.rule.as_ref()?) })
    }
}

impl AppLimits {
    /// The narrowest prefix that covers an address, by its place.
    pub(super) fn prefix_of(&self, address: IpAddr) -> Option<usize> {
        self.prefixes.iter().position(|(prefix, _)| prefix.contains(address))
    }

    /// The place of a user's own limiter, if there is one. Costs a lookup only where the tenant limits any user.
    pub(super) fn place_of(&self, login: Option<&LoginName>) -> Option<usize> {
        self.users.as_ref()?.places.get(login?).copied()
    }

    /// The limiter at a place that [`Self::place_of`] gave.
    pub(super) fn user(&self, place: usize) -> Option<&Named> {
        self.users.as_ref()?.all.get(place)
    }
}

impl fmt::Debug for LimitTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitTable").field("limiters", &self.all.len()).finish_non_exhaustive()
    }
}
