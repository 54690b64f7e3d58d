//! Access tokens: what a program shows for its user (JWT, RFC 9068, signed with ES256). Control makes them, relays verify them by
//! themselves. They are good for one application, for minutes, and never longer than the session that they came of.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::assertion::AssertionSigner;
use crate::ids::{ClientId, SessionId, UserId};
use crate::session::AuthMethod;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who made it: the issuer's name.
    pub iss: String,
    /// The one application that it is for: its external URL, as `app show` shows it. For userinfo alone, the issuer's.
    pub aud: String,
    /// Whose requests it is shown with.
    pub sub: UserId,
    /// The program that was given it.
    pub client_id: ClientId,
    /// What was granted, with spaces between.
    pub scope: String,
    /// The session that it came of: with it, it ends.
    pub sid: SessionId,
    /// When it was made.
    pub iat: u64,
    /// From here on it is good.
    pub nbf: u64,
    /// From this second on it is good for nothing.
    pub exp: u64,
    /// When the user proved who they are.
    pub auth_time: u64,
    /// How they did.
    #[serde(default)]
    pub amr: BTreeSet<AuthMethod>,
    /// Of this token.
    pub jti: String,
}

/// Why something is no access token that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenInvalid {
    /// Not a JWT in compact form with what RFC 9068 demands.
    #[error("it is not an access token")]
    Malformed,
    /// Another algorithm than ES256: none, HS256, ….
    #[error("its algorithm is not ES256")]
    Algorithm,
    /// Another kind of token, such as an assertion or an ID token.
    #[error("it is another kind of token")]
    Kind,
    /// None of these keys made it.
    #[error("its key is unknown")]
    Key,
    /// Another text was signed.
    #[error("its signature is wrong")]
    Signature,
    /// Somebody else made it.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for another application.
    #[error("it is for another application")]
    Audience,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not good yet: a clock is wrong")]
    NotYet,
}

/// The head of a token. What else one may say there (`jwk`, `jku`, `x5u`, `crit`, …) names keys or changes the meaning of the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    alg: String,
    typ: String,
    kid: String,
}

impl AccessClaims {
    /// What a token says that these keys signed for `audience`; `None`: whatever it is for.
    ///
    /// # Errors
    /// Says why it does not count.
    pub fn open(
        token: &str,
        signer: &AssertionSigner,
        (issuer, audience): (&str, Option<&str>),
        now_unix: u64,
    ) -> Result<Self, AccessTokenInvalid> {
        if token.len() > ACCESS_TOKEN_BYTES_MAX {
            return Err(AccessTokenInvalid::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(AccessTokenInvalid::Malformed)?;
        let (head, claims) = message.split_once('.').ok_or(AccessTokenInvalid::Malformed)?;
        let head: Head = part(head).ok_or(AccessTokenInvalid::Malformed)?;
        if head.alg != "ES256" {
            return Err(AccessTokenInvalid::Algorithm);
        }
        // RFC 9068 §4: with or without the prefix.
        if head.typ != ACCESS_TOKEN_TYPE && head.typ != "application/at+jwt" {
            return Err(AccessTokenInvalid::Kind);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| AccessTokenInvalid::Malformed)?;
        match signer.verify(&head.kid, message.as_bytes(), &signature) {
            None => return Err(AccessTokenInvalid::Key),
            Some(false) => return Err(AccessTokenInvalid::Signature),
            Some(true) => {}
        }
        let claims: Self = part(claims).ok_or(AccessTokenInvalid::Malformed)?;
        claims.check((issuer, audience), now_unix).map(|()| claims)
    }

    fn check(&self, (issuer, audience): (&str, Option<&str>), now_unix: u64) -> Result<(), AccessTokenInvalid> {
        if self.iss != issuer || issuer.is_empty() {
            return Err(AccessTokenInvalid::Issuer);
        }
        if audience.is_some_and(|audience| audience != self.aud) {
            return Err(AccessTokenInvalid::Audience);
        }
        // Whatever is signed: none is good for longer than control makes them.
        if self.exp <= now_unix || self.exp.saturating_sub(self.iat) > ACCESS_TOKEN_S {
            return Err(AccessTokenInvalid::Expired);
        }
        let latest = now_unix.saturating_add(SKEW_S);
        if self.iat > latest || self.nbf > latest {
            return Err(AccessTokenInvalid::NotYet);
        }
        Ok(())
    }
}

/// Whether a text claims to be a token of `issuer`, made or forged: then it counts as one, and nothing else does.
#[must_use]
pub fn claims_issuer(token: &str, issuer: &str) -> bool {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    let mut parts = token.split('.');
    let claims = parts.nth(1).filter(|_| token.len() <= ACCESS_TOKEN_BYTES_MAX);
    claims.and_then(part).is_some_and(|Issued { iss }| iss == issuer)
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// `typ` in the head of access tokens.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// How long one is good.
pub const ACCESS_TOKEN_S: u64 = 600;
/// By how much the clocks of control and a relay may differ. The end counts by the relay's own: nobody gains time by it.
pub const SKEW_S: u64 = 30;
/// Longest text that is looked at: what we make is below 2 KB.
pub const ACCESS_TOKEN_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests;
