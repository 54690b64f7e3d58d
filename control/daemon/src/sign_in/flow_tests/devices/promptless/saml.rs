//! Service providers that ask for a password in so many words.

use postern_model::directory::{Assignment, Principal};
use postern_model::saml::{AuthnRequest, Comparison, RequestedContexts, SamlEnd, SamlWish, StartSaml};

use super::*;
use crate::saml;

const ENTITY: &str = "https://wiki.example.com/saml";
const ACS: &str = "https://wiki.example.com/acs";

/// The wiki takes assertions, and everybody may have one.
async fn takes_assertions(world: &World) {
    saml::ensure(&world.control).await.unwrap();
    let settings = [("sso", "saml"), ("sso_saml_entity_id", ENTITY), ("sso_saml_acs", ACS)];
    world.set_app(&settings);
    let (app, principal) = (world.app(), Principal::Everyone);
    let assignment = Assignment { app, principal, role: None, expires_unix: None, created_unix_ms: 0 };
    let mut draft = Draft::default();
    draft.change(postern_model::Change::AssignmentPut(assignment));
    world.control.commit(&Actor::Control, draft).unwrap();
}

fn ask_for(world: &World, classes: &[&str], passive: bool, browser: Option<&SecretText>) -> Step {
    let classes = classes.iter().map(|class| format!("urn:oasis:names:tc:SAML:2.0:ac:classes:{class}")).collect();
    let request = AuthnRequest {
        id: format!("_{}", random_secret().unwrap().0.expose()),
        issuer: ENTITY.into(),
        issued_unix: now_unix(),
        acs: Some(ACS.into()),
        passive,
        contexts: Some(RequestedContexts { comparison: Comparison::Exact, classes }),
        ..AuthnRequest::default()
    };
    let wish = SamlWish::Request(Box::new(request));
    let request = StartSaml { wish, relay_state: None, browser: browser.cloned(), client: client() };
    crate::sign_in::saml::start(&world.control, request)
}

/// What the browser takes along, and what it keeps.
fn posted(step: Step) -> (String, Option<SecretText>) {
    let Step::Done(Done { saml: Some(end), browser, .. }) = step else { panic!("no end: {step:?}") };
    let SamlEnd::Post(post) = *end else { panic!("nothing is posted") };
    let xml = String::from_utf8(STANDARD.decode(&post.response).unwrap()).unwrap();
    (xml, browser.map(|grant| grant.secret))
}

#[tokio::test]
async fn a_service_provider_that_asks_for_a_password_gets_one() {
    let (world, device) = with_a_device().await;
    takes_assertions(&world).await;
    let away = ask_for(&world, &["unspecified", "PasswordProtectedTransport"], false, None);
    let (xml, silent) = posted(shown(&world, away, Some(&device.certificate)));
    assert!(xml.contains("<saml:Assertion ") && xml.contains("ac:classes:unspecified<"), "{xml}");
    let password = &["PasswordProtectedTransport"];
    let (xml, _) = posted(ask_for(&world, password, true, silent.as_ref()));
    assert!(xml.contains("NoPassive"), "{xml}");
    for browser in [None, silent.as_ref()] {
        let step = ask_for(&world, password, false, browser);
        let ask = asked(if browser.is_none() { shown(&world, step, Some(&device.certificate)) } else { step });
        assert_eq!((&ask.factor, ask.login.as_ref().map(LoginName::as_str)), (&Factor::Password, Some("anna")));
        let (xml, kept) = posted(world.password(&ask.flow).await);
        assert!(xml.contains("ac:classes:PasswordProtectedTransport<"), "{xml}");
        let (xml, _) = posted(ask_for(&world, password, true, kept.as_ref()));
        assert!(xml.contains("<saml:Assertion "), "{xml}");
    }
}
