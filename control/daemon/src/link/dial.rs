//! Dials every relay that has an address, for as long as it has one. Each has a task of its own with a jittered, growing pause.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use postern_model::config::Relay;
use postern_model::ids::RelayId;
use postern_model::link::{ALPN, SERVER_NAME};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::admit::Peer;
use super::{LinkEnded, pin, serve};
use crate::control::Control;
use crate::limits::{LINK_OPEN_TIMEOUT, REDIAL_MAX, REDIAL_MIN};

/// Keeps one dialling task per relay with an address, following the state. Runs until `shutdown`.
pub(crate) async fn dial_all(control: Rc<Control>, shutdown: watch::Receiver<bool>) {
    let mut versions = control.versions();
    let mut tasks: BTreeMap<RelayId, (Relay, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let relays = control.snapshot().relays.clone();
        tasks.retain(|id, (relay, task)| {
            let same = relays.get(id) == Some(relay);
            if !same {
                task.abort();
            }
            same
        });
        for (id, relay) in relays.into_iter().filter(|(_, relay)| relay.address.is_some()) {
            let task = || tokio::task::spawn_local(keep_linked(Rc::clone(&control), relay.clone(), shutdown.clone()));
            tasks.entry(id).or_insert_with(|| (relay.clone(), task()));
        }
        let mut shutdown = shutdown.clone();
        tokio::select! {
            _ = versions.changed() => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
    }
}

async fn keep_linked(control: Rc<Control>, relay: Relay, mut shutdown: watch::Receiver<bool>) {
    let mut pause = REDIAL_MIN;
    while !*shutdown.borrow() {
        let started = Instant::now();
        let problem = match timeout(LINK_OPEN_TIMEOUT, connect(&control, &relay)).await {
            Ok(Ok((stream, peer))) => serve(Rc::clone(&control), stream, peer, shutdown.clone()).await,
            Ok(Err(error)) => LinkEnded::Refused(format!("{error:#}")),
            Err(_) => LinkEnded::Silent("TLS handshake"),
        };
        let problem = problem.to_string();
        report(&control, &relay, &problem);
        // A link that held for a while starts over with the short pause.
        pause = if started.elapsed() > REDIAL_MAX { REDIAL_MIN } else { pause };
        tokio::select! {
            () = sleep(jittered(pause)) => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
        pause = (pause * 2).min(REDIAL_MAX);
    }
}

async fn connect(control: &Control, relay: &Relay) -> anyhow::Result<(TlsStream<TcpStream>, Peer)> {
    let address = relay.address.as_deref().unwrap_or_default();
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
    stream.set_nodelay(true)?;
    let (certificate, key) = control.authority.issue_control()?;
    let expected = control.pin(relay.id).map(|pin| pin.key_sha256);
    let config = pin::client_config(relay.name.as_str(), expected, certificate, key)?;
    let name = ServerName::try_from(SERVER_NAME)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.with_context(|| format!("no TLS with {address}"))?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(ALPN) {
        bail!("{address} is not a relay's port: it does not speak postern-control/1");
    }
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let key_sha256 = leaf.and_then(pin::spki_sha256).context("the relay shows no certificate")?;
    Ok((stream, Peer::Tls { relay: relay.clone(), key_sha256 }))
}

/// Logs a problem once, not at every attempt.
fn report(control: &Control, relay: &Relay, problem: &str) {
    let mut fleet = control.fleet.borrow_mut();
    let said = fleet.relay(relay.id).and_then(|link| link.problem.as_deref()) == Some(problem);
    if !said {
        tracing::warn!(relay = %relay.name, "no link: {problem}");
    }
    fleet.failed(relay.id, problem);
}

/// Between half and all of `pause`, so that relays and controls do not knock in step.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 2];
    let _ = aws_lc_rs::rand::fill(&mut random);
    let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}
