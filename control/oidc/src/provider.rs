//! One provider, with what is known of it at the moment, and the two halves of a sign-in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use postern_model::secret::SecretText;
use url::Url;

use crate::cache::{Cached, Pace};
use crate::callback::Callback;
use crate::claims::{ExternalUser, Sources};
use crate::discovery::{self, Metadata};
use crate::failure::{Cause, SignInFailure, shown};
use crate::fetch::{Credentials, Fetcher};
use crate::id_token::{self, Expected};
use crate::keys::{KeySet, Signed, Unsigned};
use crate::limits::{KEYS_BYTES_MAX, METADATA_AGE_MAX};
use crate::logout::{self, LogoutNotice, LogoutRefused, Seen};
use crate::pending::{self, Pending, SignInWish};
use crate::redeem;
use crate::settings::{self, ProviderSettings, SettingsInvalid};

/// An OpenID provider that users sign in by. Shared by all sign-ins: it holds the provider's description and keys.
pub struct Provider {
    settings: ProviderSettings,
    fetcher: Fetcher,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
    /// New keys for sign-ins, and for logouts: anybody can send a logout token, so these have a pace of their own.
    sign_in_pace: Pace,
    logout_pace: Pace,
    logouts: Seen,
}

impl Provider {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// Settings that are wrong, with what to do.
    pub fn new(settings: ProviderSettings) -> Result<Self, SettingsInvalid> {
        settings.check()?;
        let timeout = Duration::from_millis(u64::from(settings.fetch_timeout_ms));
        Ok(Self {
            fetcher: Fetcher::new(settings.ca.as_deref(), timeout)?,
            settings,
            metadata: Cached::new(METADATA_AGE_MAX),
            keys: Cached::new(METADATA_AGE_MAX),
            sign_in_pace: Pace::new(),
            logout_pace: Pace::new(),
            logouts: Seen::new(),
        })
    }

    /// What it was made of.
    #[must_use]
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Fetches description and keys, as far as they are not there: whether a sign-in could work, without one.
    ///
    /// # Errors
    /// As `begin` and `finish` would fail.
    pub async fn probe(&self) -> Result<(), SignInFailure> {
        let metadata = self.metadata().await?;
        self.keys.value(self.fetch_keys(&metadata)).await.map(drop)
    }

    /// Where to send the browser, and what to keep until it comes back: 15 minutes at most.
    ///
    /// # Errors
    /// The provider cannot be asked for its description, or it does not fit.
    pub async fn begin(&self, wish: &SignInWish, now_unix: u64) -> Result<(Url, Pending), SignInFailure> {
        settings::endpoint("redirect_uri", &wish.redirect_uri, self.settings.insecure_loopback)
            .map_err(|error| Cause::ProviderMisconfigured.because(error.to_string()))?;
        let metadata = self.metadata().await?;
        let pending = Pending::new(&self.settings, wish, now_unix);
        Ok((pending.url(&metadata, &self.settings, wish), pending))
    }

    /// Who it is, after the browser came back. `pending` must be of this browser, and is used up whatever comes of it.
    ///
    /// # Errors
    /// Anything that is not exactly as it must be.
    pub async fn finish(
        &self,
        pending: Pending,
        callback: &Callback,
        now_unix: u64,
    ) -> Result<ExternalUser, SignInFailure> {
        if (&pending.issuer, &pending.client_id) != (&self.settings.issuer, &self.settings.client_id) {
            let what = format!("{} was asked, {} is to answer", shown(&pending.issuer), shown(&self.settings.issuer));
            return Err(Cause::IssuerMismatch.because(what));
        }
        let metadata = self.metadata().await?;
        let code = callback.code(&pending, &metadata, now_unix)?;
        let tokens = redeem::redeem(&self.fetcher, &self.settings, &metadata, &pending, code).await?;
        let signed = self.verify(&metadata, &tokens.id, ID_TOKEN_TYPES, &self.sign_in_pace).await?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: pending.nonce.expose(),
            began_unix: pending.began_unix,
            skew_s: u64::from(self.settings.skew_s),
            max_age_s: pending.max_age_s,
            acr: &pending.acr,
            access_token: tokens.access.expose(),
        };
        let identity = id_token::check(&signed, &expected, now_unix)?;
        let mut further = None;
        if self.settings.claims.lacks(&signed.claims) {
            further = redeem::user_info(&self.fetcher, &metadata, &tokens.access, &identity.subject).await?;
        }
        let sources: Vec<_> = std::iter::once(&signed.claims).chain(&further).collect();
        self.settings.claims.user(&self.settings.issuer, identity, Sources(&sources), tokens.id)
    }

    /// Where to send the browser to sign out at the provider too, and the state that it brings back to `back_to`, an address
    /// registered there. `None`: the provider offers no such thing.
    ///
    /// # Errors
    /// As `begin`.
    pub async fn sign_out(
        &self,
        id_token: Option<&SecretText>,
        back_to: &str,
    ) -> Result<Option<(Url, SecretText)>, SignInFailure> {
        let state = pending::random();
        let url = logout::url(&*self.metadata().await?, &self.settings, id_token, back_to, &state)?;
        Ok(url.map(|url| (url, state)))
    }

    /// Judges the `logout_token` that somebody posted. Afterwards it counts for nothing.
    ///
    /// # Errors
    /// It is not the provider's, not about a logout, too old, or came before.
    pub async fn logout_notice(&self, token: &SecretText, now_unix: u64) -> Result<LogoutNotice, LogoutRefused> {
        let metadata = self.metadata().await?;
        let signed = self.verify(&metadata, token, LOGOUT_TOKEN_TYPES, &self.logout_pace).await?;
        logout::check(&signed.claims, &self.settings, &self.logouts, now_unix)
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, SignInFailure> {
        self.metadata.value(discovery::fetch(&self.fetcher, &self.settings)).await
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<KeySet, SignInFailure> {
        let url = &metadata.keys;
        let fetched = self.fetcher.get(url, Credentials::None, KEYS_BYTES_MAX).await?;
        let keys = KeySet::parse(fetched.json(url)?);
        tracing::debug!(provider = %self.settings.name, usable = keys.is_ok(), "fetched the provider's keys");
        keys.map_err(|what| Cause::ProviderAnswerInvalid.because(format!("its keys: {what}")))
    }

    /// By the keys that are there, and once by newer ones if none of them signed it.
    async fn verify(
        &self,
        metadata: &Metadata,
        token: &SecretText,
        types: &[&str],
        pace: &Pace,
    ) -> Result<Signed, SignInFailure> {
        let keys = self.keys.value(self.fetch_keys(metadata)).await?;
        let judge = |keys: &KeySet| keys.verify(token.expose(), &self.settings, types);
        match judge(&keys) {
            Ok(signed) => Ok(signed),
            Err(unsigned @ (Unsigned::UnknownKey(_) | Unsigned::Wrong)) => {
                let Some(newer) = self.keys.newer(&keys, pace, self.fetch_keys(metadata)).await? else {
                    return Err(unsigned.into());
                };
                Ok(judge(&newer)?)
            }
            Err(unsigned @ (Unsigned::Malformed(_) | Unsigned::Algorithm(_))) => Err(unsigned.into()),
        }
    }
}

impl From<Unsigned> for SignInFailure {
    fn from(unsigned: Unsigned) -> Self {
        match unsigned {
            Unsigned::Malformed(what) => Cause::IdTokenMalformed.because(shown(&what)),
            Unsigned::Algorithm(name) => Cause::IdTokenAlgorithm
                .because(format!("the token is signed by {}, which is not allowed", shown(&name))),
            Unsigned::UnknownKey(id) => {
                Cause::IdTokenSignature.because(format!("the provider has no key {} that fits the token", shown(&id)))
            }
            Unsigned::Wrong => Cause::IdTokenSignature.because("the signature is not by the key that the token names"),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// `typ` of an ID token, where it has one.
const ID_TOKEN_TYPES: &[&str] = &["JWT"];
/// And of a logout token; before 2022 it had that of any other.
const LOGOUT_TOKEN_TYPES: &[&str] = &["logout+jwt", "application/logout+jwt", "JWT"];
