//! The worker threads as the rest of the process sees them: started pinned, watched until they end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::{io, thread};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::Pid;
use postern_io::BackendKind;
use postern_io::mailbox::Sender;
use tokio::sync::mpsc;

use crate::handover::SourceDrops;
use crate::messages::Bootstrap;
use crate::published::ConfigHandle;
use crate::sandbox::Gate;
use crate::side::SideSender;
use crate::worker;
use crate::worker::context::{WorkerContext, WorkerLimits, WorkerListener, WorkerLoad};
use crate::worker::drain::{Drain, DrainState};
use crate::worker::peers::{Peers, ToWorker};

/// Which CPUs the process may use, and how many descriptors.
#[derive(Debug)]
pub(crate) struct Placement {
    cpus: Vec<usize>,
    descriptors_max: usize,
}

impl Placement {
    pub(crate) fn of_this_process() -> Self {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(DESCRIPTORS_ASSUMED, |(soft, _)| soft);
        Self { cpus: allowed_cpus(), descriptors_max: usize::try_from(descriptors).unwrap_or(usize::MAX) }
    }

    /// Workers beyond the CPUs go round robin.
    fn cpu_of(&self, worker: u16) -> Option<usize> {
        self.cpus.get(usize::from(worker).checked_rem(self.cpus.len())?).copied()
    }

    fn limits(&self, workers: u16) -> WorkerLimits {
        WorkerLimits { connections_max: (self.descriptors_max / 2 / usize::from(workers)).clamp(64, 1 << 20) }
    }
}

/// The CPUs of the inherited affinity mask; none when it cannot be read.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let Ok(mask) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false)).collect()
}

/// What the workers' contexts are made of; the lists are by worker.
#[derive(Debug)]
pub(crate) struct WorkerParts<'a> {
    pub(crate) bootstrap: &'a Bootstrap,
    pub(crate) io: BackendKind,
    pub(crate) config: ConfigHandle,
    pub(crate) drain: Drain,
    pub(crate) senders: Vec<SideSender>,
    pub(crate) listeners: Vec<Vec<WorkerListener>>,
    pub(crate) loads: Vec<WorkerLoad>,
    pub(crate) drops: SourceDrops,
    pub(crate) gate: Gate,
}

/// The running workers.
#[derive(Debug)]
pub(crate) struct Running {
    left: usize,
    senders: Vec<Sender<ToWorker>>,
    ended: mpsc::Receiver<()>,
}

impl Running {
    /// The workers' mailboxes.
    pub(crate) fn senders(&self) -> &[Sender<ToWorker>] {
        &self.senders
    }

    /// Waits until all workers have returned.
    pub(crate) async fn all_ended(&mut self) {
        while self.left > 0 && self.ended.recv().await.is_some() {
            self.left -= 1;
        }
    }
}

/// Starts a thread per worker.
pub(crate) fn start(parts: WorkerParts<'_>, placement: &Placement) -> io::Result<Running> {
    let workers = parts.bootstrap.workers;
    let (ended_sender, ended) = mpsc::channel(usize::from(workers));
    let contexts = contexts(parts, placement);
    let senders = contexts.first().map(|context| context.peers.senders.clone()).unwrap_or_default();
    for context in contexts {
        let ended = ended_sender.clone();
        thread::Builder::new().name(format!("worker-{}", context.index)).spawn(move || {
            live(context);
            // One slot per worker: never full, and nobody listening only means that the process ends.
            let _ = ended.try_send(());
        })?;
    }
    Ok(Running { left: usize::from(workers), senders, ended })
}

fn contexts(parts: WorkerParts<'_>, placement: &Placement) -> Vec<WorkerContext> {
    let WorkerParts { bootstrap, io, config, drain, senders, listeners, loads, drops, gate } = parts;
    let peers = Peers::mesh(bootstrap.workers);
    let own = senders.into_iter().zip(listeners).zip(loads).zip(peers).zip(0..bootstrap.workers);
    let context = |((((side, listeners), load), peers), index)| WorkerContext {
        peers,
        index,
        workers: bootstrap.workers,
        generation: bootstrap.generation,
        cpu: placement.cpu_of(index),
        io,
        listeners,
        config: config.clone(),
        side,
        drain: drain.clone(),
        load,
        drops: drops.clone(),
        gate: gate.clone(),
        limits: placement.limits(bootstrap.workers),
    };
    own.map(context).collect()
}

/// One worker's life. A worker that panics, or returns without being told to, takes the process with it: its listeners
/// would fill with connections that nobody accepts. The supervisor starts anew at once.
fn live(mut context: WorkerContext) {
    let (index, drain) = (context.index, context.drain.clone());
    context.cpu = context.cpu.filter(|cpu| pin(*cpu));
    let returned = catch_unwind(AssertUnwindSafe(|| worker::run(context)));
    if returned.is_err() || drain.state() == DrainState::Running {
        tracing::error!(worker = index, "a worker ended by itself; the dataplane ends with it");
        exit(WORKER_ENDED);
    }
}

fn pin(cpu: usize) -> bool {
    let mut mask = CpuSet::new();
    mask.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &mask)).is_ok()
}

/// The exit status then: `EX_SOFTWARE`.
const WORKER_ENDED: i32 = 70;
const DESCRIPTORS_ASSUMED: u64 = 1024;
