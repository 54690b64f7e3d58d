use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::directory::Principal;
use crate::ids::{AppId, SessionId, TenantId, UserGroupId, UserId};
use crate::session::{AuthMethod, Subject};

const NOW: u64 = 1_700_000_000;

fn record() -> SessionRecord {
    SessionRecord {
        id: SessionId(1),
        user: Subject {
            id: UserId::new(TenantId::DEFAULT, 7),
            login: "anna".parse().unwrap(),
            display_name: "Anna \"Bj\u{f6}rk\"".parse().unwrap(),
            mail: None,
            attributes: BTreeMap::new(),
            guest: false,
            groups: BTreeMap::from([(UserGroupId::new(TenantId::DEFAULT, 1), "staff".parse().unwrap())]),
            expires_unix: None,
        },
        authenticated_unix: NOW - 60,
        methods: [AuthMethod::Password].into(),
        provider: None,
        expires_unix: NOW + 86_400,
        idle_s: 60,
        persistent: false,
        source: None,
        risk: Default::default(),
        terms: Default::default(),
        device: None,
        claimed_device: Default::default(),
    }
}

fn assignment(expires_unix: Option<u64>) -> Assignment {
    let app = AppId::new(TenantId::DEFAULT, 1);
    Assignment {
        app,
        principal: Principal::Everyone,
        role: Some("editor".parse().unwrap()),
        expires_unix,
        created_unix_ms: 0,
    }
}

fn sign(signer: &AssertionSigner, until: Option<u64>, now_unix: u64) -> Result<Assertion, NotSigned> {
    let (record, assignment) = (record(), assignment(until));
    let about =
        About { issuer: "https://id.test", audience: "https://wiki.test/", record: &record, assignment: &assignment };
    signer.sign(&about, now_unix)
}

/// Head and claims, once the signature is verified with the key of the set that the head names.
fn verified(signer: &AssertionSigner, token: &str) -> Option<(Value, Value)> {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let parts: Vec<Value> = signed.split('.').map(|part| serde_json::from_slice(&decode(part)).unwrap()).collect();
    let set: Value = serde_json::from_str(signer.jwks().unwrap()).unwrap();
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == parts[0]["kid"])?;
    let point = [&[4][..], &decode(key["x"].as_str().unwrap()), &decode(key["y"].as_str().unwrap())].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &decode(signature)).ok()?;
    Some((parts[0].clone(), parts[1].clone()))
}

#[test]
fn an_assertion_says_who_it_is_and_verifies() {
    let signer = AssertionSigner::new(&[AssertionKey::make(1, NOW).unwrap()]).unwrap();
    let one = sign(&signer, None, NOW).unwrap();
    let (head, claims) = verified(&signer, &one.token).unwrap();
    assert_eq!((&head["alg"], &head["typ"]), (&"ES256".into(), &"JWT".into()));
    for (name, value) in [
        ("iss", Value::from("https://id.test")),
        ("aud", "https://wiki.test/".into()),
        ("sub", "u1-7".into()),
        ("login", "anna".into()),
        ("name", "Anna \"Bj\u{f6}rk\"".into()),
        ("mail", Value::Null),
        ("groups", vec!["staff"].into()),
        ("role", "editor".into()),
        ("guest", false.into()),
        ("amr", vec!["pwd"].into()),
        ("auth_time", (NOW - 60).into()),
        ("iat", NOW.into()),
        ("nbf", NOW.into()),
        ("exp", (NOW + ASSERTION_S).into()),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let (_, other) = verified(&signer, &sign(&signer, None, NOW).unwrap().token).unwrap();
    assert_ne!(claims["jti"], other["jti"]);
    let later = sign(&signer, None, NOW + 1_000).unwrap().token;
    let (said, _) = later.rsplit_once('.').unwrap();
    let (_, signature) = one.token.rsplit_once('.').unwrap();
    assert!(verified(&signer, &format!("{said}.{signature}")).is_none(), "a signature is of what it stands behind");
}

#[test]
fn it_ends_when_the_right_does() {
    let signer = AssertionSigner::new(&[AssertionKey::make(1, NOW).unwrap()]).unwrap();
    assert_eq!(sign(&signer, Some(NOW + 10), NOW).unwrap().expires_unix, NOW + 10);
    assert_eq!(sign(&signer, Some(NOW + 9_000), NOW).unwrap().expires_unix, NOW + ASSERTION_S);
    assert_eq!(sign(&signer, None, NOW + 86_390).unwrap().expires_unix, NOW + 86_400, "the session's end");
}

#[test]
fn a_new_key_is_told_before_it_signs_and_an_old_one_verifies_on() {
    let (old, new) = (AssertionKey::make(1, NOW).unwrap(), AssertionKey::make(2, NOW + 5_000).unwrap());
    let before = AssertionSigner::new([&old]).unwrap();
    let both = AssertionSigner::new([&old, &new]).unwrap();
    let kid = |signer: &AssertionSigner, now| {
        verified(&both, &sign(signer, None, now).unwrap().token).unwrap().0["kid"].clone()
    };
    let first = kid(&before, NOW);
    assert_eq!(kid(&both, NOW + 5_000 + ANNOUNCED_S - 1), first);
    let second = kid(&both, NOW + 5_000 + ANNOUNCED_S);
    assert_ne!(first, second);
    let after = AssertionSigner::new([&new]).unwrap();
    assert_eq!(kid(&after, NOW + 5_000), second, "the only one signs at once");
    assert!(verified(&after, &sign(&before, None, NOW).unwrap().token).is_none(), "whose key is gone does not verify");
    const { assert!(JWKS_CACHE_S < ANNOUNCED_S) };
}

#[test]
fn what_is_no_key_is_refused_and_nothing_is_signed_without_one() {
    let key = AssertionKey::make(1, NOW).unwrap();
    assert_eq!(AssertionSigner::new([&key, &key]).unwrap_err(), AssertionKeyInvalid);
    for secret in ["", "!", "AAAA"] {
        let wrong = AssertionKey { secret: SecretText::new(secret.to_owned()), ..key.clone() };
        assert!(AssertionSigner::new([&wrong]).is_err(), "{secret}");
    }
    let none = AssertionSigner::default();
    assert_eq!((none.jwks(), sign(&none, None, NOW)), (None, Err(NotSigned::Unable)));
    assert!(!format!("{:?}{key:?}", AssertionSigner::new([&key]).unwrap()).contains(key.secret.expose()));
    let signer = AssertionSigner::new([&key]).unwrap();
    let (mut record, assignment) = (record(), assignment(None));
    let named = |seq| (UserGroupId::new(TenantId::DEFAULT, seq), format!("a-long-name-{seq}").parse().unwrap());
    record.user.groups = (0..500).map(named).collect();
    let about = About { issuer: "", audience: "", record: &record, assignment: &assignment };
    assert_eq!(signer.sign(&about, NOW), Err(NotSigned::TooLong));
}
