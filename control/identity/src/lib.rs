//! `postern-identity`: the pages where people sign in. Towards relays it is a connector whose only backend is itself; what it
//! may know it asks of control, through a relay and in TLS of its own. It has no keys but its own and listens nowhere.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod args;
mod control;
mod cookies;
mod device;
mod external;
#[cfg(feature = "kerberos")]
mod kerberos;
#[cfg(not(feature = "kerberos"))]
#[path = "without_kerberos.rs"]
mod kerberos;
mod negotiate;
mod oauth;
mod pages;
mod passwords;
mod portal;
mod request;
mod saml;
mod scim;
mod server;
mod sign_in;

use std::process::ExitCode;
use std::rc::Rc;
use std::thread;

use postern_connector::embed::{self, BuiltIn, Credentials};
use postern_service::signals::Signals;
use postern_service::{config, logging};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use args::Args;
use control::Control;
use kerberos::Acceptor;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let status = postern_service::failure::status("postern-identity", || {
        let args = config::parse::<Args>()?;
        logging::init("postern-identity");
        let (options, key) = args.options()?;
        let mut signals = Signals::install()?;
        let state_dir = options.state_dir.clone();
        embed::run(&options, &mut signals, move |credentials| {
            let acceptor = key.map(|key| Acceptor::open(&key, &state_dir)).transpose()?;
            start(credentials, acceptor)
        })
    });
    #[cfg(feature = "kerberos")]
    postern_sso::kerberos::leave(status);
    #[cfg(not(feature = "kerberos"))]
    ExitCode::from(status)
}

/// Serves what the relays bring, on a thread of its own.
fn start(credentials: Credentials, acceptor: Option<Acceptor>) -> anyhow::Result<BuiltIn> {
    let (sender, connections) = mpsc::channel(CONNECTIONS_WAITING);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("web".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, serve(Control::new(credentials, acceptor), connections));
    })?;
    Ok(BuiltIn::new(move |stream| sender.try_send(stream).is_ok()))
}

async fn serve(control: Control, mut connections: mpsc::Receiver<std::os::unix::net::UnixStream>) {
    let control = Rc::new(control);
    let probing = Rc::clone(&control);
    tokio::task::spawn_local(async move { external::probe(&probing).await });
    while let Some(connection) = connections.recv().await {
        match UnixStream::from_std(connection) {
            Ok(stream) => drop(tokio::task::spawn_local(server::serve(stream, Rc::clone(&control)))),
            Err(error) => tracing::warn!(%error, "a connection is lost"),
        }
    }
}

/// Connections that wait to be looked at; the connector's own limit of connections to a backend comes before.
const CONNECTIONS_WAITING: usize = 256;
