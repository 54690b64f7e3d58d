//! A provider that is down, slow, misconfigured, has a wrong clock, new keys or absurd answers: a clear failure, never a pass.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postern_model::secret::SecretText;
use postern_oidc::{Cause, Provider};
use postern_tests::openid_provider::{OpenidProvider, Setup};
use postern_tests::tamper::{Answer, Tamper};
use postern_tests::user_agent::{ALICE, UserAgent};

use crate::scene::{Scene, now, proxy, scene, settings, wish};

/// A provider behind somebody who changes its answers; it calls itself by that one's address.
pub(crate) fn tampered(
    scene: &Scene,
    change: impl Fn(&str, &mut Answer) + Send + Sync + 'static,
) -> (OpenidProvider, String) {
    let address = postern_tests::world::free_address(std::net::Ipv4Addr::LOCALHOST).unwrap();
    let tamper = Tamper::start(address, change).unwrap();
    let setup = Setup { issuer: Some(tamper.url()), ..Setup::default() };
    let real = OpenidProvider::start_on(address, &scene.program, scene.folder.path(), &setup).unwrap();
    (real, tamper.url())
}

#[test]
fn keys_are_exchanged_at_the_provider_and_nobody_notices_but_not_every_second() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    let (mut real, url) = tampered(&scene, move |path, _| {
        if path == "/jwks" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let provider = proxy(&url);
    for _ in 0..3 {
        scene.sign_in(&provider, ALICE).unwrap();
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
    // Anybody can send a logout token. Its unknown key makes us look once, and keeps no sign-in from new keys.
    let forged = SecretText::new("eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.AAAA".into());
    for _ in 0..3 {
        let refused = scene.run(provider.logout_notice(&forged, now())).unwrap_err();
        assert_eq!(refused.code(), "id-token-signature-wrong");
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
    real.rotate_keys().unwrap();
    scene.sign_in(&provider, ALICE).unwrap();
    scene.sign_in(&provider, ALICE).unwrap();
    assert_eq!(fetches.load(Ordering::Relaxed), 3);
    // Within 30 s once more: it is not asked again.
    real.rotate_keys().unwrap();
    for _ in 0..3 {
        let failure = scene.sign_in(&provider, ALICE).unwrap_err();
        assert_eq!(failure.cause, Cause::IdTokenSignature, "{failure}");
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 3);
}

#[test]
fn keys_of_somebody_else_verify_nothing() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let others = UserAgent::new().get(&format!("{}/jwks", scene.real.url())).unwrap().body;
    let (_real, url) = tampered(&scene, move |path, answer| {
        if path == "/jwks" {
            answer.body = others.clone().into_bytes();
        }
    });
    let failure = scene.sign_in(&proxy(&url), ALICE).unwrap_err();
    assert_eq!(failure.cause, Cause::IdTokenSignature, "{failure}");
}

#[test]
fn a_clock_that_is_wrong_is_said_to_be_and_by_how_much() {
    for (ahead_s, passes) in [(30, true), (-30, true), (600, false), (-600, false), (-7200, false)] {
        let Some(scene) = scene(&Setup { clock_ahead_s: ahead_s, ..Setup::default() }) else { return };
        let outcome = scene.sign_in(&proxy(&scene.real.url()), ALICE);
        if passes {
            outcome.unwrap_or_else(|failure| panic!("{ahead_s}: {failure}"));
            continue;
        }
        let failure = outcome.unwrap_err();
        let Cause::ProviderClockSkew { ahead_s: found } = failure.cause else { panic!("{ahead_s}: {failure}") };
        assert!(found.abs_diff(ahead_s) < 20, "{ahead_s}: {failure}");
        assert!(failure.words("Example").contains("The clock of Example is"), "{failure}");
    }
}

#[test]
fn a_provider_that_is_down_or_hangs_fails_in_time_and_works_again() {
    let Some(mut scene) = scene(&Setup::default()) else { return };
    let mut ours = settings(&scene.real.url(), "proxy", Some("proxy-secret"));
    ours.fetch_timeout_ms = 500;
    let provider = Provider::new(ours.clone()).unwrap();
    scene.real.process().pause();
    let begun = Instant::now();
    let failure = scene.run(provider.begin(&wish(), 0)).unwrap_err();
    assert_eq!(failure.cause, Cause::ProviderSlow, "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    // Those who wait for the same do not wait one after the other.
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(scene.run(provider.begin(&wish(), 0)).unwrap_err().cause, Cause::ProviderSlow);
    }
    assert!(begun.elapsed() < Duration::from_millis(500));
    scene.real.process().resume();
    std::thread::sleep(Duration::from_millis(2_100));
    scene.sign_in(&provider, ALICE).unwrap();

    // It goes down between the two halves.
    let (address, pending) = scene.come_back(&provider, &wish(), ALICE);
    scene.real.process().kill();
    let failure = scene.finish(&provider, pending, &address).unwrap_err();
    assert_eq!(failure.cause, Cause::ProviderUnreachable, "{failure}");
    let failure = scene.run(Provider::new(ours).unwrap().probe()).unwrap_err();
    assert_eq!(failure.cause, Cause::ProviderUnreachable, "{failure}");
}

#[test]
fn another_issuer_than_in_the_settings_is_refused() {
    let Some(scene) = scene(&Setup { issuer: Some("http://127.0.0.1:2".into()), ..Setup::default() }) else { return };
    let failure = scene.run(proxy(&scene.real.url()).begin(&wish(), 0)).unwrap_err();
    assert_eq!(failure.cause, Cause::ProviderMisconfigured);
    assert!(failure.detail.contains("http://127.0.0.1:2"), "{failure}");
}

#[test]
fn absurd_answers_are_refused_and_bounded() {
    type Change = fn(&mut Answer);
    let Some(scene) = scene(&Setup::default()) else { return };
    let current = Arc::new(Mutex::new(None::<(&str, Change)>));
    let shared = Arc::clone(&current);
    let (_real, url) = tampered(&scene, move |path, answer| {
        let current = *shared.lock().unwrap();
        if let Some((_, change)) = current.filter(|(changed, _)| *changed == path) {
            change(answer);
        }
    });
    let changes: [(Change, Cause); 6] = [
        (|answer| answer.body.resize(257 << 10, b' '), Cause::ProviderAnswerInvalid),
        (|answer| answer.body = b"<html>".to_vec(), Cause::ProviderAnswerInvalid),
        (|answer| answer.body = "{\"a\":[".repeat(8_000).into_bytes(), Cause::ProviderAnswerInvalid),
        (|answer| answer.body = b"[]".to_vec(), Cause::ProviderAnswerInvalid),
        (|answer| answer.status = 503, Cause::ProviderFailed),
        (
            |answer| {
                answer.status = 302;
                answer.fields.push(("Location".into(), "http://127.0.0.1:3/".into()));
            },
            Cause::ProviderMisconfigured,
        ),
    ];
    for path in ["/.well-known/openid-configuration", "/jwks", "/token", "/me"] {
        for (change, cause) in changes {
            *current.lock().unwrap() = Some((path, change));
            let failure = scene.sign_in(&proxy(&url), ALICE).unwrap_err();
            assert_eq!(failure.cause, cause, "{path}: {failure}");
        }
    }
    *current.lock().unwrap() = None;
    scene.sign_in(&proxy(&url), ALICE).unwrap();
}
