//! Sign-ins that work, and those that the user or the provider ends.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use postern_model::policy::DeviceState;
use postern_model::session::AuthMethod;
use postern_oidc::{Cause, ClaimMapping, ClientAuth, Prompt, Provider, SignInWish};
use postern_tests::certificate;
use postern_tests::openid_provider::{OpenidProvider, Setup};
use postern_tests::user_agent::{ALICE, ALICE_WITH_OTP, BOB, UserAgent};

use crate::scene::{CALLBACK, now, proxy, scene, settings, wish};

#[test]
fn users_sign_in_by_every_kind_of_client_and_key() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let url = scene.real.url();
    for (client, secret) in [
        ("proxy", Some("proxy-secret")), // RS256
        ("by-post", Some("post-secret")),
        ("public", None),
        ("es256", Some("es-secret")),
        ("eddsa", Some("ed-secret")),
    ] {
        let mut settings = settings(&url, client, secret);
        if client == "by-post" {
            settings.client_auth = Some(ClientAuth::ClientSecretPost);
        }
        let provider = Provider::new(settings).unwrap();
        let user = scene.sign_in(&provider, ALICE).unwrap_or_else(|failure| panic!("{client}: {failure}"));
        assert_eq!(
            (user.issuer.as_str(), user.subject.as_str(), user.login.as_str()),
            (url.as_str(), "alice", "alice")
        );
        // These came by userinfo.
        assert_eq!((user.display_name.as_str(), user.mail_verified), ("Alice A", true));
        assert_eq!(user.mail.unwrap().as_str(), "alice@example.test");
        assert_eq!(user.methods, [AuthMethod::Password].into());
        assert!(user.auth_time_unix.unwrap().abs_diff(now()) < 60 && user.groups.is_empty());
        assert_eq!(
            user.session.is_some(),
            client == "proxy",
            "the provider tells its session to whom it tells its end"
        );
    }
}

#[test]
fn claims_come_in_the_token_and_mean_what_the_operator_says() {
    let Some(scene) = scene(&Setup { claims_in_id_token: true, ..Setup::default() }) else { return };
    let mut ours = settings(&scene.real.url(), "proxy", Some("proxy-secret"));
    ours.scopes.push("groups".into());
    let acr = BTreeMap::from([("urn:test:mfa".to_owned(), [AuthMethod::MultiFactor].into())]);
    ours.claims = ClaimMapping { groups: Some("groups".into()), acr, ..ClaimMapping::default() };
    let provider = Provider::new(ours.clone()).unwrap();
    let user = scene.sign_in(&provider, ALICE_WITH_OTP).unwrap();
    assert_eq!(user.groups, ["app-users", "staff"].map(str::to_owned).into());
    let methods = [AuthMethod::Password, AuthMethod::OneTimePassword, AuthMethod::MultiFactor];
    assert_eq!((user.methods, user.acr.as_deref()), (methods.into(), Some("urn:test:mfa")));

    // An address is a login name only where the provider knows that it is theirs.
    ours.claims.login = vec!["email".into()];
    let by_mail = Provider::new(ours).unwrap();
    assert_eq!(scene.sign_in(&by_mail, ALICE).unwrap().login.as_str(), "alice@example.test");
    let failure = scene.sign_in(&by_mail, BOB).unwrap_err();
    assert_eq!(failure.cause, Cause::LoginClaimMissing);
}

#[test]
fn a_device_counts_by_the_signed_token_alone() {
    for (claims_in_id_token, counts) in [(true, DeviceState::Compliant), (false, DeviceState::Unknown)] {
        let Some(scene) = scene(&Setup { claims_in_id_token, ..Setup::default() }) else { return };
        let url = scene.real.url();
        let set = r#"{"login": "alice", "set": {"device": {"device_managed": true, "device_marks": ["up to date", "encrypted"]}}}"#;
        assert_eq!(UserAgent::new().post(&format!("{url}/__test/user"), set).unwrap().status, 200);
        let mut settings = settings(&url, "proxy", Some("proxy-secret"));
        settings.scopes.push("device".into());
        let devices =
            ["registered=device_managed", "compliant=device_marks=encrypted"].map(|text| text.parse().unwrap());
        settings.claims.devices = Vec::from(devices).try_into().unwrap();
        let provider = Provider::new(settings).unwrap();
        assert_eq!(scene.sign_in(&provider, ALICE).unwrap().device, counts, "in the token: {claims_in_id_token}");
    }
}

#[test]
fn a_stronger_or_fresher_sign_in_is_given_or_refused() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let provider = proxy(&scene.real.url());
    let strong = |class: &str| SignInWish { acr_values: vec![class.into()], acr_required: true, ..wish() };
    let mut browser = UserAgent::new();
    let mut go = |wish: &SignInWish, who| {
        let (url, pending) = scene.begin(&provider, wish);
        let address = browser.sign_in(&url, CALLBACK, who).unwrap();
        scene.finish(&provider, pending, &address)
    };
    assert_eq!(go(&wish(), ALICE).unwrap().acr.as_deref(), Some("urn:test:pwd"));
    // Signed in there already: it asks again only for more.
    assert_eq!(go(&wish(), BOB).unwrap().subject, "alice");
    assert_eq!(go(&strong("urn:test:mfa"), ALICE_WITH_OTP).unwrap().acr.as_deref(), Some("urn:test:mfa"));
    let failure = go(&strong("urn:test:unknown"), ALICE).unwrap_err();
    assert_eq!(failure.cause, Cause::LoginTooWeak, "{failure}");
    let fresh = SignInWish { max_age_s: Some(0), ..wish() };
    assert!(go(&fresh, ALICE).unwrap().auth_time_unix.unwrap().abs_diff(now()) < 30);
    let again = SignInWish { prompt: Some(Prompt::Login), login_hint: Some("alice".into()), ..wish() };
    assert_eq!(go(&again, ALICE_WITH_OTP).unwrap().acr.as_deref(), Some("urn:test:mfa"));
    let quiet = SignInWish { prompt: Some(Prompt::None), ..wish() };
    assert_eq!(go(&quiet, BOB).unwrap().subject, "alice");
}

#[test]
fn a_no_of_the_user_or_the_provider_has_words() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let url = scene.real.url();
    let provider = proxy(&url);
    let (to, pending) = scene.begin(&provider, &wish());
    let address = UserAgent::new().cancel(&to, CALLBACK).unwrap();
    let failure = scene.finish(&provider, pending, &address).unwrap_err();
    assert_eq!((failure.code(), failure.cause), ("provider-access-denied", Cause::AccessDenied));
    assert!(failure.detail.contains("aborted"), "{failure}");

    let quiet = SignInWish { prompt: Some(Prompt::None), ..wish() };
    let (address, pending) = scene.come_back(&provider, &quiet, ALICE);
    assert_eq!(scene.finish(&provider, pending, &address).unwrap_err().cause, Cause::InteractionRequired);

    // A scope that it does not know is passed over by this provider; a wrong secret is not.
    let wrong = Provider::new(settings(&url, "proxy", Some("another-secret"))).unwrap();
    let failure = scene.sign_in(&wrong, ALICE).unwrap_err();
    assert_eq!(failure.cause, Cause::ProviderClientRefused, "{failure}");
    assert!(!format!("{failure} {failure:?}").contains("another-secret"));

    // The provider signs this client's tokens by a shared secret.
    let shared = Some("a-secret-of-at-least-32-bytes-or-more");
    let failure = scene.sign_in(&Provider::new(settings(&url, "hs256", shared)).unwrap(), ALICE).unwrap_err();
    assert_eq!(failure.cause, Cause::IdTokenAlgorithm, "{failure}");
}

#[test]
fn tls_needs_an_authority_that_is_trusted() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let made = certificate::self_signed_for_address(scene.folder.path(), Ipv4Addr::LOCALHOST.into()).unwrap();
    let setup = Setup { tls: Some(&made), ..Setup::default() };
    let real = OpenidProvider::start(&scene.program, scene.folder.path(), &setup).unwrap();
    let mut ours = settings(&real.url(), "proxy", Some("proxy-secret"));
    ours.insecure_loopback = false;
    let failure = scene.run(Provider::new(ours.clone()).unwrap().probe()).unwrap_err();
    assert_eq!(failure.cause, Cause::ProviderUnreachable);
    assert!(failure.detail.contains("certificate"), "{failure}");
    ours.ca = Some(std::fs::read_to_string(&made.certificate).unwrap());
    scene.run(Provider::new(ours).unwrap().probe()).unwrap();
}
