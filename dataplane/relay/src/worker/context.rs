//! What a worker thread is given when it starts: its sockets, the configuration in force, and the ways to reach the rest
//! of the process. It holds no I/O of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use postern_ebpf_loader::{LoadMap, Slot, WorkerLoadCell};
use postern_io::BackendKind;

use crate::handover::SourceDrops;
use crate::published::ConfigHandle;
use crate::sandbox::Gate;
use crate::side::SideSender;
use crate::worker::drain::Drain;
use crate::worker::peers::Peers;

/// Everything one worker starts with. It is moved into the worker's thread and used nowhere else.
#[derive(Debug)]
pub struct WorkerContext {
    /// This worker, from 0.
    pub index: u16,
    /// How many workers the process runs.
    pub workers: u16,
    /// The generation of this dataplane: 1 at the supervisor's start, one more at every start of a dataplane.
    pub generation: u32,
    /// The CPU the thread has been pinned to, where pinning was possible.
    pub cpu: Option<usize>,
    /// The engine that was chosen.
    pub io: BackendKind,
    /// Its own listening sockets, one per address and protocol. Non-blocking. The supervisor holds the same sockets, so
    /// that closing one here does not close the port.
    pub listeners: Vec<WorkerListener>,
    /// The configuration in force.
    pub config: ConfigHandle,
    /// The side thread: control and enrolment connections, reports.
    pub side: SideSender,
    /// Whether to go on, to drain or to end, and what wakes this worker when that or the configuration changes.
    pub drain: Drain,
    /// Where to publish this worker's load; read by `steer`, or by nobody without BPF.
    pub load: WorkerLoad,
    /// Has the kernel drop sources that keep exceeding their limits.
    pub(crate) drops: SourceDrops,
    /// The ways to and from the other workers.
    pub peers: Peers,
    /// Where it waits until all workers have their rings.
    pub(crate) gate: Gate,
    /// This worker's share of the process's resources.
    pub limits: WorkerLimits,
}

/// A listening socket of one worker.
#[derive(Debug)]
pub struct WorkerListener {
    /// What is spoken there.
    pub protocol: ListenProtocol,
    /// The local address.
    pub address: SocketAddr,
    /// The socket.
    pub socket: TcpListener,
}

/// What is spoken at a listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenProtocol {
    /// TLS: clients, connectors and control, told apart by their ClientHello.
    Tls,
    /// Plain HTTP/1.1: clients alone.
    Http,
}

impl ListenProtocol {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http => "http",
        }
    }
}

/// This worker's cell in the load map.
#[derive(Debug, Clone)]
pub struct WorkerLoad {
    pub(crate) map: Arc<LoadMap>,
    pub(crate) slot: Slot,
}

impl WorkerLoad {
    /// A cell that nobody else reads.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { map: Arc::new(LoadMap::anonymous(1)), slot: Slot(0) }
    }

    /// The cell.
    #[must_use]
    pub fn cell(&self) -> &WorkerLoadCell {
        self.map.worker(self.slot)
    }
}

/// What one worker may hold at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Connections of every kind: half of the process's descriptors, in equal shares.
    pub connections_max: usize,
}
