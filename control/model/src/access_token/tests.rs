use super::*;
use crate::assertion::AssertionKey;
use crate::ids::TenantId;
use aws_lc_rs::hmac;

const ISSUER: &str = "https://login.example.com";
const WIKI: &str = "https://wiki.example.com/";
const NOW: u64 = 1_000_000;

fn signer() -> AssertionSigner {
    AssertionSigner::new(&[AssertionKey::make(1, 0).unwrap()]).unwrap()
}

fn claims() -> AccessClaims {
    AccessClaims {
        iss: ISSUER.into(),
        aud: WIKI.into(),
        sub: UserId::new(TenantId::DEFAULT, 7),
        client_id: ClientId::new(TenantId::DEFAULT, 1),
        scope: "openid app:wiki".into(),
        sid: SessionId(5),
        iat: NOW,
        nbf: NOW,
        exp: NOW + ACCESS_TOKEN_S,
        auth_time: NOW - 10,
        amr: BTreeSet::from([AuthMethod::Password]),
        jti: "x".into(),
    }
}

fn sign(signer: &AssertionSigner, claims: &AccessClaims) -> String {
    signer.sign_claims(ACCESS_TOKEN_TYPE, claims, NOW).unwrap()
}

fn open(token: &str, signer: &AssertionSigner) -> Result<AccessClaims, AccessTokenInvalid> {
    AccessClaims::open(token, signer, (ISSUER, Some(WIKI)), NOW)
}

/// The public key's coordinates as anybody reads them.
fn kid(signer: &AssertionSigner) -> String {
    let jwks: serde_json::Value = serde_json::from_str(signer.jwks().unwrap()).unwrap();
    jwks["keys"][0]["kid"].as_str().unwrap().to_owned()
}

fn forged(head: &str, signature: impl FnOnce(&str) -> Vec<u8>) -> String {
    let claims = serde_json::to_vec(&claims()).unwrap();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let signature = signature(&message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn what_was_signed_is_read() {
    let signer = signer();
    assert_eq!(open(&sign(&signer, &claims()), &signer), Ok(claims()));
}

#[test]
fn other_algorithms_and_keys_are_refused() {
    let signer = signer();
    let kid = kid(&signer);
    let none = forged(&format!(r#"{{"alg":"none","kid":"{kid}","typ":"at+jwt"}}"#), |_| Vec::new());
    assert_eq!(open(&none, &signer), Err(AccessTokenInvalid::Algorithm));
    // The public key as the secret of an HMAC: what a verifier does that believes `alg`.
    let jwks = signer.jwks().unwrap().to_owned();
    for secret in [jwks.as_bytes(), kid.as_bytes()] {
        let head = format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"at+jwt"}}"#);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let token = forged(&head, |message| hmac::sign(&key, message.as_bytes()).as_ref().to_vec());
        assert_eq!(open(&token, &signer), Err(AccessTokenInvalid::Algorithm));
    }
    for alg in ["None", "es256", "ES384", "RS256", "PS256", "EdDSA", ""] {
        let head = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#);
        assert_eq!(open(&forged(&head, |_| vec![0; 64]), &signer), Err(AccessTokenInvalid::Algorithm), "{alg}");
    }
    let other = AssertionSigner::new(&[AssertionKey::make(2, 0).unwrap()]).unwrap();
    assert_eq!(open(&sign(&other, &claims()), &signer), Err(AccessTokenInvalid::Key));
    // Another's signature under our key's name.
    let head = format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"at+jwt"}}"#);
    let token = sign(&other, &claims());
    let signature = URL_SAFE_NO_PAD.decode(token.rsplit_once('.').unwrap().1).unwrap();
    assert_eq!(open(&forged(&head, |_| signature), &signer), Err(AccessTokenInvalid::Signature));
    assert_eq!(open(&forged(&head, |_| vec![0; 64]), &signer), Err(AccessTokenInvalid::Signature));
}

#[test]
fn a_head_names_no_key_of_its_own() {
    let signer = signer();
    let kid = kid(&signer);
    for more in [
        r#""jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#""jku":"https://evil.example/jwks.json""#,
        r#""x5u":"https://evil.example/x.pem""#,
        r#""x5c":["AA"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""zip":"DEF""#,
    ] {
        let head = format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"at+jwt",{more}}}"#);
        assert_eq!(open(&forged(&head, |_| vec![0; 64]), &signer), Err(AccessTokenInvalid::Malformed), "{more}");
    }
    for kid in ["../../dev/null", "' OR 1=1 --", "", "1"] {
        let head = format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"at+jwt"}}"#);
        assert_eq!(open(&forged(&head, |_| vec![0; 64]), &signer), Err(AccessTokenInvalid::Key), "{kid}");
    }
    let head = format!(r#"{{"alg":"ES256","kid":"{kid}","kid":"{kid}","typ":"at+jwt"}}"#);
    assert_eq!(open(&forged(&head, |_| vec![0; 64]), &signer), Err(AccessTokenInvalid::Malformed), "twice");
}

#[test]
fn other_kinds_of_tokens_are_none() {
    let signer = signer();
    for typ in ["JWT", "jwt", "AT+JWT", "logout+jwt", ""] {
        let token = signer.sign_claims(typ, &claims(), NOW).unwrap();
        assert_eq!(open(&token, &signer), Err(AccessTokenInvalid::Kind), "{typ}");
    }
}

#[test]
fn it_is_for_one_application_and_of_one_issuer() {
    let signer = signer();
    let changed = |change: fn(&mut AccessClaims)| {
        let mut claims = claims();
        change(&mut claims);
        open(&sign(&signer, &claims), &signer).map(|_| ())
    };
    assert_eq!(changed(|claims| claims.aud = "https://crm.example.com/".into()), Err(AccessTokenInvalid::Audience));
    assert_eq!(changed(|claims| claims.aud = ISSUER.into()), Err(AccessTokenInvalid::Audience));
    assert_eq!(changed(|claims| claims.aud = WIKI.to_uppercase()), Err(AccessTokenInvalid::Audience));
    assert_eq!(changed(|claims| claims.iss = "https://login.example.com/".into()), Err(AccessTokenInvalid::Issuer));
    let token = sign(&signer, &AccessClaims { iss: String::new(), ..claims() });
    assert_eq!(AccessClaims::open(&token, &signer, ("", None), NOW), Err(AccessTokenInvalid::Issuer));
}

#[test]
fn it_has_a_beginning_and_an_end() {
    let signer = signer();
    let at = |change: fn(&mut AccessClaims)| {
        let mut claims = claims();
        change(&mut claims);
        open(&sign(&signer, &claims), &signer).map(|_| ())
    };
    assert_eq!(at(|claims| claims.exp = NOW), Err(AccessTokenInvalid::Expired));
    assert_eq!(at(|claims| claims.exp = NOW + 1), Ok(()));
    assert_eq!(at(|claims| claims.exp = NOW + ACCESS_TOKEN_S + 1), Err(AccessTokenInvalid::Expired), "too long a life");
    assert_eq!(at(|claims| claims.iat = NOW - 1), Err(AccessTokenInvalid::Expired), "too long a life");
    assert_eq!(at(|claims| claims.nbf = NOW + SKEW_S), Ok(()));
    assert_eq!(at(|claims| claims.nbf = NOW + SKEW_S + 1), Err(AccessTokenInvalid::NotYet));
    assert_eq!(at(|claims| claims.iat = NOW + SKEW_S + 1), Err(AccessTokenInvalid::NotYet));
}

#[test]
fn what_is_no_token_is_malformed() {
    let signer = signer();
    let good = sign(&signer, &claims());
    let padded = format!("{good}=");
    for wrong in ["", ".", "..", "a.b.c", "x", &good[1..], &padded, &"a".repeat(ACCESS_TOKEN_BYTES_MAX + 1)] {
        assert!(open(wrong, &signer).is_err(), "{wrong}");
    }
    let five = format!("{good}.AA.AA");
    assert!(open(&five, &signer).is_err(), "encrypted tokens have five parts");
}

#[test]
fn whose_a_token_claims_to_be_is_read_without_a_key() {
    let token = sign(&signer(), &claims());
    assert!(claims_issuer(&token, ISSUER));
    assert!(!claims_issuer(&token, "https://other.example"));
    for other in ["", "abc", "a.b.c", "pst_st1-1_x"] {
        assert!(!claims_issuer(other, ISSUER), "{other}");
    }
}
