//! How likely it is that somebody else signs in: by what the sign-in log tells of before, and by where addresses are.

use std::collections::BTreeSet;
use std::net::IpAddr;

use postern_model::admin::{SignInRecord, SignInResult};
use postern_model::chain::LogKind;
use postern_model::directory::User;
use postern_model::identity::ClientInfo;
use postern_model::policy::{Asn, Country, Risk};
use postern_model::session::is_multi_factor;
use postern_service::geoip::Place;

use crate::clock::now_unix;
use crate::control::Control;
use crate::limits::{
    RISK_FAILURES, RISK_FAILURES_READ, RISK_FAILURES_S, RISK_HISTORY, RISK_KNOWN_S, RISK_SPRAYED, RISK_TRAVEL_KM,
    RISK_TRAVEL_KM_H,
};
use crate::source::network;
use crate::store::StoreError;
use crate::store::records::{Order, ResultFilter, SignInFilter, Span, Times, WhoSignedIn};

/// What was judged of one sign-in: once for each address that its steps come from, for what they leave in the log themselves, wrong
/// codes say, tells nothing more of it. It only rises: a step from home does not make up for one from elsewhere.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    pub(super) so_far: Risk,
    last_from: Option<IpAddr>,
}

/// Something that speaks for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Nobody gets so far in so short a time.
    ImpossibleTravel,
    NewCountry,
    /// The internet provider, or whoever else the address is of.
    NewAsn,
    /// Who comes from there wants nobody to know from where.
    Anonymiser,
    /// One address was wrong about many names.
    PasswordSpraying,
    /// Many were wrong about this name.
    Failures,
}

/// A sign-in that led to a session.
#[derive(Debug, Clone, Copy)]
struct Before {
    at_unix: u64,
    country: Option<Country>,
    asn: Option<Asn>,
    place: Option<Place>,
    network: Option<IpAddr>,
    multi_factor: bool,
}

/// What is known when somebody signs in.
#[derive(Debug)]
struct Known {
    now_unix: u64,
    country: Option<Country>,
    asn: Option<Asn>,
    anonymiser: bool,
    place: Option<Place>,
    network: Option<IpAddr>,
    /// The last one first.
    before: Vec<Before>,
    /// The last of those is the first one that there is.
    complete: bool,
    /// Wrong passwords and factors of this user, lately.
    failures: usize,
    /// Names that this network gave wrong passwords for, lately.
    sprayed: usize,
}

impl Judged {
    /// What was judged of the session that becomes a stronger one.
    pub(super) const fn before(risk: Risk) -> Self {
        Self { so_far: risk, last_from: None }
    }

    /// Somebody proved something from there.
    pub(super) fn judge(&mut self, control: &Control, user: &User, client: &ClientInfo) {
        if self.last_from != Some(client.address) {
            self.so_far = assess(control, user, client).max(self.so_far);
            self.last_from = Some(client.address);
        }
    }
}

/// The risk of a sign-in that is about to succeed.
fn assess(control: &Control, user: &User, client: &ClientInfo) -> Risk {
    #[cfg(test)]
    ASSESSED.set(ASSESSED.get() + 1);
    let known = match known(control, user, client) {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(%error, "the sign-in log cannot be read: the risk of a sign-in counts as high");
            return Risk::High;
        }
    };
    let signals = known.signals();
    let risk = signals.iter().map(|signal| signal.risk()).max().unwrap_or_default();
    if !signals.is_empty() {
        tracing::warn!(user = %user.login, %risk, ?signals, "somebody else may be signing in");
    }
    risk
}

fn known(control: &Control, user: &User, client: &ClientInfo) -> Result<Known, StoreError> {
    let now_unix = now_unix();
    let chain = control.records(|store| store.chain(LogKind::SignIn))?;
    let all = Span { first: chain.base.seq + 1, last: chain.head.seq, order: Order::NewestFirst, limit: RISK_HISTORY };
    let filter = |who: Option<WhoSignedIn>, result| SignInFilter {
        tenant: Some(user.id.tenant),
        user: who,
        result: Some(result),
        ..SignInFilter::default()
    };
    let own = || Some(WhoSignedIn::User(user.id));
    let success = filter(own(), ResultFilter::Result(SignInResult::Success));
    let before = control.records(|store| store.sign_ins(&success, all))?;
    let complete = before.len() < RISK_HISTORY as usize;
    let here = network(client.address);
    let since = Times { since: Some(now_unix.saturating_sub(RISK_FAILURES_S) * 1_000), until: None };
    let lately = control.records(|store| store.between(LogKind::SignIn, since))?;
    let (mut failures, mut names) = (0, BTreeSet::new());
    if let Some((first, last)) = lately {
        let lately = Span { first, last, limit: RISK_FAILURES_READ, ..all };
        let with = |who: Option<WhoSignedIn>, code: &str| {
            let filter = filter(who, ResultFilter::Code(code.into()));
            control.records(|store| store.sign_ins(&filter, lately))
        };
        for code in WRONG_PASSWORD.iter().chain(WRONG_FACTOR) {
            failures += with(own(), code)?.len();
        }
        for code in WRONG_PASSWORD {
            let others = with(None, code)?.into_iter();
            let same = others.filter(|other| other.source.is_some_and(|source| network(source) == here));
            names.extend(same.map(|other| other.login));
        }
    }
    Ok(Known {
        now_unix,
        country: control.country(client.address),
        asn: control.asn(client.address),
        anonymiser: control.is_anonymiser(user.id.tenant, client.address),
        place: control.place(client.address),
        network: Some(here),
        before: began(&before).into_iter().map(|record| Before::of(control, record)).collect(),
        complete,
        failures,
        sprayed: names.len(),
    })
}

/// Those that a session began with: to use one again, for another application, is no sign-in.
fn began(newest_first: &[SignInRecord]) -> Vec<&SignInRecord> {
    let mut sessions = BTreeSet::new();
    let oldest_first = newest_first.iter().rev();
    let mut began: Vec<_> =
        oldest_first.filter(|record| record.session.is_none_or(|session| sessions.insert(session))).collect();
    began.reverse();
    began
}

impl Before {
    /// Where it was is looked up now: databases get better.
    fn of(control: &Control, record: &SignInRecord) -> Self {
        Self {
            at_unix: record.at_unix_ms / 1_000,
            country: record.source.and_then(|source| control.country(source)),
            asn: record.source.and_then(|source| control.asn(source)),
            place: record.source.and_then(|source| control.place(source)),
            network: record.source.map(network),
            multi_factor: is_multi_factor(&record.methods),
        }
    }

    /// Whoever only has a password can have brought about none of these.
    const fn is_sure(&self, now_unix: u64) -> bool {
        self.multi_factor || self.at_unix.saturating_add(RISK_KNOWN_S) <= now_unix
    }
}

impl Known {
    fn signals(&self) -> Vec<Signal> {
        let travel = self.is_impossible_travel().then_some(Signal::ImpossibleTravel);
        let has_before = !self.before.is_empty();
        let is_new = has_before && self.country.is_some() && !self.is_known(|before| before.country == self.country);
        let country = is_new.then_some(Signal::NewCountry);
        let is_new = has_before && self.asn.is_some() && !self.is_known(|before| before.asn == self.asn);
        let asn = is_new.then_some(Signal::NewAsn);
        let anonymiser = self.anonymiser.then_some(Signal::Anonymiser);
        let sprayed = (self.sprayed >= RISK_SPRAYED && !self.is_at_home()).then_some(Signal::PasswordSpraying);
        let failures = (self.failures >= RISK_FAILURES).then_some(Signal::Failures);
        [travel, country, asn, anonymiser, sprayed, failures].into_iter().flatten().collect()
    }

    /// Whether the user's sign-ins made a country, or an autonomous system, known: those that are like it. One that succeeded a moment ago does not, unless it took two factors:
    /// whoever stole a password could make theirs known by using it twice. The first one there is does: there is no other. The oldest of
    /// those that were read is not the first when there are more.
    fn is_known(&self, is_like: impl Fn(&Before) -> bool) -> bool {
        let first = self.before.last().filter(|_| self.complete);
        first.is_some_and(&is_like) || self.before.iter().any(|before| is_like(before) && before.is_sure(self.now_unix))
    }

    /// Many share an address. Who has signed in from it before, and not only by a password just now, is not taken for who guesses.
    fn is_at_home(&self) -> bool {
        self.before.iter().any(|before| before.network == self.network && before.is_sure(self.now_unix))
    }

    /// From where the user was last, as far as that is a country that they are known to be in.
    fn is_impossible_travel(&self) -> bool {
        let last = self.before.iter().find(|before| self.is_known(|other| other.country == before.country));
        let places = last.and_then(|last| Some((last.at_unix, last.place?, self.place?)));
        places.is_some_and(|(at_unix, there, here)| {
            let (km, hours) = (there.km_to(here), self.now_unix.saturating_sub(at_unix) as f64 / 3_600.0);
            km > RISK_TRAVEL_KM && km > RISK_TRAVEL_KM_H * hours
        })
    }
}

impl Signal {
    const fn risk(self) -> Risk {
        match self {
            Self::ImpossibleTravel | Self::PasswordSpraying => Risk::High,
            // Strangers can bring about the last one: it may cost the owner a second factor, and not more.
            Self::NewCountry | Self::NewAsn | Self::Anonymiser | Self::Failures => Risk::Medium,
        }
    }
}

#[cfg(test)]
thread_local! {
    pub(super) static ASSESSED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Codes of the log.
const WRONG_PASSWORD: &[&str] = &["password-wrong", "user-unknown"];
const WRONG_FACTOR: &[&str] = &["otp-wrong", "recovery-code-wrong", "key-refused"];

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::chain::ChainHash;
    use postern_model::ids::{SessionId, TenantId};

    const NOW: u64 = 1_000_000_000;
    const BERLIN: Place = Place { latitude: 52.5, longitude: 13.4 };
    const TOKYO: Place = Place { latitude: 35.7, longitude: 139.7 };

    fn before(hours_ago: u64, code: &str, place: Place, multi_factor: bool) -> Before {
        let (country, place) = (code.parse().ok(), Some(place));
        Before { at_unix: NOW - hours_ago * 3_600, country, asn: None, place, network: None, multi_factor }
    }

    fn signals(code: &str, place: Place, before: &[Before]) -> Vec<Signal> {
        let (country, place) = (code.parse().ok(), Some(place));
        Known { country, place, before: before.to_vec(), ..nothing() }.signals()
    }

    fn nothing() -> Known {
        let (network, before) = (Some(IpAddr::from([192, 0, 2, 7])), Vec::new());
        Known {
            now_unix: NOW,
            country: None,
            asn: None,
            anonymiser: false,
            place: None,
            network,
            before,
            complete: true,
            failures: 0,
            sprayed: 0,
        }
    }

    #[test]
    fn a_country_is_new_until_it_was_used_for_long_or_with_two_factors() {
        let home = before(30 * 24, "DE", BERLIN, false);
        let there = |hours, multi_factor| [before(hours, "JP", TOKYO, multi_factor), home];
        assert_eq!(signals("DE", BERLIN, &[]), [], "the first time nothing is new");
        assert_eq!(signals("DE", BERLIN, &[before(1, "DE", BERLIN, false)]), []);
        assert_eq!(signals("JP", TOKYO, &[home]), [Signal::NewCountry]);
        assert_eq!(signals("JP", TOKYO, &there(24, false)), [Signal::NewCountry], "once is not enough");
        assert_eq!(signals("JP", TOKYO, &there(24, true)), []);
        assert_eq!(signals("JP", TOKYO, &there(8 * 24, false)), []);
        assert_eq!(signals("ZZ", TOKYO, &[home]), [Signal::NewCountry], "what is not known is new, too");
        let unknown = Known { before: vec![home], ..nothing() };
        assert_eq!(unknown.signals(), [], "there is no database");
    }

    #[test]
    fn another_provider_is_new_and_an_anonymiser_is_never_known() {
        let at = |hours, asn, multi_factor| Before { asn: Some(Asn(asn)), ..before(hours, "DE", BERLIN, multi_factor) };
        let from =
            |asn: u32, before: &[Before]| Known { asn: Some(Asn(asn)), before: before.to_vec(), ..nothing() }.signals();
        let home = at(30 * 24, 64_500, false);
        assert_eq!(from(64_500, &[]), []);
        assert_eq!(from(64_500, &[home]), []);
        assert_eq!(from(64_501, &[home]), [Signal::NewAsn]);
        assert_eq!(from(64_501, &[at(1, 64_501, false), home]), [Signal::NewAsn], "once is not enough");
        assert_eq!(from(64_501, &[at(1, 64_501, true), home]), []);
        assert_eq!(from(64_501, &[at(8 * 24, 64_501, false), home]), []);
        assert_eq!(from(0, &[home]), [Signal::NewAsn], "what is not known is new, too");
        assert_eq!(Known { before: vec![home], ..nothing() }.signals(), [], "there is no database");
        let hidden = Known { anonymiser: true, before: vec![home], ..nothing() };
        assert_eq!((hidden.signals(), Signal::Anonymiser.risk()), (vec![Signal::Anonymiser], Risk::Medium));
    }

    #[test]
    fn nobody_is_in_two_places_at_once() {
        let both = [Signal::ImpossibleTravel, Signal::NewCountry];
        let old = before(30 * 24, "DE", BERLIN, false);
        assert_eq!(signals("JP", TOKYO, &[before(2, "DE", BERLIN, false), old]), both);
        assert_eq!(signals("JP", TOKYO, &[before(12, "DE", BERLIN, false), old]), [Signal::NewCountry], "a flight");
        let again = [before(1, "JP", TOKYO, false), before(2, "DE", BERLIN, false), old];
        assert_eq!(signals("JP", TOKYO, &again), both, "it does not help to have been there a moment ago");
        assert_eq!(signals("DE", BERLIN, &again), [], "nor does it harm who was here all the time");
        let near = Place { latitude: 48.1, longitude: 11.6 };
        assert_eq!(signals("DE", near, &[before(0, "DE", BERLIN, false), old]), [Signal::ImpossibleTravel]);
        let nearer = Place { latitude: 51.3, longitude: 12.4 };
        assert_eq!(signals("DE", nearer, &[before(0, "DE", BERLIN, false), old]), [], "databases are not that exact");
    }

    #[test]
    fn failures_count_from_some_number_on() {
        let known = |failures, sprayed| {
            let known = Known { failures, sprayed, ..nothing() }.signals();
            known.iter().map(|signal| signal.risk()).max().unwrap_or_default()
        };
        assert_eq!(known(RISK_FAILURES - 1, RISK_SPRAYED - 1), Risk::Low);
        assert_eq!(known(RISK_FAILURES, 0), Risk::Medium);
        assert_eq!(known(0, RISK_SPRAYED), Risk::High);
    }

    /// Whoever stole a password must not push the owner's sign-ins out of those that are read.
    #[test]
    fn the_oldest_that_was_read_is_not_the_first() {
        let before = vec![before(1, "JP", TOKYO, false), before(2, "JP", TOKYO, false)];
        let signals = |complete| {
            let (country, place) = ("JP".parse().ok(), Some(TOKYO));
            Known { country, place, before: before.clone(), complete, ..nothing() }.signals()
        };
        assert_eq!((signals(true), signals(false)), (vec![], vec![Signal::NewCountry]));
    }

    #[test]
    fn who_guesses_does_not_lock_out_who_has_always_been_there() {
        let spraying = |before: Before| Known { before: vec![before], sprayed: RISK_SPRAYED, ..nothing() }.signals();
        let at = |hours, network: [u8; 4], multi_factor| Before {
            network: Some(IpAddr::from(network)),
            ..before(hours, "DE", BERLIN, multi_factor)
        };
        let (here, elsewhere) = ([192, 0, 2, 7], [192, 0, 2, 8]);
        for (before, expected) in [
            (at(1, here, true), &[][..]),
            (at(8 * 24, here, false), &[]),
            (at(1, here, false), &[Signal::PasswordSpraying]),
            (at(8 * 24, elsewhere, true), &[Signal::PasswordSpraying]),
        ] {
            assert_eq!(spraying(before), expected, "{before:?}");
        }
    }

    #[test]
    fn a_session_began_once() {
        let record = |seq, session: Option<u128>| SignInRecord {
            seq,
            at_unix_ms: seq,
            tenant: TenantId::DEFAULT,
            user: None,
            login: "anna".into(),
            app: None,
            app_name: None,
            result: SignInResult::Success,
            code: None,
            methods: BTreeSet::new(),
            provider: None,
            source: None,
            user_agent: None,
            country: None,
            asn: None,
            device: None,
            device_state: None,
            policies: Vec::new(),
            session: session.map(SessionId),
            request: None,
            previous: ChainHash::ZERO,
            hash: ChainHash::ZERO,
        };
        let records = [record(6, Some(1)), record(5, None), record(4, Some(2)), record(3, Some(1)), record(2, None)];
        let began: Vec<u64> = began(&records).iter().map(|record| record.seq).collect();
        assert_eq!(began, [5, 4, 3, 2]);
    }
}
