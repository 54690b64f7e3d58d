//! Each claim of an ID token, missing, wrong and odd.

use super::*;
use serde_json::json;

const NOW: u64 = 1_800_000_000;

fn expected() -> Expected<'static> {
    Expected {
        issuer: "https://a.example",
        client_id: "postern",
        nonce: "the-nonce",
        began_unix: NOW - 30,
        skew_s: 60,
        max_age_s: None,
        acr: &[],
        access_token: "the-access-token",
    }
}

fn judged(expected: &Expected<'_>, change: impl FnOnce(&mut Value)) -> Result<Identity, SignInFailure> {
    let mut claims = json!({
        "iss": "https://a.example", "aud": "postern", "sub": "alice", "nonce": "the-nonce",
        "iat": NOW - 1, "exp": NOW + 3600,
    });
    change(&mut claims);
    let Value::Object(claims) = claims else { unreachable!() };
    check(&Signed { algorithm: Algorithm::ES256, claims }, expected, NOW)
}

fn cause(change: impl FnOnce(&mut Value)) -> Option<Cause> {
    judged(&expected(), change).err().map(|failure| failure.cause)
}

fn with(claim: &str, value: Value) -> Option<Cause> {
    cause(|claims| claims[claim] = value)
}

#[test]
fn a_good_one_passes() {
    let identity = judged(&expected(), |claims| claims["sid"] = "s1".into()).unwrap();
    let session = Some("s1".to_owned());
    assert_eq!(identity, Identity { subject: "alice".into(), session, auth_time_unix: None });
}

#[test]
fn what_is_missing_or_of_another_type_is_refused() {
    for claim in ["iss", "aud", "sub", "iat", "exp"] {
        let missing = cause(|claims| drop(claims.as_object_mut().unwrap().remove(claim)));
        assert_eq!(missing, Some(Cause::IdTokenMalformed), "{claim}");
        for odd in [json!(null), json!(true), json!({}), json!([1])] {
            assert_eq!(with(claim, odd.clone()), Some(Cause::IdTokenMalformed), "{claim} {odd}");
        }
    }
    // A time as text, negative or beyond all dates is no time, also where it would be optional.
    for claim in ["iat", "exp", "nbf", "auth_time"] {
        for odd in [json!("1800000000"), json!(-1), json!(u64::MAX), json!(1e300), json!(null)] {
            assert_eq!(with(claim, odd.clone()), Some(Cause::IdTokenMalformed), "{claim} {odd}");
        }
    }
    for odd in [json!(""), json!("a".repeat(256)), json!("ä"), json!("a\n"), json!(7)] {
        assert_eq!(with("sub", odd.clone()), Some(Cause::IdTokenMalformed), "{odd}");
        assert_eq!(with("sid", odd.clone()), Some(Cause::IdTokenMalformed), "{odd}");
    }
    assert_eq!(with("sub", json!("a".repeat(255))), None);
}

#[test]
fn another_issuer_is_refused() {
    for wrong in ["https://a.example/", "https://b.example", ""] {
        assert_eq!(with("iss", wrong.into()), Some(Cause::IssuerMismatch), "{wrong}");
    }
}

#[test]
fn it_is_for_us_and_made_for_us() {
    for wrong in [json!("other"), json!(["other"]), json!([]), json!("postern2")] {
        assert_eq!(with("aud", wrong.clone()), Some(Cause::IdTokenAudience), "{wrong}");
    }
    assert_eq!(with("aud", json!(vec!["postern"; AUDIENCES_MAX + 1])), Some(Cause::IdTokenMalformed));
    assert_eq!(with("aud", json!(["postern"])), None);
    let several = |party: Option<&str>| {
        cause(|claims| {
            claims["aud"] = json!(["postern", "other"]);
            if let Some(party) = party {
                claims["azp"] = party.into();
            }
        })
    };
    assert_eq!(several(None), Some(Cause::IdTokenAudience));
    assert_eq!(several(Some("other")), Some(Cause::IdTokenAudience));
    assert_eq!(several(Some("postern")), None);
    assert_eq!(with("azp", "other".into()), Some(Cause::IdTokenAudience));
}

#[test]
fn clocks_may_differ_by_the_tolerance_and_no_second_more() {
    assert_eq!(with("iat", json!(NOW + 60)), None);
    assert_eq!(with("iat", json!(NOW + 61)), Some(Cause::ProviderClockSkew { ahead_s: 61 }));
    assert_eq!(with("nbf", json!(NOW + 60)), None);
    assert_eq!(with("nbf", json!(NOW + 61)), Some(Cause::ProviderClockSkew { ahead_s: 61 }));
    // The sign-in began 30 s ago.
    assert_eq!(with("iat", json!(NOW - 90)), None);
    assert_eq!(with("iat", json!(NOW - 91)), Some(Cause::ProviderClockSkew { ahead_s: -61 }));
    assert_eq!(with("exp", json!(NOW - 59)), None);
    assert_eq!(with("exp", json!(NOW - 60)), Some(Cause::IdTokenExpired));
    assert_eq!(with("iat", json!(NOW as f64 + 60.5)), None);
    let failure = judged(&expected(), |claims| claims["iat"] = json!(NOW + 7200)).unwrap_err();
    assert!(failure.detail.contains("7200 s in the future; 60 s are tolerated"), "{failure}");
}

#[test]
fn the_nonce_is_this_sign_ins() {
    for wrong in [json!("another"), json!(""), json!("the-nonce "), json!(null)] {
        assert_eq!(with("nonce", wrong.clone()), Some(Cause::NonceMismatch), "{wrong}");
    }
    let missing = cause(|claims| drop(claims.as_object_mut().unwrap().remove("nonce")));
    assert_eq!(missing, Some(Cause::NonceMismatch));
}

#[test]
fn at_hash_is_that_of_the_access_token_by_the_signatures_hash() {
    assert_eq!(with("at_hash", "wrong".into()), Some(Cause::IdTokenHash));
    assert_eq!(with("at_hash", "".into()), Some(Cause::IdTokenHash));
    for (algorithm, digest, half) in [
        (Algorithm::RS256, &digest::SHA256, 16),
        (Algorithm::ES384, &digest::SHA384, 24),
        (Algorithm::PS512, &digest::SHA512, 32),
        (Algorithm::EdDSA, &digest::SHA512, 32),
    ] {
        let hash = digest::digest(digest, b"the-access-token");
        let text = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..half]);
        let Value::Object(claims) = json!({ "at_hash": text }) else { unreachable!() };
        let signed = Signed { algorithm, claims };
        assert_eq!(access_token_hash(&signed, "the-access-token"), Ok(()), "{algorithm:?}");
        assert!(access_token_hash(&signed, "another").is_err());
    }
    // The example of OpenID Connect Core, appendix A.3.
    let Value::Object(claims) = json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}) else { unreachable!() };
    let signed = Signed { algorithm: Algorithm::RS256, claims };
    assert_eq!(access_token_hash(&signed, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), Ok(()));
}

#[test]
fn max_age_needs_a_young_auth_time() {
    let judge = |auth_time: Option<u64>| {
        let expected = Expected { max_age_s: Some(300), ..expected() };
        judged(&expected, |claims| {
            if let Some(at) = auth_time {
                claims["auth_time"] = at.into();
            }
        })
        .err()
        .map(|failure| failure.cause)
    };
    assert_eq!(judge(None), Some(Cause::LoginTooOld));
    // 300 s, 30 s since the sign-in began, 60 s of skew.
    assert_eq!(judge(Some(NOW - 390)), None);
    assert_eq!(judge(Some(NOW - 391)), Some(Cause::LoginTooOld));
    assert_eq!(judge(Some(NOW + 61)), Some(Cause::ProviderClockSkew { ahead_s: 61 }));
    assert_eq!(with("auth_time", json!(NOW - 1_000_000)), None, "nobody asked");
}

#[test]
fn a_class_that_was_asked_for_is_there() {
    let wanted = ["urn:mfa".to_owned(), "urn:key".to_owned()];
    let judge = |found: Value| {
        let expected = Expected { acr: &wanted, ..expected() };
        judged(&expected, |claims| claims["acr"] = found).err().map(|failure| failure.cause)
    };
    assert_eq!(judge(json!("urn:key")), None);
    assert_eq!(judge(json!("urn:pwd")), Some(Cause::LoginTooWeak));
    assert_eq!(judge(json!(null)), Some(Cause::LoginTooWeak));
    assert_eq!(judge(json!(["urn:mfa"])), Some(Cause::IdTokenMalformed));
}
