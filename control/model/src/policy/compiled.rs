//! Policies as relays ask them: which are about somebody and an application is found by index, once for each pair; which of
//! those apply is found by bits, with each request.

use std::collections::HashMap;
use std::sync::Arc;

use super::bits::{Bits, places};
use super::decision::{Tally, alone};
use super::filter::Filter;
use super::{ClientKind, Decision, Input, People, Policy, PolicyState, Reported, Scope};
use crate::Snapshot;
use crate::directory::Principal;
use crate::ids::{AppId, TenantId};
use crate::network::Network;
use crate::session::Subject;

/// All policies of all tenants at one version of the log.
#[derive(Debug, Clone, Default)]
pub struct Policies(HashMap<TenantId, Arc<Compiled>>);

/// The policies that are about somebody and an application. Made once for a session and an application, it holds until the
/// subject, the policies or the networks change; it costs at most a quarter of a byte for each policy of the tenant.
#[derive(Debug, Clone, Default)]
pub struct Applicable {
    of: Option<Arc<Compiled>>,
    /// A set of places in `of`: words that are not empty, and where.
    words: Box<[(u16, u64)]>,
}

/// One tenant's.
#[derive(Debug)]
struct Compiled {
    policies: Vec<Policy>,
    filter: Filter,
    /// Those that only report.
    report_only: Bits,
    people: Index<Principal>,
    guests: Named,
    apps: Index<AppId>,
    /// Those that are about machines.
    machines: Bits,
}

/// Which policies name something.
#[derive(Debug)]
struct Index<K> {
    /// Policies about everything.
    all: Bits,
    by_key: HashMap<K, Named>,
}

/// Places of policies that include, or except, one thing.
#[derive(Debug, Clone, Default)]
struct Named {
    include: Vec<u16>,
    except: Vec<u16>,
}

impl Policies {
    /// What holds in a state. Policies that are off are not looked at any more.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut tenants: HashMap<TenantId, Vec<Policy>> = HashMap::new();
        for policy in snapshot.policies.values().filter(|policy| policy.state != PolicyState::Off) {
            tenants.entry(policy.id.tenant).or_default().push(policy.clone());
        }
        let compiled = |(tenant, policies)| {
            let networks = snapshot.networks.values().filter(|network| network.tenant == tenant);
            (tenant, Arc::new(Compiled::new(policies, networks)))
        };
        Self(tenants.into_iter().map(compiled).collect())
    }

    /// Those about a user and an application. Users of other tenants are everyone, too.
    #[must_use]
    pub fn for_subject(&self, subject: &Subject, app: AppId) -> Applicable {
        let Some(compiled) = self.0.get(&app.tenant) else { return Applicable::default() };
        let user = std::iter::once(Principal::User(subject.id));
        let keys = user.chain(subject.groups.keys().copied().map(Principal::Group));
        let guests = subject.guest.then_some(&compiled.guests);
        let mut found = compiled.people.select(keys, guests);
        found.retain(&compiled.apps.select([app], None));
        Applicable { of: Some(Arc::clone(compiled)), words: found.words() }
    }

    /// Those about machines with a service token: the ones about everyone that name this kind of client.
    #[must_use]
    pub fn for_service(&self, app: AppId) -> Applicable {
        let Some(compiled) = self.0.get(&app.tenant) else { return Applicable::default() };
        let mut found = compiled.machines.clone();
        found.retain(&compiled.apps.select([app], None));
        Applicable { of: Some(Arc::clone(compiled)), words: found.words() }
    }

    /// Decides about one request; [`Policies::for_subject`] and [`Applicable::decide`] in one.
    #[must_use]
    pub fn decide(&self, subject: &Subject, app: AppId, input: &Input<'_>, now_unix: u64) -> Decision {
        self.for_subject(subject, app).decide(input, now_unix)
    }
}

impl Applicable {
    /// Whether every request passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether the country of a request may matter: a policy of the tenant names some.
    #[must_use]
    pub fn asks_country(&self) -> bool {
        !self.is_empty() && self.of.as_deref().is_some_and(|of| of.filter.asks_country())
    }

    /// Whether the autonomous system of a request may matter: a policy of the tenant names some.
    #[must_use]
    pub fn asks_asn(&self) -> bool {
        !self.is_empty() && self.of.as_deref().is_some_and(|of| of.filter.asks_asn())
    }

    /// Whether one of them lets no session outlast the browser, under whatever circumstances.
    #[must_use]
    pub fn may_end_with_browser(&self) -> bool {
        let Some(of) = self.of.as_deref() else { return false };
        let mut found = self.words.iter().flat_map(|(at, word)| places(*at, *word));
        found.any(|place| {
            let policy = of.policies.get(usize::from(place));
            !of.report_only.has(place) && policy.is_some_and(|policy| policy.session.no_persistent)
        })
    }

    /// Decides about one request.
    #[must_use]
    pub fn decide(&self, input: &Input<'_>, now_unix: u64) -> Decision {
        let (mut tally, mut report_only) = (Tally::default(), Vec::new());
        if let Some(of) = self.of.as_deref().filter(|_| !self.words.is_empty()) {
            let mut matching = of.filter.matching(input, now_unix);
            for (at, word) in &self.words {
                for place in places(*at, matching.of(*at, *word)) {
                    let Some(policy) = of.policies.get(usize::from(place)) else { continue };
                    if of.report_only.has(place) {
                        report_only.push(Reported { policy: policy.id, outcome: alone(policy, input, now_unix) });
                    } else {
                        tally.add(policy, input, now_unix);
                    }
                }
            }
        }
        tally.decision(report_only)
    }
}

impl Compiled {
    fn new<'n>(mut policies: Vec<Policy>, networks: impl Iterator<Item = &'n Network>) -> Self {
        policies.sort_by_key(|policy| policy.id);
        // Control keeps far below; what would be cut off is the last, and only where a state is made by hand.
        policies.truncate(usize::from(u16::MAX));
        let count = policies.len();
        let filter = Filter::new(&policies, networks);
        let report_only = Bits::of(policies.iter().map(|policy| policy.state == PolicyState::ReportOnly));
        let (mut people, mut apps) = (Index::new(count), Index::new(count));
        let (mut guests, mut machines) = (Named::default(), Bits::new(count));
        for (policy, place) in policies.iter().zip(0u16..) {
            match &policy.who.include {
                Scope::All => people.all.set(place),
                Scope::Only(included) => people.name(included, &mut guests, place, |named| &mut named.include),
            }
            people.name(&policy.who.except, &mut guests, place, |named| &mut named.except);
            match &policy.apps.include {
                Scope::All => apps.all.set(place),
                Scope::Only(included) => included.iter().for_each(|app| apps.at(*app).include.push(place)),
            }
            policy.apps.except.iter().for_each(|app| apps.at(*app).except.push(place));
            if policy.who.include == Scope::All && policy.conditions.clients.include.contains(&ClientKind::Service) {
                machines.set(place);
            }
        }
        Self { policies, filter, report_only, people, guests, apps, machines }
    }
}

impl Index<Principal> {
    fn name(&mut self, people: &People, guests: &mut Named, place: u16, list: fn(&mut Named) -> &mut Vec<u16>) {
        let users = people.users.iter().copied().map(Principal::User);
        for key in users.chain(people.groups.iter().copied().map(Principal::Group)) {
            list(self.at(key)).push(place);
        }
        if people.guests {
            list(guests).push(place);
        }
    }
}

impl<K: Eq + std::hash::Hash> Index<K> {
    fn new(count: usize) -> Self {
        Self { all: Bits::new(count), by_key: HashMap::new() }
    }

    fn at(&mut self, key: K) -> &mut Named {
        self.by_key.entry(key).or_default()
    }

    /// Policies that include one of the keys, or everything, and except none of them.
    fn select(&self, keys: impl IntoIterator<Item = K>, more: Option<&Named>) -> Bits {
        let found: Vec<&Named> = keys.into_iter().filter_map(|key| self.by_key.get(&key)).chain(more).collect();
        let mut selected = self.all.clone();
        found.iter().flat_map(|named| &named.include).for_each(|place| selected.set(*place));
        found.iter().flat_map(|named| &named.except).for_each(|place| selected.clear(*place));
        selected
    }
}
