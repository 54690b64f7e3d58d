//! Every way in which a signature, a key or a header can be other than it should.

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use aws_lc_rs::{hmac, rsa};
use serde_json::json;

pub(crate) enum Signer {
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "kid": kid, "n": b64(n.big_endian_without_leading_zero()),
                    "e": b64(e.big_endian_without_leading_zero())})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(pair.public_key())}),
        }
    }

    pub(crate) fn sign(&self, head: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", b64(head.to_string()), b64(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if head["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", b64(signature))
    }
}

fn set(keys: &[Value]) -> Result<KeySet, String> {
    let Value::Object(set) = json!({ "keys": keys }) else { unreachable!() };
    KeySet::parse(set)
}

fn settings() -> ProviderSettings {
    ProviderSettings::new("x".parse().unwrap(), "https://a.example", "postern", None)
}

fn verify(keys: &[Value], token: &str) -> Result<Signed, Unsigned> {
    set(keys).unwrap().verify(token, &settings(), &["JWT"])
}

fn claims() -> Value {
    json!({"sub": "alice"})
}

#[test]
fn each_type_of_key_verifies_its_algorithms() {
    let (rsa, ec, ed) = (Signer::rsa(), Signer::ec(), Signer::ed());
    let keys = [rsa.jwk("1"), ec.jwk("2"), ed.jwk("3")];
    for (signer, alg, kid) in [(&rsa, "RS256", "1"), (&rsa, "PS256", "1"), (&ec, "ES256", "2"), (&ed, "EdDSA", "3")] {
        let token = signer.sign(&json!({"alg": alg, "kid": kid, "typ": "jwt"}), &claims());
        assert_eq!(verify(&keys, &token).unwrap().claims["sub"], "alice", "{alg}");
        // Without a kid every key of the type is tried.
        assert!(verify(&keys, &signer.sign(&json!({"alg": alg}), &claims())).is_ok(), "{alg}");
        let parts: Vec<_> = token.split('.').collect();
        let forged = format!("{}.{}.{}", parts[0], b64(r#"{"sub":"bob"}"#), parts[2]);
        assert_eq!(verify(&keys, &forged).unwrap_err(), Unsigned::Wrong, "{alg}");
    }
}

#[test]
fn no_signature_and_shared_secrets_are_refused() {
    let (rsa, ec) = (Signer::rsa(), Signer::ec());
    let keys = [rsa.jwk("1"), ec.jwk("2"), json!({"kty": "oct", "kid": "3", "k": b64("secret"), "alg": "HS256"})];
    for alg in ["none", "None", "NONE", "nOnE"] {
        let unsigned = format!("{}.{}.", b64(json!({ "alg": alg }).to_string()), b64(claims().to_string()));
        assert_eq!(verify(&keys, &unsigned).unwrap_err(), Unsigned::Algorithm(alg.into()));
    }
    // The public key, which everybody has, as a shared secret: in each form that a library may take it in.
    let Signer::Rsa(pair) = &rsa else { unreachable!() };
    let jwk = rsa.jwk("1");
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [pair.public_key().as_ref(), jwk["n"].as_str().unwrap().as_bytes(), &modulus, b"secret"] {
        for head in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "1"}), json!({"alg": "HS256", "kid": "3"})]
        {
            let message = format!("{}.{}", b64(head.to_string()), b64(claims().to_string()));
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let token = format!("{message}.{}", b64(hmac::sign(&key, message.as_bytes())));
            assert_eq!(verify(&keys, &token).unwrap_err(), Unsigned::Algorithm("HS256".into()));
        }
    }
}

#[test]
fn an_algorithm_of_another_type_of_key_finds_no_key() {
    let (rsa, ec) = (Signer::rsa(), Signer::ec());
    // Each names the other's key.
    let token = ec.sign(&json!({"alg": "ES256", "kid": "rsa"}), &claims());
    assert_eq!(verify(&[rsa.jwk("rsa"), ec.jwk("ec")], &token).unwrap_err(), Unsigned::UnknownKey("rsa".into()));
    let token = rsa.sign(&json!({"alg": "RS256", "kid": "ec"}), &claims());
    assert_eq!(verify(&[rsa.jwk("rsa"), ec.jwk("ec")], &token).unwrap_err(), Unsigned::UnknownKey("ec".into()));
    // A key that says for what it is serves nothing else, and one that contradicts itself is not used.
    let mut only = rsa.jwk("rsa");
    only["alg"] = "PS256".into();
    assert!(verify(std::slice::from_ref(&only), &rsa.sign(&json!({"alg": "PS256"}), &claims())).is_ok());
    assert!(verify(std::slice::from_ref(&only), &rsa.sign(&json!({"alg": "RS256"}), &claims())).is_err());
    only["alg"] = "ES256".into();
    assert!(set(&[only]).is_err());
    // Allowed by the key, not by the settings.
    let mut narrow = settings();
    narrow.algorithms = vec![SignatureAlgorithm::ES256];
    let token = rsa.sign(&json!({"alg": "RS256"}), &claims());
    assert!(set(&[rsa.jwk("1")]).unwrap().verify(&token, &narrow, &["JWT"]).is_err());
}

#[test]
fn a_kid_is_compared_and_nothing_else() {
    let (right, attacker) = (Signer::ec(), Signer::ec());
    let keys = [right.jwk("1")];
    for kid in ["../../../../dev/null", "' OR '1'='1", "http://evil.example/jwks", "1\0", "", "1 ", "|id", "${1}"] {
        let token = attacker.sign(&json!({"alg": "ES256", "kid": kid}), &claims());
        assert_eq!(verify(&keys, &token).unwrap_err(), Unsigned::UnknownKey(kid.into()));
    }
    // Keys that a token brings along count for nothing, whatever `kid` says.
    let own = attacker.jwk("1");
    let head =
        json!({"alg": "ES256", "kid": "1", "jwk": own, "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/"});
    assert_eq!(verify(&keys, &attacker.sign(&head, &claims())).unwrap_err(), Unsigned::Wrong);
    for odd in [json!(1), json!(["1"]), json!({"a": 1}), json!(null)] {
        let token = attacker.sign(&json!({"alg": "ES256", "kid": odd}), &claims());
        assert!(matches!(verify(&keys, &token).unwrap_err(), Unsigned::Malformed(_)));
    }
}

#[test]
fn keys_with_the_same_id_are_all_tried_but_not_without_end() {
    let (old, new) = (Signer::ec(), Signer::ec());
    let token = new.sign(&json!({"alg": "ES256", "kid": "1"}), &claims());
    assert!(verify(&[old.jwk("1"), new.jwk("1")], &token).is_ok());
    let mut many: Vec<_> = (0..CANDIDATES_MAX).map(|_| old.jwk("1")).collect();
    many.push(new.jwk("1"));
    assert_eq!(verify(&many, &token).unwrap_err(), Unsigned::Wrong);
}

#[test]
fn keys_for_other_uses_and_broken_ones_are_passed_over() {
    let good = Signer::ec();
    let token = good.sign(&json!({"alg": "ES256", "kid": "1"}), &claims());
    let with = |key: &str, value: Value| {
        let mut jwk = good.jwk("1");
        jwk[key] = value;
        jwk
    };
    for unusable in [
        with("use", json!("enc")),
        with("use", json!(1)),
        with("key_ops", json!(["sign"])),
        with("key_ops", json!("verify")),
        with("alg", json!("ECDH-ES")),
        with("alg", json!(7)),
        with("crv", json!("secp256k1")),
        with("x", json!("!")),
        with("kty", json!("AKP")),
        json!("text"),
        json!(null),
        json!({}),
    ] {
        assert!(set(std::slice::from_ref(&unusable)).is_err(), "{unusable}");
        assert!(verify(&[unusable, good.jwk("1")], &token).is_ok());
    }
    for usable in [with("use", json!("sig")), with("key_ops", json!(["verify"])), with("alg", json!("ES256"))] {
        assert!(verify(&[usable], &token).is_ok());
    }
    // A point that is not on the curve, a key that is too short: they verify nothing, and nothing breaks.
    for broken in [with("x", json!(b64([7; 32]))), with("x", json!(b64([7; 3]))), with("y", json!(b64([7; 64])))] {
        assert_eq!(verify(&[broken], &token).unwrap_err(), Unsigned::Wrong);
    }
    let short = json!({"kty": "RSA", "kid": "1", "n": b64([255; 64]), "e": "AQAB"});
    let token = Signer::rsa().sign(&json!({"alg": "RS256", "kid": "1"}), &claims());
    assert_eq!(verify(&[short], &token).unwrap_err(), Unsigned::Wrong);
}

#[test]
fn a_set_is_bounded() {
    assert!(set(&vec![Signer::ec().jwk("1"); KEYS_MAX + 1]).is_err());
    assert!(set(&[]).is_err());
    for wrong in [json!({}), json!({"keys": {}}), json!({"keys": "a"})] {
        let Value::Object(wrong) = wrong else { unreachable!() };
        assert!(KeySet::parse(wrong).is_err());
    }
}

#[test]
fn tokens_of_other_kinds_and_no_tokens_are_refused() {
    let signer = Signer::ec();
    let keys = [signer.jwk("1")];
    for kind in ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", ""] {
        let token = signer.sign(&json!({"alg": "ES256", "kid": "1", "typ": kind}), &claims());
        assert!(matches!(verify(&keys, &token).unwrap_err(), Unsigned::Malformed(_)), "{kind}");
    }
    for critical in [json!(["exp"]), json!([]), json!(["b64"])] {
        let token = signer.sign(&json!({"alg": "ES256", "crit": critical, "b64": false}), &claims());
        assert!(matches!(verify(&keys, &token).unwrap_err(), Unsigned::Malformed(_)), "{critical}");
    }
    let good = signer.sign(&json!({"alg": "ES256", "kid": "1"}), &claims());
    assert!(verify(&keys, &good).is_ok());
    let no_object = signer.sign(&json!({"alg": "ES256"}), &json!(["sub"]));
    let long = signer.sign(&json!({"alg": "ES256"}), &json!({"sub": "a".repeat(TOKEN_BYTES_MAX)}));
    let (four, two) = (format!("{good}.a"), good.rsplit_once('.').unwrap().0.to_owned());
    for wrong in ["", ".", "..", "a.b.c", "e30.e30.e30", "bnVsbA.e30.e30", "ä.ö.ü", &no_object, &long, &four, &two] {
        assert!(
            matches!(verify(&keys, wrong).unwrap_err(), Unsigned::Malformed(_)),
            "{}",
            &wrong[..wrong.len().min(40)]
        );
    }
}
