//! HTTP proxies on the way out: to relays, where the network has no other way, and to backends that are reached by one alone. Each
//! connection asks for a tunnel (CONNECT, RFC 9110 §9.3.6); what goes through it, the proxy carries and does not see into, unless a
//! backend speaks plain HTTP.

mod asked;
pub(crate) mod blocking;
mod bridge;
mod failure;
mod hold;
pub(crate) mod ring;
pub(crate) mod runtime;
mod settings;
mod who;

use std::fmt;
use std::sync::Arc;

use postern_model::ids::Name;
use postern_model::proxy::{NoProxy, ProxyAddress};
use postern_model::settings::BackendProxy;
use rustls::crypto::aws_lc_rs as provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;

use crate::backend::BackendTable;
pub(crate) use failure::{ProxyFailed, Trouble};
use hold::Hold;
pub(crate) use who::{Negotiates, Who};

/// A proxy, and what it is told of who asks.
pub(crate) struct Proxy {
    pub(crate) address: ProxyAddress,
    who: Who,
    tls: Option<ProxyTls>,
    hold: Hold,
}

/// How TLS with an `https://` proxy is spoken: TLS with who is behind it comes within.
struct ProxyTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Every proxy that this process was told of.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    relays: Option<ToRelays>,
    named: Vec<(Name, Arc<Proxy>)>,
    /// Who is trusted to say who an `https://` proxy is; nothing for the host's authorities.
    roots: Option<Arc<RootCertStore>>,
}

#[derive(Debug)]
struct ToRelays {
    proxy: Arc<Proxy>,
    except: NoProxy,
}

/// The way to a backend.
#[derive(Debug, Clone, Default)]
pub(crate) enum Way {
    #[default]
    Direct,
    Through(Arc<Proxy>),
    /// Through one that this connector does not know; never past it.
    Unknown(Arc<str>),
}

impl Proxies {
    /// The proxy that a relay is dialled through, if it is.
    pub(crate) fn of_relay(&self, host: &str, port: u16) -> Option<&Arc<Proxy>> {
        let relays = self.relays.as_ref()?;
        (!relays.except.matches(host, port)).then_some(&relays.proxy)
    }

    /// The way to a backend with this setting.
    pub(crate) fn way(&self, wanted: Option<&BackendProxy>) -> Way {
        match wanted {
            None => Way::Direct,
            Some(BackendProxy::Named(name)) => match self.named.iter().find(|(known, _)| known == name) {
                Some((_, proxy)) => Way::Through(Arc::clone(proxy)),
                None => Way::Unknown(
                    format!(
                        "backend_proxy={name}: this connector has no proxy of that name (--backend-proxy {name}=URL)"
                    )
                    .into(),
                ),
            },
            Some(BackendProxy::At(address)) => self.at(address),
        }
    }

    /// A proxy that is known otherwise is told who asks; another one is asked by nobody in particular.
    fn at(&self, address: &ProxyAddress) -> Way {
        let mut known =
            self.named.iter().map(|(_, proxy)| proxy).chain(self.relays.as_ref().map(|relays| &relays.proxy));
        if let Some(proxy) = known.find(|proxy| proxy.address == *address) {
            return Way::Through(Arc::clone(proxy));
        }
        match Proxy::new(address.clone(), Who::Nobody, self.roots.as_ref()) {
            Ok(proxy) => Way::Through(Arc::new(proxy)),
            Err(why) => Way::Unknown(format!("backend_proxy={address}: {why}").into()),
        }
    }

    /// Says which applications of a configuration cannot be reached because their proxy is not known here.
    pub(crate) fn warn_of_unknown(&self, table: &BackendTable) {
        for backend in table.apps.values() {
            if let Way::Unknown(why) = self.way(backend.proxy.as_ref()) {
                tracing::error!(app = %backend.app.name, "this application cannot be reached from here: {why}");
            }
        }
    }
}

impl Way {
    /// For the end of a sentence about a connection.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Through(proxy) => format!(" through the proxy {}", proxy.address),
            Self::Direct | Self::Unknown(_) => String::new(),
        }
    }
}

impl Proxy {
    /// `roots`: who may say who an `https://` proxy is, instead of the host's authorities.
    ///
    /// # Errors
    /// A name that TLS cannot ask for.
    fn new(address: ProxyAddress, who: Who, roots: Option<&Arc<RootCertStore>>) -> Result<Self, String> {
        let tls = if address.tls { Some(ProxyTls::new(&address, roots)?) } else { None };
        Ok(Self { address, who, tls, hold: Hold::default() })
    }

    /// Something is wrong with it.
    pub(crate) fn failed(&self, trouble: Trouble) -> ProxyFailed {
        ProxyFailed { proxy: self.address.clone(), trouble }
    }
}

/// Who asks is a secret.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.address)
    }
}

impl ProxyTls {
    fn new(address: &ProxyAddress, roots: Option<&Arc<RootCertStore>>) -> Result<Self, String> {
        let name = ServerName::try_from(address.host.to_string()).map_err(|error| error.to_string())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let roots = roots.map_or_else(crate::backend::system_roots, Arc::clone);
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![crate::backend::HTTP1.to_vec()];
        Ok(Self { config: Arc::new(config), name })
    }
}

#[cfg(test)]
pub(crate) mod tests;
