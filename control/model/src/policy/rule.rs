//! A policy's conditions in bits, and a request in the same: whether it applies is a few comparisons, without a look at the
//! policy itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::country::COUNTRY_BITS;
use super::window::minute_of_week;
use super::{
    Asn, Choice, ClientKind, Conditions, Country, DeviceState, Input, Platform, Policy, PolicyState, Risk, Strength,
    TimeWindow,
};
use crate::ids::Name;
use crate::prefix::PrefixSet;
use crate::session::AuthMethod;

/// A policy's conditions in bits.
#[derive(Debug)]
pub(super) struct Rule {
    /// What may be, of [`Facts::bits`].
    allowed: u32,
    methods: (u8, u8),
    auth_age_min_s: u32,
    /// One of these, [`ANYWHERE`] among them where any will do.
    networks: u128,
    except_networks: u128,
    countries: Option<Box<[u64; COUNTRY_WORDS]>>,
    asns: Option<Box<Choice<Asn>>>,
    times: Option<Box<Times>>,
    pub(super) report_only: bool,
}

#[derive(Debug)]
struct Times {
    include: Vec<(u16, u16)>,
    any: bool,
    except: Vec<(u16, u16)>,
}

/// A request, in the same bits.
pub(super) struct Facts<'a> {
    bits: u32,
    methods: u8,
    auth_age_s: u64,
    country: usize,
    asn: Asn,
    minute: u16,
    source: Option<IpAddr>,
    known_networks: &'a [(u128, PrefixSet)],
    /// Found when the first policy asks.
    networks: Option<u128>,
}

impl Rule {
    pub(super) fn new(policy: &Policy, known: &[(Name, u128, PrefixSet)]) -> Self {
        let Conditions { platforms, clients, strength, risk_min, devices, .. } = &policy.conditions;
        let strengths = |value: &Strength| strength.is_none_or(|only| only == *value);
        let risks = |value: &Risk| risk_min.is_none_or(|least| *value >= least);
        let allowed = bits(Platform::ALL, PLATFORM_AT, |value| platforms.allows(value))
            | bits(ClientKind::ALL, CLIENT_AT, |value| clients.allows(value))
            | bits(Strength::ALL, STRENGTH_AT, strengths)
            | bits(Risk::ALL, RISK_AT, risks)
            | bits(DeviceState::ALL, DEVICE_AT, |value| devices.allows(value));
        let Conditions { networks, countries, asns, times, methods, auth_age_min_s, .. } = &policy.conditions;
        let (included, excepted) = network_bits(networks, known);
        Self {
            allowed,
            methods: (method_bits(methods.include.iter().copied()), method_bits(methods.except.iter().copied())),
            auth_age_min_s: auth_age_min_s.unwrap_or(0),
            networks: included,
            except_networks: excepted,
            countries: (!countries.is_empty()).then(|| Box::new(country_bits(countries))),
            asns: (!asns.is_empty()).then(|| Box::new(asns.clone())),
            times: (!times.is_empty()).then(|| Box::new(Times::new(times))),
            report_only: policy.state == PolicyState::ReportOnly,
        }
    }

    /// Cheap tests first; most policies end there.
    pub(super) fn applies(&self, facts: &mut Facts<'_>) -> bool {
        let Self { allowed, methods: (one_of, none_of), auth_age_min_s, countries, asns, times, .. } = self;
        let by_bits = facts.bits & !allowed == 0 && (*one_of == 0 || facts.methods & one_of != 0);
        if !by_bits || facts.methods & none_of != 0 || facts.auth_age_s < u64::from(*auth_age_min_s) {
            return false;
        }
        countries.as_ref().is_none_or(|set| set[facts.country / 64] & (1 << (facts.country % 64)) != 0)
            && asns.as_ref().is_none_or(|asns| asns.allows(&facts.asn))
            && times.as_ref().is_none_or(|times| times.cover(facts.minute))
            && (self.is_anywhere() || {
                let found = facts.networks();
                found & self.networks != 0 && found & self.except_networks == 0
            })
    }

    const fn is_anywhere(&self) -> bool {
        self.networks == ANYWHERE && self.except_networks == 0
    }
}

impl Times {
    fn new(times: &Choice<TimeWindow>) -> Self {
        let minutes = |windows: &BTreeSet<TimeWindow>| windows.iter().flat_map(|window| window.minutes_utc()).collect();
        Self { include: minutes(&times.include), any: times.include.is_empty(), except: minutes(&times.except) }
    }

    fn cover(&self, minute: u16) -> bool {
        let within = |parts: &[(u16, u16)]| parts.iter().any(|(start, end)| (*start..*end).contains(&minute));
        (self.any || within(&self.include)) && !within(&self.except)
    }
}

impl<'a> Facts<'a> {
    pub(super) fn new(input: &Input<'_>, now_unix: u64, known_networks: &'a [(u128, PrefixSet)]) -> Self {
        let strength = if input.is_multi_factor() { Strength::MultiFactor } else { Strength::SingleFactor };
        let bits = 1 << (PLATFORM_AT + input.platform as u32)
            | 1 << (CLIENT_AT + input.client as u32)
            | 1 << (STRENGTH_AT + strength as u32)
            | 1 << (RISK_AT + input.risk as u32)
            | 1 << (DEVICE_AT + input.device as u32);
        Self {
            bits,
            methods: method_bits(input.methods()),
            auth_age_s: input.auth_age_s(now_unix),
            country: input.country.unwrap_or(Country::UNKNOWN).index(),
            asn: input.asn.unwrap_or(Asn::UNKNOWN),
            minute: minute_of_week(now_unix),
            source: input.source,
            known_networks,
            networks: None,
        }
    }

    fn networks(&mut self) -> u128 {
        let Some(source) = self.source else { return ANYWHERE };
        *self.networks.get_or_insert_with(|| {
            self.known_networks
                .iter()
                .filter(|(_, prefixes)| prefixes.contains(source))
                .fold(ANYWHERE, |found, (bit, _)| found | bit)
        })
    }
}

fn bits<T: Copy>(all: &[T], at: u32, allows: impl Fn(&T) -> bool) -> u32 {
    all.iter().zip(at..).filter(|(value, _)| allows(value)).fold(0, |bits, (_, place)| bits | 1 << place)
}

fn method_bits(methods: impl Iterator<Item = AuthMethod>) -> u8 {
    methods.fold(0, |bits, method| bits | 1 << method as u8)
}

/// What is named and has no bit counts for more, never for less: an exception is none then, and to be in it is no condition.
fn network_bits(networks: &Choice<Name>, known: &[(Name, u128, PrefixSet)]) -> (u128, u128) {
    let bit = |name: &Name| known.iter().find(|(known, ..)| known == name).map(|(_, bit, _)| *bit);
    let include = networks.include.iter().map(bit).try_fold(0, |bits, bit| Some(bits | bit?));
    let include = include.filter(|_| !networks.include.is_empty()).unwrap_or(ANYWHERE);
    (include, networks.except.iter().filter_map(bit).fold(0, |bits, bit| bits | bit))
}

fn country_bits(countries: &Choice<Country>) -> [u64; COUNTRY_WORDS] {
    let mut set = [if countries.include.is_empty() { u64::MAX } else { 0 }; COUNTRY_WORDS];
    for index in countries.include.iter().map(|country| country.index()) {
        set[index / 64] |= 1 << (index % 64);
    }
    for index in countries.except.iter().map(|country| country.index()) {
        set[index / 64] &= !(1 << (index % 64));
    }
    set
}

const PLATFORM_AT: u32 = 0;
const CLIENT_AT: u32 = PLATFORM_AT + Platform::ALL.len() as u32;
const STRENGTH_AT: u32 = CLIENT_AT + ClientKind::ALL.len() as u32;
const RISK_AT: u32 = STRENGTH_AT + Strength::ALL.len() as u32;
const DEVICE_AT: u32 = RISK_AT + Risk::ALL.len() as u32;
const COUNTRY_WORDS: usize = COUNTRY_BITS.div_ceil(64);
/// The bit that every request has. Networks have those below.
pub(super) const ANYWHERE: u128 = 1 << NETWORK_BITS;
/// More than a tenant has networks.
pub(super) const NETWORK_BITS: u32 = 127;
