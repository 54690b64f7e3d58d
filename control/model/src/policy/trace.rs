//! Why a policy applies to a request or does not, in words: for `explain` and `what-if`. It asks the policy as it is written,
//! not as relays ask it; that both say the same is tested.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::decision::alone;
use super::{
    Asn, Choice, ClientKind, Country, Grant, Input, Outcome, People, Policy, PolicyState, Requirement, Scope, Strength,
    span,
};
use crate::Snapshot;
use crate::ids::{AppId, Name, PolicyId};
use crate::network::NetworkKey;
use crate::session::Subject;

/// What a policy makes of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// Which.
    pub policy: PolicyId,
    /// Its name.
    pub name: Name,
    /// Whether it is in force; what it says here it says in any state.
    pub state: PolicyState,
    /// Whether it applies, or would.
    pub applies: bool,
    /// Why: everything that makes it apply, or everything that keeps it from it.
    pub because: Vec<String>,
    /// What it asks for, and whether that is met; nothing where it does not apply.
    pub asks: Vec<String>,
    /// What it says by itself; nothing where it does not apply.
    pub outcome: Option<Outcome>,
}

/// What each policy of an application's tenant, those that are off included, makes of a request. Without a subject it is a
/// machine's.
#[must_use]
pub fn trace(
    snapshot: &Snapshot,
    subject: Option<&Subject>,
    app: AppId,
    input: &Input<'_>,
    now_unix: u64,
) -> Vec<Traced> {
    let own = snapshot.policies.values().filter(|policy| policy.id.tenant == app.tenant);
    own.map(|policy| Look { snapshot, policy, subject, app, input, now_unix }.traced()).collect()
}

struct Look<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    subject: Option<&'a Subject>,
    app: AppId,
    input: &'a Input<'a>,
    now_unix: u64,
}

/// One condition: whether it holds, and why.
struct Finding {
    holds: bool,
    words: String,
}

impl Finding {
    fn holds(words: impl Into<String>) -> Self {
        Self { holds: true, words: words.into() }
    }

    fn fails(words: impl Into<String>) -> Self {
        Self { holds: false, words: words.into() }
    }
}

impl Look<'_> {
    fn traced(&self) -> Traced {
        let findings: Vec<Finding> = [self.who(), self.apps()].into_iter().chain(self.conditions()).collect();
        let applies = findings.iter().all(|finding| finding.holds);
        let because = findings.into_iter().filter(|finding| finding.holds == applies).map(|finding| finding.words);
        Traced {
            policy: self.policy.id,
            name: self.policy.name.clone(),
            state: self.policy.state,
            applies,
            because: because.collect(),
            asks: if applies { self.asks() } else { Vec::new() },
            outcome: applies.then(|| alone(self.policy, self.input, self.now_unix)),
        }
    }

    fn who(&self) -> Finding {
        let who = &self.policy.who;
        let Some(subject) = self.subject else {
            let named = self.policy.conditions.clients.include.contains(&ClientKind::Service);
            return match (&who.include, named) {
                (Scope::All, true) => Finding::holds("it names clients of kind service"),
                (Scope::All | Scope::Only(_), _) => {
                    Finding::fails("a machine: only policies about everyone that name clients of kind service apply")
                }
            };
        };
        if let Some(excepted) = within(&who.except, subject) {
            return Finding::fails(format!("excepted: {excepted}"));
        }
        match &who.include {
            Scope::All => Finding::holds("everyone"),
            Scope::Only(people) => match within(people, subject) {
                Some(included) => Finding::holds(included),
                None => Finding::fails(format!("{} is not among those it is about", subject.login)),
            },
        }
    }

    fn apps(&self) -> Finding {
        let apps = &self.policy.apps;
        match &apps.include {
            _ if apps.except.contains(&self.app) => Finding::fails("the application is excepted"),
            Scope::All => Finding::holds("all applications"),
            Scope::Only(named) if named.contains(&self.app) => Finding::holds("the application is named"),
            Scope::Only(_) => Finding::fails("the application is not among those it is about"),
        }
    }

    fn conditions(&self) -> impl Iterator<Item = Finding> {
        let (input, conditions) = (self.input, &self.policy.conditions);
        let strength = if input.is_multi_factor() { Strength::MultiFactor } else { Strength::SingleFactor };
        let age_s = input.auth_age_s(self.now_unix);
        [
            self.networks(),
            choice("country", &conditions.countries, &input.country.unwrap_or(Country::UNKNOWN)),
            choice("autonomous system", &conditions.asns, &input.asn.unwrap_or(Asn::UNKNOWN)),
            choice("platform", &conditions.platforms, &input.platform),
            choice("client", &conditions.clients, &input.client),
            self.times(),
            self.methods(),
            conditions.strength.map(|only| Finding {
                holds: strength == only,
                words: format!("signed in {strength}, it is for {only}"),
            }),
            conditions.auth_age_min_s.map(|least| Finding {
                holds: age_s >= u64::from(least),
                words: format!("signed in {} ago, it is for {} and more", span(age_s), span(u64::from(least))),
            }),
            conditions.risk_min.map(|least| Finding {
                holds: input.risk >= least,
                words: format!("risk {}, it is for {least} and more", input.risk),
            }),
            choice("device", &conditions.devices, &input.device),
        ]
        .into_iter()
        .flatten()
    }

    fn networks(&self) -> Option<Finding> {
        let networks = &self.policy.conditions.networks;
        if networks.is_empty() {
            return None;
        }
        let Some(source) = self.input.source else {
            let words = "the source address is not known, so it is in no network";
            return Some(Finding { holds: networks.include.is_empty(), words: words.into() });
        };
        let is_in = |name: &&Name| {
            let key = NetworkKey { tenant: self.app.tenant, name: (*name).clone() };
            let network = self.snapshot.networks.get(&key);
            network.is_some_and(|network| network.prefixes.iter().any(|prefix| prefix.contains(source)))
        };
        let (included, excepted) = (networks.include.iter().find(is_in), networks.except.iter().find(is_in));
        Some(match (excepted, included) {
            (Some(name), _) => Finding::fails(format!("source {source} is in {name}, which is excepted")),
            (None, Some(name)) => Finding::holds(format!("source {source} is in {name}")),
            (None, None) if networks.include.is_empty() => {
                Finding::holds(format!("source {source} is not in {}", listed(&networks.except)))
            }
            (None, None) => Finding::fails(format!("source {source} is not in {}", listed(&networks.include))),
        })
    }

    fn times(&self) -> Option<Finding> {
        let times = &self.policy.conditions.times;
        if times.is_empty() {
            return None;
        }
        let is_in = |window: &&super::TimeWindow| window.contains(self.now_unix);
        Some(match (times.except.iter().find(is_in), times.include.iter().find(is_in)) {
            (Some(window), _) => Finding::fails(format!("the time is within {window}, which is excepted")),
            (None, Some(window)) => Finding::holds(format!("the time is within {window}")),
            (None, None) if times.include.is_empty() => {
                Finding::holds(format!("the time is outside {}", listed(&times.except)))
            }
            (None, None) => Finding::fails(format!("the time is outside {}", listed(&times.include))),
        })
    }

    fn methods(&self) -> Option<Finding> {
        let methods = &self.policy.conditions.methods;
        if methods.is_empty() {
            return None;
        }
        let own: BTreeSet<_> = self.input.methods().collect();
        let with = if own.is_empty() { "nothing".into() } else { listed(&own) };
        Some(match own.intersection(&methods.except).next() {
            Some(excepted) => Finding::fails(format!("signed in with {excepted}, which is excepted")),
            None if methods.include.is_empty() => Finding::holds(format!("signed in with {with}")),
            None => Finding {
                holds: !own.is_disjoint(&methods.include),
                words: format!("signed in with {with}, it is for {}", listed(&methods.include)),
            },
        })
    }

    fn asks(&self) -> Vec<String> {
        let (input, session, now_unix) = (self.input, &self.policy.session, self.now_unix);
        let mut asks = Vec::new();
        match &self.policy.grant {
            Grant::Block => asks.push("block".to_owned()),
            Grant::Require { all, any } => {
                let word =
                    |requirement: &Requirement| if input.meets(requirement, now_unix) { "met" } else { "not met" };
                asks.extend(all.iter().map(|requirement| format!("{requirement}: {}", word(requirement))));
                if !any.is_empty() {
                    let met = any.iter().find(|requirement| input.meets(requirement, now_unix));
                    let met = met.map_or_else(|| "not met".into(), |requirement| format!("met by {requirement}"));
                    asks.push(format!("one of {}: {met}", listed(any)));
                }
            }
        }
        let age = span(input.auth_age_s(self.now_unix));
        let counted = |what: &str, time_s: Option<u32>| {
            let time_s = u64::from(time_s?);
            let due = if input.auth_age_s(self.now_unix) >= time_s { "due" } else { "not due" };
            Some(format!("{what} {}: {due}, signed in {age} ago", span(time_s)))
        };
        let is_silent = input.is_too_silent(session);
        asks.extend(counted("sign in again every", session.sign_in_frequency_s).filter(|_| !is_silent));
        asks.extend(is_silent.then(|| "sign in again: due, a ticket or a device alone signed in".to_owned()));
        asks.extend(counted("session at most", session.lifetime_max_s));
        asks.extend(session.idle_max_s.map(|time_s| format!("session idle at most {}", span(u64::from(time_s)))));
        asks.extend(session.no_persistent.then(|| "session not beyond the browser's end".to_owned()));
        asks
    }
}

/// Through what somebody is among some people.
fn within(people: &People, subject: &Subject) -> Option<String> {
    if people.users.contains(&subject.id) {
        return Some(format!("user {}", subject.login));
    }
    if let Some((_, name)) = subject.groups.iter().find(|(id, _)| people.groups.contains(id)) {
        return Some(format!("group {name}"));
    }
    (people.guests && subject.guest).then(|| "guests".to_owned())
}

fn choice<T: Ord + Display>(what: &str, choice: &Choice<T>, value: &T) -> Option<Finding> {
    if choice.is_empty() {
        return None;
    }
    Some(if choice.except.contains(value) {
        Finding::fails(format!("{what} {value} is excepted"))
    } else if choice.include.is_empty() {
        Finding::holds(format!("{what} {value} is not {}", listed(&choice.except)))
    } else {
        let holds = choice.include.contains(value);
        let is = if holds { "is" } else { "is not" };
        Finding { holds, words: format!("{what} {value} {is} one of {}", listed(&choice.include)) }
    })
}

fn listed<T: Display>(values: &BTreeSet<T>) -> String {
    let shown: Vec<String> = values.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    let more = values.len().saturating_sub(SHOWN_MAX);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

const SHOWN_MAX: usize = 8;
