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
use super::farewell::{Farewell, is_removed};
use super::{LinkEnded, pin, serve};
use crate::control::Control;
use crate::limits::{LINK_OPEN_TIMEOUT, REDIAL_MAX, REDIAL_MIN, RELAYS_MAX};

/// Keeps one dialling task per relay with an address, following the state, and for those that were removed and do not know
/// it yet. Runs until `shutdown`.
pub(crate) async fn dial_all(control: Rc<Control>, shutdown: watch::Receiver<bool>) {
    let mut versions = control.versions();
    let mut tasks: BTreeMap<RelayId, (Relay, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let relays = control.snapshot().relays.clone();
        let mut removed = 0;
        tasks.retain(|id, (relay, task)| {
            let stays = relays.get(id).map_or_else(
                || {
                    // It ends by itself once its relay was told.
                    removed += 1;
                    removed <= RELAYS_MAX && !task.is_finished()
                },
                |now| now == relay,
            );
            if !stays {
                task.abort();
            }
            stays
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
    let mut farewell = Farewell::default();
    while !*shutdown.borrow() {
        let started = Instant::now();
        let Ok(expected) = farewell.expected(&control, &relay) else { return };
        let problem = match timeout(LINK_OPEN_TIMEOUT, connect(&control, &relay, expected)).await {
            Ok(Ok((stream, key_sha256))) => {
                farewell.reached(&key_sha256);
                let peer = Peer::Tls { relay: relay.clone(), key_sha256 };
                serve(Rc::clone(&control), stream, peer, shutdown.clone()).await
            }
            Ok(Err(error)) => LinkEnded::Refused(format!("{error:#}")),
            Err(_) => LinkEnded::Silent("TLS handshake"),
        };
        if matches!(problem, LinkEnded::Removed(_)) {
            tracing::info!(relay = %relay.name, "the relay was told that it is removed");
            return;
        }
        report(&control, &relay, &problem.to_string());
        // A link that held for a while starts over with the short pause.
        pause = if started.elapsed() > REDIAL_MAX { REDIAL_MIN } else { pause };
        tokio::select! {
            () = sleep(jittered(pause)) => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
        pause = (pause * 2).min(REDIAL_MAX);
    }
}

/// A connection, and SHA-256 of the key that the relay shows: the expected one, if one is.
async fn connect(
    control: &Control,
    relay: &Relay,
    expected: Option<String>,
) -> anyhow::Result<(TlsStream<TcpStream>, String)> {
    let address = relay.address.as_deref().unwrap_or_default();
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
    stream.set_nodelay(true)?;
    let (certificate, key) = control.authority.issue_control()?;
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
    Ok((stream, key_sha256))
}

/// Logs a problem once, not at every attempt.
fn report(control: &Control, relay: &Relay, problem: &str) {
    if is_removed(control, relay) {
        return;
    }
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
