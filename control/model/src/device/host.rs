//! The host at which browsers show their device's certificate.

use std::fmt;
use std::str::FromStr;

use crate::app_url::{ExternalUrl, UrlInvalid};
use crate::directory::as_text;

/// A DNS name in lower case, no wildcard. Its port is that of the place to sign in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceHost(Box<str>);

/// Text that names no host for devices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceHostInvalid {
    /// No host name at all.
    #[error(transparent)]
    Url(#[from] UrlInvalid),
    /// More than a host name.
    #[error("the device host is a host name and nothing else: no port, no path, no wildcard")]
    NotAlone,
}

impl DeviceHost {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `https://HOST[:PORT]`, beside the place to sign in at `external`.
    #[must_use]
    pub fn origin(&self, external: &ExternalUrl) -> String {
        match external.port {
            443 => format!("https://{}", self.0),
            port => format!("https://{}:{port}", self.0),
        }
    }
}

impl fmt::Display for DeviceHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DeviceHost {
    type Err = DeviceHostInvalid;

    fn from_str(text: &str) -> Result<Self, DeviceHostInvalid> {
        let url = ExternalUrl::parse(&format!("https://{text}/"))?;
        // What is read as more than a host is spelled differently than the host that was read.
        let alone = !url.wildcard && text.eq_ignore_ascii_case(&url.host);
        alone.then_some(Self(url.host)).ok_or(DeviceHostInvalid::NotAlone)
    }
}

as_text!(DeviceHost);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_host_is_a_host_and_nothing_else() {
        let host: DeviceHost = "Device.Login.Example.com".parse().unwrap();
        assert_eq!(host.as_str(), "device.login.example.com");
        for wrong in ["", "*.example.com", "a.example.com:8443", "a.example.com/x", "a@b", "192.0.2.1", "a b", "a.b/"] {
            assert!(wrong.parse::<DeviceHost>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn its_port_is_that_of_the_place_to_sign_in() {
        let host: DeviceHost = "device.example.com".parse().unwrap();
        let origin = |url| host.origin(&ExternalUrl::parse(url).unwrap());
        assert_eq!(origin("https://login.example.com/"), "https://device.example.com");
        assert_eq!(origin("https://login.example.com:8443/"), "https://device.example.com:8443");
    }
}
