//! Logout tokens, each claim wrong, and addresses to sign out by.

use super::*;
use crate::settings::ClientAuth;
use serde_json::json;

const NOW: u64 = 1_800_000_000;

fn settings() -> ProviderSettings {
    ProviderSettings::new("x".parse().unwrap(), "https://a.example", "postern", None)
}

fn judged(seen: &Seen, change: impl FnOnce(&mut Map<String, Value>)) -> Result<LogoutNotice, LogoutRefused> {
    let Value::Object(mut claims) = json!({
        "iss": "https://a.example", "aud": "postern", "iat": NOW, "exp": NOW + 120, "jti": "1", "sub": "alice",
        "sid": "s1", "events": { EVENT: {} },
    }) else {
        unreachable!()
    };
    change(&mut claims);
    check(&claims, &settings(), seen, NOW)
}

fn changed(claim: &str, value: Value) -> Result<LogoutNotice, LogoutRefused> {
    judged(&Seen::new(), |claims| drop(claims.insert(claim.into(), value)))
}

fn without(claim: &str) -> Result<LogoutNotice, LogoutRefused> {
    judged(&Seen::new(), |claims| drop(claims.remove(claim)))
}

#[test]
fn a_good_one_says_whose_sessions_end_once() {
    let seen = Seen::new();
    let notice = judged(&seen, |_| {}).unwrap();
    let (subject, session) = (Some("alice".to_owned()), Some("s1".to_owned()));
    assert_eq!(notice, LogoutNotice { issuer: "https://a.example".into(), subject, session });
    assert_eq!(judged(&seen, |_| {}).unwrap_err(), LogoutRefused::Replayed);
    assert!(judged(&seen, |claims| drop(claims.insert("jti".into(), "2".into()))).is_ok());
    assert!(without("sid").is_ok() && without("sub").is_ok() && without("exp").is_ok());
}

#[test]
fn what_is_no_logout_token_is_refused() {
    for wrong in [json!({}), json!(null), json!({"other": {}}), json!({ EVENT: 1 }), json!([EVENT]), json!(EVENT)] {
        assert!(matches!(changed("events", wrong.clone()), Err(LogoutRefused::Kind(_))), "{wrong}");
    }
    for nonce in [json!("n"), json!(null), json!("")] {
        assert!(matches!(changed("nonce", nonce), Err(LogoutRefused::Kind(_))));
    }
    for jti in [json!(""), json!(null), json!("a".repeat(256))] {
        assert!(matches!(changed("jti", jti), Err(LogoutRefused::Kind(_))));
    }
    for missing in ["iss", "aud", "iat"] {
        assert!(matches!(without(missing), Err(LogoutRefused::Token(_))), "{missing}");
    }
    assert!(matches!(without("jti"), Err(LogoutRefused::Kind(_))));
    let neither = judged(&Seen::new(), |claims| claims.retain(|claim, _| claim != "sub" && claim != "sid"));
    assert!(matches!(neither, Err(LogoutRefused::Kind(_))));
    for (claim, wrong) in
        [("iss", json!("https://b.example")), ("aud", json!("other")), ("sub", json!(7)), ("sid", json!([]))]
    {
        assert!(matches!(changed(claim, wrong), Err(LogoutRefused::Token(_))), "{claim}");
    }
}

#[test]
fn old_and_future_ones_are_refused() {
    let at = |iat: u64| changed("iat", json!(iat));
    assert!(at(NOW - 180).is_ok());
    assert_eq!(at(NOW - 181).unwrap_err(), LogoutRefused::Old { age_s: 181 });
    assert!(at(NOW + 60).is_ok());
    assert!(matches!(at(NOW + 61), Err(LogoutRefused::Token(_))));
    assert_eq!(changed("exp", json!(NOW - 60)).unwrap_err(), LogoutRefused::Old { age_s: 0 });
}

#[test]
fn every_token_that_still_counts_is_remembered_and_the_memory_bounded() {
    let seen = Seen::new();
    // Made at the last moment that the clocks' difference allows, it counts longest.
    let made = NOW + 60;
    let until = made + LOGOUT_AGE_MAX_S + 2 * 60 + 1;
    assert!(seen.remember("a", until, NOW));
    let last = made + LOGOUT_AGE_MAX_S + 60;
    assert!(!seen.remember("a", until, last));
    assert!(seen.remember("a", until + 1_000, until));
    for n in 0..LOGOUTS_REMEMBERED_MAX + 10 {
        assert!(seen.remember(&format!("n{n}"), until + 1_000, until));
    }
    let remembered = seen.0.lock().unwrap();
    assert_eq!((remembered.ids.len(), remembered.order.len()), (LOGOUTS_REMEMBERED_MAX, LOGOUTS_REMEMBERED_MAX));
}

#[test]
fn codes_are_in_the_catalogue() {
    let token = LogoutRefused::Token(Cause::IdTokenSignature.because(""));
    for refused in [token, LogoutRefused::Kind(""), LogoutRefused::Old { age_s: 1 }, LogoutRefused::Replayed] {
        assert!(postern_model::codes::lookup(refused.code()).is_some(), "{}", refused.code());
    }
}

#[test]
fn the_address_to_sign_out_by_says_who_and_where_back() {
    let mut metadata = Metadata {
        authorization: "https://a.example/auth".parse().unwrap(),
        token: "https://a.example/token".parse().unwrap(),
        keys: "https://a.example/jwks".parse().unwrap(),
        user_info: None,
        end_session: Some("https://a.example/end?x=1".parse().unwrap()),
        names_itself: false,
        client_auth: Some(ClientAuth::ClientSecretBasic),
    };
    let state = SecretText::new("st".into());
    let made = |metadata: &Metadata, hint: &str, back: &str| {
        url(metadata, &settings(), Some(&SecretText::new(hint.into())), back, &state)
    };
    let back = "https://us.example/out";
    let address = made(&metadata, "tok", back).unwrap().unwrap();
    assert_eq!(
        address.as_str(),
        "https://a.example/end?x=1&id_token_hint=tok&client_id=postern&\
         post_logout_redirect_uri=https%3A%2F%2Fus.example%2Fout&state=st"
    );
    let long = made(&metadata, &"t".repeat(HINT_BYTES_MAX + 1), back).unwrap().unwrap();
    assert!(!long.as_str().contains("id_token_hint"));
    assert!(made(&metadata, "tok", "http://us.example/out").is_err());
    metadata.end_session = None;
    assert_eq!(made(&metadata, "tok", back), Ok(None));
}
