//! What programs show as access tokens.

use std::sync::LazyLock;

use postern_model::access_token::{
    ACCESS_TOKEN_S, ACCESS_TOKEN_TYPE, AccessClaims, AccessTokenInvalid, SKEW_S, claims_issuer,
};
use postern_model::assertion::{AssertionKey, AssertionSigner};
use serde_json::Value;

/// A token that nobody signed, and claims that we signed, whatever they are: the one never opens, the others for their own
/// application and time, and only as they were signed.
pub(crate) fn access(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(open(text, None).is_err(), "what nobody signed opens");
        let _ = claims_issuer(text, ISSUER);
    }
    let Ok(claims) = serde_json::from_slice::<Value>(data) else { return };
    // What is too long is not signed.
    let Ok(token) = SIGNER.sign_claims(ACCESS_TOKEN_TYPE, &claims, NOW) else { return };
    let Ok(opened) = open(&token, Some(AUDIENCE)) else { return };
    assert_eq!((opened.iss.as_str(), opened.aud.as_str()), (ISSUER, AUDIENCE));
    assert!(NOW < opened.exp && opened.exp <= NOW + SKEW_S + ACCESS_TOKEN_S, "it is good until {}", opened.exp);
    assert!(opened.nbf <= NOW + SKEW_S, "it is good from {}", opened.nbf);
    assert!(claims_issuer(&token, ISSUER), "it opens and does not count as one of ours");
    assert_eq!(open(&token, Some("https://other.example/")), Err(AccessTokenInvalid::Audience));
    if let Ok(other) = SIGNER.sign_claims("JWT", &claims, NOW) {
        assert_eq!(open(&other, Some(AUDIENCE)), Err(AccessTokenInvalid::Kind));
    }
    for at in (0..token.len()).step_by(1 + token.len() / CHANGES_MAX) {
        let mut changed = token.clone().into_bytes();
        changed[at] ^= 0x01;
        let refused = std::str::from_utf8(&changed).map_or(true, |changed| open(changed, None).is_err());
        assert!(refused, "another text opens, byte {at}");
    }
}

fn open(token: &str, audience: Option<&str>) -> Result<AccessClaims, AccessTokenInvalid> {
    AccessClaims::open(token, &SIGNER, (ISSUER, audience), NOW)
}

/// Of a key that is made anew each time: no input can hold a signature by it.
static SIGNER: LazyLock<AssertionSigner> = LazyLock::new(|| {
    let key = AssertionKey::make(1, 0).expect("there is randomness");
    AssertionSigner::new([&key]).expect("what was made is a key")
});

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "https://wiki.example.com/";
const NOW: u64 = 1_000_000;
const CHANGES_MAX: usize = 64;
