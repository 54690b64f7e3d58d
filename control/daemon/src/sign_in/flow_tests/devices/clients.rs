//! Devices where a client sends the browser, and clients that add devices.

use postern_model::access_token::{ACCESS_TOKEN_TYPE, AccessClaims};
use postern_model::admin::AddClient;
use postern_model::assertion::AssertionSigner;
use postern_model::ids::ClientId;
use postern_model::oauth::{Authorize, Call, Endpoint, EnterCode};

use super::*;
use crate::limits::DEVICE_ENROL_FRESH_S;

const BACK: &str = "https://app.example.com/back";

/// A client that may have these scopes.
fn add(world: &World, scopes: &str) -> ClientId {
    add_with(world, serde_json::json!({"redirect_uris": [BACK], "scopes": scopes, "consent": "admin"}))
}

fn add_with(world: &World, mut settings: serde_json::Value) -> ClientId {
    settings["kind"] = "public".into();
    let request = AddClient { name: "program".parse().unwrap(), settings: serde_json::from_value(settings).unwrap() };
    crate::oauth::clients::add(&world.control, &Actor::Control, &tenant(world), request).unwrap().client.id
}

/// It sends a browser.
fn sends(world: &World, id: ClientId, (scope, prompt): (&str, &str), browser: Option<&SecretText>) -> Step {
    let id = id.to_string();
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let fields = [
        ("response_type", "code"),
        ("client_id", &*id),
        ("redirect_uri", BACK),
        ("scope", scope),
        ("prompt", prompt),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    authorize(&world.control, Authorize { fields, browser: browser.cloned(), client: client() })
}

fn location(step: Step) -> String {
    let Step::Done(done) = step else { panic!("it does not go back: {step:?}") };
    done.location
}

#[tokio::test]
async fn whoever_has_no_device_yet_signs_in_to_add_one() {
    let world = world().await;
    world.set_policy(COMPLIANT);
    let id = add(&world, "devices openid");
    let ask = asked(sends(&world, id, ("devices", ""), None));
    assert!(location(world.password(&ask.flow).await).contains("code="));
    // For anything else it is asked for, together with that or by itself.
    for scope in ["openid", "devices openid"] {
        let ask = asked(sends(&world, id, (scope, ""), None));
        sent(world.password(&ask.flow).await);
    }
}

#[tokio::test]
async fn where_no_page_may_be_shown_nobody_is_sent_for_what_only_helps() {
    let world = world().await;
    let id = add(&world, "openid");
    let browser = world.signed_in(world.after_password().await).unwrap();
    world.set_policy(
        r#""conditions": {"devices": {"include": ["compliant"]}}, "grant": {"require": {}}, "session": {"no_persistent": true}"#,
    );
    let step = sends(&world, id, ("openid", ""), Some(&browser));
    assert!(location(shown(&world, step, None)).contains("code="));
    assert!(location(sends(&world, id, ("openid", "none"), Some(&browser))).contains("code="));
    world.set_policy(REGISTERED);
    let back = location(sends(&world, id, ("openid", "none"), Some(&browser)));
    assert!(back.contains("error=login_required"), "{back}");
}

/// As `postern access device enrol` does it: the program shows a code.
#[tokio::test]
async fn who_enters_a_code_to_add_a_device_signs_in_for_that() {
    let world = world().await;
    let id = add_with(&world, serde_json::json!({"device": true, "scopes": "devices openid", "consent": "user"}));
    let browser = world.signed_in(world.after_password().await).unwrap();
    let enters = |scopes: &str| {
        let code = crate::sign_in::devices::make_user_code().unwrap();
        let (keys, wants) = ((random_secret().unwrap().1, secret_key(&code)), (id, scopes.parse().unwrap()));
        world.control.sign_ins.borrow_mut().devices.keep(keys, wants, client().address, now_unix());
        let (user_code, browser) = (SecretText::new(code), Some(browser.clone()));
        enter_code(&world.control, EnterCode { user_code, browser, client: client() })
    };
    assert!(matches!(enters("openid"), Step::Consent(_)), "signed in as she is");
    for scopes in ["devices", "devices openid"] {
        assert_eq!(asked(enters(scopes)).factor, Factor::Password, "{scopes}");
    }
}

#[tokio::test]
async fn a_token_of_a_sign_in_from_long_ago_enrols_nothing() {
    let world = world().await;
    crate::single_sign_on::renew_assertion_keys(&world.control).unwrap();
    let client_id = add(&world, "devices");
    let browser = world.signed_in(world.after_password().await).unwrap();
    let session = world.session(&browser).unwrap();
    let now = now_unix();
    for (ago, status) in [(DEVICE_ENROL_FRESH_S - 60, 200), (DEVICE_ENROL_FRESH_S, 400)] {
        let mut draft = Draft::default();
        let old = StoredSession { authenticated_unix: now - ago, ..session.clone() };
        draft.session(SessionChange::Put(Box::new(old)));
        world.control.commit(&Actor::Control, draft).unwrap();
        let claims = AccessClaims {
            iss: issuer(&world.control),
            aud: issuer(&world.control),
            sub: session.user,
            client_id,
            scope: "devices".into(),
            sid: session.id,
            iat: now,
            nbf: now,
            exp: now + 60,
            auth_time: now,
            amr: session.methods.clone(),
            jti: "x".into(),
        };
        let signer = AssertionSigner::new(&world.control.snapshot().assertion_keys).unwrap();
        let token = signer.sign_claims(ACCESS_TOKEN_TYPE, &claims, now).unwrap();
        let csr_pem = request_for_a_new_key();
        let text = |text: &str| SecretText::new(text.into());
        let call = Call {
            endpoint: Endpoint::EnrolDevice,
            fields: BTreeMap::from([("request".into(), text(&csr_pem)), ("name".into(), text("laptop"))]),
            authorization: Some(text(&format!("Bearer {token}"))),
            client: client(),
        };
        let answer = crate::oauth::answer(&world.control, &call);
        assert_eq!(answer.status, status, "{ago}: {answer:?}");
    }
}
