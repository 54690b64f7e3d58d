//! Whole sign-ins against a real store: what a browser sees step by step, with an app and a key in software.

mod assigned;
mod claimed_device;
mod devices;
mod kerberos;
mod passwords;
mod risk;
mod saml;
mod step_up;
mod terms;

use std::collections::BTreeMap;

use postern_model::admin::{CreateUser, PublishIdentity};
use postern_model::document::AppEntry;
use postern_model::identity::{
    AccountAction, AccountAnswer, AccountRequest, ClientInfo, FactorAnswer, GiveFactor, GivePassword, Missed,
};
use postern_model::session::is_multi_factor;
use postern_service::state::StateDir;

use super::webauthn::testing::Device;
use super::*;
use crate::authority::Authority;
use crate::store::factors::TotpSecret;
use crate::store::records::{Order, SignInFilter, Span};
use crate::store::{SqliteStore, Store as _};
use crate::{apps, factors, identity, users};
use assigned::{assign, totp_secret};

const PASSWORD: &str = "correct horse battery";
const CALLBACK: &str = "https://wiki.example.com/.postern/callback";

struct World {
    control: Control,
    folder: tempfile::TempDir,
    /// Whether Anna wants to stay signed in on her device.
    keep: bool,
}

fn opened(folder: &std::path::Path) -> Control {
    let state = StateDir::open(folder).unwrap();
    let mut store = SqliteStore::open(&folder.join("control.db")).unwrap();
    let existing = store.load().unwrap().is_some();
    let authority = Authority::open(&state, existing).unwrap();
    Control::open(authority, Box::new(store), folder.to_owned()).unwrap()
}

impl World {
    /// Anna and an application; `mfa`: its setting.
    async fn new(mfa: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = opened(folder.path());
        let external_url = "https://login.example.com/".into();
        let publish = PublishIdentity { external_url, certificate_pem: None, key_pem: None };
        identity::publish(&control, &Actor::Control, publish).unwrap();
        let world = Self { control, folder, keep: false };
        world.set_app(&[("mfa", mfa)]);
        assign(&world, world.app());
        let hash = world.control.hasher.hash(SecretText::new(PASSWORD.into()), "anna").await.unwrap();
        for login in ["anna", "bert"] {
            let create = serde_json::from_value::<CreateUser>(serde_json::json!({ "login": login })).unwrap();
            let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
            let hash = crate::password::PasswordHash::stored(hash.expose().to_owned());
            users::create(&world.control, &Actor::Control, &tenant, create, Some(hash)).unwrap();
        }
        world
    }

    fn set_app(&self, settings: &[(&str, &str)]) {
        let entry = AppEntry {
            external_url: "https://wiki.example.com/".into(),
            internal_url: "http://10.0.0.5:8080/".into(),
            preauth: Preauth::Oidc,
            group: None,
            certificate_pem: None,
            key_pem: None,
            settings: settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        let tenant = identity::default_tenant(&self.control.snapshot()).unwrap();
        apps::put(&self.control, &Actor::Control, &tenant, &"wiki".parse().unwrap(), entry).unwrap();
    }

    /// A policy about everybody and everything: what it grants, and more.
    fn set_policy(&self, rest: &str) {
        let head = r#""id": "p1-1", "name": "p", "state": "on", "who": {"include": "all"}, "apps": {"include": "all"}"#;
        let policy = serde_json::from_str(&format!("{{{head}, {rest}}}")).unwrap();
        let mut draft = Draft::default();
        draft.change(postern_model::Change::PolicyPut(policy));
        self.control.commit(&Actor::Control, draft).unwrap();
    }

    fn restarted(self) -> Self {
        let Self { control, folder, keep } = self;
        drop(control);
        Self { control: opened(folder.path()), folder, keep }
    }

    fn app(&self) -> AppId {
        self.control.snapshot().apps.values().find(|app| app.name.as_str() == "wiki").unwrap().id
    }

    fn begin(&self, browser: Option<&SecretText>) -> Step {
        self.begin_missing(browser, Missed::default())
    }

    /// An application's relay missed something in the session that it was shown.
    fn begin_missing(&self, browser: Option<&SecretText>, missed: Missed) -> Step {
        let request = Begin {
            app: self.app(),
            redirect_uri: CALLBACK.into(),
            state: "state".into(),
            challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into(),
            browser: browser.cloned(),
            missed,
            client: client(),
        };
        begin(&self.control, request)
    }

    async fn password(&self, flow: &SecretText) -> Step {
        let password = SecretText::new(PASSWORD.into());
        let (flow, login, keep) = (flow.clone(), "anna".into(), self.keep);
        super::password(&self.control, GivePassword { flow, login, password, keep, client: client() }).await
    }

    /// Up to what is asked for after the password.
    async fn after_password(&self) -> Step {
        self.password(&asked(self.begin(None)).flow).await
    }

    fn give(&self, flow: &SecretText, answer: FactorAnswer) -> Step {
        factor(&self.control, GiveFactor { flow: flow.clone(), answer, terms: None, client: client() })
    }

    fn code(&self, flow: &SecretText, code: &str) -> Step {
        self.give(flow, FactorAnswer::Code(SecretText::new(code.into())))
    }

    /// Signs in, sets up an app and gives what it has: secret, recovery codes, and what the browser keeps.
    async fn enrolled(&self) -> (TotpSecret, Vec<SecretText>, SecretText) {
        let ask = asked(self.after_password().await);
        let Factor::Enrol(enrolment) = &ask.factor else { panic!("{ask:?}") };
        let secret = totp_secret(enrolment.totp.as_ref().unwrap().secret.expose());
        let answer = FactorAnswer::EnrolCode(SecretText::new(code_at(&secret, -1)));
        let ask = asked(self.give(&ask.flow, answer));
        let Factor::Recovery(codes) = ask.factor else { panic!("no recovery codes") };
        let browser = self.signed_in(self.give(&ask.flow, FactorAnswer::Seen));
        (secret, codes, browser.unwrap())
    }

    /// What the browser keeps of a sign-in that succeeded.
    fn signed_in(&self, step: Step) -> Option<SecretText> {
        let Step::Done(done) = step else { panic!("not signed in: {step:?}") };
        done.browser.map(|grant| grant.secret)
    }

    fn session(&self, browser: &SecretText) -> Option<StoredSession> {
        alive(&self.control, browser)
    }

    fn logged(&self) -> Vec<String> {
        let span = Span { first: 1, last: 1_000, order: Order::OldestFirst, limit: 1_000 };
        let all = self.control.records(|store| store.sign_ins(&SignInFilter::default(), span)).unwrap();
        all.into_iter().map(|record| record.code.unwrap_or_else(|| "success".into())).collect()
    }

    fn account(&self, browser: &SecretText, action: AccountAction) -> AccountAnswer {
        account(&self.control, AccountRequest { browser: browser.clone(), action, client: client() })
    }
}

fn client() -> ClientInfo {
    let text = format!(r#"{{"address": "127.0.0.1", "user_agent": "test", "request": "{:032}"}}"#, 7);
    serde_json::from_str(&text).unwrap()
}

fn asked(step: Step) -> Box<Ask> {
    if let Step::Ask(ask) = step { ask } else { panic!("nothing is asked: {step:?}") }
}

fn problem(step: Step) -> String {
    match step {
        Step::Ask(ask) => ask.problem.map_or_else(String::new, |problem| problem.code),
        Step::Refused(refused) => refused.code,
        Step::Consent(_) => "consent".into(),
        Step::Device(_) => "device".into(),
        Step::Done(_) => "done".into(),
    }
}

/// The code of so many steps from now.
fn code_at(secret: &TotpSecret, steps: i64) -> String {
    secret.code((now_unix() / 30).checked_add_signed(steps).unwrap()).to_string()
}

#[tokio::test]
async fn nothing_more_is_asked_of_who_has_nothing_more() {
    let world = World::new("off").await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    assert!(!is_multi_factor(&world.session(&browser).unwrap().methods));
    assert_eq!(world.logged(), ["success"]);
}

#[tokio::test]
async fn an_application_can_demand_a_factor_and_who_has_one_is_always_asked() {
    let world = World::new("required").await;
    let (secret, codes, browser) = world.enrolled().await;
    assert_eq!(codes.len(), 10);
    assert!(is_multi_factor(&world.session(&browser).unwrap().methods));
    assert_eq!(world.logged(), ["mfa-needed", "success"]);
    world.set_app(&[("mfa", "off")]);
    let ask = asked(world.after_password().await);
    assert!(matches!(&ask.factor, Factor::Second(second) if second.totp && second.recovery && second.key.is_none()));
    world.signed_in(world.code(&ask.flow, &code_at(&secret, 0)));
}

#[tokio::test]
async fn a_code_is_good_once_also_after_a_restart() {
    let world = World::new("required").await;
    let (secret, ..) = world.enrolled().await;
    let code = code_at(&secret, 0);
    let ask = asked(world.after_password().await);
    world.signed_in(world.code(&ask.flow, &code));
    let ask = asked(world.after_password().await);
    assert_eq!(problem(world.code(&ask.flow, &code)), "sign-in-code-wrong");
    assert_eq!(problem(world.code(&ask.flow, &code_at(&secret, -1))), "sign-in-code-wrong", "nor one before");
    let world = world.restarted();
    let ask = asked(world.after_password().await);
    assert_eq!(problem(world.code(&ask.flow, &code)), "sign-in-code-wrong");
    assert_eq!(world.logged().last().map(String::as_str), Some("otp-wrong"));
}

#[tokio::test]
async fn the_code_that_set_an_app_up_is_used() {
    loop {
        let step = now_unix() / 30;
        let world = World::new("required").await;
        let (secret, ..) = world.enrolled().await;
        let ask = asked(world.after_password().await);
        let answer = world.code(&ask.flow, &code_at(&secret, -1));
        // Else it is another code than the one that was used.
        if now_unix() / 30 == step {
            assert_eq!(problem(answer), "sign-in-code-wrong");
            return;
        }
    }
}

#[tokio::test]
async fn guesses_wait_whatever_flow_they_come_by() {
    let world = World::new("required").await;
    let (secret, ..) = world.enrolled().await;
    for _ in 0..crate::limits::GUESSES_FREE {
        let ask = asked(world.after_password().await);
        assert_eq!(problem(world.code(&ask.flow, "not-it")), "sign-in-code-wrong");
    }
    let ask = asked(world.after_password().await);
    assert_eq!(problem(world.code(&ask.flow, &code_at(&secret, 0))), "sign-in-throttled", "right ones wait, too");
    let others = asked(world.begin(None)).flow;
    let password = SecretText::new(PASSWORD.into());
    let bert = GivePassword { flow: others, login: "bert".into(), password, keep: false, client: client() };
    assert!(matches!(super::password(&world.control, bert).await, Step::Ask(_)), "others do not");
}

#[tokio::test]
async fn a_recovery_code_is_good_once() {
    let world = World::new("required").await;
    let (_, codes, _) = world.enrolled().await;
    let ask = asked(world.after_password().await);
    let typed = codes[3].expose().to_uppercase().replace('-', " ");
    world.signed_in(world.code(&ask.flow, &typed));
    let ask = asked(world.after_password().await);
    assert_eq!(problem(world.code(&ask.flow, &typed)), "sign-in-code-wrong");
    world.signed_in(world.code(&ask.flow, codes[4].expose()));
}

#[tokio::test]
async fn no_step_is_skipped() {
    let world = World::new("required").await;
    let flow = asked(world.begin(None)).flow;
    for answer in [FactorAnswer::Seen, FactorAnswer::EnrolCode(SecretText::new("123456".into()))] {
        assert_eq!(problem(world.give(&flow, answer)), "sign-in-over", "before the password");
    }
    let ask = asked(world.password(&flow).await);
    assert_eq!(problem(world.give(&ask.flow, FactorAnswer::Seen)), "sign-in-over", "before anything is set up");
    assert_eq!(problem(world.password(&flow).await), "sign-in-over", "the password once more");
    let (secret, ..) = world.enrolled().await;
    let ask = asked(world.after_password().await);
    let new = FactorAnswer::EnrolCode(SecretText::new(code_at(&secret, 0)));
    assert_eq!(problem(world.give(&ask.flow, new)), "sign-in-over", "another factor instead of the own one");
    let done = world.code(&ask.flow, &code_at(&secret, 0));
    world.signed_in(done);
    assert_eq!(problem(world.code(&ask.flow, &code_at(&secret, 1))), "sign-in-over", "a flow leads on once");
}

#[tokio::test]
async fn a_session_becomes_a_stronger_one_with_another_id() {
    let world = World::new("off").await;
    let weak = world.signed_in(world.after_password().await).unwrap();
    let old = world.session(&weak).unwrap();
    assert!(matches!(world.begin(Some(&weak)), Step::Done(_)), "enough");
    world.set_app(&[("mfa", "required")]);
    let ask = asked(world.begin(Some(&weak)));
    let Factor::Enrol(enrolment) = &ask.factor else { panic!("{ask:?}") };
    assert_eq!(ask.login.as_ref().map(LoginName::as_str), Some("anna"));
    let secret = totp_secret(enrolment.totp.as_ref().unwrap().secret.expose());
    assert_eq!(
        problem(world.give(&ask.flow, FactorAnswer::EnrolCode(SecretText::new("000".into())))),
        "sign-in-code-wrong"
    );
    assert!(world.session(&weak).is_some(), "until the factor is proven");
    let ask = asked(world.give(&ask.flow, FactorAnswer::EnrolCode(SecretText::new(code_at(&secret, 0)))));
    let strong = world.signed_in(world.give(&ask.flow, FactorAnswer::Seen)).unwrap();
    let new = world.session(&strong).unwrap();
    assert!(world.session(&weak).is_none(), "the old one is over");
    assert!(new.id != old.id && new.user == old.user && is_multi_factor(&new.methods));
    assert!(new.expires_unix <= old.expires_unix && new.authenticated_unix == old.authenticated_unix);
    assert!(matches!(world.begin(Some(&strong)), Step::Done(_)));
    assert_eq!(world.logged(), ["success", "mfa-needed", "success"]);
}

#[tokio::test]
async fn a_key_signs_in_and_its_answers_are_good_once_in_their_own_flow() {
    let world = World::new("required").await;
    let party = second::party(&world.control).unwrap();
    assert_eq!((party.origin.as_str(), party.id.as_str()), ("https://login.example.com", "login.example.com"));
    let mut device = Device::es256(&party);
    let ask = asked(world.after_password().await);
    let Factor::Enrol(enrolment) = &ask.factor else { panic!("{ask:?}") };
    let replayed = device.create(&enrolment.key.challenge);
    let elsewhere = asked(world.after_password().await);
    let refused = world.give(&elsewhere.flow, FactorAnswer::EnrolKey(replayed.clone()));
    assert_eq!(problem(refused), "sign-in-key-refused", "another flow's challenge");
    let ask = asked(world.give(&ask.flow, FactorAnswer::EnrolKey(replayed)));
    world.signed_in(world.give(&ask.flow, FactorAnswer::Seen));

    let challenge = |ask: &Ask| {
        let Factor::Second(second) = &ask.factor else { panic!("{ask:?}") };
        second.key.as_ref().unwrap().challenge.clone()
    };
    device.counter = 5;
    let ask = asked(world.after_password().await);
    let given = device.assert(&challenge(&ask));
    let other = asked(world.after_password().await);
    assert_eq!(problem(world.give(&other.flow, FactorAnswer::Key(given.clone()))), "sign-in-key-refused");
    let browser = world.signed_in(world.give(&ask.flow, FactorAnswer::Key(given.clone()))).unwrap();
    assert!(is_multi_factor(&world.session(&browser).unwrap().methods));
    assert_eq!(problem(world.give(&ask.flow, FactorAnswer::Key(given))), "sign-in-over");

    let ask = asked(world.after_password().await);
    device.counter = 5;
    let copied = world.give(&ask.flow, FactorAnswer::Key(device.assert(&challenge(&ask))));
    let again = asked(copied);
    assert_eq!(again.problem.as_ref().map(|problem| problem.code.as_str()), Some("sign-in-key-refused"));
    assert_ne!(challenge(&ask), challenge(&again), "each question is asked once");
    device.counter = 6;
    let stale = world.give(&ask.flow, FactorAnswer::Key(device.assert(&challenge(&ask))));
    let again = asked(stale);
    assert!(again.problem.is_some(), "the answer to a question of before");
    let mut foreign = Device::es256(&party);
    foreign.credential = vec![1; 8];
    let unknown = world.give(&again.flow, FactorAnswer::Key(foreign.assert(&challenge(&again))));
    assert_eq!(problem(unknown), "sign-in-key-refused");
}

#[tokio::test]
async fn people_see_to_their_own_factors_when_they_proved_who_they_are() {
    let world = World::new("required").await;
    let (_, _, browser) = world.enrolled().await;
    let AccountAnswer::Account(page) = world.account(&browser, AccountAction::Show) else { panic!() };
    assert_eq!((page.login.as_str(), page.factors.len(), page.recovery_codes), ("anna", 1, 10));
    let AccountAnswer::Step(step) = world.account(&browser, AccountAction::RenewCodes) else { panic!() };
    let ask = asked(*step);
    assert!(matches!(&ask.factor, Factor::Recovery(codes) if codes.len() == 10));
    let Step::Done(done) = world.give(&ask.flow, FactorAnswer::Seen) else { panic!() };
    assert_eq!((done.location.as_str(), done.browser), ("https://login.example.com/account", None));
    let AccountAnswer::Account(page) = world.account(&browser, AccountAction::Remove("key-0".into())) else { panic!() };
    assert_eq!(page.problem.map(|problem| problem.code).as_deref(), Some("not-found"));
    let AccountAnswer::Account(page) = world.account(&browser, AccountAction::Remove("totp".into())) else { panic!() };
    assert_eq!((page.factors.len(), page.recovery_codes), (0, 0), "the last one takes the codes along");
    let nobody = world.account(&SecretText::new("x".into()), AccountAction::Show);
    assert!(matches!(nobody, AccountAnswer::Nobody));
}

#[tokio::test]
async fn an_operator_takes_lost_factors_away_and_sessions_end() {
    let world = World::new("required").await;
    let (_, _, browser) = world.enrolled().await;
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let list = factors::list(&world.control, &tenant, "anna").unwrap();
    assert_eq!((list.factors.len(), list.factors[0].id.as_str()), (1, "totp"));
    factors::reset(&world.control, &Actor::Uid(0), &tenant, "anna").unwrap();
    assert!(world.session(&browser).is_none());
    assert_eq!(factors::list(&world.control, &tenant, "anna").unwrap().factors.len(), 0);
    assert!(factors::reset(&world.control, &Actor::Uid(0), &tenant, "anna").is_err(), "nothing left");
    assert!(matches!(asked(world.after_password().await).factor, Factor::Enrol(_)), "a new one is set up");
}
