//! Which policies apply to a request, found for 64 of them at once: for each thing that a request is one of few of, there is the
//! set of the policies which that does not rule out. A few intersections leave those that apply, however many there are.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use super::bits::Bits;
use super::window::minute_of_week;
use super::{
    Asn, Choice, ClientKind, Conditions, Country, DeviceState, Input, Platform, Policy, Risk, Strength, TimeWindow,
};
use crate::ids::Name;
use crate::network::{NETWORKS_MAX, Network};
use crate::prefix::PrefixSet;
use crate::session::AuthMethod;

/// The conditions of all policies of a tenant.
#[derive(Debug)]
pub(super) struct Filter {
    /// One for each value, in the order of its kind.
    platforms: Vec<Bits>,
    clients: Vec<Bits>,
    strengths: Vec<Bits>,
    risks: Vec<Bits>,
    devices: Vec<Bits>,
    methods: BySome,
    countries: ByOne<Country>,
    asns: ByOne<Asn>,
    times: ByNumber,
    ages: ByNumber,
    networks: BySome,
    /// Policies that go by networks.
    asking: Bits,
    /// In the order of the keys of `networks`.
    prefixes: Vec<PrefixSet>,
}

/// A request, in the sets that it is in.
pub(super) struct Matching<'a> {
    sets: [&'a Bits; 7],
    country: One<'a>,
    asn: One<'a>,
    methods: u64,
    source: Option<IpAddr>,
    filter: &'a Filter,
    /// Found when the first policy asks.
    networks: Option<u64>,
}

/// By what a request has any number of: one set for each that a policy names.
#[derive(Debug)]
struct BySome {
    /// Policies that need none.
    any: Bits,
    include: Vec<Bits>,
    except: Vec<Bits>,
}

/// By what a request has one of, of very many.
#[derive(Debug)]
struct ByOne<K> {
    /// For what a policy names: the words that are not those of `other`, in order.
    named: HashMap<K, Vec<(u16, u64)>>,
    other: Bits,
}

/// One of them.
struct One<'a> {
    named: &'a [(u16, u64)],
    other: &'a Bits,
}

/// By a number that is in a span: each begins at its number and ends where the next begins; the first is 0.
#[derive(Debug)]
struct ByNumber(Vec<(u32, Bits)>);

impl Filter {
    pub(super) fn new<'n>(policies: &[Policy], networks: impl Iterator<Item = &'n Network>) -> Self {
        let conditions = || policies.iter().map(|policy| &policy.conditions);
        let named = |network: &&Network| policies.iter().any(|policy| policy.networks().any(|n| *n == network.name));
        // Control keeps no more; the rest counts as not known.
        let (names, prefixes): (Vec<Name>, Vec<PrefixSet>) = networks
            .filter(named)
            .take(NETWORKS_MAX)
            .map(|network| (network.name.clone(), network.prefixes.iter().collect()))
            .unzip();
        let known: Vec<Choice<Name>> = conditions().map(|conditions| known(&conditions.networks, &names)).collect();
        let has_strength = |of: &Conditions, value| of.strength.is_none_or(|only| only == value);
        let has_risk = |of: &Conditions, value| of.risk_min.is_none_or(|least| value >= least);
        Self {
            platforms: by_value(policies, Platform::ALL, |of, value| of.platforms.allows(&value)),
            clients: by_value(policies, ClientKind::ALL, |of, value| of.clients.allows(&value)),
            strengths: by_value(policies, Strength::ALL, has_strength),
            risks: by_value(policies, Risk::ALL, has_risk),
            devices: by_value(policies, DeviceState::ALL, |of, value| of.devices.allows(&value)),
            methods: BySome::new(conditions().map(|of| &of.methods), &AuthMethod::ALL),
            countries: ByOne::new(conditions().map(|of| &of.countries)),
            asns: ByOne::new(conditions().map(|of| &of.asns)),
            times: ByNumber::times(conditions().map(|of| &of.times)),
            ages: ByNumber::least(conditions().map(|of| of.auth_age_min_s.unwrap_or(0))),
            asking: Bits::of(known.iter().map(|choice| !choice.is_empty())),
            networks: BySome::new(known.iter(), &names),
            prefixes,
        }
    }

    /// Whether any policy names countries.
    pub(super) fn asks_country(&self) -> bool {
        !self.countries.named.is_empty()
    }

    /// Whether any policy names autonomous systems.
    pub(super) fn asks_asn(&self) -> bool {
        !self.asns.named.is_empty()
    }

    pub(super) fn matching<'a>(&'a self, input: &Input<'_>, now_unix: u64) -> Matching<'a> {
        let strength = if input.is_multi_factor() { Strength::MultiFactor } else { Strength::SingleFactor };
        let age_s = u32::try_from(input.auth_age_s(now_unix)).unwrap_or(u32::MAX);
        let sets = [
            &self.platforms[input.platform as usize],
            &self.clients[input.client as usize],
            &self.strengths[strength as usize],
            &self.risks[input.risk as usize],
            &self.devices[input.device as usize],
            self.times.at(u32::from(minute_of_week(now_unix))),
            self.ages.at(age_s),
        ];
        let country = self.countries.at(&input.country.unwrap_or(Country::UNKNOWN));
        let asn = self.asns.at(&input.asn.unwrap_or(Asn::UNKNOWN));
        let methods = input.methods().fold(0, |keys, method| keys | 1 << method as u32);
        Matching { sets, country, asn, methods, source: input.source, filter: self, networks: None }
    }
}

impl Matching<'_> {
    /// Those of a word's policies that apply; `at`: which word.
    pub(super) fn of(&mut self, at: u16, word: u64) -> u64 {
        let mut left = word & self.country.word(at) & self.asn.word(at);
        let at = usize::from(at);
        left = self.sets.iter().fold(left, |left, set| left & set.word(at));
        if left == 0 {
            return 0;
        }
        left &= self.filter.methods.word(at, self.methods);
        // An address may be looked up in long lists: only where it matters.
        if left & self.filter.asking.word(at) == 0 {
            return left;
        }
        let (Filter { prefixes, networks, .. }, source) = (self.filter, self.source);
        let found = *self.networks.get_or_insert_with(|| {
            let contains = |prefixes: &PrefixSet| source.is_some_and(|source| prefixes.contains(source));
            let within = prefixes.iter().zip(0u32..).filter(|(prefixes, _)| contains(prefixes));
            within.fold(0, |keys, (_, key)| keys | 1 << key)
        });
        left & networks.word(at, found)
    }
}

impl BySome {
    /// `keys`: at most 64.
    fn new<'c, K: Ord + 'c>(choices: impl ExactSizeIterator<Item = &'c Choice<K>> + Clone, keys: &[K]) -> Self {
        let sets = |which: fn(&Choice<K>) -> &BTreeSet<K>| {
            let set = |key| Bits::of(choices.clone().map(|choice| which(choice).contains(key)));
            keys.iter().map(set).collect()
        };
        Self {
            any: Bits::of(choices.clone().map(|choice| choice.include.is_empty())),
            include: sets(|choice| &choice.include),
            except: sets(|choice| &choice.except),
        }
    }

    fn word(&self, at: usize, keys: u64) -> u64 {
        let (mut included, mut excepted, mut left) = (self.any.word(at), 0, keys);
        while left != 0 {
            let key = left.trailing_zeros() as usize;
            left &= left - 1;
            included |= self.include.get(key).map_or(0, |set| set.word(at));
            excepted |= self.except.get(key).map_or(0, |set| set.word(at));
        }
        included & !excepted
    }
}

impl<K: Copy + Ord + Hash> ByOne<K> {
    fn new<'c>(choices: impl ExactSizeIterator<Item = &'c Choice<K>> + Clone) -> Self
    where
        K: 'c,
    {
        let other = Bits::of(choices.clone().map(|choice| choice.include.is_empty()));
        let mut named: HashMap<K, Vec<(u16, u64)>> = HashMap::new();
        for (choice, place) in choices.zip(0u16..) {
            let (at, bit) = (place / 64, 1 << (place % 64));
            // What includes some and does not name this one is ruled out by `other` already.
            for key in choice.include.iter().chain(&choice.except) {
                let words = named.entry(*key).or_default();
                if words.last().is_none_or(|(last, _)| *last != at) {
                    words.push((at, other.word(usize::from(at))));
                }
                if let Some((_, word)) = words.last_mut() {
                    *word = if choice.allows(key) { *word | bit } else { *word & !bit };
                }
            }
        }
        Self { named, other }
    }

    fn at(&self, key: &K) -> One<'_> {
        let named = if self.named.is_empty() { None } else { self.named.get(key) };
        One { named: named.map_or(&[], Vec::as_slice), other: &self.other }
    }
}

impl One<'_> {
    fn word(&self, at: u16) -> u64 {
        let found = self.named.binary_search_by_key(&at, |(at, _)| *at).ok().and_then(|index| self.named.get(index));
        found.map_or_else(|| self.other.word(usize::from(at)), |(_, word)| *word)
    }
}

impl ByNumber {
    /// By the minute of the week.
    fn times<'c>(choices: impl ExactSizeIterator<Item = &'c Choice<TimeWindow>>) -> Self {
        let spans = |windows: &BTreeSet<TimeWindow>| -> Vec<(u16, u16)> {
            windows.iter().flat_map(|window| window.minutes_utc()).collect()
        };
        let (mut now, mut turns) = (Bits::new(choices.len()), Vec::new());
        let mut policies = Vec::with_capacity(choices.len());
        for (choice, place) in choices.zip(0u16..) {
            let (include, except) = (spans(&choice.include), spans(&choice.except));
            let ends = include.iter().chain(&except).flat_map(|(start, end)| [*start, *end]);
            turns.extend(ends.filter(|minute| *minute > 0).map(|minute| (u32::from(minute), place)));
            let applies = move |minute: u32| {
                let within = |spans: &[(u16, u16)]| {
                    spans.iter().any(|(start, end)| (u32::from(*start)..u32::from(*end)).contains(&minute))
                };
                (choice.include.is_empty() || within(&include)) && !within(&except)
            };
            now.put(place, applies(0));
            policies.push(applies);
        }
        Self::by_turns(now, turns, |minute, place| policies.get(usize::from(place)).is_some_and(|at| at(minute)))
    }

    /// By a number that is to be reached.
    fn least(numbers: impl ExactSizeIterator<Item = u32> + Clone) -> Self {
        let now = Bits::of(numbers.clone().map(|least| least == 0));
        let turns = numbers.zip(0u16..).filter(|(least, _)| *least > 0).collect();
        Self::by_turns(now, turns, |_, _| true)
    }

    /// From what is so at 0, and where a policy may begin or cease to be in.
    fn by_turns(mut now: Bits, mut turns: Vec<(u32, u16)>, is_in: impl Fn(u32, u16) -> bool) -> Self {
        turns.sort_unstable();
        turns.dedup();
        let mut spans = vec![(0, now.clone())];
        for together in turns.chunk_by(|one, other| one.0 == other.0) {
            together.iter().for_each(|(number, place)| now.put(*place, is_in(*number, *place)));
            if let Some((number, _)) = together.first() {
                spans.push((*number, now.clone()));
            }
        }
        Self(spans)
    }

    fn at(&self, number: u32) -> &Bits {
        let span = self.0.partition_point(|(start, _)| *start <= number);
        &self.0[span.saturating_sub(1)].1
    }
}

/// For each value, in the order of its kind, the policies that allow it.
fn by_value<T: Copy>(policies: &[Policy], all: &[T], allows: impl Fn(&Conditions, T) -> bool) -> Vec<Bits> {
    let set = |value| Bits::of(policies.iter().map(|policy| allows(&policy.conditions, value)));
    all.iter().copied().map(set).collect()
}

/// A choice without what is not known. That counts for more, never for less: an exception is none then, and to be in it is no
/// condition.
fn known(choice: &Choice<Name>, names: &[Name]) -> Choice<Name> {
    let is_known = |name: &&Name| names.contains(name);
    let all = choice.include.iter().all(|name| is_known(&name));
    let include = if all { choice.include.clone() } else { BTreeSet::new() };
    Choice { include, except: choice.except.iter().filter(is_known).cloned().collect() }
}
