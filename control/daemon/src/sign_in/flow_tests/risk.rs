//! What speaks for somebody else is a policy's to judge, at sign-in and for as long as the session lasts.

use postern_model::policy::Risk;

use super::*;
use crate::countries::{Countries, written};
use crate::store::SignIn;
use crate::store::sign_in::{Logged, SignInOutcome};

const BERLIN: [u8; 4] = [192, 0, 2, 7];
const TOKYO: [u8; 4] = [198, 51, 100, 7];

/// Anna's password from an address.
async fn from(world: &World, address: [u8; 4], password: &str) -> Step {
    let flow = asked(world.begin(None)).flow;
    let client = ClientInfo { address: IpAddr::from(address), ..client() };
    let (login, password) = ("anna".into(), SecretText::new(password.into()));
    super::super::password(&world.control, GivePassword { flow, login, password, keep: false, client }).await
}

/// An answer to what was asked for, from an address.
fn give_from(world: &World, address: [u8; 4], flow: &SecretText, answer: FactorAnswer) -> Step {
    let client = ClientInfo { address: IpAddr::from(address), ..client() };
    factor(&world.control, GiveFactor { flow: flow.clone(), answer, terms: None, client })
}

fn code(code: &str) -> FactorAnswer {
    FactorAnswer::Code(SecretText::new(code.into()))
}

fn locate(world: &mut World) {
    let path = world.folder.path().join("cities.mmdb");
    let entries = [("192.0.2.0/24", "DE", (52.5, 13.4)), ("198.51.100.0/24", "JP", (35.7, 139.7))];
    std::fs::write(&path, written::cities(&entries)).unwrap();
    world.control.countries = Some(Countries::open(&path).unwrap());
}

#[tokio::test]
async fn who_signs_in_here_and_far_away_proves_more() {
    let mut world = World::new("off").await;
    locate(&mut world);
    let risk = |world: &World, browser: &SecretText| world.session(browser).unwrap().risk;
    let here = world.signed_in(from(&world, BERLIN, PASSWORD).await).unwrap();
    assert_eq!(risk(&world, &here), Risk::Low);
    let there = world.signed_in(from(&world, TOKYO, PASSWORD).await).unwrap();
    assert_eq!(risk(&world, &there), Risk::High, "no policy asks: the session tells");
    world.set_policy(r#""conditions": {"risk_min": "medium"}, "grant": {"require": {"all": ["mfa"]}}"#);
    assert_eq!(problem(from(&world, TOKYO, PASSWORD).await), "policy-step-up", "again, nothing is known");
    assert_eq!(problem(world.begin(Some(&there))), "policy-step-up", "nor is the session enough");
    assert_eq!(world.logged().last().map(String::as_str), Some("policy-step-up"));
    // Not by way of their own page either.
    let AccountAnswer::Step(step) = world.account(&there, AccountAction::Add) else { panic!("a page") };
    assert_eq!(problem(*step), "policy-step-up");
    assert!(matches!(world.begin(Some(&here)), Step::Done(_)));
    assert!(matches!(from(&world, BERLIN, PASSWORD).await, Step::Done(_)));
    let world = world.restarted();
    assert_eq!((risk(&world, &here), risk(&world, &there)), (Risk::Low, Risk::High), "it is kept");
}

#[tokio::test]
async fn many_wrong_passwords_make_the_right_one_worth_less() {
    let world = World::new("off").await;
    world.set_policy(r#""conditions": {"risk_min": "medium"}, "grant": {"require": {"all": ["mfa"]}}"#);
    for nth in 1..crate::limits::RISK_FAILURES {
        assert_eq!(problem(from(&world, TOKYO, "wrong").await), "sign-in-wrong", "{nth}");
    }
    assert!(matches!(from(&world, BERLIN, PASSWORD).await, Step::Done(_)));
    from(&world, TOKYO, "wrong").await;
    assert_eq!(problem(from(&world, BERLIN, PASSWORD).await), "policy-step-up");
}

/// Where nothing is judged by risk, it takes from nobody what an application's own setting asks for.
#[tokio::test]
async fn without_policies_a_factor_is_set_up_at_any_risk() {
    let mut world = World::new("off").await;
    locate(&mut world);
    world.signed_in(from(&world, BERLIN, PASSWORD).await).unwrap();
    world.set_app(&[("mfa", "required")]);
    assert!(matches!(asked(from(&world, TOKYO, PASSWORD).await).factor, Factor::Enrol(_)));
}

/// What else did not succeed says nothing of who guesses.
#[tokio::test]
async fn wrong_passwords_count_and_no_other_failures() {
    let world = World::new("off").await;
    let first = world.signed_in(from(&world, BERLIN, PASSWORD).await).unwrap();
    let anna = world.session(&first).unwrap().user;
    let fail = |code, user, login: String| {
        let logged = Logged::cut(&login);
        let failed = SignIn::new(anna.tenant, logged, SignInOutcome::Failure(code));
        let mut draft = Draft::default();
        draft.sign_in(SignIn { user, source: Some(IpAddr::from(TOKYO)), ..failed });
        world.control.commit(&Actor::Control, draft).unwrap();
    };
    for nth in 0..crate::limits::RISK_SPRAYED {
        fail("not-assigned", Some(anna), format!("user{nth}"));
    }
    let low = world.signed_in(from(&world, TOKYO, PASSWORD).await).unwrap();
    assert_eq!(world.session(&low).unwrap().risk, Risk::Low);
    for nth in 0..crate::limits::RISK_FAILURES {
        fail("otp-wrong", Some(anna), format!("user{nth}"));
    }
    let medium = world.signed_in(from(&world, TOKYO, PASSWORD).await).unwrap();
    assert_eq!(world.session(&medium).unwrap().risk, Risk::Medium);
    for nth in 0..crate::limits::RISK_SPRAYED {
        fail("user-unknown", None, format!("user{nth}"));
    }
    let high = world.signed_in(from(&world, TOKYO, PASSWORD).await).unwrap();
    assert_eq!(world.session(&high).unwrap().risk, Risk::High);
}

#[tokio::test]
async fn another_provider_and_an_anonymiser_speak_for_somebody_else() {
    let mut world = World::new("off").await;
    let path = world.folder.path().join("systems.mmdb");
    let file = written::systems(&[("192.0.2.0/24", 64_500), ("198.51.100.0/24", 64_501)]);
    std::fs::write(&path, file).unwrap();
    world.control.systems = Some(crate::systems::Systems::open(&path).unwrap());
    let risk = |world: &World, step: Step| world.session(&world.signed_in(step).unwrap()).unwrap().risk;
    assert_eq!(risk(&world, from(&world, BERLIN, PASSWORD).await), Risk::Low, "the first is home");
    assert_eq!(risk(&world, from(&world, TOKYO, PASSWORD).await), Risk::Medium, "another provider");
    assert_eq!(risk(&world, from(&world, BERLIN, PASSWORD).await), Risk::Low);
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let set = |prefix: &str, anonymiser| {
        let request = postern_model::admin::SetNetwork { prefixes: vec![prefix.parse().unwrap()], anonymiser };
        let name = if anonymiser { "tor" } else { "hq" };
        crate::networks::set(&world.control, &Actor::Control, &tenant, name, request).unwrap();
    };
    set("192.0.2.0/24", false);
    assert_eq!(risk(&world, from(&world, BERLIN, PASSWORD).await), Risk::Low, "a corporate network is none");
    set("192.0.2.7/32", true);
    assert_eq!(risk(&world, from(&world, BERLIN, PASSWORD).await), Risk::Medium);
    world.set_policy(r#""conditions": {"asns": {"except": ["AS64500"]}}, "grant": {"require": {"all": ["mfa"]}}"#);
    assert!(matches!(from(&world, BERLIN, PASSWORD).await, Step::Done(_)));
    assert_eq!(problem(from(&world, TOKYO, PASSWORD).await), "policy-step-up");
}

/// Reading the log is what a sign-in costs most.
#[tokio::test]
async fn a_sign_in_is_judged_once_whatever_it_consists_of() {
    let world = World::new("required").await;
    let (secret, ..) = world.enrolled().await;
    super::terms::make(&world, "house", None);
    world.set_policy(super::terms::ASKS);
    let before = crate::sign_in::risk::ASSESSED.get();
    let ask = asked(world.after_password().await);
    let ask = asked(world.code(&ask.flow, &code_at(&secret, 0)));
    world.signed_in(world.give(&ask.flow, FactorAnswer::Terms(true))).unwrap();
    assert_eq!(crate::sign_in::risk::ASSESSED.get() - before, 1);
}

#[tokio::test]
async fn wrong_codes_of_a_sign_in_do_not_speak_against_itself() {
    let world = World::new("required").await;
    let (secret, ..) = world.enrolled().await;
    assert_eq!(problem(from(&world, BERLIN, "wrong").await), "sign-in-wrong");
    let mut ask = asked(world.after_password().await);
    for _ in 1..crate::limits::RISK_FAILURES {
        ask = asked(world.code(&ask.flow, "000000"));
    }
    let browser = world.signed_in(world.code(&ask.flow, &code_at(&secret, 0))).unwrap();
    assert_eq!(world.session(&browser).unwrap().risk, Risk::Low);
    let ask = asked(world.after_password().await);
    let browser = world.signed_in(world.code(&ask.flow, &code_at(&secret, 1))).unwrap();
    assert_eq!(world.session(&browser).unwrap().risk, Risk::Medium, "against the next they do");
}

/// The last step is one that anybody can take.
#[tokio::test]
async fn a_step_from_home_does_not_make_up_for_one_from_elsewhere() {
    let mut world = World::new("required").await;
    let (secret, ..) = world.enrolled().await;
    locate(&mut world);
    let ask = asked(from(&world, BERLIN, PASSWORD).await);
    world.signed_in(give_from(&world, BERLIN, &ask.flow, code(&code_at(&secret, 0)))).unwrap();
    super::terms::make(&world, "house", None);
    world.set_policy(super::terms::ASKS);
    let ask = asked(from(&world, BERLIN, PASSWORD).await);
    let ask = asked(give_from(&world, TOKYO, &ask.flow, code(&code_at(&secret, 1))));
    let browser = world.signed_in(give_from(&world, BERLIN, &ask.flow, FactorAnswer::Terms(true))).unwrap();
    assert_eq!(world.session(&browser).unwrap().risk, Risk::High);
}
