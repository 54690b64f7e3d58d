//! What supervisor and dataplane say to each other. Both are the same binary, started together: no versions here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::args::{IoBackend, LogFile, TlsPreset};
use crate::worker::context::ListenProtocol;
use crate::worker::recorder::LogFields;

/// From the supervisor to the dataplane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToDataplane {
    /// The first message.
    Bootstrap(Box<Bootstrap>),
    /// The next of the descriptors that the bootstrap announced, in its order.
    Descriptors,
    /// The answer to [`ToSupervisor::ConnectControl`], with one descriptor.
    ControlConnected,
    /// The other answer to it.
    ControlUnreachable {
        /// The system's reason.
        reason: String,
    },
    /// SIGHUP: look again at what was read at the start.
    Reload {
        /// The trust anchor as it is on disk now; absent with a Unix link.
        trust_anchor_pem: Option<String>,
    },
    /// SIGHUP, too: log to a new file, which comes as a descriptor unless it is in the state folder.
    AccessLog,
    /// A database is another file: it comes as a descriptor.
    Geoip(Database),
    /// What BPF did so far, every few seconds where it is on.
    Kernel(KernelFigures),
    /// SIGTERM: end within this time.
    Drain {
        /// What running requests are given.
        grace_period: Duration,
    },
}

/// What a database of addresses says of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Database {
    Countries,
    Systems,
}

impl Database {
    /// What names its file.
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Countries => "--geoip",
            Self::Systems => "--geoip-asn",
        }
    }

    /// What is so without it.
    pub(crate) const fn without(self) -> &'static str {
        match self {
            Self::Countries => "no country is known",
            Self::Systems => "no autonomous system is known",
        }
    }
}

/// What BPF counted since the relay's start, each count under its name in `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelFigures {
    /// Connections that `steer` gave to a worker, by how it was chosen: [`Self::STEERED`].
    pub(crate) steered: [u64; 4],
    /// Connections that `steer` refused: [`Self::CONNECTIONS_REFUSED`].
    pub(crate) connections_refused: [u64; 3],
    pub(crate) packets_passed: u64,
    /// Packets that `guard` dropped: [`Self::PACKETS_DROPPED`].
    pub(crate) packets_dropped: [u64; 4],
    /// Sources that the dataplane had dropped for a while.
    pub(crate) sources_dropped: u64,
}

impl KernelFigures {
    /// How a worker is chosen; the last: by the kernel's hash.
    pub(crate) const STEERED: [&'static str; 4] = ["lighter", "same_cpu", "scanned", "hash"];
    /// Why a connection is refused.
    pub(crate) const CONNECTIONS_REFUSED: [&'static str; 3] = ["deny_list", "source_dropped", "connection_rate"];
    /// Why a packet is dropped.
    pub(crate) const PACKETS_DROPPED: [&'static str; 4] = ["deny_list", "source_dropped", "syn_rate", "packet_rate"];
}

/// From the dataplane to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSupervisor {
    /// All workers accept.
    Ready,
    /// Every worker's loop has turned since this was last said. Due every [`PULSE_INTERVAL`](crate::limits::PULSE_INTERVAL).
    Alive,
    /// Connect to control's admin socket: the dataplane has neither the path's rights nor the uid that control checks.
    ConnectControl,
    /// It cannot go on, whatever the number of attempts: one line for people.
    Fatal {
        /// What and what to do.
        message: String,
    },
}

/// What a dataplane starts with. Descriptors follow: the state folder, for each address of `listen` one socket per worker,
/// the admin listener, `steer`'s load map, the pipe for sources to be dropped,
/// the access log, databases of addresses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bootstrap {
    pub(crate) supervisor_pid: u32,
    pub(crate) generation: u32,
    pub(crate) workers: u16,
    pub(crate) name: String,
    /// For messages: the folder itself comes as a descriptor, since the way to it may be closed to the dataplane's user.
    pub(crate) state_dir: PathBuf,
    pub(crate) io: IoBackend,
    pub(crate) listen: Vec<(ListenProtocol, SocketAddr)>,
    pub(crate) admin: bool,
    pub(crate) load_map: bool,
    /// Each worker's cell in the load map.
    pub(crate) slots: Vec<u32>,
    /// What `postern status` shows about BPF.
    pub(crate) ebpf: String,
    /// What the supervisor has told its log already.
    pub(crate) warnings: Vec<String>,
    /// Whether sources can be dropped in the kernel.
    pub(crate) drops: bool,
    /// Where requests are logged.
    pub(crate) access_log: LogFile,
    pub(crate) log_fields: LogFields,
    /// Which databases of addresses follow.
    pub(crate) geoip: Vec<Database>,
    /// What clients may speak.
    pub(crate) tls: TlsPreset,
    /// The control CA's certificate when control dials in; with a Unix link control states it itself.
    pub(crate) trust_anchor_pem: Option<String>,
}

impl Bootstrap {
    /// How many descriptors follow.
    pub(crate) fn descriptors(&self) -> usize {
        let single = [self.admin, self.load_map, self.drops, self.access_log == LogFile::Descriptor];
        1 + self.geoip.len()
            + self.listen.len() * usize::from(self.workers)
            + single.into_iter().map(usize::from).sum::<usize>()
    }
}
