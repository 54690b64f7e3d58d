//! Dialling relays. One task per relay decides ([`Placement`]); the dial itself, and the tunnel after it, run on the
//! thread that will serve it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use postern_io::mailbox::{Receiver, Sender};
use postern_io::{ConnectOptions, NullIdentity, Socket, Stream, now, random_u64, timeout};
use postern_model::ids::RelayId;
use postern_tunnel::{Generation, GoAwayReason};
use rustls_pki_types::ServerName;

use crate::args::RelayAddress;
use crate::limits::{ADDRESSES_TRIED_MAX, DIAL_TIMEOUT};
use crate::placement::{Dial, Known, Placement, Verdict};
use crate::proxy::ring::{self, Beyond};
use crate::proxy::{Proxy, ProxyFailed};
use crate::tls::{Expected, RelayRefused, TUNNEL_ALPN, client_config};
use crate::tunnel::{Ended, Tunnel};
use crate::worker::{Shared, ToWorker, Transport, Worker};

/// One dial and the tunnel it leads to; never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TunnelId(pub(crate) u64);

impl fmt::Display for TunnelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A dial as the worker gets it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) tunnel: TunnelId,
    pub(crate) relay: Arc<RelayAddress>,
    pub(crate) server_name: String,
    pub(crate) reports: Sender<Report>,
}

/// What a tunnel tells its relay's task.
#[derive(Debug)]
pub(crate) enum Report {
    Up {
        tunnel: TunnelId,
        relay: RelayId,
        generation: u32,
        workers: u16,
        worker: u16,
    },
    Generation(Generation),
    /// The relay drains it: another is needed now.
    Leaving {
        tunnel: TunnelId,
    },
    /// The dial failed, or the tunnel ended.
    Ended {
        tunnel: TunnelId,
        reason: String,
    },
}

/// Keeps the tunnels to one relay as long as the process lives.
pub(crate) struct Relay {
    pub(crate) address: Arc<RelayAddress>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reports: (Sender<Report>, Receiver<Report>),
    /// Apart from those of other relays.
    pub(crate) first_tunnel: u64,
}

impl Relay {
    /// Runs until the process ends.
    pub(crate) async fn keep(mut self) {
        let mut placement = Placement::new(now());
        let mut said = Said::default();
        loop {
            self.dial_what_is_due(&mut placement);
            let due = placement.next_due().filter(|_| !self.shared.is_draining());
            let next = async {
                match due {
                    Some(due) => timeout(due.since(now()), self.reports.1.recv()).await.ok(),
                    None => Some(self.reports.1.recv().await),
                }
            };
            if let Some(Some(report)) = next.await {
                self.take(report, &mut placement, &mut said);
            }
        }
    }

    fn dial_what_is_due(&mut self, placement: &mut Placement) {
        if self.shared.is_draining() {
            return;
        }
        let mut tunnel = TunnelId(self.first_tunnel);
        while let Some(Dial { server_name, thread, .. }) = placement.begin_dial(now(), tunnel) {
            let reports = self.reports.0.clone();
            let order = Order { tunnel, relay: Arc::clone(&self.address), server_name, reports };
            if !self.shared.send(thread, ToWorker::Dial(order)) {
                placement.ended(tunnel, now(), jitter());
            }
            self.first_tunnel += 1;
            tunnel = TunnelId(self.first_tunnel);
        }
    }

    fn take(&self, report: Report, placement: &mut Placement, said: &mut Said) {
        match report {
            Report::Up { tunnel, relay, generation, workers, worker } => {
                let known = Known { relay, generation, workers };
                if placement.up(tunnel, known, worker, now()) == Verdict::Close {
                    self.shared.send_all(|| ToWorker::Close(tunnel));
                }
                self.shared.has_tunnel();
                if placement.is_complete() {
                    said.complete(&self.address, known);
                }
            }
            Report::Generation(generation) => placement.announced(generation.generation, generation.workers, now()),
            Report::Leaving { tunnel } => placement.ended(tunnel, now(), jitter()),
            Report::Ended { tunnel, reason } => {
                placement.ended(tunnel, now(), jitter());
                if placement.tunnels_up() == 0 && !self.shared.is_draining() {
                    said.unreachable(&self.address, &reason);
                }
            }
        }
    }
}

fn jitter() -> Duration {
    Duration::from_nanos(random_u64() >> 16)
}

/// What was last said about the relay: the same is not said twice in a row.
#[derive(Debug, Default)]
struct Said {
    complete: Option<Known>,
    reason: Option<String>,
}

impl Said {
    fn complete(&mut self, relay: &RelayAddress, known: Known) {
        self.reason = None;
        if self.complete.replace(known) != Some(known) {
            let Known { relay: id, generation, workers } = known;
            tracing::info!(%relay, %id, generation, tunnels = workers, "connected to the relay");
        }
    }

    fn unreachable(&mut self, relay: &RelayAddress, reason: &str) {
        self.complete = None;
        if self.reason.as_deref() != Some(reason) {
            tracing::warn!(%relay, reason, "no tunnel to the relay; trying again");
            self.reason = Some(String::from(reason));
        }
    }
}

/// Carries out a dial and serves the tunnel.
pub(crate) async fn carry_out(worker: Rc<Worker>, order: Order) {
    let (tunnel, reports) = (order.tunnel, order.reports.clone());
    worker.expect(tunnel, order.reports.clone());
    let counters = &worker.shared.counters;
    let reason = match dial(&worker, &order).await {
        Ok(stream) => {
            let served = Tunnel::new(Rc::clone(&worker), tunnel, stream);
            worker.add(tunnel, Rc::clone(&served));
            counters.tunnels.increment();
            if worker.shared.is_draining() {
                served.drain(GoAwayReason::SHUTDOWN);
            }
            let ended = served.run().await;
            counters.tunnels.decrement();
            if !matches!(ended, Ended::Drained) {
                counters.tunnels_lost.increment();
            }
            ended.to_string()
        }
        Err(error) => {
            counters.dials_failed.increment();
            explain(&error, &order.relay, worker.shared.proxies.of_relay(&order.relay.host, order.relay.port))
        }
    };
    tracing::debug!(%tunnel, relay = %order.relay, reason, "tunnel ended");
    worker.remove(tunnel);
    // Nobody listens once the process ends.
    let _ = reports.send(Report::Ended { tunnel, reason });
}

fn explain(error: &io::Error, relay: &RelayAddress, by: Option<&Arc<Proxy>>) -> String {
    if let Some(failed) = ProxyFailed::of_io(error) {
        return format!("{relay}: {failed}; {}", failed.trouble.cure());
    }
    let through = by.map(|proxy| format!(", through the proxy {}", proxy.address)).unwrap_or_default();
    match RelayRefused::of_io(error) {
        Some(refused) => format!("{refused}{through}"),
        None => format!("{relay}: {error}{through}"),
    }
}

async fn dial(worker: &Worker, order: &Order) -> io::Result<Stream> {
    let relay = &order.relay;
    let Some(by) = worker.shared.proxies.of_relay(&relay.host, relay.port) else {
        return dial_directly(worker, order).await;
    };
    let beyond = Beyond { host: &relay.host, port: relay.port, tls: true };
    let stream = ring::connect(by, &worker.names, beyond, DIAL_TIMEOUT).await?;
    timeout(DIAL_TIMEOUT, secure(worker, order, stream)).await.unwrap_or_else(|_| Err(no_tunnel_within(DIAL_TIMEOUT)))
}

fn no_tunnel_within(patience: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no tunnel within {} s", patience.as_secs()))
}

async fn dial_directly(worker: &Worker, order: &Order) -> io::Result<Stream> {
    let mut addresses = worker.names.resolver().look_up(&order.relay.host).await?;
    addresses.truncate(ADDRESSES_TRIED_MAX);
    let each = DIAL_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        let address = SocketAddr::new(address, order.relay.port);
        match timeout(each, establish(worker, order, address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = no_tunnel_within(each),
        }
    }
    Err(last)
}

async fn establish(worker: &Worker, order: &Order, address: SocketAddr) -> io::Result<Stream> {
    let socket =
        Socket::connect(address, &ConnectOptions { timeout: DIAL_TIMEOUT, ..ConnectOptions::default() }).await?;
    secure(worker, order, Stream::plain(socket)).await
}

async fn secure(worker: &Worker, order: &Order, stream: Stream) -> io::Result<Stream> {
    match worker.shared.transport() {
        Transport::Tls(identity) => {
            let expected = Expected::Authority(identity.authority.clone());
            let config = client_config(&order.relay, expected, Some(identity.own_certificate()), TUNNEL_ALPN);
            let config = config.map_err(io::Error::other)?;
            let name = ServerName::try_from(order.server_name.clone()).map_err(io::Error::other)?;
            stream.start_tls_client(Arc::new(config), name).await
        }
        Transport::Null(connector) => {
            let own = NullIdentity {
                server_name: order.server_name.clone(),
                alpn: TUNNEL_ALPN.to_vec(),
                certificate: connector.to_string().into_bytes(),
            };
            stream.start_tls_null(&own).await
        }
    }
}
