//! What single policies do.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::Tenant;
use crate::ids::SessionId;
use crate::network::Network;
use crate::session::{AuthMethod, SessionRecord, Subject};
use crate::{Snapshot, terms::AcceptedTerms};

mod cost;
mod entries;
mod properties;

const T: TenantId = TenantId::DEFAULT;
const APP: AppId = AppId::new(T, 1);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The third user, in the groups 1 and 2.
fn subject(guest: bool) -> Subject {
    Subject {
        id: UserId::new(T, 3),
        login: "anna".parse().unwrap(),
        display_name: "".parse().unwrap(),
        mail: None,
        attributes: BTreeMap::new(),
        guest,
        groups: [1, 2].map(|seq| (UserGroupId::new(T, seq), name(&format!("group{seq}")))).into(),
        expires_unix: None,
    }
}

fn session(methods: &[AuthMethod]) -> SessionRecord {
    SessionRecord {
        id: SessionId(1),
        user: subject(false),
        authenticated_unix: NOW,
        methods: methods.iter().copied().collect(),
        provider: None,
        expires_unix: NOW + 86_400,
        idle_s: 3_600,
        persistent: false,
        source: None,
        risk: Default::default(),
        terms: AcceptedTerms::default(),
        device: None,
        claimed_device: Default::default(),
    }
}

fn input<'a>(session: &'a SessionRecord, terms: &'a AcceptedTerms) -> Input<'a> {
    Input {
        session: Some(session),
        source: Some("192.0.2.7".parse().unwrap()),
        country: None,
        asn: None,
        platform: Platform::Linux,
        client: ClientKind::Browser,
        risk: Risk::Low,
        device: DeviceState::Unknown,
        terms,
        outlasts: false,
    }
}

/// A policy about everyone and everything that asks for two factors.
fn parts(seq: u32) -> PolicyParts {
    PolicyParts {
        id: PolicyId::new(T, seq),
        name: name(&format!("policy{seq}")),
        state: PolicyState::On,
        who: Who { include: Scope::All, except: People::default() },
        apps: Apps { include: Scope::All, except: BTreeSet::new() },
        conditions: Conditions::default(),
        grant: Grant::Require { all: BTreeSet::from([Requirement::Mfa]), any: BTreeSet::new() },
        session: SessionControls::default(),
    }
}

fn policy(seq: u32, change: impl FnOnce(&mut PolicyParts)) -> Policy {
    let mut parts = parts(seq);
    change(&mut parts);
    Policy::new(parts).unwrap()
}

/// With the networks hq (192.0.2.0/24) and lab (198.51.100.0/24).
fn state(policies: impl IntoIterator<Item = Policy>) -> Snapshot {
    let network = |named: &str, prefix: &str| {
        let network =
            Network { tenant: T, name: name(named), prefixes: vec![prefix.parse().unwrap()], anonymiser: false };
        (network.key(), network)
    };
    Snapshot {
        tenants: [(T, Tenant { id: T, name: name("default"), app_suffix: None })].into(),
        networks: [network("hq", "192.0.2.0/24"), network("lab", "198.51.100.0/24")].into(),
        policies: policies.into_iter().map(|policy| (policy.id, policy)).collect(),
        ..Snapshot::default()
    }
}

fn outcome<'p>(policies: impl IntoIterator<Item = &'p Policy>, input: &Input<'_>) -> Outcome {
    Policies::of(&state(policies.into_iter().cloned())).decide(&subject(false), APP, input, NOW).outcome
}

fn needs(steps: &[&[&str]]) -> Outcome {
    let step = |step: &&[&str]| Step(step.iter().map(|text| text.parse().unwrap()).collect());
    Outcome::NeedsStepUp { steps: steps.iter().map(step).collect() }
}

fn require(all: &[&str], any: &[&str]) -> Grant {
    let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Grant::Require { all: set(all), any: set(any) }
}

#[test]
fn the_most_restrictive_wins() {
    let (session, terms) = (session(&[AuthMethod::Password]), AcceptedTerms::default());
    let input = input(&session, &terms);
    let mfa = policy(1, |_| {});
    let device = policy(2, |p| p.grant = require(&["terms/guests"], &["compliant-device", "mfa"]));
    let block = policy(3, |p| p.grant = Grant::Block);
    assert_eq!(outcome([], &input), Outcome::Allow);
    assert_eq!(outcome([&mfa], &input), needs(&[&["mfa"]]));
    let step = outcome([&device], &input);
    assert_eq!(step, needs(&[&["terms/guests"], &["mfa", "compliant-device"]]));
    assert_eq!(step.to_string(), "needs one of (mfa, compliant-device) and terms/guests");
    let both = [mfa, device, block];
    assert_eq!(outcome(&both[..2], &input), needs(&[&["mfa"], &["terms/guests"]]), "two factors do for both");
    assert_eq!(outcome(&both, &input), Outcome::Block { policies: vec![PolicyId::new(T, 3)] });
}

#[test]
fn what_is_met_is_not_asked_for() {
    let accepted = AcceptedTerms::from_iter([name("guests")]);
    let session = session(&[AuthMethod::Password, AuthMethod::OneTimePassword]);
    let input = Input { device: DeviceState::Compliant, ..input(&session, &accepted) };
    let all = policy(1, |p| p.grant = require(&["mfa", "registered-device", "compliant-device", "terms/guests"], &[]));
    assert_eq!(outcome([&all], &input), Outcome::Allow);
    let registered = Input { device: DeviceState::Registered, ..input.clone() };
    assert_eq!(outcome([&all], &registered), needs(&[&["compliant-device"]]));
    let unknown = Input { device: DeviceState::Unknown, ..input };
    assert_eq!(outcome([&all], &unknown), needs(&[&["compliant-device"]]), "which is a registered one");
    let any = policy(1, |p| p.grant = require(&[], &["compliant-device", "mfa"]));
    assert_eq!(outcome([&any], &unknown), Outcome::Allow);
}

#[test]
fn sessions_are_bound_by_the_shortest() {
    let terms = AcceptedTerms::default();
    let mut record = session(&[AuthMethod::HardwareKey]);
    record.authenticated_unix = NOW - 3_600;
    let controls = |seq, session| policy(seq, move |p| (p.grant, p.session) = (require(&[], &[]), session));
    let long = controls(1, SessionControls { sign_in_frequency_s: Some(7_200), idle_max_s: Some(60), ..NONE });
    let short = controls(2, SessionControls { sign_in_frequency_s: Some(3_601), lifetime_max_s: Some(9_000), ..NONE });
    let both = [long.clone(), short];
    let policies = Policies::of(&state(both.clone()));
    let decision = policies.decide(&subject(false), APP, &input(&record, &terms), NOW);
    let merged = SessionControls {
        sign_in_frequency_s: Some(3_601),
        idle_max_s: Some(60),
        lifetime_max_s: Some(9_000),
        no_persistent: false,
    };
    assert_eq!((decision.outcome, decision.session), (Outcome::Allow, merged));
    record.authenticated_unix -= 1;
    assert_eq!(outcome(&both, &input(&record, &terms)), needs(&[&["reauthenticate"]]));
    assert_eq!(outcome([&long], &input(&record, &terms)), Outcome::Allow);

    let browser = controls(3, SessionControls { no_persistent: true, ..NONE });
    assert_eq!(outcome([&browser], &input(&record, &terms)), Outcome::Allow);
    let lasting = Input { outlasts: true, ..input(&record, &terms) };
    assert_eq!(outcome([&browser], &lasting), needs(&[&["reauthenticate"]]), "its application has the cookie last");
    record.persistent = true;
    assert_eq!(outcome([&browser], &input(&record, &terms)), needs(&[&["reauthenticate"]]));
    let may_end_with_browser = |policies: &[&Policy]| {
        Policies::of(&state(policies.iter().copied().cloned())).for_subject(&subject(false), APP).may_end_with_browser()
    };
    assert!(may_end_with_browser(&[&long, &browser]) && !may_end_with_browser(&[&long]) && !may_end_with_browser(&[]));
    assert!(!may_end_with_browser(&[&browser.with_state(PolicyState::ReportOnly)]), "it only reports");
    let whole = controls(4, SessionControls { lifetime_max_s: Some(3_600), ..NONE });
    assert_eq!(outcome([&whole], &input(&record, &terms)), needs(&[&["reauthenticate"]]));
}

#[test]
fn a_ticket_or_a_device_alone_is_no_sign_in_where_one_is_asked_for_from_time_to_time() {
    use AuthMethod::{Integrated, OneTimePassword, Password, SoftwareKey};
    let terms = AcceptedTerms::default();
    let controls = |seq, session| policy(seq, move |p| (p.grant, p.session) = (require(&[], &[]), session));
    let often = controls(1, SessionControls { sign_in_frequency_s: Some(3_600), ..NONE });
    let idle = controls(2, SessionControls { idle_max_s: Some(3_600), ..NONE });
    let whole = controls(3, SessionControls { lifetime_max_s: Some(3_600), ..NONE });
    for methods in [&[SoftwareKey][..], &[Integrated]] {
        let record = session(methods);
        let input = input(&record, &terms);
        for policy in [&often, &idle] {
            assert_eq!(outcome([policy], &input), needs(&[&["reauthenticate"]]), "{methods:?}");
            let traced = trace(&state([policy.clone()]), Some(&subject(false)), APP, &input, NOW);
            assert_eq!(traced[0].asks[0], "sign in again: due, a ticket or a device alone signed in");
        }
        assert_eq!(outcome([&whole], &input), Outcome::Allow, "{methods:?}");
        // What a provider says is its own: asked again it would say the same.
        let theirs = SessionRecord { provider: Some(name("entra")), ..record.clone() };
        assert_eq!(outcome([&often], &self::input(&theirs, &terms)), Outcome::Allow, "{methods:?}");
    }
    for methods in [&[Password][..], &[SoftwareKey, OneTimePassword], &[SoftwareKey, Password], &[]] {
        let record = session(methods);
        assert_eq!(outcome([&often, &idle], &input(&record, &terms)), Outcome::Allow, "{methods:?}");
    }
}

#[test]
fn each_condition_asks_for_its_input() {
    let (session, terms) = (session(&[AuthMethod::Password]), AcceptedTerms::default());
    let base = input(&session, &terms);
    let applies = |conditions: serde_json::Value, input: &Input<'_>| {
        let conditions = serde_json::from_value(conditions).unwrap();
        let policy = policy(1, |p| p.conditions = conditions);
        outcome([&policy], input) != Outcome::Allow
    };
    let at_lab = Input { source: Some("198.51.100.9".parse().unwrap()), ..base.clone() };
    let nowhere = Input { source: None, ..base.clone() };
    let german = Input { country: Some("DE".parse().unwrap()), ..base.clone() };
    let elsewhere = Input { asn: Some(Asn(64_500)), ..base.clone() };
    let phone = Input { platform: Platform::Ios, client: ClientKind::Native, ..base.clone() };
    let risky = Input { risk: Risk::High, device: DeviceState::Registered, ..base.clone() };
    for (conditions, on, off) in [
        (r#"{"networks":{"include":["hq"]}}"#, &base, &at_lab),
        (r#"{"networks":{"include":["hq"]}}"#, &base, &nowhere),
        (r#"{"networks":{"except":["hq"]}}"#, &at_lab, &base),
        (r#"{"networks":{"except":["hq"]}}"#, &nowhere, &base),
        (r#"{"countries":{"include":["DE","FR"]}}"#, &german, &base),
        (r#"{"countries":{"include":["ZZ"]}}"#, &base, &german),
        (r#"{"countries":{"except":["DE"]}}"#, &base, &german),
        (r#"{"asns":{"include":["AS64500","AS1"]}}"#, &elsewhere, &base),
        (r#"{"asns":{"include":["AS0"]}}"#, &base, &elsewhere),
        (r#"{"platforms":{"include":["ios"]}}"#, &phone, &base),
        (r#"{"platforms":{"except":["ios"]}}"#, &base, &phone),
        (r#"{"clients":{"include":["native","service"]}}"#, &phone, &base),
        (r#"{"risk_min":"medium"}"#, &risky, &base),
        (r#"{"devices":{"except":["unknown"]}}"#, &risky, &base),
        (r#"{"devices":{"include":["unknown"]}}"#, &base, &risky),
    ] {
        let conditions: serde_json::Value = serde_json::from_str(conditions).unwrap();
        assert!(applies(conditions.clone(), on), "{conditions} does not apply");
        assert!(!applies(conditions.clone(), off), "{conditions} applies");
    }
    for (conditions, expected) in [
        (r#"{"methods":{"include":["pwd","fed"]}}"#, true),
        (r#"{"methods":{"include":["hwk"]}}"#, false),
        (r#"{"methods":{"except":["pwd"]}}"#, false),
        (r#"{"strength":"single-factor"}"#, true),
        (r#"{"strength":"multi-factor"}"#, false),
        (r#"{"auth_age_min_s":1}"#, false),
        // The time is a Friday's noon.
        (r#"{"times":{"include":["mon-fri 08:00-18:00 UTC"]}}"#, true),
        (r#"{"times":{"except":["mon-fri 08:00-18:00 UTC"]}}"#, false),
        (r#"{"times":{"include":["fri 12:00-13:00 +01:00"]}}"#, false),
    ] {
        assert_eq!(applies(serde_json::from_str(conditions).unwrap(), &base), expected, "{conditions}");
    }
}

/// No state that was applied has one; what cannot be compared counts against the request.
#[test]
fn a_network_that_is_gone_lets_nobody_pass() {
    let (session, terms) = (session(&[]), AcceptedTerms::default());
    let input = input(&session, &terms);
    for conditions in [r#"{"networks":{"include":["gone"]}}"#, r#"{"networks":{"except":["gone"]}}"#] {
        let policy = policy(1, |p| p.conditions = serde_json::from_str(conditions).unwrap());
        assert_eq!(outcome([&policy], &input), needs(&[&["mfa"]]), "{conditions}");
    }
}

#[test]
fn machines_meet_only_what_names_them() {
    let terms = AcceptedTerms::default();
    let session = session(&[]);
    let input = Input { session: None, client: ClientKind::Service, ..input(&session, &terms) };
    let people = policy(1, |p| p.grant = Grant::Block);
    let machines = policy(2, |p| {
        p.conditions.clients.include.insert(ClientKind::Service);
        p.conditions.networks.except.insert(name("hq"));
        p.grant = Grant::Block;
    });
    let some = policy(3, |p| {
        p.conditions.clients.include.insert(ClientKind::Service);
        p.who.include = Scope::Only(People { guests: true, ..People::default() });
        p.grant = Grant::Block;
    });
    let snapshot = state([people, machines, some]);
    let applicable = Policies::of(&snapshot).for_service(APP);
    assert_eq!(applicable.decide(&input, NOW).outcome, Outcome::Allow);
    let outside = Input { source: Some("203.0.113.1".parse().unwrap()), ..input };
    let decision = applicable.decide(&outside, NOW);
    assert_eq!(decision.outcome, Outcome::Block { policies: vec![PolicyId::new(T, 2)] });
    let traced = trace(&snapshot, None, APP, &outside, NOW);
    assert_eq!(traced.iter().map(|traced| traced.applies).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn the_trace_names_the_input() {
    let (session, terms) = (session(&[AuthMethod::Password]), AcceptedTerms::default());
    let input = input(&session, &terms);
    let outside = policy(1, |p| {
        p.who.include = Scope::Only(People { groups: [UserGroupId::new(T, 2)].into(), ..People::default() });
        p.conditions.networks.except.insert(name("lab"));
        p.session.sign_in_frequency_s = Some(28_800);
    });
    let other = policy(2, |p| {
        p.state = PolicyState::Off;
        p.who.except.users.insert(UserId::new(T, 3));
        p.conditions.countries.include.insert("DE".parse().unwrap());
    });
    let traced = trace(&state([outside, other]), Some(&subject(false)), APP, &input, NOW);
    assert_eq!(traced[0].because, ["group group2", "all applications", "source 192.0.2.7 is not in lab"]);
    assert_eq!(traced[0].asks, ["mfa: not met", "sign in again every 8h: not due, signed in 0s ago"]);
    assert_eq!(traced[1].because, ["excepted: user anna", "country ZZ is not one of DE"]);
    assert!(!traced[1].applies && traced[1].asks.is_empty() && traced[1].state == PolicyState::Off);
}

const NONE: SessionControls =
    SessionControls { sign_in_frequency_s: None, idle_max_s: None, lifetime_max_s: None, no_persistent: false };
/// A Friday's noon: 2026-05-01T12:00:00Z.
const NOW: u64 = 1_777_636_800;
