//! Signing out at the provider, and what it tells us then.

use std::net::{Ipv4Addr, TcpListener};

use postern_model::secret::SecretText;
use postern_oidc::{Cause, LogoutRefused, SignInWish};
use postern_tests::openid_provider::Setup;
use postern_tests::tamper;
use postern_tests::user_agent::{ALICE, UserAgent};

use crate::scene::{now, proxy, query, scene};

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap_or_else(|| panic!("{before}: {text}")).0
}

#[test]
fn signing_out_there_ends_the_session_here_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let us = format!("http://{}", listener.local_addr().unwrap());
    let Some(scene) = scene(&Setup { relying_party: Some(us.clone()), ..Setup::default() }) else { return };
    let provider = proxy(&scene.real.url());
    let mut browser = UserAgent::new();
    let wish = SignInWish { redirect_uri: format!("{us}/cb"), ..SignInWish::default() };
    let (url, pending) = scene.begin(&provider, &wish);
    let address = browser.sign_in(&url, &wish.redirect_uri, ALICE).unwrap();
    let user = scene.finish(&provider, pending, &address).unwrap();

    // To the provider, which asks, and back with our state; meanwhile it tells us.
    let told = std::thread::spawn(move || tamper::accept_one(&listener).unwrap());
    let back = format!("{us}/signed-out");
    let (url, state) = scene.run(provider.sign_out(Some(&user.id_token), &back)).unwrap().unwrap();
    let asked = browser.get(url.as_str()).unwrap();
    assert_eq!(asked.status, 200, "{asked:?}");
    let (action, token) =
        (between(&asked.body, "action=\"", "\""), between(&asked.body, "name=\"xsrf\" value=\"", "\""));
    let out = browser.post(action, &format!("xsrf={token}&logout=yes")).unwrap();
    let out = browser.follow(out, &back).unwrap();
    assert_eq!(query(&out.location.unwrap()), format!("state={}", state.expose()));

    let told = told.join().unwrap();
    let token = told.strip_prefix("logout_token=").unwrap();
    let judge = |token: &str, at| scene.run(provider.logout_notice(&SecretText::new(token.into()), at));
    // Too late, too early, changed, by nobody, or another kind of token of the provider's: refused, and not remembered.
    assert!(matches!(judge(token, now() + 600).unwrap_err(), LogoutRefused::Old { .. }));
    let early = judge(token, now() - 600).unwrap_err();
    assert!(
        matches!(&early, LogoutRefused::Token(failure) if matches!(failure.cause, Cause::ProviderClockSkew { .. }))
    );
    let parts: Vec<_> = token.split('.').collect();
    let other_claims = user.id_token.expose().split('.').nth(1).unwrap();
    let changed = judge(&format!("{}.{other_claims}.{}", parts[0], parts[2]), now()).unwrap_err();
    assert_eq!(changed.code(), "id-token-signature-wrong");
    assert_eq!(judge("", now()).unwrap_err().code(), "id-token-malformed");
    assert!(matches!(judge(user.id_token.expose(), now()).unwrap_err(), LogoutRefused::Kind(_)));

    let notice = judge(token, now()).unwrap();
    assert!(notice.session.is_some());
    assert_eq!((notice.issuer, notice.session), (user.issuer, user.session));
    assert_eq!(judge(token, now()).unwrap_err(), LogoutRefused::Replayed);
}
