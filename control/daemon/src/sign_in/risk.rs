//! How likely it is that somebody else signs in: by what the sign-in log tells of before, and by where addresses are.

use std::collections::BTreeSet;

use postern_model::admin::{SignInRecord, SignInResult};
use postern_model::chain::LogKind;
use postern_model::directory::User;
use postern_model::identity::ClientInfo;
use postern_model::policy::{Country, Risk};
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

/// Something that speaks for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Nobody gets so far in so short a time.
    ImpossibleTravel,
    NewCountry,
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
    place: Option<Place>,
    multi_factor: bool,
}

/// What is known when somebody signs in.
#[derive(Debug)]
struct Known {
    now_unix: u64,
    country: Option<Country>,
    place: Option<Place>,
    /// The last one first.
    before: Vec<Before>,
    /// Failures about this user, lately.
    failures: usize,
    /// Names that this network was wrong about, lately.
    sprayed: usize,
}

/// The risk of a sign-in that is about to succeed.
pub(super) fn assess(control: &Control, user: &User, client: &ClientInfo) -> Risk {
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
        result: Some(ResultFilter::Result(result)),
        ..SignInFilter::default()
    };
    let own = || Some(WhoSignedIn::User(user.id));
    let before = control.records(|store| store.sign_ins(&filter(own(), SignInResult::Success), all))?;
    let since = Times { since: Some(now_unix.saturating_sub(RISK_FAILURES_S) * 1_000), until: None };
    let lately = control.records(|store| store.between(LogKind::SignIn, since))?;
    let (mut failures, mut names) = (0, BTreeSet::new());
    if let Some((first, last)) = lately {
        let lately = Span { first, last, limit: RISK_FAILURES_READ, ..all };
        failures = control.records(|store| store.sign_ins(&filter(own(), SignInResult::Failure), lately))?.len();
        let others = control.records(|store| store.sign_ins(&filter(None, SignInResult::Failure), lately))?;
        let here = network(client.address);
        let same = others.into_iter().filter(|other| other.source.is_some_and(|source| network(source) == here));
        names.extend(same.map(|other| other.login));
    }
    Ok(Known {
        now_unix,
        country: control.country(client.address),
        place: control.place(client.address),
        before: before.iter().map(|record| Before::of(control, record)).collect(),
        failures,
        sprayed: names.len(),
    })
}

impl Before {
    /// Where it was is looked up now: databases get better.
    fn of(control: &Control, record: &SignInRecord) -> Self {
        Self {
            at_unix: record.at_unix_ms / 1_000,
            country: record.source.and_then(|source| control.country(source)),
            place: record.source.and_then(|source| control.place(source)),
            multi_factor: is_multi_factor(&record.methods),
        }
    }
}

impl Known {
    fn signals(&self) -> Vec<Signal> {
        let travel = self.is_impossible_travel().then_some(Signal::ImpossibleTravel);
        let is_new = !self.before.is_empty() && self.country.is_some() && !self.is_known(self.country);
        let country = is_new.then_some(Signal::NewCountry);
        let sprayed = (self.sprayed >= RISK_SPRAYED).then_some(Signal::PasswordSpraying);
        let failures = (self.failures >= RISK_FAILURES).then_some(Signal::Failures);
        [travel, country, sprayed, failures].into_iter().flatten().collect()
    }

    /// Whether the user's sign-ins made a country known. One that succeeded a moment ago does not, unless it took two factors:
    /// whoever stole a password could make theirs known by using it twice. The first one there is does: there is no other.
    fn is_known(&self, country: Option<Country>) -> bool {
        let first = self.before.len().saturating_sub(1);
        self.before.iter().enumerate().any(|(nth, before)| {
            let is_old = before.at_unix.saturating_add(RISK_KNOWN_S) <= self.now_unix;
            before.country == country && (before.multi_factor || is_old || nth == first)
        })
    }

    /// From where the user was last, as far as that is a country that they are known to be in.
    fn is_impossible_travel(&self) -> bool {
        let last = self.before.iter().find(|before| self.is_known(before.country));
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
            Self::NewCountry | Self::Failures => Risk::Medium,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000;
    const BERLIN: Place = Place { latitude: 52.5, longitude: 13.4 };
    const TOKYO: Place = Place { latitude: 35.7, longitude: 139.7 };

    fn before(hours_ago: u64, code: &str, place: Place, multi_factor: bool) -> Before {
        Before { at_unix: NOW - hours_ago * 3_600, country: code.parse().ok(), place: Some(place), multi_factor }
    }

    fn signals(code: &str, place: Place, before: &[Before]) -> Vec<Signal> {
        let (country, place) = (code.parse().ok(), Some(place));
        Known { now_unix: NOW, country, place, before: before.to_vec(), failures: 0, sprayed: 0 }.signals()
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
        let unknown = Known { now_unix: NOW, country: None, place: None, before: vec![home], failures: 0, sprayed: 0 };
        assert_eq!(unknown.signals(), [], "there is no database");
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
            let known =
                Known { now_unix: NOW, country: None, place: None, before: Vec::new(), failures, sprayed }.signals();
            known.iter().map(|signal| signal.risk()).max().unwrap_or_default()
        };
        assert_eq!(known(RISK_FAILURES - 1, RISK_SPRAYED - 1), Risk::Low);
        assert_eq!(known(RISK_FAILURES, 0), Risk::Medium);
        assert_eq!(known(0, RISK_SPRAYED), Risk::High);
    }
}
