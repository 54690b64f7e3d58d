//! The claims of a token whose signature is good: whether they are about this sign-in (OpenID Connect Core §3.1.3.7).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use crate::failure::{Cause, SignInFailure, shown};
use crate::keys::Signed;
use crate::limits::{AUDIENCES_MAX, SUBJECT_BYTES_MAX};

/// What a token must say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    /// When the sign-in began: its token cannot be older.
    pub(crate) began_unix: u64,
    pub(crate) skew_s: u64,
    pub(crate) max_age_s: Option<u32>,
    /// One of these, if there are any.
    pub(crate) acr: &'a [String],
    pub(crate) access_token: &'a str,
}

/// The claims that each ID token has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) subject: String,
    pub(crate) session: Option<String>,
    pub(crate) auth_time_unix: Option<u64>,
}

/// Checks them in the order in which a wrong one tells most: for whom first, then when, then which.
pub(crate) fn check(signed: &Signed, expected: &Expected<'_>, now_unix: u64) -> Result<Identity, SignInFailure> {
    let claims = &signed.claims;
    issuer(claims, expected.issuer)?;
    audience(claims, expected.client_id)?;
    times(claims, expected, now_unix)?;
    nonce(claims, expected.nonce)?;
    access_token_hash(signed, expected.access_token)?;
    let auth_time_unix = auth_time(claims, expected, now_unix)?;
    strength(claims, expected.acr)?;
    Ok(Identity { subject: subject(claims)?, session: session(claims)?, auth_time_unix })
}

pub(crate) fn issuer(claims: &Map<String, Value>, wanted: &str) -> Result<(), SignInFailure> {
    let found = text(claims, "iss")?.ok_or_else(|| missing("iss"))?;
    if found != wanted {
        let what = format!("the token's issuer is {}, the provider's {}", shown(found), shown(wanted));
        return Err(Cause::IssuerMismatch.because(what));
    }
    Ok(())
}

/// Ours must be among the audiences. A token for several says for whom it was made, and that must be us.
pub(crate) fn audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), SignInFailure> {
    let wrong = |what: String| Err(Cause::IdTokenAudience.because(what));
    let audiences = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) if several.len() <= AUDIENCES_MAX => {
            several.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or_else(|| malformed("aud"))?
        }
        Some(_) => return Err(malformed("aud")),
        None => return Err(missing("aud")),
    };
    if !audiences.contains(&client_id) {
        return wrong(format!("the token is for {}, not for {}", shown(&audiences.join(" ")), shown(client_id)));
    }
    match text(claims, "azp")? {
        Some(party) if party == client_id => Ok(()),
        Some(party) => wrong(format!("the token was made for {}, not for {}", shown(party), shown(client_id))),
        None if audiences.len() > 1 => wrong("the token is for several, and does not say for whom it was made".into()),
        None => Ok(()),
    }
}

/// A token that says to be from the future, or from before the sign-in that it belongs to, tells of a wrong clock.
fn times(claims: &Map<String, Value>, expected: &Expected<'_>, now_unix: u64) -> Result<(), SignInFailure> {
    let issued = time(claims, "iat")?.ok_or_else(|| missing("iat"))?;
    let expires = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    let skew_s = expected.skew_s;
    not_ahead("iat", issued, skew_s, now_unix)?;
    if issued.saturating_add(skew_s) < expected.began_unix {
        let behind_s = expected.began_unix - issued;
        let what =
            format!("the token says to be made {behind_s} s before this sign-in began; {skew_s} s are tolerated");
        return Err(Cause::ProviderClockSkew { ahead_s: -seconds(behind_s) }.because(what));
    }
    if let Some(begins) = time(claims, "nbf")? {
        not_ahead("nbf", begins, skew_s, now_unix)?;
    }
    if expires.saturating_add(skew_s) <= now_unix {
        return Err(Cause::IdTokenExpired.because(format!("the token ended {} s ago", now_unix - expires)));
    }
    Ok(())
}

/// A point in time that must have come.
pub(crate) fn not_ahead(claim: &str, at_unix: u64, skew_s: u64, now_unix: u64) -> Result<(), SignInFailure> {
    if at_unix <= now_unix.saturating_add(skew_s) {
        return Ok(());
    }
    let ahead_s = at_unix - now_unix;
    let what = format!("{claim} of the token is {ahead_s} s in the future; {skew_s} s are tolerated");
    Err(Cause::ProviderClockSkew { ahead_s: seconds(ahead_s) }.because(what))
}

fn nonce(claims: &Map<String, Value>, wanted: &str) -> Result<(), SignInFailure> {
    let found = text(claims, "nonce")?.ok_or_else(|| Cause::NonceMismatch.because("the token has no nonce"))?;
    verify_slices_are_equal(found.as_bytes(), wanted.as_bytes())
        .map_err(|_| Cause::NonceMismatch.because("the token's nonce is another sign-in's"))
}

/// §3.1.3.6: the left half of the hash that the signature's algorithm uses.
fn access_token_hash(signed: &Signed, access_token: &str) -> Result<(), SignInFailure> {
    let Some(found) = text(&signed.claims, "at_hash")? else {
        return Ok(()); // Optional in the code flow.
    };
    let whole = digest::digest(hash(signed.algorithm)?, access_token.as_bytes());
    let half = &whole.as_ref()[..whole.as_ref().len() / 2];
    if URL_SAFE_NO_PAD.encode(half) == found {
        return Ok(());
    }
    Err(Cause::IdTokenHash.because("at_hash is not the access token's that came with it"))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is foreign and grows: what is not known here is refused")]
fn hash(algorithm: Algorithm) -> Result<&'static digest::Algorithm, SignInFailure> {
    match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => Ok(&digest::SHA256),
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => Ok(&digest::SHA384),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => Ok(&digest::SHA512),
        other => Err(Cause::IdTokenAlgorithm.because(format!("{other:?} has no hash here"))),
    }
}

/// Needed, and young enough, where `max_age` was asked for.
fn auth_time(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    now_unix: u64,
) -> Result<Option<u64>, SignInFailure> {
    let at_unix = time(claims, "auth_time")?;
    if let Some(at_unix) = at_unix {
        not_ahead("auth_time", at_unix, expected.skew_s, now_unix)?;
    }
    let Some(max_age_s) = expected.max_age_s else {
        return Ok(at_unix);
    };
    let Some(at_unix) = at_unix else {
        return Err(Cause::LoginTooOld.because("max_age was asked for, and the token does not say auth_time"));
    };
    let age_s = now_unix.saturating_sub(at_unix);
    // Since the sign-in began the user may have taken their time on other pages of the provider.
    let under_way_s = now_unix.saturating_sub(expected.began_unix);
    if age_s > u64::from(max_age_s) + under_way_s + expected.skew_s {
        let what = format!("the user signed in {age_s} s ago, at most {max_age_s} s were asked for");
        return Err(Cause::LoginTooOld.because(what));
    }
    Ok(Some(at_unix))
}

fn strength(claims: &Map<String, Value>, wanted: &[String]) -> Result<(), SignInFailure> {
    let found = text(claims, "acr")?;
    if wanted.is_empty() || found.is_some_and(|found| wanted.iter().any(|one| one == found)) {
        return Ok(());
    }
    let found = found.map_or_else(|| "missing".to_owned(), shown);
    let what = format!("acr is {found}, one of {} was asked for", shown(&wanted.join(" ")));
    Err(Cause::LoginTooWeak.because(what))
}

/// 1 to 255 printable ASCII characters, unique at the issuer and never given to another user (§2).
pub(crate) fn subject(claims: &Map<String, Value>) -> Result<String, SignInFailure> {
    let found = text(claims, "sub")?.ok_or_else(|| missing("sub"))?;
    bounded("sub", found)
}

pub(crate) fn session(claims: &Map<String, Value>) -> Result<Option<String>, SignInFailure> {
    text(claims, "sid")?.map(|found| bounded("sid", found)).transpose()
}

fn bounded(name: &str, found: &str) -> Result<String, SignInFailure> {
    let printable = found.bytes().all(|b| (b' '..=b'~').contains(&b));
    if found.is_empty() || found.len() > SUBJECT_BYTES_MAX || !printable {
        return Err(malformed(name));
    }
    Ok(found.to_owned())
}

/// A claim that is text, if it is there. `null` counts as not there.
pub(crate) fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, SignInFailure> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(malformed(name)),
    }
}

/// A claim that is a time: seconds since 1970, perhaps with a fraction (RFC 7519 §2).
pub(crate) fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, SignInFailure> {
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(malformed(name));
        }
    };
    let whole = number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|float| (0.0..TIME_MAX as f64).contains(float))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
        Some(float as u64)
    });
    whole.filter(|&whole| whole < TIME_MAX).map(Some).ok_or_else(|| malformed(name))
}

pub(crate) fn missing(claim: &str) -> SignInFailure {
    Cause::IdTokenMalformed.because(format!("the token has no {claim}"))
}

fn malformed(claim: &str) -> SignInFailure {
    Cause::IdTokenMalformed.because(format!("{claim} of the token is not of its form"))
}

fn seconds(span_s: u64) -> i64 {
    i64::try_from(span_s).unwrap_or(i64::MAX)
}

/// The year 9999. What is beyond is no date, and cannot overflow a sum.
const TIME_MAX: u64 = 253_402_300_800;

#[cfg(test)]
#[path = "id_token/tests.rs"]
mod tests;
