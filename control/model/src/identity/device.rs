//! A device in a sign-in: a browser is sent to the device host, where TLS asks for a certificate, and comes back.

/// The only path of the device host. Nothing of the place to sign in has it: no cookie, no page, no form is there.
pub const DEVICE_HOST_PATH: &str = "/show-device";
/// In a request to sign in: with a device, `1`.
pub const DEVICE: &str = "device";
/// The certificate of a request to the device host (RFC 9440 §2.2): set by relays, there and nowhere else.
pub const CLIENT_CERT_FIELD: &str = "client-cert";
