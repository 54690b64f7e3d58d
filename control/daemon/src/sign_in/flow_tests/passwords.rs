//! A user's own password in an application is seen to by who proved lately who they are, and by nobody else.

use postern_model::Change;
use postern_model::admin::{Assign, PutCredential, SetVaultKey};
use postern_model::ids::UserId;
use postern_model::portal::{PasswordAction, PasswordAnswer, PasswordRequest, PasswordState, PutOwn};
use postern_model::vault::{Credential, Login, Owner, Purpose, SetBy, VaultKeyPair};

use super::*;
use crate::limits::APP_CREDENTIALS_BY_USERS_MAX;
use crate::portal::passwords;
use crate::{assignments, vault};

const BY_USERS: &[(&str, &str)] = &[("sso", "basic"), ("vault_by", "users"), ("backend_plaintext", "allow")];

/// Everybody is assigned to the wiki, for which users enter passwords.
async fn world() -> (World, VaultKeyPair) {
    let world = World::new("off").await;
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    world.set_app(BY_USERS);
    let everyone: Assign = serde_json::from_str(r#"{"app": "wiki", "everyone": true}"#).unwrap();
    assignments::put(&world.control, &Actor::Control, &tenant, &everyone).unwrap();
    let pair = VaultKeyPair::generate().unwrap();
    let key = SetVaultKey { key: pair.public, replace: false };
    vault::set_key(&world.control, &Actor::Control, &tenant, "default", &key).unwrap();
    (world, pair)
}

fn asks(world: &World, browser: &SecretText, action: PasswordAction) -> PasswordAnswer {
    let request = PasswordRequest { browser: browser.clone(), app: world.app(), action, client: client() };
    passwords::answer(&world.control, &request)
}

fn state(answer: PasswordAnswer) -> PasswordState {
    let PasswordAnswer::Page(page) = answer else { panic!("{answer:?}") };
    page.state
}

fn sealed(world: &World, browser: &SecretText, pair: &VaultKeyPair) -> PutOwn {
    let PasswordAnswer::Sealing(sealing) = asks(world, browser, PasswordAction::Seal {}) else { panic!() };
    let login = Login::new(SecretText::new("anna".into()), SecretText::new("hunter2".into())).unwrap();
    let sealed = sealing.key.seal(&login, &sealing.purpose).unwrap();
    PutOwn { origin: sealing.purpose.origin, key: pair.public.fingerprint(), sealed }
}

fn grows_old(world: &World, browser: &SecretText) {
    let mut old = world.session(browser).unwrap();
    old.authenticated_unix -= crate::limits::ENROL_FRESH_S;
    let mut draft = Draft::default();
    draft.session(SessionChange::Put(Box::new(old)));
    world.control.commit(&Actor::Control, draft).unwrap();
}

#[tokio::test]
async fn a_password_is_seen_to_by_who_proved_lately_who_they_are() {
    let (world, pair) = world().await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    assert_eq!(state(asks(&world, &browser, PasswordAction::Show {})), PasswordState::Missing);
    let put = sealed(&world, &browser, &pair);
    assert_eq!(asks(&world, &browser, PasswordAction::Put(Box::new(put.clone()))), PasswordAnswer::Done {});
    assert_eq!(state(asks(&world, &browser, PasswordAction::Show {})), PasswordState::Own);

    grows_old(&world, &browser);
    let all = [
        PasswordAction::Show {},
        PasswordAction::Seal {},
        PasswordAction::Put(Box::new(put)),
        PasswordAction::Remove {},
    ];
    let version = world.control.snapshot().version;
    let mut flow = None;
    for action in all {
        let answer = asks(&world, &browser, action);
        let PasswordAnswer::Step(step) = answer else { panic!("{answer:?}") };
        let ask = asked(*step);
        assert_eq!((&ask.factor, &*ask.app), (&Factor::Password, "your password in an application"));
        flow = Some(ask.flow);
    }
    assert_eq!(world.control.snapshot().version, version, "nothing is stored or removed");
    let Step::Done(done) = world.password(&flow.unwrap()).await else { panic!() };
    assert_eq!(done.location, format!("https://login.example.com/passwords/{}", world.app()));
    let newer = done.browser.unwrap().secret;
    assert_eq!(asks(&world, &browser, PasswordAction::Show {}), PasswordAnswer::Nobody {}, "it took the other's place");
    assert_eq!(asks(&world, &newer, PasswordAction::Remove {}), PasswordAnswer::Done {});
    assert_eq!(state(asks(&world, &newer, PasswordAction::Show {})), PasswordState::Missing);
}

#[tokio::test]
async fn who_has_a_second_factor_shows_it_before_a_password_changes() {
    let (world, _) = world().await;
    let weak = world.signed_in(world.after_password().await).unwrap();
    assert_eq!(state(asks(&world, &weak, PasswordAction::Show {})), PasswordState::Missing);
    let AccountAnswer::Step(step) = world.account(&weak, AccountAction::Add) else { panic!() };
    let ask = asked(*step);
    let Factor::Enrol(enrolment) = &ask.factor else { panic!("{ask:?}") };
    let secret = totp_secret(enrolment.totp.as_ref().unwrap().secret.expose());
    let ask = asked(world.give(&ask.flow, FactorAnswer::EnrolCode(SecretText::new(code_at(&secret, -1)))));
    // The session of before is as it was until the codes are seen.
    let PasswordAnswer::Step(step) = asks(&world, &weak, PasswordAction::Seal {}) else {
        panic!("one factor is enough")
    };
    assert!(matches!(asked(*step).factor, Factor::Second(_)));
    let strong = world.signed_in(world.give(&ask.flow, FactorAnswer::Seen)).unwrap();
    assert_eq!(state(asks(&world, &strong, PasswordAction::Show {})), PasswordState::Missing);
}

#[tokio::test]
async fn users_enter_no_new_password_where_what_is_left_is_for_operators() {
    let (world, pair) = world().await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    let put = sealed(&world, &browser, &pair);
    let of = |seq: usize| Owner::User(UserId::new(TenantId::DEFAULT, 1_000 + u32::try_from(seq).unwrap()));
    let mut draft = Draft::default();
    for seq in 0..APP_CREDENTIALS_BY_USERS_MAX {
        let purpose = Purpose { app: world.app(), owner: of(seq), origin: put.origin.clone() };
        let (key, sealed) = (put.key, put.sealed.clone());
        draft.change(Change::CredentialPut(Credential { purpose, key, sealed, set_unix_ms: 1, by: SetBy::User }));
    }
    world.control.commit(&Actor::Control, draft).unwrap();
    let again = || asks(&world, &browser, PasswordAction::Put(Box::new(put.clone())));
    let PasswordAnswer::Refused(refused) = again() else { panic!("there is room") };
    assert_eq!(refused.code, "limit-reached");
    let mut draft = Draft::default();
    draft.change(Change::CredentialRemoved { app: world.app(), owner: of(0) });
    world.control.commit(&Actor::Control, draft).unwrap();
    assert_eq!(again(), PasswordAnswer::Done {}, "for one more");
    assert_eq!(again(), PasswordAnswer::Done {}, "what is there is replaced");
}

#[tokio::test]
async fn what_an_operator_sealed_for_something_else_is_not_kept() {
    let (world, pair) = world().await;
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let another = VaultKeyPair::generate().unwrap();
    let login = Login::new(SecretText::new("anna".into()), SecretText::new("hunter2".into())).unwrap();
    let here = Purpose { app: world.app(), owner: Owner::Shared, origin: "http://10.0.0.5:8080".into() };
    let elsewhere = Purpose { origin: "https://evil.example".into(), ..here.clone() };
    for (purpose, key, refused) in [(&elsewhere, &pair, true), (&here, &another, true), (&here, &pair, false)] {
        let (sealed, purpose) = (key.public.seal(&login, purpose).unwrap(), purpose.clone());
        let put = PutCredential { purpose, key: key.public.fingerprint(), sealed };
        let put = vault::put(&world.control, &Actor::Control, &tenant, put);
        assert_eq!(put.err().map(|problem| problem.code).as_deref(), refused.then_some("vault-sealing-stale"));
    }
    let key = SetVaultKey { key: another.public, replace: false };
    let refused = vault::set_key(&world.control, &Actor::Control, &tenant, "default", &key).unwrap_err();
    assert_eq!(refused.code, "vault-key-exists", "whatever is sealed would be of no use any more");
}

#[tokio::test]
async fn connectors_get_passwords_only_while_they_are_used() {
    let (world, pair) = world().await;
    let browser = world.signed_in(world.after_password().await).unwrap();
    let put = sealed(&world, &browser, &pair);
    let text = put.sealed.to_string();
    assert_eq!(asks(&world, &browser, PasswordAction::Put(Box::new(put))), PasswordAnswer::Done {});
    let is_sent = || world.control.snapshot().group_configs.values().any(|config| config.body.contains(&text));
    assert!(is_sent());
    world.set_app(&[]);
    assert!(!is_sent() && !world.control.snapshot().credentials.is_empty(), "it is kept here");
    world.set_app(BY_USERS);
    assert!(is_sent());
}
