//! External OpenID providers: what control keeps of each, and what it and the identity process say to each other about them.
//! Relays know nothing of them.

mod device_claim;
mod probe;
mod settings;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::directory::{DISPLAY_NAME_BYTES_MAX, Line, LoginName, MailAddress};
use crate::identity::ClientInfo;
use crate::ids::{Name, TenantId};
use crate::policy::DeviceState;
use crate::secret::SecretText;
use crate::session::AuthMethod;

pub use device_claim::{DEVICE_CLAIMS_MAX, DeviceClaim, DeviceClaimInvalid, DeviceClaims};
pub use probe::{AskProbes, Probed, Probes};
pub use settings::{ProviderSettings, UnknownUsers};

/// A provider as the identity process needs it to ask it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderGrant {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is called there.
    pub name: Name,
    /// Its settings.
    pub settings: ProviderSettings,
    /// What proves to it that we are its client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretText>,
}

/// Other ways to sign in than by a password, on a page that asks for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// Providers, each a button.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Offer>,
    /// The browser goes straight to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub straight_to: Option<Name>,
    /// Who is about to sign in, as typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_hint: Option<String>,
}

/// A provider as a button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What operators call it.
    pub name: Name,
    /// What users call it.
    pub label: String,
}

/// A user name, before it is known what else is asked for. Answered by a [`Step`](crate::identity::Step), which depends on
/// the domain that was typed and not on whether there is such a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveLogin {
    /// Which sign-in.
    pub flow: SecretText,
    /// As typed.
    pub login: String,
}

/// A browser wants to sign in by a provider. Answered by [`StartedExternal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartExternal {
    /// Which sign-in.
    pub flow: SecretText,
    /// Which provider.
    pub provider: Name,
    /// What the browser has to tell it from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
}

/// Whether it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartedExternal {
    /// It may.
    Go(Box<ExternalStart>),
    /// It may not.
    Refused(crate::identity::Refused),
}

/// What is needed to send a browser to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalStart {
    /// The provider.
    pub provider: ProviderGrant,
    /// Where it sends the browser back to: each provider has an address of its own.
    pub redirect_uri: String,
    /// What the browser keeps.
    pub browser: SecretText,
    /// Whether the user is to prove there anew who they are.
    #[serde(default)]
    pub again: bool,
}

/// What has to come back from a provider, kept by control until it does. Answered by [`Kept`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepExternal {
    /// Which sign-in.
    pub flow: SecretText,
    /// Which provider.
    pub provider: Name,
    /// By what it is found again.
    pub state: SecretText,
    /// What the identity process needs then: opaque.
    pub pending: SecretText,
    /// What its browser has.
    pub browser: SecretText,
}

/// Whether it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// `false`: the sign-in is over.
    pub kept: bool,
}

/// A browser came back: what was kept is handed out, once. Answered by [`TakenExternal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeExternal {
    /// Whose address it came to.
    pub tenant: TenantId,
    /// Which provider's.
    pub provider: Name,
    /// What it says.
    pub state: SecretText,
    /// What it has.
    pub browser: SecretText,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenExternal {
    /// For this browser.
    Taken {
        /// Which sign-in.
        flow: SecretText,
        /// What the identity process kept.
        pending: SecretText,
        /// The provider, as it is now.
        provider: Box<ProviderGrant>,
    },
    /// There is nothing for it.
    Refused(crate::identity::Refused),
}

/// What came of asking a provider. Answered by a [`Step`](crate::identity::Step).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishExternal {
    /// Which sign-in.
    pub flow: SecretText,
    /// Which provider.
    pub provider: Name,
    /// Who asks.
    pub client: ClientInfo,
    /// What it said.
    pub outcome: ExternalOutcome,
}

/// What a provider said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalOutcome {
    /// Who it is.
    User(Box<ExternalIdentity>),
    /// Nothing that counts.
    Failed(crate::identity::Refused),
}

/// A user whom a provider vouches for: `issuer` with `subject`, and nothing else, says who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalIdentity {
    /// Who vouches.
    pub issuer: String,
    /// For whom.
    pub subject: String,
    /// What a new user is called.
    pub login: LoginName,
    /// For people.
    #[serde(default)]
    pub display_name: Line<DISPLAY_NAME_BYTES_MAX>,
    /// Where they get mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailAddress>,
    /// Whether the provider says that it is theirs.
    #[serde(default)]
    pub mail_verified: bool,
    /// The provider's groups, in its words.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// It left some out: then nobody leaves a group.
    #[serde(default)]
    pub groups_left_out: bool,
    /// How they proved who they are.
    pub methods: BTreeSet<AuthMethod>,
    /// When, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time_unix: Option<u64>,
    /// The provider's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What its claims say of the device that they signed in on.
    #[serde(default, skip_serializing_if = "DeviceState::is_unknown")]
    pub device: DeviceState,
}

/// Which providers a logout token may be of. Answered by [`ProvidersOf`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByIssuer {
    /// The issuer that it names.
    pub issuer: String,
}

/// Providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvidersOf {
    /// Those that are enabled.
    pub items: Vec<ProviderGrant>,
}

/// A provider says that somebody signed out. Answered by [`EndedExternal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndExternal {
    /// Whose provider.
    pub tenant: TenantId,
    /// Which.
    pub provider: Name,
    /// Its issuer, as it was asked.
    pub issuer: String,
    /// Whose sessions end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Only those that came of this one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// Whether they have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedExternal {
    /// How many; `None`: control failed, the provider may try again.
    pub ended: Option<u64>,
}

/// What users call a provider.
pub const LABEL_BYTES_MAX: usize = 64;
/// Providers of one tenant.
pub const PROVIDERS_MAX: usize = 16;
/// Domains of one provider.
pub const DOMAINS_MAX: usize = 64;
/// Groups that one provider's claims fill.
pub const MAPPED_GROUPS_MAX: usize = 256;
/// Bytes of a provider's issuer, and of any other address of it.
pub const PROVIDER_URL_BYTES_MAX: usize = 2_048;
/// Bytes of what proves to a provider who asks.
pub const CLIENT_SECRET_BYTES_MAX: usize = 1_024;
/// Seconds that a provider's clock may differ.
pub const SKEW_S_MAX: u32 = 300;
/// How long a provider's answer may take: at least so much is given to it, and …
pub const FETCH_TIMEOUT_MS_MIN: u32 = 100;
/// … at most this.
pub const FETCH_TIMEOUT_MS_MAX: u32 = 30_000;
/// Bytes of a group in a provider's claims.
pub const CLAIMED_GROUP_BYTES_MAX: usize = 256;
/// Where browsers come back to, below the identity's external URL: then the tenant's id and the provider's name.
pub const EXTERNAL_CALLBACK_PATH: &str = "external/callback";

/// Where control answers what, beside [`crate::identity::path`].
pub mod path {
    /// [`super::GiveLogin`] to [`crate::identity::Step`].
    pub const LOGIN: &str = "/v1/sign-in/login";
    /// [`super::StartExternal`] to [`super::StartedExternal`].
    pub const START: &str = "/v1/external/start";
    /// [`super::KeepExternal`] to [`super::Kept`].
    pub const KEEP: &str = "/v1/external/keep";
    /// [`super::TakeExternal`] to [`super::TakenExternal`].
    pub const TAKE: &str = "/v1/external/take";
    /// [`super::FinishExternal`] to [`crate::identity::Step`].
    pub const FINISH: &str = "/v1/external/finish";
    /// [`super::ByIssuer`] to [`super::ProvidersOf`].
    pub const PROVIDERS: &str = "/v1/external/providers";
    /// [`super::EndExternal`] to [`super::EndedExternal`].
    pub const END: &str = "/v1/external/end";
    /// [`super::AskProbes`] to [`super::Probes`].
    pub const PROBES: &str = "/v1/external/probes";
    /// [`super::Probed`] to [`super::Kept`].
    pub const PROBED: &str = "/v1/external/probed";
}
