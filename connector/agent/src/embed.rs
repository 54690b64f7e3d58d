//! The connector inside another program: it dials, enrols and carries requests as ever, and hands those of one backend to the
//! program itself, each connection as one end of a socket pair. Nothing listens here either. What the program asks of control
//! goes by the same relays.

mod control;

pub use control::{Bounds, ControlClient, Unanswered};

use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use postern_io::{Socket, Stream};
use postern_model::identity::{ALPN, BACKEND_HOST};
use postern_model::link::CONTROL_NAME;
use postern_service::signals::Signals;
use postern_service::state::StateDir;
use rustls::crypto::aws_lc_rs as provider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;

use crate::args::{Options, RelayAddress};
use crate::backend::Backend;
use crate::failure::{Failed, Fault};
use crate::process::{self, Running};
use crate::tls::{Expected, client_config};
use crate::worker::{Shared, Transport};

/// Takes connections of the backend that is the program itself. `false`: it takes none now.
#[derive(Clone)]
pub struct BuiltIn(Arc<dyn Fn(UnixStream) -> bool + Send + Sync>);

/// Who this process is to relays and to control, as long as it is enrolled; renewed certificates included.
#[derive(Debug, Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
    relays: Vec<RelayAddress>,
}

impl BuiltIn {
    /// `take` gets each connection's other end. It must not block.
    pub fn new(take: impl Fn(UnixStream) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// A connection to the program; `None` when it takes none.
    fn connect(&self) -> std::io::Result<Option<UnixStream>> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok((self.0)(far).then_some(near))
    }
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BuiltIn(…)")
    }
}

/// A connection to the backend that is this program; it has no other.
pub(crate) fn connect(built_in: &BuiltIn, backend: &Backend) -> Result<Stream, Failed> {
    if !is_built_in(&backend.internal.host) || backend.tls.is_some() {
        let detail = format!("{} is not served by this process", backend.internal.host);
        return Err(Failed::new(Fault::ConfigMissing, detail).unprocessed());
    }
    match built_in.connect() {
        Ok(Some(stream)) => Ok(Stream::plain(Socket::from_fd(stream.into()))),
        Ok(None) => Err(Failed::new(Fault::Overloaded, "this process takes no more connections").unprocessed()),
        Err(error) => Err(Failed::connecting(&error)),
    }
}

/// Whether a backend's host means the program itself.
pub(crate) fn is_built_in(host: &str) -> bool {
    host == BACKEND_HOST
}

impl Credentials {
    /// TLS with a relay that carries bytes to control.
    fn relay_tls(&self, relay: &RelayAddress) -> Result<ClientConfig, rustls::Error> {
        let Transport::Tls(identity) = self.shared.transport() else { return Err(not_enrolled()) };
        let expected = Expected::Authority(identity.authority.clone());
        client_config(relay, expected, Some(identity.own_certificate()), ALPN)
    }

    /// TLS with control, within what a relay carries, and the name that control shows.
    fn control_tls(&self) -> Result<(ClientConfig, ServerName<'static>), rustls::Error> {
        let Transport::Tls(identity) = self.shared.transport() else { return Err(not_enrolled()) };
        let mut roots = RootCertStore::empty();
        roots.add(identity.authority.clone())?;
        let own = identity.own_certificate();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(own.chain, own.key)?;
        config.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from(CONTROL_NAME).map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok((config, name))
    }
}

fn not_enrolled() -> rustls::Error {
    rustls::Error::General(String::from("there is no certificate"))
}

/// Runs a connector to its end, with the program itself as one of its backends. `start` is called once it is enrolled.
///
/// # Errors
/// What keeps it from starting.
pub fn run(
    options: &Options,
    signals: &mut Signals,
    start: impl FnOnce(Credentials) -> anyhow::Result<BuiltIn>,
) -> anyhow::Result<()> {
    let state = StateDir::open(&options.state_dir)?;
    let io = process::engine(options)?;
    process::raise_descriptor_limit();
    let proxies = process::proxies(options)?;
    let Some(identity) = process::identity(options, &state, &proxies, signals)? else { return Ok(()) };
    tracing::info!(connector = %identity.connector, group = %identity.group, io = %io, "started");
    let relays = options.relays.clone();
    let start = move |shared: &Arc<Shared>| start(Credentials { shared: Arc::clone(shared), relays }).map(Some);
    Running::start(options, io, state, identity, proxies, start)?.until_told(signals, options.grace_period);
    Ok(())
}
