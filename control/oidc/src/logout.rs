//! Signing out, both ways: the user is sent to the provider (RP-Initiated Logout 1.0), or the provider tells us that a session
//! of its own ended (Back-Channel Logout 1.0).

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use postern_model::secret::SecretText;
use serde_json::{Map, Value};
use url::Url;

use crate::discovery::Metadata;
use crate::failure::{Cause, SignInFailure};
use crate::id_token;
use crate::limits::{HINT_BYTES_MAX, LOGOUT_AGE_MAX_S, LOGOUTS_REMEMBERED_MAX};
use crate::settings::ProviderSettings;

/// Whose sessions have ended: those that came of `session`, or, where there is none, all of `subject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutNotice {
    /// The provider.
    pub issuer: String,
    /// The user, as in [`ExternalUser`](crate::ExternalUser).
    pub subject: Option<String>,
    /// The provider's session, likewise.
    pub session: Option<String>,
}

/// A logout token that is refused. The answer is 400 with `invalid_request` (§2.8), whatever the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogoutRefused {
    /// It, or its signature, is wrong.
    #[error("{0}")]
    Token(SignInFailure),
    /// It is no logout token.
    #[error("it is no logout token: {0}")]
    Kind(&'static str),
    /// Sent too long ago.
    #[error("it was made {age_s} s ago; at most {LOGOUT_AGE_MAX_S} s count")]
    Old {
        /// How long ago.
        age_s: u64,
    },
    /// It came before.
    #[error("it came before")]
    Replayed,
}

/// Logout tokens that came, for as long as they would count again.
pub(crate) struct Seen(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    ids: BTreeSet<String>,
    /// Oldest first, each with the second from which on it cannot count any more.
    order: VecDeque<(u64, String)>,
}

/// §2.6, less the signature, which is good. What it means is the caller's; `seen` refuses it a second time.
pub(crate) fn check(
    claims: &Map<String, Value>,
    settings: &ProviderSettings,
    seen: &Seen,
    now_unix: u64,
) -> Result<LogoutNotice, LogoutRefused> {
    let skew_s = u64::from(settings.skew_s);
    id_token::issuer(claims, &settings.issuer)?;
    id_token::audience(claims, &settings.client_id)?;
    let event = claims.get("events").and_then(Value::as_object).and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutRefused::Kind("events does not name back-channel logout"));
    }
    // Otherwise an ID token, which others hold too, could pass for one.
    if claims.contains_key("nonce") {
        return Err(LogoutRefused::Kind("it has a nonce"));
    }
    let issued = id_token::time(claims, "iat")?.ok_or_else(|| id_token::missing("iat"))?;
    id_token::not_ahead("iat", issued, skew_s, now_unix)?;
    let age_s = now_unix.saturating_sub(issued);
    if age_s > LOGOUT_AGE_MAX_S + skew_s {
        return Err(LogoutRefused::Old { age_s });
    }
    // Required since 2022; the bound on its age above serves where an older provider leaves it out.
    if let Some(expires) = id_token::time(claims, "exp")?
        && expires.saturating_add(skew_s) <= now_unix
    {
        return Err(LogoutRefused::Old { age_s });
    }
    let session = id_token::session(claims)?;
    let subject = claims.contains_key("sub").then(|| id_token::subject(claims)).transpose()?;
    if session.is_none() && subject.is_none() {
        return Err(LogoutRefused::Kind("it has neither sid nor sub"));
    }
    let id = id_token::text(claims, "jti")?.filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX);
    let id = id.ok_or(LogoutRefused::Kind("it has no jti that fits"))?;
    if !seen.remember(id, issued + LOGOUT_AGE_MAX_S + 2 * skew_s + 1, now_unix) {
        return Err(LogoutRefused::Replayed);
    }
    Ok(LogoutNotice { issuer: settings.issuer.clone(), subject, session })
}

impl LogoutRefused {
    /// The code in the catalogue.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(failure) => failure.code(),
            Self::Kind(_) | Self::Old { .. } => "logout-token-invalid",
            Self::Replayed => "logout-token-replayed",
        }
    }
}

impl From<SignInFailure> for LogoutRefused {
    fn from(failure: SignInFailure) -> Self {
        Self::Token(failure)
    }
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Remembered::default()))
    }

    /// False: it was seen before. Only tokens that the provider signed come this far, so only it could fill the memory; the
    /// oldest go then, for to end sessions a second time does less harm than to let them go on.
    fn remember(&self, id: &str, until_unix: u64, now_unix: u64) -> bool {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Remembered { ids, order } = &mut *remembered;
        while let Some((until, _)) = order.front()
            && (*until <= now_unix || order.len() >= LOGOUTS_REMEMBERED_MAX)
        {
            let Some((_, oldest)) = order.pop_front() else { break };
            ids.remove(&oldest);
        }
        if !ids.insert(id.to_owned()) {
            return false;
        }
        order.push_back((until_unix, id.to_owned()));
        true
    }
}

/// RP-Initiated Logout §2. `None`: the provider has no such endpoint.
pub(crate) fn url(
    metadata: &Metadata,
    settings: &ProviderSettings,
    id_token: Option<&SecretText>,
    back_to: &str,
    state: &SecretText,
) -> Result<Option<Url>, SignInFailure> {
    let Some(mut url) = metadata.end_session.clone() else {
        return Ok(None);
    };
    crate::settings::endpoint("post_logout_redirect_uri", back_to, settings.insecure_loopback)
        .map_err(|error| Cause::ProviderMisconfigured.because(error.to_string()))?;
    let mut query = url.query_pairs_mut();
    // Without the hint the provider asks the user whether they want this.
    if let Some(token) = id_token.filter(|token| token.expose().len() <= HINT_BYTES_MAX) {
        query.append_pair("id_token_hint", token.expose());
    }
    query.append_pair("client_id", &settings.client_id);
    query.append_pair("post_logout_redirect_uri", back_to);
    query.append_pair("state", state.expose());
    drop(query);
    Ok(Some(url))
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const ID_BYTES_MAX: usize = 255;

#[cfg(test)]
#[path = "logout/tests.rs"]
mod tests;
