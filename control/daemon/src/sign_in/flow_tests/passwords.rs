//! A user's own password in an application is seen to by who proved lately who they are, and by nobody else.

use postern_model::admin::{Assign, SetVaultKey};
use postern_model::portal::{PasswordAction, PasswordAnswer, PasswordRequest, PasswordState, PutOwn};
use postern_model::vault::{Login, VaultKeyPair};

use super::*;
use crate::portal::passwords;
use crate::{assignments, vault};

/// Everybody is assigned to the wiki, for which users enter passwords.
async fn world() -> (World, VaultKeyPair) {
    let world = World::new("off").await;
    let tenant = identity::default_tenant(&world.control.snapshot()).unwrap();
    let settings = [("sso", "basic"), ("vault_by", "users"), ("backend_plaintext", "allow")];
    world.set_app(&settings);
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
