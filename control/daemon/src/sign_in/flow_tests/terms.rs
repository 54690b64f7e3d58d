//! Terms of use: read and accepted before there is a session, or by one that is enough but for them.

use postern_model::admin::{CreateTerms, UpdateTerms};
use postern_model::identity::{TermsPage, TermsShown};
use postern_model::ids::Name;
use postern_model::session::SessionRecord;

use super::*;
use crate::store::{DirectoryChange, TermsChange};

pub(super) const ASKS: &str = r#""grant": {"require": {"all": ["terms/house"]}}"#;

pub(super) fn make(world: &World, name: &str, every_s: Option<u32>) {
    let text = "Wipe your feet.\n".to_owned().try_into().unwrap();
    let (name, title) = (name.parse().unwrap(), "House rules".parse().unwrap());
    let request = CreateTerms { name, title, text, format: Default::default(), every_s };
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    crate::terms::create(&world.control, &Actor::Control, &tenant, request).unwrap();
}

fn update(world: &World, again: bool) {
    let text = Some(("Wipe them well.\n".to_owned().try_into().unwrap(), Default::default()));
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let request = UpdateTerms { text, again, ..UpdateTerms::default() };
    crate::terms::update(&world.control, &Actor::Control, &tenant, "house", request).unwrap();
}

fn shown(step: Step) -> (SecretText, TermsPage) {
    let ask = asked(step);
    let Factor::Terms(page) = ask.factor else { panic!("no terms: {:?}", ask.factor) };
    (ask.flow, page)
}

fn accept(world: &World, flow: &SecretText) -> Step {
    world.give(flow, FactorAnswer::Terms(true))
}

fn record(world: &World, browser: &SecretText) -> SessionRecord {
    sessions::record_of(&world.control, &world.session(browser).unwrap()).unwrap().unwrap()
}

fn house() -> Name {
    "house".parse().unwrap()
}

#[tokio::test]
async fn terms_are_accepted_before_there_is_a_session_and_once() {
    let world = World::new("off").await;
    make(&world, "house", None);
    world.set_policy(ASKS);
    let (flow, page) = shown(world.after_password().await);
    assert_eq!((page.title.as_str(), page.version, page.again), ("House rules", 1, false));
    assert_eq!(page.text.as_str(), "Wipe your feet.\n");
    assert_eq!(problem(world.code(&flow, "123456")), "sign-in-over", "nothing else is an answer");
    let browser = world.signed_in(accept(&world, &flow)).unwrap();
    assert!(record(&world, &browser).terms.count(&house(), now_unix()), "relays are told");
    assert_eq!(problem(accept(&world, &flow)), "sign-in-over", "once");
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)));
    world.signed_in(world.after_password().await).unwrap();
    assert_eq!(world.logged(), ["terms-needed", "success", "success"]);
    let world = world.restarted();
    assert!(record(&world, &browser).terms.count(&house(), now_unix()), "it is kept");
}

#[tokio::test]
async fn who_declines_has_no_session_and_can_change_their_mind() {
    let world = World::new("off").await;
    make(&world, "house", None);
    world.set_policy(ASKS);
    let (flow, _) = shown(world.after_password().await);
    assert_eq!(problem(world.give(&flow, FactorAnswer::Terms(false))), "terms-declined");
    assert_eq!(problem(accept(&world, &flow)), "sign-in-over", "the answer was given");
    assert_eq!(world.control.sessions.borrow().len(), 0);
    assert_eq!(world.logged(), ["terms-needed", "terms-declined"]);
    let (flow, _) = shown(world.after_password().await);
    world.signed_in(accept(&world, &flow)).unwrap();
}

#[tokio::test]
async fn a_session_that_is_enough_but_for_terms_stays() {
    let world = World::new("off").await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    make(&world, "house", None);
    make(&world, "lab", None);
    world.set_policy(r#""grant": {"require": {"all": ["terms/house", "terms/lab"]}}"#);
    let before = world.session(&browser).unwrap().id;
    let (flow, _) = shown(world.begin(Some(&browser)));
    let (flow, _) = shown(accept(&world, &flow));
    assert_eq!(world.signed_in(accept(&world, &flow)), None, "the browser has what it had");
    assert_eq!(world.session(&browser).unwrap().id, before);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)));
    assert_eq!(world.logged(), ["success", "terms-needed", "terms-needed"]);
    // A session that ended meanwhile is not brought back by it.
    update(&world, true);
    let (flow, _) = shown(world.begin(Some(&browser)));
    end(&world.control, before);
    assert_eq!(problem(accept(&world, &flow)), "sign-in-over");
}

#[tokio::test]
async fn a_new_version_is_asked_for_again_where_that_is_wanted() {
    let world = World::new("off").await;
    make(&world, "house", None);
    world.set_policy(ASKS);
    let (flow, _) = shown(world.after_password().await);
    let browser = world.signed_in(accept(&world, &flow)).unwrap();
    update(&world, false);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "they accepted a version that counts");
    update(&world, true);
    assert!(!record(&world, &browser).terms.count(&house(), now_unix()), "at once");
    let (flow, page) = shown(world.begin(Some(&browser)));
    assert_eq!((page.version, page.again), (3, true));
    // What was shown is what is accepted, not what is there by then.
    update(&world, true);
    let (flow, page) = shown(accept(&world, &flow));
    assert_eq!(page.version, 4);
    assert!(matches!(accept(&world, &flow), Step::Done(_)));
}

#[tokio::test]
async fn an_answer_to_other_terms_than_are_shown_records_nothing() {
    let world = World::new("off").await;
    make(&world, "house", None);
    make(&world, "lab", None);
    world.set_policy(r#""grant": {"require": {"all": ["terms/house", "terms/lab"]}}"#);
    let give = |flow: &SecretText, accepts: bool, name: &str, version: u32| {
        let (answer, terms) = (FactorAnswer::Terms(accepts), Some(TermsShown { name: name.parse().unwrap(), version }));
        factor(&world.control, GiveFactor { flow: flow.clone(), answer, terms, client: client() })
    };
    let (flow, page) = shown(world.after_password().await);
    assert_eq!((page.name, page.version), (Some(house()), 1));
    for (name, version) in [("house", 2), ("lab", 1), ("zoo", 1)] {
        for accepts in [true, false] {
            let (_, page) = shown(give(&flow, accepts, name, version));
            assert_eq!((page.name, page.version), (Some(house()), 1), "{name} {version} {accepts}");
        }
    }
    // Somebody clicks twice, and has not read what the first click led to.
    for click in 1..=2 {
        let (_, page) = shown(give(&flow, true, "house", 1));
        assert_eq!(page.name, Some("lab".parse().unwrap()), "{click}");
    }
    let browser = world.signed_in(give(&flow, true, "lab", 1)).unwrap();
    update(&world, true);
    let (flow, _) = shown(world.begin(Some(&browser)));
    let (_, page) = shown(give(&flow, true, "house", 1));
    assert_eq!((page.name, page.version), (Some(house()), 2), "nor with a session");
    assert!(!record(&world, &browser).terms.count(&house(), now_unix()));
    assert!(matches!(give(&flow, true, "house", 2), Step::Done(_)));
    assert!(record(&world, &browser).terms.count(&house(), now_unix()));
}

#[tokio::test]
async fn what_is_to_be_accepted_every_so_often_is() {
    let world = World::new("off").await;
    make(&world, "house", Some(3_600));
    world.set_policy(ASKS);
    let anna = world.control.directory(|store| store.users_after(TenantId::DEFAULT, 0, 1)).unwrap()[0].id;
    for (ago, asks) in [(3_599, false), (3_600, true)] {
        let mut draft = Draft::default();
        let accepted = TermsChange::Accepted(anna, house(), 1, now_unix() - ago + u64::from(!asks));
        draft.directory(DirectoryChange::Terms(accepted));
        world.control.commit(&Actor::Control, draft).unwrap();
        let step = world.after_password().await;
        assert_eq!(matches!(&step, Step::Ask(ask) if matches!(ask.factor, Factor::Terms(_))), asks, "{ago}: {step:?}");
    }
}

#[tokio::test]
async fn what_a_relay_missed_is_shown_and_what_is_not_there_is_said() {
    let world = World::new("off").await;
    make(&world, "house", None);
    let browser = world.signed_in(world.after_password().await).unwrap();
    let missing = |any: &str| Missed { terms: [any.parse().unwrap()].into(), ..Missed::default() };
    // Whatever policies say here: else the browser would go round and round.
    let (flow, _) = shown(world.begin_missing(Some(&browser), missing("house")));
    assert!(matches!(accept(&world, &flow), Step::Done(_)));
    assert!(matches!(world.begin_missing(Some(&browser), missing("house")), Step::Done(_)));
    assert_eq!(problem(world.begin_missing(Some(&browser), missing("other"))), "policy-step-up");
}

#[tokio::test]
async fn a_second_factor_comes_first_and_is_used_up_by_then() {
    let world = World::new("required").await;
    let (secret, ..) = world.enrolled().await;
    make(&world, "house", None);
    world.set_policy(ASKS);
    let ask = asked(world.after_password().await);
    assert!(matches!(ask.factor, Factor::Second(_)));
    let code = code_at(&secret, 0);
    let (flow, _) = shown(world.code(&ask.flow, &code));
    let other = asked(world.after_password().await);
    assert_eq!(problem(world.code(&other.flow, &code)), "sign-in-code-wrong", "its code was used");
    let browser = world.signed_in(accept(&world, &flow)).unwrap();
    assert!(is_multi_factor(&world.session(&browser).unwrap().methods));
}

const EITHER: &str = r#""grant": {"require": {"any": ["terms/house", "terms/lab"]}}"#;

#[tokio::test]
async fn who_declines_the_first_of_two_that_do_is_shown_the_other() {
    let world = World::new("off").await;
    make(&world, "house", None);
    make(&world, "lab", None);
    world.set_policy(EITHER);
    let decline = |flow: &SecretText| world.give(flow, FactorAnswer::Terms(false));
    let (flow, page) = shown(world.after_password().await);
    assert_eq!(page.instead.as_deref(), Some("House rules"), "that there are others is said");
    let (flow, page) = shown(decline(&flow));
    assert_eq!(page.instead, None);
    let browser = world.signed_in(accept(&world, &flow)).unwrap();
    let terms = record(&world, &browser).terms;
    let lab = "lab".parse().unwrap();
    assert_eq!((terms.count(&house(), now_unix()), terms.count(&lab, now_unix())), (false, true));
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "one is enough");
    assert_eq!(world.logged(), ["terms-needed", "terms-needed", "success"]);
}

#[tokio::test]
async fn who_declines_all_that_would_do_stays_out_and_begins_with_the_first() {
    let world = World::new("off").await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    make(&world, "house", None);
    make(&world, "lab", None);
    make(&world, "zoo", None);
    world.set_policy(r#""grant": {"require": {"all": ["terms/zoo"], "any": ["terms/house", "terms/lab"]}}"#);
    let decline = |flow: &SecretText| world.give(flow, FactorAnswer::Terms(false));
    let of_session = Some(&browser);
    for of in [None, of_session] {
        let first = if of.is_none() { world.after_password().await } else { world.begin(of) };
        let (flow, page) = shown(first);
        assert!(page.instead.is_some());
        let (flow, _) = shown(decline(&flow));
        assert_eq!(problem(decline(&flow)), "terms-declined", "the others are not asked for then");
        assert_eq!(problem(accept(&world, &flow)), "sign-in-over");
    }
    let (flow, page) = shown(world.begin(of_session));
    assert!(page.instead.is_some(), "they changed their mind");
    let (flow, page) = shown(accept(&world, &flow));
    assert_eq!(page.instead, None, "zoo");
    assert!(matches!(accept(&world, &flow), Step::Done(_)));
    assert!(record(&world, &browser).terms.count(&house(), now_unix()));
}

#[tokio::test]
async fn terms_that_are_not_there_are_no_dead_end_where_others_do() {
    let world = World::new("off").await;
    make(&world, "lab", None);
    world.set_policy(EITHER);
    let missed = || Missed { terms: ["house~lab".parse().unwrap()].into(), ..Missed::default() };
    let (flow, page) = shown(world.after_password().await);
    assert_eq!(page.instead, None, "nobody is promised what is not there");
    let browser = world.signed_in(accept(&world, &flow)).unwrap();
    assert!(matches!(world.begin_missing(Some(&browser), missed()), Step::Done(_)));
    // Those that are shown may be gone by the answer.
    let world = World::new("off").await;
    make(&world, "house", None);
    make(&world, "lab", None);
    let browser = world.signed_in(world.after_password().await).unwrap();
    let (flow, _) = shown(world.begin_missing(Some(&browser), missed()));
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    crate::terms::remove(&world.control, &Actor::Control, &tenant, "house").unwrap();
    let (flow, _) = shown(accept(&world, &flow));
    assert!(!record(&world, &browser).terms.count(&house(), now_unix()));
    assert!(matches!(accept(&world, &flow), Step::Done(_)));
    let neither = Missed { terms: ["mars~venus".parse().unwrap()].into(), ..Missed::default() };
    assert_eq!(problem(world.begin_missing(Some(&browser), neither)), "policy-step-up");
}
