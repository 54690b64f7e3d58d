//! Signing users in by an external OpenID provider: the relying party's side of OpenID Connect Core 1.0 (code flow with PKCE),
//! Discovery 1.0, RP-Initiated Logout 1.0 and Back-Channel Logout 1.0. It fetches from the provider and judges what comes back;
//! it keeps no sessions, sets no cookies and serves no pages.
//!
//! The order of calls, for one sign-in:
//!
//! ```text
//! Provider::begin(wish, now)            → where to send the browser, and a Pending that stays bound to that browser
//! Callback::parse(query)                → what the browser brought back
//! Provider::finish(pending, callback, now) → ExternalUser, or a SignInFailure with a code, words and details
//! ```
//!
//! Whoever calls must hand a [`Pending`] to `finish` once only and forget it then, whatever came of it.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod cache;
mod callback;
mod claims;
mod discovery;
mod failure;
mod fetch;
mod id_token;
mod keys;
mod limits;
mod logout;
mod pending;
mod provider;
mod redeem;
mod settings;

pub use callback::Callback;
pub use claims::{ClaimMapping, ExternalUser};
pub use failure::{Cause, SignInFailure};
pub use logout::{LogoutNotice, LogoutRefused};
pub use pending::{Pending, Prompt, SignInWish};
pub use provider::Provider;
pub use settings::{ClientAuth, ProviderSettings, SettingsInvalid, SignatureAlgorithm};
