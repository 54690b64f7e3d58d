//! `postern-conformance ADDRESS HOST AUTHORITY.pem`: runs the httpwg suite (RFC 9113) against a relay and prints one line
//! for each case: `passed CASE` or `failed CASE: why`. The suite speaks HTTP/2 in the clear; TLS is put around it here.

#![forbid(unsafe_code)]

use std::any::Any;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result};
use buffet::IntoHalves;
use httpwg::{Config, Conn};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// One frame; generous, since the machine may be busy.
const FRAME_TIMEOUT: Duration = Duration::from_secs(3);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, host, authority] = arguments.as_slice() else {
        anyhow::bail!("usage: postern-conformance ADDRESS HOST AUTHORITY.pem");
    };
    let relay: SocketAddr = address.parse().context("ADDRESS")?;
    let (sender, receiver) = std::sync::mpsc::channel();
    let tls = client(authority)?;
    let name = ServerName::try_from(host.clone())?;
    std::thread::spawn(move || around(relay, tls, name, &sender));
    let inner = receiver.recv().context("the part that speaks TLS has ended")?;
    let config =
        Config { host: host.clone(), port: relay.port(), tls: true, timeout: FRAME_TIMEOUT, ..Config::default() };
    buffet::start(run(inner, Rc::new(config)));
    Ok(())
}

/// Runs every case on a connection of its own, one after the other.
async fn run(address: SocketAddr, config: Rc<Config>) {
    let mut cases: Vec<_> = catalog::<buffet::net::TcpStream>()
        .into_values()
        .flatten()
        .flat_map(|(section, cases)| cases.into_iter().map(move |(case, test)| (format!("{section}: {case}"), test)))
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, test) in cases {
        let Ok(stream) = buffet::net::TcpStream::connect(address).await else {
            println!("failed {name}: no connection");
            continue;
        };
        let conn = Conn::new(Rc::clone(&config), stream);
        match caught(test(conn)).await {
            Ok(()) => println!("passed {name}"),
            Err(why) => println!("failed {name}: {}", why.replace('\n', " ")),
        }
    }
}

/// Some cases say by a panic that the peer is wrong. The others run all the same.
async fn caught(case: impl Future<Output = eyre::Result<()>>) -> Result<(), String> {
    let mut case = pin!(case);
    let outcome = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| case.as_mut().poll(context))) {
        Ok(poll) => poll.map(|outcome| outcome.map_err(|error| format!("{error:#}"))),
        Err(panic) => Poll::Ready(Err(said(panic.as_ref()))),
    });
    outcome.await
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "it panicked".into())
}

fn client(authority: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Accepts in the clear and goes on over TLS, until the process ends.
fn around(
    relay: SocketAddr,
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    address: &std::sync::mpsc::Sender<SocketAddr>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        address.send(listener.local_addr().expect("an address")).expect("somebody waits for it");
        while let Ok((plain, _)) = listener.accept().await {
            let (connector, name) = (TlsConnector::from(Arc::clone(&tls)), name.clone());
            tokio::spawn(async move {
                let forwarded = async {
                    let mut secured = connector.connect(name, TcpStream::connect(relay).await?).await?;
                    let mut plain = plain;
                    tokio::io::copy_bidirectional(&mut plain, &mut secured).await
                };
                // The suite sees what becomes of its connection.
                let _ = forwarded.await;
            });
        }
    });
}

httpwg_macros::gen_catalog!(catalog);
