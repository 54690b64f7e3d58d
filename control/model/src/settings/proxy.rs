//! The setting that says through which proxy connectors reach a backend. Who may use it is said to connectors alone.

use super::{AppSettings, SettingInvalid, unfit};
use crate::app_url::InternalUrl;
use crate::identity::BACKEND_HOST;
use crate::ids::Name;
use crate::proxy::ProxyAddress;

/// The proxy on the way to a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendProxy {
    /// One that connectors know by this name (`--backend-proxy NAME=URL`).
    Named(Name),
    /// The one there, asked with what a connector has for it, if anything.
    At(ProxyAddress),
}

impl AppSettings {
    /// Whether a backend there can be reached through the proxy, if one is set, and the other members of its farm, if it has one.
    ///
    /// # Errors
    /// Why not.
    pub fn check_proxy(&self, internal: &InternalUrl) -> Result<(), SettingInvalid> {
        let Some(proxy) = &self.backend_proxy else { return Ok(()) };
        let mut places = std::iter::once(internal).chain(&self.backends.farm);
        match places.find_map(|place| proxy.obstacle(place)) {
            Some(reason) => Err(unfit(BACKEND_PROXY, &proxy.to_string(), reason)),
            None => Ok(()),
        }
    }
}

impl BackendProxy {
    /// Why it does not lead there, if it does not.
    fn obstacle(&self, internal: &InternalUrl) -> Option<&'static str> {
        let host = &*internal.host;
        if host == BACKEND_HOST {
            Some("cannot be set here: this application is a process of Postern itself")
        } else if internal.wildcard().is_some() {
            // Connectors look at the addresses of these hosts, as users choose the names. A proxy tells nobody where it connects to.
            Some("does not go with an internal wildcard: nobody could look where the hosts below it lead to")
        } else if internal.is_loopback() {
            Some("does not go with a backend at localhost: the proxy would look for it on its own host")
        } else if let Self::At(proxy) = self
            && (&*proxy.host, proxy.port) == (host, internal.port)
        {
            Some("is the host and port of the backend itself: name the proxy before it")
        } else {
            None
        }
    }
}

impl std::fmt::Display for BackendProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => write!(f, "{name}"),
            Self::At(address) => write!(f, "{address}"),
        }
    }
}

pub(super) fn backend_proxy(value: &str) -> Result<BackendProxy, SettingInvalid> {
    const EXPECTED: &str = "must be the name of a proxy that connectors know (--backend-proxy NAME=URL), or http://HOST:PORT or \
                            https://HOST:PORT without user name and password: those are said to connectors alone";
    let parsed = if value.contains("://") {
        ProxyAddress::parse(value).ok().map(BackendProxy::At)
    } else {
        value.parse().ok().map(BackendProxy::Named)
    };
    // Before the last @ may be a password: it is not shown again.
    let shown = value.rsplit_once('@').map_or(value, |(_, shown)| shown);
    parsed.ok_or_else(|| unfit(BACKEND_PROXY, shown, EXPECTED))
}

pub(super) const BACKEND_PROXY: &str = "backend_proxy";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn parse(value: &str) -> Result<AppSettings, SettingInvalid> {
        AppSettings::parse(&BTreeMap::from([(BACKEND_PROXY.to_owned(), value.to_owned())]))
    }

    #[test]
    fn a_name_or_an_address_and_never_a_password() {
        assert_eq!(AppSettings::default().backend_proxy, None);
        for (value, shown) in
            [("corp", "corp"), ("http://Proxy:3128", "http://proxy:3128"), ("https://p", "https://p:443")]
        {
            assert_eq!(parse(value).unwrap().backend_proxy.unwrap().to_string(), shown);
        }
        for wrong in
            ["", "Corp", "proxy:3128", "socks5://p:1", "http://p:1/x", "http://anna@p:1", "http://anna:hunter2@p:1"]
        {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("--backend-proxy") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_backend_that_a_proxy_cannot_reach_is_refused() {
        let check =
            |proxy: &str, internal: &str| parse(proxy).unwrap().check_proxy(&InternalUrl::parse(internal).unwrap());
        for internal in ["http://crm.corp/", "https://10.0.0.7:8443/", "http://proxy:3129/"] {
            check("http://proxy:3128", internal).unwrap();
        }
        let itself = format!("http://{BACKEND_HOST}/");
        for (internal, words) in [
            ("http://localhost:8080/", "its own host"),
            ("http://127.0.0.1/", "its own host"),
            ("http://[::1]/", "its own host"),
            ("http://proxy:3128/", "the backend itself"),
            ("http://*.corp/", "internal wildcard"),
            (&itself, "Postern itself"),
        ] {
            let error = check("http://proxy:3128", internal).unwrap_err().to_string();
            assert!(error.starts_with("backend_proxy=http://proxy:3128: ") && error.contains(words), "{error}");
        }
        assert!(check("corp", "http://localhost/").is_err());
        assert!(check("corp", "http://*.corp/").is_err());
        assert!(AppSettings::default().check_proxy(&InternalUrl::parse("http://localhost/").unwrap()).is_ok());
    }

    #[test]
    fn members_of_a_farm_are_reached_through_it_too() {
        let check = |farm: &str| {
            let pairs = [(BACKEND_PROXY, "http://proxy:3128"), ("backend_farm", farm)];
            let pairs: BTreeMap<String, String> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            let settings = AppSettings::parse(&pairs).unwrap();
            settings.check_proxy(&InternalUrl::parse("http://crm.corp/").unwrap()).map_err(|error| error.to_string())
        };
        check("http://crm2.corp,http://10.0.0.7:8080").unwrap();
        assert!(check("http://crm2.corp,http://127.0.0.1:8080").unwrap_err().contains("its own host"));
        assert!(check("http://proxy:3128").unwrap_err().contains("the backend itself"));
    }
}
