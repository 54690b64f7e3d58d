//! Policies as relays ask them: which are about somebody and an application is found by index, once for each pair; what may
//! change with each request is compared by bits.

use std::collections::HashMap;
use std::sync::Arc;

use super::decision::{Tally, alone};
use super::rule::{Facts, NETWORK_BITS, Rule};
use super::{ClientKind, Decision, Input, People, Policy, PolicyState, Reported, Scope};
use crate::Snapshot;
use crate::directory::Principal;
use crate::ids::{AppId, Name, TenantId};
use crate::network::Network;
use crate::prefix::PrefixSet;
use crate::session::Subject;

/// All policies of all tenants at one version of the log.
#[derive(Debug, Clone, Default)]
pub struct Policies(HashMap<TenantId, Arc<Compiled>>);

/// The policies that are about somebody and an application. Made once for a session and an application, it holds until the
/// subject, the policies or the networks change; it costs two bytes for each policy.
#[derive(Debug, Clone, Default)]
pub struct Applicable {
    of: Option<Arc<Compiled>>,
    /// Places in `of`, in the order of the policies' ids.
    rules: Vec<u16>,
}

/// One tenant's.
#[derive(Debug)]
struct Compiled {
    policies: Vec<Policy>,
    /// In the order of `policies`.
    rules: Vec<Rule>,
    /// Networks that policies name, one bit each.
    networks: Vec<(u128, PrefixSet)>,
    people: Index<Principal>,
    guests: Named,
    apps: Index<AppId>,
    /// Those that are about machines.
    machines: Bits,
    /// Whether any names countries.
    countries: bool,
    /// Whether any names autonomous systems.
    asns: bool,
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

/// A set of places.
#[derive(Debug, Clone)]
struct Bits(Vec<u64>);

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
        Applicable { of: Some(Arc::clone(compiled)), rules: found.places() }
    }

    /// Those about machines with a service token: the ones about everyone that name this kind of client.
    #[must_use]
    pub fn for_service(&self, app: AppId) -> Applicable {
        let Some(compiled) = self.0.get(&app.tenant) else { return Applicable::default() };
        let mut found = compiled.machines.clone();
        found.retain(&compiled.apps.select([app], None));
        Applicable { of: Some(Arc::clone(compiled)), rules: found.places() }
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
        self.rules.is_empty()
    }

    /// Whether the country of a request may matter: a policy of the tenant names some.
    #[must_use]
    pub fn asks_country(&self) -> bool {
        !self.is_empty() && self.of.as_deref().is_some_and(|of| of.countries)
    }

    /// Whether the autonomous system of a request may matter: a policy of the tenant names some.
    #[must_use]
    pub fn asks_asn(&self) -> bool {
        !self.is_empty() && self.of.as_deref().is_some_and(|of| of.asns)
    }

    /// Decides about one request.
    #[must_use]
    pub fn decide(&self, input: &Input<'_>, now_unix: u64) -> Decision {
        let (mut tally, mut report_only) = (Tally::default(), Vec::new());
        if let Some(of) = self.of.as_deref().filter(|_| !self.rules.is_empty()) {
            let mut facts = Facts::new(input, now_unix, &of.networks);
            for place in self.rules.iter().map(|place| usize::from(*place)) {
                let Some(rule) = of.rules.get(place).filter(|rule| rule.applies(&mut facts)) else { continue };
                // Only now: what does not apply costs no look at the policy itself.
                let Some(policy) = of.policies.get(place) else { continue };
                if rule.report_only {
                    report_only.push(Reported { policy: policy.id, outcome: alone(policy, input, now_unix) });
                } else {
                    tally.add(policy, input, now_unix);
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
        let named = |network: &&Network| policies.iter().any(|policy| policy.networks().any(|n| *n == network.name));
        let networks: Vec<(Name, u128, PrefixSet)> = networks
            .filter(named)
            .zip((0..NETWORK_BITS).map(|bit| 1 << bit))
            .map(|(network, bit)| (network.name.clone(), bit, network.prefixes.iter().collect()))
            .collect();
        let rules = policies.iter().map(|policy| Rule::new(policy, &networks)).collect();
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
        let networks = networks.into_iter().map(|(_, bit, prefixes)| (bit, prefixes)).collect();
        let countries = policies.iter().any(|policy| !policy.conditions.countries.is_empty());
        let asns = policies.iter().any(|policy| !policy.conditions.asns.is_empty());
        Self { policies, rules, networks, people, guests, apps, machines, countries, asns }
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

impl Bits {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn set(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place / 64)) {
            *word |= 1 << (place % 64);
        }
    }

    fn clear(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place / 64)) {
            *word &= !(1 << (place % 64));
        }
    }

    fn retain(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    fn places(&self) -> Vec<u16> {
        let mut places = Vec::new();
        for (word, base) in self.0.iter().zip((0u16..).step_by(64)) {
            let mut left = *word;
            while left != 0 {
                places.push(base + left.trailing_zeros() as u16);
                left &= left - 1;
            }
        }
        places
    }
}
