//! What somebody does who controls a browser, a link, another provider, or what stands between us and the provider.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_oidc::{Callback, Cause, Provider};
use postern_tests::openid_provider::{OpenidProvider, Setup};
use postern_tests::user_agent::{ALICE, BOB, UserAgent};
use serde_json::{Value, json};

use crate::faults::tampered;
use crate::scene::{now, proxy, query, scene, settings, wish};

/// The address with a parameter changed, or, where `value` is `None`, left out.
fn changed(address: &str, name: &str, value: Option<&str>) -> String {
    let (path, query) = address.split_once('?').unwrap();
    let prefix = format!("{name}=");
    let mut parameters: Vec<_> =
        query.split('&').filter(|pair| !pair.starts_with(&prefix)).map(str::to_owned).collect();
    parameters.extend(value.map(|value| format!("{prefix}{value}")));
    format!("{path}?{}", parameters.join("&"))
}

fn parameter<'a>(address: &'a str, name: &str) -> &'a str {
    let pair = query(address).split('&').find_map(|pair| pair.split_once('=').filter(|(found, _)| *found == name));
    pair.unwrap().1
}

#[test]
fn a_callback_counts_once_and_for_the_browser_that_asked() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let provider = proxy(&scene.real.url());
    let cause = |pending, address: &str| scene.finish(&provider, pending, address).unwrap_err().cause;

    // Replayed, with all that belongs to it: the provider remembers its codes.
    let (address, pending) = scene.come_back(&provider, &wish(), ALICE);
    scene.finish(&provider, pending.clone(), &address).unwrap();
    assert_eq!(cause(pending, &address), Cause::CodeRefused);

    // A link of the attacker's own sign-in in the victim's browser, which began one or none (login CSRF).
    let (attackers, _) = scene.come_back(&provider, &wish(), BOB);
    let (victims, pending) = scene.come_back(&provider, &wish(), ALICE);
    assert_eq!(cause(pending.clone(), &attackers), Cause::StateMismatch);
    // The victim's code in the attacker's sign-in, and the other way round: the state fits, PKCE does not.
    let injected = changed(&victims, "code", Some(parameter(&attackers, "code")));
    assert_eq!(cause(pending.clone(), &injected), Cause::CodeRefused);
    // No, empty, cut and lengthened.
    let state = parameter(&victims, "state").to_owned();
    let longer = format!("{state}A");
    for wrong in [None, Some(""), Some(&state[1..]), Some(&longer), Some("%00")] {
        assert_eq!(cause(pending.clone(), &changed(&victims, "state", wrong)), Cause::StateMismatch, "{wrong:?}");
    }
    // An error is believed as little.
    let refused = changed(&changed(&victims, "state", Some("x")), "error", Some("access_denied"));
    assert_eq!(cause(pending.clone(), &refused), Cause::StateMismatch);
    // Twice: whoever reads first and whoever reads last would see different ones.
    assert_eq!(Callback::parse(&format!("{}&code=x", query(&victims))).unwrap_err().cause, Cause::CallbackInvalid);
    // Too late, with the right answer.
    let right = Callback::parse(query(&victims)).unwrap();
    let late = provider.finish(pending.clone(), &right, now() + 901);
    assert_eq!(scene.run(late).unwrap_err().cause, Cause::SignInStale);
    // None of all this has used it up.
    assert_eq!(scene.finish(&provider, pending, &victims).unwrap().subject, "alice");
}

#[test]
fn answers_of_two_providers_are_not_mixed_up() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let other = OpenidProvider::start(&scene.program, scene.folder.path(), &Setup::default()).unwrap();
    let (ours, theirs) = (proxy(&scene.real.url()), proxy(&other.url()));
    let (at_ours, for_ours) = scene.come_back(&ours, &wish(), ALICE);
    let (at_theirs, for_theirs) = scene.come_back(&theirs, &wish(), ALICE);
    let cause =
        |provider: &Provider, pending, address: &str| scene.finish(provider, pending, address).unwrap_err().cause;

    // A code of one in a sign-in at the other, which would be sent there (RFC 9207).
    let mixed = changed(&at_ours, "state", Some(parameter(&at_theirs, "state")));
    assert_eq!(cause(&theirs, for_theirs.clone(), &mixed), Cause::IssuerMismatch);
    // This provider announces that it names itself: an answer that does not is none of its.
    assert_eq!(cause(&ours, for_ours.clone(), &changed(&at_ours, "iss", None)), Cause::IssuerMismatch);
    assert_eq!(cause(&ours, for_ours.clone(), &changed(&at_ours, "iss", Some(""))), Cause::IssuerMismatch);
    // Nor is an error believed of the wrong one.
    let error = changed(&changed(&mixed, "code", None), "error", Some("access_denied"));
    assert_eq!(cause(&theirs, for_theirs.clone(), &error), Cause::IssuerMismatch);
    // What was begun at one, or as one client, is not finished at another.
    assert_eq!(cause(&theirs, for_ours.clone(), &at_ours), Cause::IssuerMismatch);
    let as_another = Provider::new(settings(&scene.real.url(), "public", None)).unwrap();
    assert_eq!(cause(&as_another, for_ours.clone(), &at_ours), Cause::IssuerMismatch);
    scene.finish(&ours, for_ours, &at_ours).unwrap();
    scene.finish(&theirs, for_theirs, &at_theirs).unwrap();
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The token with its header and claims changed, and signed anew.
fn forged(token: &str, head: &Value, change: impl FnOnce(&mut Value), sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let mut claims = serde_json::from_slice(&claims).unwrap();
    change(&mut claims);
    let message = format!("{}.{}", b64(head.to_string()), b64(claims.to_string()));
    format!("{message}.{}", b64(sign(message.as_bytes())))
}

type Forge = Box<dyn Fn(&mut Value) + Send>;
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send>;

#[test]
fn forged_and_exchanged_tokens_are_refused() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let current = Arc::new(Mutex::new(None::<(&str, Forge)>));
    let answers = Arc::new(Mutex::new(Vec::<Value>::new()));
    let (shared, seen) = (Arc::clone(&current), Arc::clone(&answers));
    let (_real, url) = tampered(&scene, move |path, answer| {
        if path == "/token" {
            seen.lock().unwrap().push(serde_json::from_slice(&answer.body).unwrap());
        }
        if let Some((changed, forge)) = &*shared.lock().unwrap()
            && *changed == path
        {
            answer.change_json(forge);
        }
    });
    let provider = proxy(&url);
    scene.sign_in(&provider, ALICE).unwrap();
    scene.sign_in(&Provider::new(settings(&url, "public", None)).unwrap(), ALICE).unwrap();
    scene.sign_in(&provider, BOB).unwrap();
    let [earlier, anothers, bobs] = <[Value; 3]>::try_from(std::mem::take(&mut *answers.lock().unwrap())).unwrap();
    let keys: Value = serde_json::from_str(&UserAgent::new().get(&format!("{url}/jwks")).unwrap().body).unwrap();
    let on_token = |forge: Forge, cause: Cause, what: &str| {
        *current.lock().unwrap() = Some(("/token", forge));
        let failure = scene.sign_in(&provider, ALICE).unwrap_err();
        assert_eq!(failure.cause, cause, "{what}: {failure}");
    };
    let on_id_token = |head: Value, sign: Sign, cause: Cause| {
        let what = head.to_string();
        let forge = move |answer: &mut Value| {
            let token = answer["id_token"].as_str().unwrap();
            answer["id_token"] = forged(token, &head, |claims| claims["sub"] = "bob".into(), &sign).into();
        };
        on_token(Box::new(forge), cause, &what);
    };

    for alg in ["none", "NONE", ""] {
        on_id_token(json!({ "alg": alg }), Box::new(|_| Vec::new()), Cause::IdTokenAlgorithm);
    }
    // What everybody can fetch, as a shared secret.
    let rsa = keys["keys"][0].clone();
    for secret in [rsa["n"].as_str().unwrap().as_bytes().to_vec(), rsa.to_string().into_bytes()] {
        let sign =
            move |message: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message).as_ref().to_vec();
        on_id_token(json!({"alg": "HS256", "kid": rsa["kid"]}), Box::new(sign), Cause::IdTokenAlgorithm);
    }
    // Signed by a key of the attacker's, under an id that leads elsewhere, or under the provider's own.
    for kid in [json!("../../../../dev/null"), json!("' OR '1'='1"), keys["keys"][1]["kid"].clone()] {
        let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let sign = move |message: &[u8]| own.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        let head = json!({"alg": "ES256", "kid": kid, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"});
        on_id_token(head, Box::new(sign), Cause::IdTokenSignature);
    }
    // The provider's own tokens: of an earlier sign-in, of another client, and with another access token.
    let exchange = |name: &'static str, from: &Value| -> Forge {
        let value = from[name].clone();
        Box::new(move |answer| answer[name] = value.clone())
    };
    on_token(exchange("id_token", &earlier), Cause::NonceMismatch, "replayed");
    on_token(exchange("id_token", &anothers), Cause::IdTokenAudience, "another client's");
    // This provider sends no at_hash here. Whose the access token is, userinfo tells.
    on_token(exchange("access_token", &bobs), Cause::SubjectMismatch, "another user's access token");

    *current.lock().unwrap() = Some(("/me", Box::new(|claims| claims["sub"] = "bob".into())));
    assert_eq!(scene.sign_in(&provider, ALICE).unwrap_err().cause, Cause::SubjectMismatch);
    *current.lock().unwrap() = None;
    scene.sign_in(&provider, ALICE).unwrap();
}

#[test]
fn nothing_secret_is_in_what_is_logged() {
    let Some(scene) = scene(&Setup::default()) else { return };
    let provider = proxy(&scene.real.url());
    let (address, pending) = scene.come_back(&provider, &wish(), ALICE);
    let callback = Callback::parse(query(&address)).unwrap();
    let mut shown = format!("{provider:?} {pending:?} {callback:?}");
    let secrets = [parameter(&address, "code").to_owned(), pending.state().to_owned(), "proxy-secret".to_owned()];
    let user = scene.finish(&provider, pending.clone(), &address).unwrap();
    let failure = scene.finish(&provider, pending, &address).unwrap_err();
    shown += &format!("{user:?} {failure:?} {failure} {}", failure.words("Example"));
    for secret in secrets.iter().map(String::as_str).chain([user.id_token.expose()]) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
