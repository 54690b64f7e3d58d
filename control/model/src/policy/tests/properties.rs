//! What holds of any policies and any requests.

use proptest::prelude::*;

use super::entries::Ids;
use super::*;

fn subset<T: std::fmt::Debug + Clone + Ord + 'static>(of: Vec<T>) -> impl Strategy<Value = BTreeSet<T>> {
    let most = of.len().min(2);
    prop::sample::subsequence(of, 0..=most).prop_map(|values| values.into_iter().collect())
}

fn choice<T: std::fmt::Debug + Clone + Ord + 'static>(of: Vec<T>) -> impl Strategy<Value = Choice<T>> {
    let any = Just(Choice::default());
    let some = (subset(of.clone()), subset(of)).prop_map(|(include, except)| Choice { include, except });
    prop_oneof![3 => any, 1 => some]
}

fn any_people() -> impl Strategy<Value = People> {
    let users = subset((2..5).map(|seq| UserId::new(T, seq)).collect());
    let groups = subset((1..4).map(|seq| UserGroupId::new(T, seq)).collect());
    (users, groups, any::<bool>()).prop_map(|(users, groups, guests)| People { users, groups, guests })
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let windows = ["fri 12:00-13:00 UTC", "sat,sun 00:00-24:00 UTC", "mon-fri 22:00-06:00 +02:00"];
    let choices = (
        choice(vec![name("hq"), name("lab"), name("gone")]),
        choice(["DE", "FR", "ZZ"].map(|code| code.parse().unwrap()).to_vec()),
        choice(vec![Asn::UNKNOWN, Asn(64_500), Asn(64_501)]),
        choice(Platform::ALL.to_vec()),
        choice(ClientKind::ALL.to_vec()),
        choice(windows.map(|text| text.parse().unwrap()).to_vec()),
        choice(AuthMethod::ALL.to_vec()),
        choice(DeviceState::ALL.to_vec()),
    );
    let rest = (
        prop::option::weighted(0.2, prop::sample::select(Strength::ALL)),
        prop::option::weighted(0.2, 1u32..200),
        prop::option::weighted(0.2, prop::sample::select(Risk::ALL)),
    );
    (choices, rest).prop_map(|(choices, (strength, auth_age_min_s, risk_min))| {
        let (networks, countries, asns, platforms, clients, times, methods, devices) = choices;
        Conditions {
            networks,
            countries,
            asns,
            platforms,
            clients,
            times,
            methods,
            strength,
            auth_age_min_s,
            risk_min,
            devices,
        }
    })
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let requirements = ["mfa", "registered-device", "compliant-device", "terms/house"];
    let set = move || subset(requirements.map(|text| text.parse::<Requirement>().unwrap()).to_vec());
    prop_oneof![1 => Just(Grant::Block), 4 => (set(), set()).prop_map(|(all, any)| Grant::Require { all, any })]
}

fn any_session() -> impl Strategy<Value = SessionControls> {
    let time = || prop::option::weighted(0.3, 1u32..200);
    (time(), time(), time(), any::<bool>()).prop_map(|(sign_in_frequency_s, idle_max_s, lifetime_max_s, persistent)| {
        SessionControls { sign_in_frequency_s, idle_max_s, lifetime_max_s, no_persistent: !persistent }
    })
}

fn any_parts() -> impl Strategy<Value = PolicyParts> {
    let apps = || subset(vec![APP, AppId::new(T, 2)]);
    let who = prop_oneof![Just(Scope::All), any_people().prop_map(Scope::Only)];
    let about = prop_oneof![Just(Scope::All), apps().prop_map(Scope::Only)];
    let state = prop::sample::select(PolicyState::ALL);
    let nobody = prop_oneof![3 => Just(People::default()), 1 => any_people()];
    let no_apps = prop_oneof![3 => Just(BTreeSet::new()), 1 => apps()];
    (state, who, nobody, about, no_apps, any_conditions(), any_grant(), any_session()).prop_map(
        |(state, include, except, about, except_apps, conditions, grant, session)| PolicyParts {
            state,
            who: Who { include, except },
            apps: Apps { include: about, except: except_apps },
            conditions,
            session: if grant == Grant::Block { NONE } else { session },
            grant,
            ..parts(1)
        },
    )
}

/// Policies that make sense, each with its own id.
fn any_policies() -> impl Strategy<Value = Vec<Policy>> {
    so_many(0..7)
}

fn so_many(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Policy>> {
    prop::collection::vec(any_parts().prop_filter_map("no policy", |parts| Policy::new(parts).ok()), count).prop_map(
        |policies| {
            let numbered = policies.into_iter().zip(1..);
            numbered
                .map(|(policy, seq)| Policy::new(PolicyParts { id: PolicyId::new(T, seq), ..policy.parts() }).unwrap())
                .collect()
        },
    )
}

#[derive(Debug, Clone)]
struct Request {
    session: SessionRecord,
    terms: AcceptedTerms,
    source: Option<std::net::IpAddr>,
    country: Option<Country>,
    asn: Option<Asn>,
    platform: Platform,
    client: ClientKind,
    risk: Risk,
    device: DeviceState,
    now_unix: u64,
}

impl Request {
    fn input(&self) -> Input<'_> {
        Input {
            session: Some(&self.session),
            source: self.source,
            country: self.country,
            asn: self.asn,
            platform: self.platform,
            client: self.client,
            risk: self.risk,
            device: self.device,
            terms: &self.terms,
            outlasts: false,
        }
    }

    fn decide(&self, snapshot: &Snapshot) -> Decision {
        Policies::of(snapshot).decide(&self.session.user, APP, &self.input(), self.now_unix)
    }
}

fn any_request() -> impl Strategy<Value = Request> {
    let sources = ["192.0.2.7", "198.51.100.9", "203.0.113.1"].map(|text| text.parse().unwrap()).to_vec();
    let who = (any::<bool>(), any::<bool>(), subset(AuthMethod::ALL.to_vec()), 0u64..220);
    let from = (
        prop::option::of(prop::sample::select(sources)),
        prop::option::of(prop::sample::select(vec!["DE".parse().unwrap(), "US".parse().unwrap()])),
        prop::option::of(prop::sample::select(vec![Asn(64_500), Asn(64_501)])),
        prop::sample::select(Platform::ALL),
        prop::sample::select(ClientKind::ALL),
        prop::sample::select(Risk::ALL),
        prop::sample::select(DeviceState::ALL),
    );
    (who, from, subset(vec![name("house")]), 0u64..14).prop_map(|(who, from, terms, half_days)| {
        let ((guest, persistent, methods, age_s), now_unix) = (who, NOW + half_days * 43_200);
        let record = session(&[]);
        let authenticated_unix = now_unix - age_s;
        let session = SessionRecord { user: subject(guest), persistent, methods, authenticated_unix, ..record };
        let (source, country, asn, platform, client, risk, device) = from;
        let terms = terms.into_iter().collect();
        Request { session, terms, source, country, asn, platform, client, risk, device, now_unix }
    })
}

/// Whether everything that does for the one does for the other.
fn is_no_weaker(than: &Outcome, found: &Outcome) -> bool {
    match (than, found) {
        (Outcome::Allow, _) | (_, Outcome::Block { .. }) => true,
        (Outcome::NeedsStepUp { steps: than }, Outcome::NeedsStepUp { steps: found }) => {
            than.iter().all(|step| found.iter().any(|narrower| narrower.is_within(step)))
        }
        (Outcome::NeedsStepUp { .. } | Outcome::Block { .. }, Outcome::Allow)
        | (Outcome::Block { .. }, Outcome::NeedsStepUp { .. }) => false,
    }
}

/// The trace, which looks at one policy after the other, says what was decided.
fn is_traced(policies: Vec<Policy>, request: &Request) -> Result<(), TestCaseError> {
    // A network that is gone is in no state that was applied; there the two need not agree.
    let known = |p: &Policy| p.networks().all(|network| network.as_str() != "gone");
    let snapshot = state(policies.into_iter().filter(known));
    let decision = request.decide(&snapshot);
    let traced = trace(&snapshot, Some(&request.session.user), APP, &request.input(), request.now_unix);
    let applied = |state| traced.iter().filter(move |t| t.applies && t.state == state);
    let in_force: Vec<PolicyId> = applied(PolicyState::On).map(|traced| traced.policy).collect();
    prop_assert_eq!(&in_force, &decision.applied, "{:?}", traced);
    let reported: Vec<Reported> = applied(PolicyState::ReportOnly)
        .map(|traced| Reported { policy: traced.policy, outcome: traced.outcome.clone().unwrap() })
        .collect();
    prop_assert_eq!(&reported, &decision.report_only);
    prop_assert!(traced.iter().all(|traced| !traced.because.is_empty()));
    Ok(())
}

proptest! {
    #[test]
    fn a_further_policy_never_allows_more(policies in any_policies(), request in any_request()) {
        let without = policies.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default();
        let (before, after) = (request.decide(&state(without)), request.decide(&state(policies)));
        prop_assert!(is_no_weaker(&before.outcome, &after.outcome), "{before:?} => {after:?}");
        prop_assert_eq!(before.session.and(after.session), after.session);
    }

    #[test]
    fn what_only_reports_or_is_off_changes_nothing(policies in any_policies(), request in any_request()) {
        let in_force: Vec<Policy> = policies.iter().filter(|p| p.state == PolicyState::On).cloned().collect();
        let (all, some) = (request.decide(&state(policies.clone())), request.decide(&state(in_force)));
        prop_assert_eq!((&all.outcome, all.session, &all.applied), (&some.outcome, some.session, &some.applied));
        let reported = |id| policies.iter().any(|p| p.id == id && p.state == PolicyState::ReportOnly);
        prop_assert!(all.report_only.iter().all(|report| reported(report.policy)));
    }

    #[test]
    fn their_order_does_not_matter(policies in any_policies(), request in any_request()) {
        // Ids are given the other way round: whatever follows their order does.
        let count = policies.len() as u32;
        let turned = policies.iter().map(|policy| {
            Policy::new(PolicyParts { id: PolicyId::new(T, count + 1 - policy.id.seq), ..policy.parts() }).unwrap()
        });
        let (one, other) = (request.decide(&state(policies.clone())), request.decide(&state(turned)));
        prop_assert_eq!(one.session, other.session);
        prop_assert_eq!(one.applied.len(), other.applied.len());
        prop_assert!(is_no_weaker(&one.outcome, &other.outcome) && is_no_weaker(&other.outcome, &one.outcome));
    }

    #[test]
    fn exceptions_beat_what_is_included(policies in any_policies(), request in any_request()) {
        let except = |policy: &Policy| {
            let mut parts = policy.parts();
            parts.who.except.users.insert(request.session.user.id);
            Policy(Arc::new(parts))
        };
        let decision = request.decide(&state(policies.iter().map(except)));
        prop_assert_eq!((decision.outcome, decision.applied.len()), (Outcome::Allow, 0));
    }

    #[test]
    fn the_trace_says_what_was_decided(policies in any_policies(), request in any_request()) {
        is_traced(policies, &request)?;
    }

    #[test]
    fn a_policy_is_written_as_it_is_read(policies in any_policies()) {
        for policy in policies {
            let json = serde_json::to_string(&policy).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Policy>(&json).unwrap(), &policy);
            let entry = PolicyEntry::of(&policy, &Ids);
            let json = serde_json::to_string(&entry).unwrap();
            let entry: PolicyEntry = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(entry.policy(policy.id, policy.name.clone(), &Ids), Ok(policy));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
        let _ = (text.parse::<Requirement>(), text.parse::<StepUp>(), text.parse::<Platform>(), text.parse::<Country>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_trace_says_what_was_decided_by_many(policies in so_many(60..200), request in any_request()) {
        is_traced(policies, &request)?;
    }
}
