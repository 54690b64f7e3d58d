//! Signing in: what relays know of where it happens, and what the identity process asks control.
//!
//! The identity process is a connector of a group of its own, whose only backend is itself. To control it speaks HTTP/1.1 with
//! JSON inside TLS of its own that ends in control: relays carry the bytes between the two and cannot read or change them.

mod device;
mod factor;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::device::DeviceHost;
use crate::directory::LoginName;
use crate::external::{Offers, ProviderGrant};
use crate::ids::{AppId, GroupId, Name, RequestId};
use crate::oauth::Consent;
use crate::policy::REQUIREMENTS_MAX;
use crate::saml::{AppLogout, SamlEnd};
use crate::secret::SecretText;
use crate::terms::{AnyTerms, TermsFormat, TermsText};

pub use device::{
    AskDevice, CLIENT_CERT_FIELD, CSR, DEVICE, DEVICE_COOKIES, DEVICE_HOST_PATH, DEVICE_NAME, DEVICE_PLATFORM,
    DEVICE_RETURN_PATH, DEVICE_TICKET, DEVICE_TICKET_S, ENROL_DEVICE_PATH, GiveDevice, ReturnDevice,
};
pub use factor::{
    Account, AccountAction, AccountAnswer, AccountRequest, Enrolment, FACTOR_NAME_BYTES_MAX, FactorAnswer, FactorKind,
    FactorView, GiveFactor, KeyAssertion, KeyCreated, KeyOffer, KeyRequest, SecondFactor, TermsShown, TotpOffer,
};

/// The application that people sign in at, and who serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityApp {
    /// An application like others: its external URL is where browsers are sent.
    pub app: AppId,
    /// The group whose connectors are identity processes: control answers them, and nobody else.
    pub group: GroupId,
    /// Where browsers show their device's certificate: another host of the same application, with nothing else there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_host: Option<DeviceHost>,
}

/// Begins signing in: a browser comes from an application's relay. Answered by a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Where it wants to go.
    pub app: AppId,
    /// Where the answer goes: exactly what the relay of that application would say.
    pub redirect_uri: String,
    /// Repeated in the answer.
    pub state: String,
    /// Proof key's hash (RFC 7636, S256).
    pub challenge: String,
    /// What the browser has of an earlier sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
    /// What the application's relay missed in the session that it was shown.
    #[serde(default)]
    pub missed: Missed,
    /// Who asks.
    pub client: ClientInfo,
}

/// What a session lacks. It comes by way of the browser, which could only ask for more of itself by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Two different factors: [`ACR_MULTI_FACTOR`] among `acr_values` (OpenID Connect Core §3.1.2.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multi_factor: bool,
    /// That the user proved not long ago who they are, or used it since: [`PROMPT_LOGIN`] as `prompt`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Terms of use, one of each accepted: in [`TERMS`], with at most [`MISSED_TERMS_MAX`] names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub terms: BTreeSet<AnyTerms>,
    /// A device that counts, where the session knows of none: [`DEVICE`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub device: bool,
}

/// In a request to sign in: with two different factors.
pub const ACR_MULTI_FACTOR: &str = "mfa";
/// In a request to sign in: terms of use, of which one of each is to be accepted, with spaces between.
pub const TERMS: &str = "terms";
/// So many terms are named on one way: as many as one policy can leave the choice between.
pub const MISSED_TERMS_MAX: usize = REQUIREMENTS_MAX;
/// In a request to sign in: anew, whatever there is.
pub const PROMPT_LOGIN: &str = "login";

/// What is known of a browser besides what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Its address, as the relay saw it.
    pub address: IpAddr,
    /// Its User-Agent, cut to [`USER_AGENT_BYTES_MAX`].
    #[serde(default)]
    pub user_agent: String,
    /// Its request, as the relay's log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Somebody signed out in it: nobody is signed in there again without being asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed_out: bool,
    /// It was sent to show a device a while ago, and is not back: what keeps it from there may do so again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub device_overdue: bool,
}

/// A password for a sign-in in progress. Answered by a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivePassword {
    /// Which sign-in.
    pub flow: SecretText,
    /// As typed: it may be no login name at all.
    pub login: String,
    /// As typed.
    pub password: SecretText,
    /// To be asked less often on this device.
    #[serde(default)]
    pub keep: bool,
    /// Who asks.
    pub client: ClientInfo,
}

/// What a browser has of an earlier sign-in: asked about, or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Browser {
    /// The secret it was given.
    pub secret: SecretText,
}

/// What comes next in a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Step {
    /// A page that asks for something.
    Ask(Box<Ask>),
    /// A page that asks whether a client may have what it asks for.
    Consent(Box<Consent>),
    /// The browser shows its device's certificate at another host, and comes back.
    Device(AskDevice),
    /// The browser goes back to its application.
    Done(Done),
    /// It cannot go on: a page that says why.
    Refused(Refused),
}

/// What a page asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Names this sign-in; only its browser has it.
    pub flow: SecretText,
    /// What is asked for.
    pub factor: Factor,
    /// Whose directory, for people.
    pub tenant: String,
    /// Where the browser wants to go, for people.
    pub app: String,
    /// Who signs in, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginName>,
    /// Why it is asked once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Refused>,
    /// External providers to sign in by.
    #[serde(default)]
    pub external: Offers,
    /// Whether the browser may show a Kerberos ticket instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub negotiate: bool,
}

/// One thing that proves who someone is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// The login name alone: what else is asked for depends on its domain.
    Login,
    /// Login name and password.
    Password,
    /// Something that the user has, besides a password.
    Second(SecondFactor),
    /// A second factor is set up: what it is to be is shown, and proven once.
    Enrol(Enrolment),
    /// Nothing: recovery codes are shown, this once.
    Recovery(Vec<SecretText>),
    /// That they accept terms of use.
    Terms(TermsPage),
}

/// Terms of use, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsPage {
    /// What operators call them, for the answer. `None`: an older control, which does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What users call them.
    pub title: String,
    /// Which version it is.
    pub version: u32,
    /// How the text is shown.
    pub format: TermsFormat,
    /// The text.
    pub text: TermsText,
    /// Whether the user accepted an earlier version, or did so too long ago.
    pub again: bool,
    /// What others are called that do as well: they are shown to whoever declines these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// The end of a sign-in that led to a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Where the browser goes: the application's redirect URI with code, state and issuer.
    pub location: String,
    /// What the browser keeps; `None`: what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<BrowserGrant>,
    /// For a service provider: what the browser does instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saml: Option<Box<SamlEnd>>,
}

/// What a browser keeps of a sign-in, for the identity's own host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserGrant {
    /// 256 random bits; control knows its hash.
    pub secret: SecretText,
    /// How long it keeps it beyond its own end; `None`: until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
}

/// Why something cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// A code of `docs/errors.md`.
    pub code: String,
    /// For people.
    pub detail: String,
    /// When trying again makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// Who a browser is signed in as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// Nobody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginName>,
    /// The provider that they signed in by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<ProviderGrant>>,
    /// Where that one may send them back to after they signed out there, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_out_uri: Option<String>,
    /// Applications that keep users signed in by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<AppLogout>,
}

/// The identity process's backend, as its group's signed configuration names it. No resolver knows it.
pub const BACKEND_HOST: &str = "identity.postern.internal";
/// The internal URL of the identity application.
pub const INTERNAL_URL: &str = "http://identity.postern.internal/";
/// The field in which a relay tells the place to sign in, and no other backend, what its log calls the request: 32 hex digits.
pub const REQUEST_FIELD: &str = "x-postern-request";
/// The name of the identity's application and of its group, and the only ones with that name.
pub const IDENTITY_NAME: &str = "postern-identity";
/// What a browser has of its sign-in, at the identity's host. Of all cookies of ours the only one that a backend gets and sets,
/// and only the identity's.
pub const SIGN_IN_COOKIE: &str = "__Host-postern-sso";
/// ALPN of the connection by which the identity process reaches control, through a relay.
pub const ALPN: &[u8] = b"postern-identity/1";
/// SNI of that connection.
pub const RELAY_NAME: &str = "tunnel.postern.internal";
/// Where a relay sends browsers, below the identity's external URL.
pub const AUTHORIZE_PATH: &str = "/authorize";
/// Where browsers come back to, below an application's external URL.
pub const CALLBACK_PATH: &str = "/.postern/callback";
/// Where people see to their second factors, below the identity's external URL.
pub const ACCOUNT_PATH: &str = "/account";
/// Where a session ends, below an application's external URL.
pub const SIGN_OUT_PATH: &str = "/.postern/sign-out";
/// Longest User-Agent that is kept.
pub const USER_AGENT_BYTES_MAX: usize = 256;
/// Longest request or answer between identity and control.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Where control answers what.
pub mod path {
    /// [`super::Begin`] to [`super::Step`].
    pub const BEGIN: &str = "/v1/sign-in/begin";
    /// [`super::GivePassword`] to [`super::Step`].
    pub const PASSWORD: &str = "/v1/sign-in/password";
    /// [`super::GiveFactor`] to [`super::Step`].
    pub const FACTOR: &str = "/v1/sign-in/factor";
    /// [`super::GiveDevice`] to [`super::Step`].
    pub const DEVICE: &str = "/v1/sign-in/device";
    /// [`super::ReturnDevice`] to [`super::Step`].
    pub const DEVICE_RETURN: &str = "/v1/sign-in/device/return";
    /// [`super::AccountRequest`] to [`super::AccountAnswer`].
    pub const ACCOUNT: &str = "/v1/account";
    /// [`super::Browser`] to [`super::SignedIn`].
    pub const BROWSER: &str = "/v1/browser";
    /// [`super::Browser`] to [`super::SignedIn`]: who it was.
    pub const SIGN_OUT: &str = "/v1/sign-out";
    /// [`crate::scim::Call`] to [`crate::scim::Answer`].
    pub const SCIM: &str = "/v1/scim";
}
