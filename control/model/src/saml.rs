//! SAML 2.0 (OASIS, March 2005): what the identity process, which reads what service providers ask, says to control, which
//! decides and signs. What is asked comes by way of a browser and proves nothing; all that counts in it is compared with what
//! the application's settings say.

use serde::{Deserialize, Serialize};

use crate::identity::{ClientInfo, Refused};
use crate::secret::SecretText;

/// A browser comes for an assertion. Answered by [`crate::identity::Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartSaml {
    /// For whom.
    pub wish: SamlWish,
    /// Given back with the answer, unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_state: Option<String>,
    /// What the browser has of an earlier sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
    /// Who asks.
    pub client: ClientInfo,
}

/// Whom an assertion is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SamlWish {
    /// A service provider asks.
    Request(Box<AuthnRequest>),
    /// Nobody asked: the browser was led here to go on to an application.
    App {
        /// Its tenant's name.
        tenant: String,
        /// Its name.
        app: String,
    },
}

/// `<AuthnRequest>` (Core §3.4.1), as it was read. Its signature, if it has one, is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthnRequest {
    /// `ID`: repeated as `InResponseTo`.
    pub id: String,
    /// The service provider's entity id.
    pub issuer: String,
    /// `IssueInstant`.
    pub issued_unix: u64,
    /// `Destination`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// `AssertionConsumerServiceURL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acs: Option<String>,
    /// Whether `AssertionConsumerServiceIndex` is there instead.
    #[serde(default)]
    pub acs_by_index: bool,
    /// `Format` of `<NameIDPolicy>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_id_format: Option<String>,
    /// `ForceAuthn`.
    #[serde(default)]
    pub force: bool,
    /// `IsPassive`.
    #[serde(default)]
    pub passive: bool,
    /// `<RequestedAuthnContext>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contexts: Option<RequestedContexts>,
    /// Whether it asks for what nobody does here: a certain subject, conditions of its own.
    #[serde(default)]
    pub unsupported: bool,
}

/// How users shall prove who they are (Core §3.3.2.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedContexts {
    /// How they are meant.
    pub comparison: Comparison,
    /// Class references, in the order of preference.
    pub classes: Vec<String>,
}

/// How a class is compared with what the user proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// One of them.
    #[default]
    Exact,
    /// At least as strong as one of them.
    Minimum,
    /// Stronger than each.
    Better,
    /// No stronger than one of them.
    Maximum,
}

/// How a sign-in for a service provider ends; in any case the browser keeps what it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SamlEnd {
    /// The browser posts this.
    Post(SamlPost),
    /// There is nothing to post: a page that says why.
    Refused(Refused),
}

/// A form that leads to a service provider (Bindings §3.5.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlPost {
    /// One of the application's exact URLs.
    pub action: String,
    /// `SAMLResponse`: the signed response in base64.
    pub response: String,
    /// `RelayState`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_state: Option<String>,
}

/// What service providers must know of the place to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlMetadata {
    /// `<EntityDescriptor>`, signed; nothing when people sign in nowhere, or there is no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml: Option<String>,
}

/// An application that keeps users signed in by itself, and where that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLogout {
    /// Its name.
    pub app: String,
    /// `sso_saml_logout`.
    pub url: String,
}

/// Where a service provider sends browsers, below the identity's external URL.
pub const SSO_PATH: &str = "/saml/sso";
/// The metadata, below the identity's external URL; the whole URL is the entity id.
pub const METADATA_PATH: &str = "/saml/metadata";
/// Longest `ID` of a request.
pub const REQUEST_ID_BYTES_MAX: usize = 256;
/// Longest `RelayState`. Bindings §3.4.3 allows 80 bytes; service providers in use send whole URLs.
pub const RELAY_STATE_BYTES_MAX: usize = 1024;
/// Classes of a request.
pub const CONTEXTS_MAX: usize = 16;

/// Where control answers what.
pub mod path {
    /// [`super::StartSaml`] to [`crate::identity::Step`].
    pub const START: &str = "/v1/saml/start";
    /// Nothing to [`super::SamlMetadata`].
    pub const METADATA: &str = "/v1/saml/metadata";
}
