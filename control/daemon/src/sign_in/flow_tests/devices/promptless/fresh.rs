//! Where somebody is to be there who signs in, a device alone does not do: a new session of its own would be there at once.

use postern_model::admin::{AddClient, AddProvider, RevokeSessions};
use postern_model::external::{ProviderSettings, StartExternal, StartedExternal};
use postern_model::oauth::Authorize;

use super::*;
use crate::idps;
use crate::store::DirectoryChange;

/// A password is asked for, by name, and leads on.
async fn by_password(world: &World, step: Step) -> SecretText {
    let ask = asked(step);
    let login = ask.login.as_ref().map(LoginName::as_str);
    assert!(ask.factor == Factor::Password && !ask.negotiate && login == Some("anna"), "{ask:?}");
    world.signed_in(world.password(&ask.flow).await).unwrap()
}

#[tokio::test]
async fn a_policy_that_wants_a_sign_in_from_time_to_time_wants_a_password() {
    let (world, device) = with_a_device().await;
    for session in [r#""sign_in_frequency_s": 3600"#, r#""idle_max_s": 3600"#] {
        world.set_policy(r#""grant": {"require": {}}, "session": {"no_persistent": true}"#);
        let before = world.signed_in(by_device(&world, &device)).unwrap();
        assert!(matches!(world.begin(Some(&before)), Step::Done(_)));
        world.set_policy(&format!(r#""grant": {{"require": {{}}}}, "session": {{{session}}}"#));
        let count = world.logged().len();
        let browser = by_password(&world, by_device(&world, &device)).await;
        assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "nobody goes round: {session}");
        assert_eq!(world.logged()[count..], ["sign-in-again", "success"], "{session}");
        // Nor by what it made at another application.
        let browser = by_password(&world, world.begin(Some(&before))).await;
        assert!(matches!(world.begin(Some(&browser)), Step::Done(_)), "{session}");
    }
}

#[tokio::test]
async fn who_has_no_password_here_is_not_signed_in_past_their_provider() {
    let (world, _) = with_a_device().await;
    let create = serde_json::from_value::<CreateUser>(serde_json::json!({ "login": "carla" })).unwrap();
    users::create(&world.control, &Actor::Control, &tenant(&world), create, None).unwrap();
    let device = enrol(&world, "carla");
    plain(by_device(&world, &device));
    assert!(world.logged().is_empty());
    let hash = world.control.hasher.hash(SecretText::new(PASSWORD.into()), "carla").await.unwrap();
    users::set_password(&world.control, &Actor::Control, &tenant(&world), "carla", hash).unwrap();
    let later = enrol(&world, "carla");
    world.signed_in(by_device(&world, &later)).unwrap();
}

#[tokio::test]
async fn a_device_from_before_a_password_was_set_signs_nobody_in_and_operators_are_told() {
    let (world, device) = with_a_device().await;
    let everything = |user: &str| {
        let which = RevokeSessions { user: Some(user.into()), ..RevokeSessions::default() };
        sessions::revoke(&world.control, &Actor::Control, &tenant(&world), &which).unwrap().warnings.concat()
    };
    let id = device.id.to_string();
    world.signed_in(by_device(&world, &device)).unwrap();
    assert!(everything("anna").contains(&id) && everything("bert").is_empty());
    super::set(&world, false);
    assert!(everything("anna").is_empty());
    super::set(&world, true);
    let hash = world.control.hasher.hash(SecretText::new(PASSWORD.into()), "anna").await.unwrap();
    let told = users::set_password(&world.control, &Actor::Control, &tenant(&world), "anna", hash).unwrap().warnings;
    assert!(told.concat().contains("enrolled before") && told.concat().contains(&id), "{told:?}");
    // As if it had been set some time later.
    let anna = user(&world.control, TenantId::DEFAULT, &"anna".parse().unwrap()).unwrap();
    let set = anna.password_set_unix_ms.map(|set| set + 60_000);
    let mut draft = Draft::default();
    draft.directory(DirectoryChange::UserPut(Box::new(User { password_set_unix_ms: set, ..anna })));
    world.control.commit(&Actor::Control, draft).unwrap();
    plain(by_device(&world, &device));
    assert_eq!(world.logged(), ["success", "device-required"]);
    assert!(everything("anna").is_empty());
}

#[tokio::test]
async fn a_device_that_became_somebody_elses_signs_nobody_in_by_what_it_had() {
    let (world, device) = with_a_device().await;
    let berts = SetDevice { owner: Some("bert".into()), ..SetDevice::default() };
    devices::set(&world.control, &Actor::Control, &tenant(&world), &device.id.to_string(), berts).unwrap();
    plain(by_device(&world, &device));
    assert_eq!(world.logged(), ["device-certificate-invalid"]);
}

#[tokio::test]
async fn a_client_that_wants_a_fresh_proof_gets_one_of_somebody() {
    let (world, device) = with_a_device().await;
    let settings = serde_json::json!({
        "redirect_uris": ["https://app.example.com/back"], "kind": "public", "scopes": "openid", "consent": "admin",
    });
    let request = AddClient { name: "program".parse().unwrap(), settings: serde_json::from_value(settings).unwrap() };
    let client_id = crate::oauth::clients::add(&world.control, &Actor::Control, &tenant(&world), request).unwrap();
    let client_id = client_id.client.id.to_string();
    let sends = |max_age: &str, browser: Option<&SecretText>| {
        let fields = [
            ("response_type", "code"),
            ("client_id", &*client_id),
            ("redirect_uri", "https://app.example.com/back"),
            ("scope", "openid"),
            ("max_age", max_age),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        authorize(&world.control, Authorize { fields, browser: browser.cloned(), client: client() })
    };
    plain(sends("3600", None));
    let silent = world.signed_in(shown(&world, sends("", None), Some(&device.certificate))).unwrap();
    assert!(matches!(sends("", Some(&silent)), Step::Done(_)));
    let browser = by_password(&world, sends("3600", Some(&silent))).await;
    assert!(matches!(sends("3600", Some(&browser)), Step::Done(_)), "it is one");
}

/// A provider that knows them from before would say who they are at once, too.
#[tokio::test]
async fn who_goes_to_a_provider_then_proves_anew_there_who_they_are() {
    let (world, device) = with_a_device().await;
    let provider: Name = "corp".parse().unwrap();
    let settings = ProviderSettings::new("https://corp.example".into(), "postern".into());
    let add = AddProvider { name: provider.clone(), settings, client_secret: None, groups: BTreeMap::new() };
    idps::add(&world.control, &Actor::Control, &tenant(&world), add).unwrap();
    let is_asked_anew = |ask: &Ask| {
        let request = StartExternal { flow: ask.flow.clone(), provider: provider.clone(), browser: None };
        match external::start(&world.control, request) {
            StartedExternal::Go(start) => start.again,
            StartedExternal::Refused(refused) => panic!("{refused:?}"),
        }
    };
    assert!(!is_asked_anew(&plain(shown(&world, world.begin(None), None))), "nobody has said yet who it is");
    world.set_policy(r#""grant": {"require": {}}, "session": {"sign_in_frequency_s": 3600}"#);
    let ask = asked(by_device(&world, &device));
    assert!(ask.factor == Factor::Password && is_asked_anew(&ask), "{ask:?}");
}
