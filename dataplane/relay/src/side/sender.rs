//! The workers' way to the side thread. Nothing here blocks, and everything is bounded: connections by a queue that can be
//! full, reports by a table that holds one entry per connector.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use postern_model::ids::ConnectorId;
use postern_service::notify::{Heartbeat, Pulse};
use tokio::sync::{Notify, mpsc};

use super::calls::CallDesk;
use crate::limits::HANDED_OVER_MAX;
use crate::record::book::{Book, BookWriter};
use crate::record::lane::{Bell, Lane, LaneWriter};
use crate::record::writer::AccessLog;
use crate::traces::Traces;
use crate::worker::counters::WorkerCounters;
use crate::worker::recorder::LogFields;

/// A connection whose ClientHello asks for something the side thread serves.
#[derive(Debug)]
pub struct HandOver {
    /// The connection.
    pub socket: TcpStream,
    /// What was read from it: the whole ClientHello, perhaps more.
    pub first_bytes: Bytes,
    /// What it asked for.
    pub kind: HandOverKind,
    /// The other end.
    pub peer: SocketAddr,
}

/// What the side thread serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOverKind {
    /// ALPN `postern-control/1`.
    Control,
    /// ALPN `postern-enrol/1`.
    Enrol,
    /// ALPN `postern-identity/1`.
    Identity,
}

/// What a worker tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerReport {
    /// It accepts. The process is ready when all workers have said so.
    Ready {
        /// The engine in use: `uring` or `epoll`.
        io_backend: &'static str,
    },
    /// A connector's tunnel to this worker came up, or its state changed: the last report holds.
    Tunnel {
        /// Whose tunnel.
        connector: ConnectorId,
        /// Its state.
        state: TunnelState,
    },
    /// The tunnel is gone.
    TunnelGone {
        /// Whose tunnel.
        connector: ConnectorId,
    },
    /// Something operators should see in `postern status` until it is withdrawn with `None`.
    Warning {
        /// What it is about; one warning per key.
        key: &'static str,
        /// One line.
        text: Option<String>,
    },
}

/// One worker's tunnel to one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelState {
    /// A probe went through and came back lately.
    pub online: bool,
    /// The connector's name and version.
    pub software: String,
    /// Whether it has a keytab, if it said so.
    pub has_keytab: Option<bool>,
    /// When the tunnel came up (Unix time).
    pub since_unix_ms: u64,
    /// The last probe's round trip.
    pub rtt_us: u32,
}

/// What is known of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerState {
    pub(crate) io_backend: Option<&'static str>,
    pub(crate) tunnels: BTreeMap<ConnectorId, TunnelState>,
    pub(crate) warnings: BTreeMap<&'static str, String>,
}

/// One worker's handle on the side thread. Cheap to clone within the worker.
#[derive(Debug, Clone)]
pub struct SideSender {
    worker: u16,
    connections: mpsc::Sender<HandOver>,
    reports: Arc<Reports>,
    counters: Arc<WorkerCounters>,
    book: Arc<Book>,
    lane: Arc<Lane>,
    bell: Arc<Bell>,
    pub(crate) log_fields: LogFields,
    heartbeat: Heartbeat,
    calls: CallDesk,
    traces: Arc<Traces>,
}

impl SideSender {
    /// Where control is asked.
    pub(crate) const fn calls(&self) -> &CallDesk {
        &self.calls
    }

    /// Which requests are recorded for operators.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// The worker's loop has turned; due every second.
    pub fn beat(&self) {
        self.heartbeat.beat();
    }

    /// Where this worker records requests. Taken once: each page and lane has one writer.
    pub(crate) fn recording(&self) -> (BookWriter, LaneWriter) {
        (BookWriter::new(Arc::clone(&self.book)), LaneWriter::new(Arc::clone(&self.lane), Arc::clone(&self.bell)))
    }

    /// This worker's counters, which `/metrics` shows.
    #[must_use]
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.counters
    }

    /// Gives a connection to the side thread; back at once when its queue is full or it has ended: close it then.
    ///
    /// # Errors
    /// The connection that could not be taken.
    #[allow(clippy::result_large_err, reason = "the connection goes back to its owner; both are the same size")]
    pub fn hand_over(&self, connection: HandOver) -> Result<(), HandOver> {
        self.connections.try_send(connection).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(connection) | mpsc::error::TrySendError::Closed(connection) => connection,
        })
    }

    /// Reports; never lost, since later reports replace earlier ones about the same thing.
    pub fn report(&self, report: WorkerReport) {
        self.reports.record(self.worker, report);
    }
}

/// The side thread's end.
#[derive(Debug)]
pub(crate) struct SideReceiver {
    pub(crate) connections: mpsc::Receiver<HandOver>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) counters: Vec<Arc<WorkerCounters>>,
    pub(crate) books: Vec<Arc<Book>>,
    pub(crate) log: AccessLog,
    /// Whether all workers' loops turn.
    pub(crate) pulse: Pulse,
    pub(crate) calls: CallDesk,
    pub(crate) traces: Arc<Traces>,
}

/// The workers' states, as they last reported them.
#[derive(Debug)]
pub(crate) struct Reports {
    workers: Vec<Mutex<WorkerState>>,
    changed: AtomicBool,
    notify: Notify,
}

impl Reports {
    fn record(&self, worker: u16, report: WorkerReport) {
        let Some(state) = self.workers.get(usize::from(worker)) else { return };
        state.lock().unwrap_or_else(PoisonError::into_inner).record(report);
        self.changed.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Waits until something was reported since the last call.
    pub(crate) async fn changed(&self) {
        while !self.changed.swap(false, Ordering::AcqRel) {
            self.notify.notified().await;
        }
    }

    /// All workers' states now.
    pub(crate) fn states(&self) -> Vec<WorkerState> {
        self.workers.iter().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

impl WorkerState {
    fn record(&mut self, report: WorkerReport) {
        match report {
            WorkerReport::Ready { io_backend } => self.io_backend = Some(io_backend),
            WorkerReport::Tunnel { connector, state } => drop(self.tunnels.insert(connector, state)),
            WorkerReport::TunnelGone { connector } => drop(self.tunnels.remove(&connector)),
            WorkerReport::Warning { key, text: Some(text) } => drop(self.warnings.insert(key, text)),
            WorkerReport::Warning { key, text: None } => drop(self.warnings.remove(key)),
        }
    }
}

/// One sender per worker and the side thread's end.
pub(crate) fn channel(workers: u16) -> (Vec<SideSender>, SideReceiver) {
    let (sender, connections) = mpsc::channel(HANDED_OVER_MAX);
    let states = (0..workers).map(|_| Mutex::default()).collect();
    let reports = Arc::new(Reports { workers: states, changed: AtomicBool::new(false), notify: Notify::new() });
    let counters: Vec<Arc<WorkerCounters>> = (0..workers).map(|_| Arc::default()).collect();
    let books: Vec<Arc<Book>> = (0..workers).map(|_| Arc::default()).collect();
    let log = AccessLog::new(workers);
    let heartbeats: Vec<Heartbeat> = (0..workers).map(|_| Heartbeat::default()).collect();
    let pulse = Pulse::of(&heartbeats);
    let calls = CallDesk::default();
    let traces: Arc<Traces> = Arc::default();
    let sender_of = |(worker, heartbeat): (u16, Heartbeat)| {
        let (lane, bell) = log.lane(worker);
        let nth = usize::from(worker);
        SideSender {
            worker,
            connections: sender.clone(),
            reports: Arc::clone(&reports),
            counters: Arc::clone(&counters[nth]),
            book: Arc::clone(&books[nth]),
            lane,
            bell,
            log_fields: LogFields::default(),
            heartbeat,
            calls: calls.clone(),
            traces: Arc::clone(&traces),
        }
    };
    let senders = (0..workers).zip(heartbeats).map(sender_of).collect();
    (
        senders,
        SideReceiver {
            connections,
            reports,
            counters,
            books,
            log,
            pulse,
            calls: calls.clone(),
            traces: Arc::clone(&traces),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn connection() -> HandOver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = socket.peer_addr().unwrap();
        HandOver { socket, first_bytes: Bytes::new(), kind: HandOverKind::Enrol, peer }
    }

    #[test]
    fn a_full_queue_gives_the_connection_back() {
        let (senders, _receiver) = channel(1);
        for _ in 0..HANDED_OVER_MAX {
            assert!(senders[0].hand_over(connection()).is_ok());
        }
        assert!(senders[0].hand_over(connection()).is_err());
    }

    #[tokio::test]
    async fn the_last_report_about_a_tunnel_holds() {
        let (senders, receiver) = channel(2);
        let connector = "c1-9".parse().unwrap();
        for online in [true, false] {
            let state =
                TunnelState { online, software: String::from("x"), has_keytab: None, since_unix_ms: 1, rtt_us: 2 };
            senders[1].report(WorkerReport::Tunnel { connector, state });
        }
        receiver.reports.changed().await;
        let states = receiver.reports.states();
        assert!(!states[1].tunnels[&connector].online);
        assert!(states[0].tunnels.is_empty());
        senders[1].report(WorkerReport::TunnelGone { connector });
        receiver.reports.changed().await;
        assert!(receiver.reports.states()[1].tunnels.is_empty());
    }
}
