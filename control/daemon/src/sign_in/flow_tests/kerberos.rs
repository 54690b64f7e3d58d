//! Kerberos tickets: where they count, whose they are, and what they are not enough for.

use postern_model::admin::{SetNetwork, SetUser};
use postern_model::negotiate::{GiveTicket, KerberosSignIn, TicketOutcome};
use postern_model::network::Network;
use postern_model::portal::BeginPortal;
use postern_model::session::AuthMethod;
use postern_model::sso::SsoLogin;

use super::*;
use crate::limits::GUESSES_SOURCE_FREE;
use crate::{kerberos, networks};

pub(super) const ANNA: &str = "Anna@CORP.TEST";
const ELSEWHERE: [u8; 4] = [203, 0, 113, 7];

fn tenant(world: &World) -> postern_model::config::Tenant {
    identity::default_tenant(&world.control.snapshot()).unwrap()
}

/// Tickets of CORP.TEST count on this host.
pub(super) async fn world(mfa: &str) -> World {
    let world = World::new(mfa).await;
    let network = SetNetwork { prefixes: vec!["127.0.0.0/8".parse().unwrap()], anonymiser: false };
    networks::set(&world.control, &Actor::Control, &tenant(&world), "corp", network).unwrap();
    set(&world, SsoLogin::UserPart);
    world
}

fn set(world: &World, login: SsoLogin) {
    let settings = KerberosSignIn { realms: vec!["CORP.TEST".into()], networks: vec!["corp".parse().unwrap()], login };
    kerberos::set(&world.control, &Actor::Control, &tenant(world), settings).unwrap();
}

pub(super) fn give(world: &World, flow: &SecretText, outcome: TicketOutcome, client: ClientInfo) -> Step {
    ticket(&world.control, GiveTicket { flow: flow.clone(), outcome, client })
}

pub(super) fn good(principal: &str) -> TicketOutcome {
    TicketOutcome::Principal(principal.into())
}

/// The whole of it, from here.
fn shown(world: &World, principal: &str) -> Step {
    let flow = asked(world.begin(None)).flow;
    give(world, &flow, good(principal), client())
}

fn user(world: &World, login: &str, change: serde_json::Value) {
    let change: SetUser = serde_json::from_value(change).unwrap();
    users::set(&world.control, &Actor::Control, &tenant(world), login, change).unwrap();
}

/// Nothing came of it, and nothing is said.
fn is_plain(step: Step) -> bool {
    let ask = asked(step);
    ask.factor == Factor::Password && ask.problem.is_none() && !ask.negotiate
}

#[tokio::test]
async fn a_ticket_is_one_factor_and_recorded_as_what_it_is() {
    let world = world("off").await;
    assert!(asked(world.begin(None)).negotiate);
    let browser = world.signed_in(shown(&world, ANNA)).unwrap();
    let session = world.session(&browser).unwrap();
    assert_eq!(session.methods, [AuthMethod::Integrated].into());
    assert!(!is_multi_factor(&session.methods) && session.provider.is_none() && !session.persistent);
    assert_eq!(world.logged(), ["success"]);
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)));
}

#[tokio::test]
async fn tickets_count_where_they_are_asked_for_and_nowhere_else() {
    let world = world("off").await;
    let flow = asked(world.begin(None)).flow;
    let elsewhere = ClientInfo { address: IpAddr::from(ELSEWHERE), ..client() };
    assert!(is_plain(give(&world, &flow, good(ANNA), elsewhere)), "another network");
    let again = Missed { again: true, ..Missed::default() };
    let asked_again = asked(world.begin_missing(None, again));
    assert!(!asked_again.negotiate, "who is to prove anew who they are");
    assert!(is_plain(give(&world, &asked_again.flow, good(ANNA), client())));
    kerberos::remove(&world.control, &Actor::Control, &tenant(&world)).unwrap();
    assert!(!asked(world.begin(None)).negotiate);
    assert!(is_plain(give(&world, &flow, good(ANNA), client())), "it was turned off meanwhile");
    let world = World::new("off").await;
    assert!(is_plain(shown(&world, ANNA)), "it is off by default");
    assert!(world.logged().is_empty());
}

#[tokio::test]
async fn a_ticket_signs_in_to_my_apps_as_to_an_application() {
    let world = world("off").await;
    let begin = |client| begin_portal(&world.control, &BeginPortal { tenant: None, browser: None, client });
    let ask = asked(begin(client()));
    assert!(ask.negotiate);
    let Step::Done(done) = give(&world, &ask.flow, good(ANNA), client()) else { panic!("not signed in") };
    assert_eq!(done.location, "https://login.example.com/");
    let session = world.session(&done.browser.unwrap().secret).unwrap();
    assert_eq!(session.methods, [AuthMethod::Integrated].into());
    assert!(is_plain(begin(ClientInfo { address: IpAddr::from(ELSEWHERE), ..client() })), "another network");
}

#[tokio::test]
async fn a_flow_is_led_on_once_and_only_at_its_beginning() {
    let world = world("off").await;
    let flow = asked(world.begin(None)).flow;
    world.signed_in(give(&world, &flow, good(ANNA), client()));
    assert_eq!(problem(give(&world, &flow, good(ANNA), client())), "sign-in-over");
    let nobodys = SecretText::new("A".repeat(43));
    assert_eq!(problem(give(&world, &nobodys, good(ANNA), client())), "sign-in-over");
}

#[tokio::test]
async fn whoever_is_not_exactly_one_active_user_stays_out() {
    let world = world("off").await;
    let cases = [
        ("anna@OTHER.TEST", "kerberos-realm-refused"),
        ("HTTP/anna@CORP.TEST", "kerberos-principal-refused"),
        ("anna/admin@CORP.TEST", "kerberos-principal-refused"),
        ("nobody@CORP.TEST", "kerberos-user-unknown"),
    ];
    for (principal, _) in cases {
        assert_eq!(problem(shown(&world, principal)), "kerberos-user-refused", "{principal}");
    }
    assert_eq!(world.logged(), cases.map(|(_, why)| why));
    user(&world, "bert", serde_json::json!({ "login": "anna@corp.example" }));
    assert_eq!(problem(shown(&world, ANNA)), "kerberos-user-refused", "both are anna");
    assert_eq!(world.logged().last().unwrap(), "kerberos-user-ambiguous");
    user(&world, "anna@corp.example", serde_json::json!({ "login": "annabel@corp.example" }));
    world.signed_in(shown(&world, ANNA));
    user(&world, "anna", serde_json::json!({ "enabled": false }));
    assert_eq!(problem(shown(&world, ANNA)), "kerberos-user-refused");
    assert_eq!(world.logged().last().unwrap(), "user-disabled");
}

#[tokio::test]
async fn a_user_is_found_by_the_name_that_was_chosen() {
    let world = world("off").await;
    let attributes = serde_json::json!({ "onprem_upn": "Aberg@Corp.Test", "sam_account_name": "ABERG" });
    user(&world, "anna", serde_json::json!({ "attributes": attributes }));
    for login in [SsoLogin::OnPremUpn, SsoLogin::SamAccountName] {
        set(&world, login);
        let browser = world.signed_in(shown(&world, "aberg@CORP.TEST")).unwrap();
        let session = world.session(&browser).unwrap();
        let known = world.control.directory(|store| store.user(session.user)).unwrap().unwrap();
        assert_eq!(known.login.as_str(), "anna", "{login:?}");
        assert_eq!(problem(shown(&world, ANNA)), "kerberos-user-refused", "{login:?}");
    }
    user(&world, "bert", serde_json::json!({ "attributes": { "sam_account_name": "aberg" } }));
    assert_eq!(problem(shown(&world, "aberg@CORP.TEST")), "kerberos-user-refused", "two have it");
    set(&world, SsoLogin::Upn);
    user(&world, "anna", serde_json::json!({ "login": "anna@corp.test" }));
    world.signed_in(shown(&world, ANNA));
}

#[tokio::test]
async fn who_has_a_second_factor_gives_it() {
    let world = world("required").await;
    let (secret, ..) = world.enrolled().await;
    let ask = asked(shown(&world, ANNA));
    assert!(matches!(ask.factor, Factor::Second(_)), "{ask:?}");
    let browser = world.signed_in(world.code(&ask.flow, &code_at(&secret, 0))).unwrap();
    let session = world.session(&browser).unwrap();
    assert_eq!(session.methods, [AuthMethod::Integrated, AuthMethod::OneTimePassword].into());
    assert!(is_multi_factor(&session.methods));
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "it is enough");
}

/// An unlocked computer signs in by itself: it must not become a second factor of whoever sits there.
#[tokio::test]
async fn a_ticket_sets_up_no_second_factor() {
    let world = world("required").await;
    let ask = asked(shown(&world, ANNA));
    assert_eq!((&ask.factor, ask.login.as_ref().unwrap().as_str()), (&Factor::Password, "anna"));
    assert_eq!(problem(give(&world, &ask.flow, good(ANNA), client())), "sign-in-over", "nor once more");
    assert!(matches!(asked(world.password(&ask.flow).await).factor, Factor::Enrol(_)));

    world.set_app(&[("mfa", "off")]);
    let browser = world.signed_in(shown(&world, ANNA)).unwrap();
    for action in [AccountAction::Show, AccountAction::Add] {
        let AccountAnswer::Step(step) = world.account(&browser, action) else { panic!("shown") };
        let ask = asked(*step);
        assert!(ask.factor == Factor::Password && !ask.negotiate);
    }
    world.set_app(&[("mfa", "required")]);
    let ask = asked(world.begin(Some(&browser)));
    assert!(ask.factor == Factor::Password && !ask.negotiate, "by a session that it made, neither");
}

#[tokio::test]
async fn bad_tickets_are_counted_by_where_they_come_from_and_apart_from_passwords() {
    let world = world("off").await;
    for nth in 0..GUESSES_SOURCE_FREE {
        let flow = asked(world.begin(None)).flow;
        let refused = give(&world, &flow, TicketOutcome::Refused, client());
        assert_eq!(problem(refused), "kerberos-ticket-refused", "{nth}");
    }
    assert!(is_plain(shown(&world, ANNA)), "none is looked at for a while");
    assert_eq!(world.logged().len(), usize::try_from(GUESSES_SOURCE_FREE).unwrap(), "nor recorded");
    world.signed_in(world.after_password().await);
}

#[tokio::test]
async fn policies_see_a_ticket_as_one_factor() {
    let world = world("off").await;
    world.set_policy(r#""grant": {"require": {"all": ["mfa"]}}"#);
    assert_eq!(asked(shown(&world, ANNA)).factor, Factor::Password, "and none can be set up by it");
    assert_eq!(world.logged(), ["mfa-needed"]);
}

#[tokio::test]
async fn where_a_policy_wants_a_sign_in_from_time_to_time_a_ticket_is_none() {
    let world = world("off").await;
    world.set_policy(r#""grant": {"require": {}}, "session": {"sign_in_frequency_s": 3600}"#);
    let ask = asked(shown(&world, ANNA));
    assert!(ask.factor == Factor::Password && !ask.negotiate, "{ask:?}");
    let browser = world.signed_in(world.password(&ask.flow).await).unwrap();
    assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "nobody goes round");
    assert_eq!(world.logged(), ["sign-in-again", "success"]);
}

#[tokio::test]
async fn a_network_that_is_asked_in_stays() {
    let world = world("off").await;
    let refused = networks::remove(&world.control, &Actor::Control, &tenant(&world), "corp").unwrap_err();
    assert_eq!(refused.code, "still-used");
    let unknown = KerberosSignIn {
        realms: vec!["CORP.TEST".into()],
        networks: vec!["nowhere".parse().unwrap()],
        login: SsoLogin::Upn,
    };
    let refused = kerberos::set(&world.control, &Actor::Control, &tenant(&world), unknown).unwrap_err();
    assert_eq!(refused.code, "not-found");
    assert!(world.control.snapshot().networks.values().all(|Network { name, .. }| name.as_str() == "corp"));
    kerberos::remove(&world.control, &Actor::Control, &tenant(&world)).unwrap();
    networks::remove(&world.control, &Actor::Control, &tenant(&world), "corp").unwrap();
    assert_eq!(kerberos::show(&world.control, &tenant(&world)).unwrap_err().code, "not-found");
}

#[tokio::test]
async fn a_list_of_anonymisers_is_no_network_where_tickets_count() {
    let world = world("off").await;
    let tor = SetNetwork { prefixes: vec!["203.0.113.0/24".parse().unwrap()], anonymiser: true };
    networks::set(&world.control, &Actor::Control, &tenant(&world), "tor", tor).unwrap();
    let networks = ["corp", "tor"].map(|name| name.parse().unwrap()).into();
    let settings = KerberosSignIn { realms: vec!["CORP.TEST".into()], networks, login: SsoLogin::UserPart };
    let refused = kerberos::set(&world.control, &Actor::Control, &tenant(&world), settings).unwrap_err();
    assert!(refused.detail.contains("tor is a list of anonymisers"), "{}", refused.detail);
}
