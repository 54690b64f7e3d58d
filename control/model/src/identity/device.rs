//! A device in a sign-in: a browser is sent to the device host, where TLS asks for a certificate, and comes back.

use serde::{Deserialize, Serialize};

use super::ClientInfo;
use crate::secret::SecretText;

/// The browser is to show its device's certificate, elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskDevice {
    /// Where it goes: the device host, with a ticket.
    pub location: String,
    /// What it keeps at the place to sign in meanwhile: whoever brings the answer without it is somebody else.
    pub binding: SecretText,
    /// Where the browser wants to go in the end, for people.
    pub app: String,
}

/// A browser is at the device host. Answered by a [`super::Step`]: it goes back, whatever it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveDevice {
    /// Names the sign-in, once.
    pub ticket: SecretText,
    /// The certificate that TLS was made with, DER in base64, as the relay says; nothing where it showed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Who asks.
    pub client: ClientInfo,
}

/// A browser is back from the device host. Answered by a [`super::Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnDevice {
    /// What it brought from there, good once.
    pub ticket: SecretText,
    /// What it kept of [`AskDevice`]: of several sign-ins in the same browser one each, at most [`DEVICE_COOKIES`].
    #[serde(default)]
    pub bindings: Vec<SecretText>,
    /// What the browser has of an earlier sign-in: one that was finished in another tab meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
    /// Who asks.
    pub client: ClientInfo,
}

/// The only path of the device host. Nothing of the place to sign in has it: no cookie, no page, no form is there.
pub const DEVICE_HOST_PATH: &str = "/show-device";
/// Where browsers come back to from there, below the identity's external URL.
pub const DEVICE_RETURN_PATH: &str = "/device/return";
/// Where a program asks for a certificate for its user's device, below the identity's external URL: a form with [`CSR`],
/// [`DEVICE_NAME`] and [`DEVICE_PLATFORM`], and the user's access token with the scope `devices`.
pub const ENROL_DEVICE_PATH: &str = "/devices/enrol";
/// A certificate signing request (PKCS #10), PEM.
pub const CSR: &str = "request";
/// What people are to call the device.
pub const DEVICE_NAME: &str = "name";
/// What it runs.
pub const DEVICE_PLATFORM: &str = "platform";
/// In the address of the two before: the ticket.
pub const DEVICE_TICKET: &str = "ticket";
/// In a request to sign in: with a device, `1`.
pub const DEVICE: &str = "device";
/// A browser that opens several applications at once keeps so many bindings.
pub const DEVICE_COOKIES: usize = 16;
/// How long a browser may take to the device host, and back.
pub const DEVICE_TICKET_S: u64 = 300;
/// The certificate of a request to the device host (RFC 9440 §2.2): set by relays, there and nowhere else.
pub const CLIENT_CERT_FIELD: &str = "client-cert";
