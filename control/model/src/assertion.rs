//! Signed assertions: who a user is, for one application, in a form that a backend can verify by itself (JWT, RFC 7519, signed
//! with ES256). Control makes the keys, relays sign, and anyone may have the public ones (JWKS, RFC 7517).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::directory::Assignment;
use crate::secret::SecretText;
use crate::session::SessionRecord;

/// A key pair for assertions, made by control and given to every relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssertionKey {
    /// Which one, counted from 1.
    pub id: u32,
    /// The private key: PKCS #8 in base64url.
    pub secret: SecretText,
    /// When it was made.
    pub created_unix: u64,
}

/// Signs assertions, and says how they are verified. By default without a key: nothing is signed.
#[derive(Default)]
pub struct AssertionSigner {
    /// Newest first.
    keys: Vec<SigningKey>,
    jwks: Arc<str>,
}

struct SigningKey {
    id: u32,
    created_unix: u64,
    /// RFC 7638: two keys never have the same.
    thumbprint: String,
    pair: EcdsaKeyPair,
}

/// A key that is none, or whose number is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key for assertions cannot be used: it is no P-256 key, or its number is taken")]
pub struct AssertionKeyInvalid;

/// There is no key yet, no randomness, or there is too much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// No key, or no randomness.
    #[error("no assertion can be signed: there is no key, or no randomness")]
    Unable,
    /// Too long for a header.
    #[error("the assertion is longer than {ASSERTION_BYTES_MAX} bytes")]
    TooLong,
}

/// A signed assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The header's value.
    pub token: String,
    /// From this second on it is good for nothing.
    pub expires_unix: u64,
}

/// What is said, as names of RFC 7519 and RFC 8176 where these have one.
#[derive(Serialize)]
struct Statement<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    login: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<&'a str>,
    groups: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    guest: bool,
    amr: BTreeSet<&'static str>,
    auth_time: u64,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
}

/// Whom an assertion is of, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Where people sign in: its external URL without a slash at the end.
    pub issuer: &'a str,
    /// The application's external URL, as `app show` shows it.
    pub audience: &'a str,
    /// Who.
    pub record: &'a SessionRecord,
    /// By what right they are let in.
    pub assignment: &'a Assignment,
}

impl AssertionKey {
    /// A new one. Fails only without randomness.
    ///
    /// # Errors
    /// When there is none.
    pub fn make(id: u32, now_unix: u64) -> Result<Self, NotSigned> {
        let generated = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let document = generated.map_err(|_| NotSigned::Unable)?;
        Ok(Self { id, secret: SecretText::new(URL_SAFE_NO_PAD.encode(document.as_ref())), created_unix: now_unix })
    }
}

impl AssertionSigner {
    /// Takes the keys into use.
    ///
    /// # Errors
    /// When one of them is no key.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a AssertionKey>) -> Result<Self, AssertionKeyInvalid> {
        let mut all: Vec<SigningKey> = Vec::new();
        for key in keys {
            if all.iter().any(|other| other.id == key.id) {
                return Err(AssertionKeyInvalid);
            }
            all.push(SigningKey::read(key)?);
        }
        all.sort_by_key(|key| std::cmp::Reverse((key.created_unix, key.id)));
        let public: Vec<String> = all.iter().map(SigningKey::public).collect();
        let jwks = if all.is_empty() { String::new() } else { format!(r#"{{"keys":[{}]}}"#, public.join(",")) };
        Ok(Self { keys: all, jwks: jwks.into() })
    }

    /// The public keys as a JWK Set; `None` when there is none.
    #[must_use]
    pub fn jwks(&self) -> Option<&str> {
        Some(&*self.jwks).filter(|jwks| !jwks.is_empty())
    }

    /// Signs who the user is, for [`ASSERTION_S`] at most and never longer than they are let in.
    ///
    /// # Errors
    /// Without a key or randomness, and when there is more to say than fits.
    pub fn sign(&self, about: &About<'_>, now_unix: u64) -> Result<Assertion, NotSigned> {
        let statement = Statement::of(about, now_unix, token_id()?);
        let token = self.sign_claims("JWT", &statement, now_unix)?;
        Ok(Assertion { token, expires_unix: statement.exp })
    }

    /// Signs claims of any kind; `typ` (RFC 8725 §3.11) keeps the kinds apart.
    ///
    /// # Errors
    /// As [`AssertionSigner::sign`].
    pub fn sign_claims(&self, typ: &str, claims: &impl Serialize, now_unix: u64) -> Result<String, NotSigned> {
        let key = self.current(now_unix).ok_or(NotSigned::Unable)?;
        // Plain data with text keys always has a JSON form.
        let claims = serde_json::to_vec(claims).map_err(|_| NotSigned::Unable)?;
        let head = format!(r#"{{"alg":"ES256","kid":"{}","typ":"{typ}"}}"#, key.thumbprint);
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        let signature = key.pair.sign(&SystemRandom::new(), token.as_bytes()).map_err(|_| NotSigned::Unable)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        if token.len() > ASSERTION_BYTES_MAX { Err(NotSigned::TooLong) } else { Ok(token) }
    }

    /// Whether one of these very keys, the one that `kid` names, made a signature of `message`; `None`: there is no such key.
    pub(crate) fn verify(&self, kid: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = self.keys.iter().find(|key| key.thumbprint == kid)?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref());
        Some(public.verify(message, signature).is_ok())
    }

    /// The newest that verifiers had the time to learn of; when all are that new, the oldest.
    fn current(&self, now_unix: u64) -> Option<&SigningKey> {
        let is_known = |key: &&SigningKey| key.created_unix.saturating_add(ANNOUNCED_S) <= now_unix;
        self.keys.iter().find(is_known).or(self.keys.last())
    }
}

impl fmt::Debug for AssertionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u32> = self.keys.iter().map(|key| key.id).collect();
        f.debug_struct("AssertionSigner").field("keys", &ids).finish_non_exhaustive()
    }
}

impl SigningKey {
    fn read(key: &AssertionKey) -> Result<Self, AssertionKeyInvalid> {
        let decoded = URL_SAFE_NO_PAD.decode(key.secret.expose()).map_err(|_| AssertionKeyInvalid)?;
        let pkcs8 = Zeroizing::new(decoded);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8);
        let pair = pair.map_err(|_| AssertionKeyInvalid)?;
        let mut read = Self { id: key.id, created_unix: key.created_unix, thumbprint: String::new(), pair };
        let (x, y) = read.coordinates().ok_or(AssertionKeyInvalid)?;
        // RFC 7638 §3.2: the required members in this order.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        read.thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        Ok(read)
    }

    /// RFC 7518 §6.2.1; the public key is an uncompressed point (SEC 1 §2.3.3).
    fn coordinates(&self) -> Option<(String, String)> {
        let [4, point @ ..] = self.pair.public_key().as_ref() else { return None };
        let (x, y) = point.split_at_checked(COORDINATE_BYTES).filter(|(_, y)| y.len() == COORDINATE_BYTES)?;
        Some((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
    }

    fn public(&self) -> String {
        let (x, y) = self.coordinates().unwrap_or_default();
        let kid = &self.thumbprint;
        format!(r#"{{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"{kid}","x":"{x}","y":"{y}"}}"#)
    }
}

/// A random name of one token (`jti`).
///
/// # Errors
/// Without randomness.
pub fn token_id() -> Result<String, NotSigned> {
    let mut nonce = [0; JTI_BYTES];
    rand::fill(&mut nonce).map_err(|_| NotSigned::Unable)?;
    Ok(URL_SAFE_NO_PAD.encode(nonce))
}

impl<'a> Statement<'a> {
    fn of(about: &About<'a>, now_unix: u64, jti: String) -> Self {
        let About { issuer, audience, record, assignment } = *about;
        let user = &record.user;
        let ends = [assignment.expires_unix, user.expires_unix, Some(record.expires_unix)];
        Self {
            iss: issuer,
            aud: audience,
            sub: user.id.to_string(),
            login: user.login.as_str(),
            name: user.display_name.as_str(),
            mail: user.mail.as_ref().map(|mail| mail.as_str()),
            groups: user.groups.values().map(|name| name.as_str()).collect(),
            role: assignment.role.as_ref().map(|role| role.as_str()),
            guest: user.guest,
            amr: record.methods.iter().map(|method| method.as_str()).collect(),
            auth_time: record.authenticated_unix,
            iat: now_unix,
            nbf: now_unix,
            exp: ends.into_iter().flatten().fold(now_unix.saturating_add(ASSERTION_S), u64::min),
            jti,
        }
    }
}

/// How long an assertion is good.
pub const ASSERTION_S: u64 = 300;
/// A new key is among the public ones for so long before it signs. Longer than verifiers keep them: [`JWKS_CACHE_S`].
pub const ANNOUNCED_S: u64 = 3_600;
/// How long verifiers may keep the public keys.
pub const JWKS_CACHE_S: u64 = 300;
/// Where the public keys are, below an application's external URL.
pub const JWKS_PATH: &str = "/.well-known/postern/jwks.json";
/// Keys at a time: the one that signs, one that is announced, and the one before.
pub const ASSERTION_KEYS_MAX: usize = 3;
const ASSERTION_BYTES_MAX: usize = 8 << 10;
const COORDINATE_BYTES: usize = 32;
const JTI_BYTES: usize = 16;

#[cfg(test)]
mod tests;
