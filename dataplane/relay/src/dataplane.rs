//! The dataplane process from its first instruction to its last: takes what the supervisor hands over, locks itself in,
//! starts the workers, and becomes the side thread.

use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, io, vec};

use anyhow::{Context as _, bail, ensure};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{dup2_stdin, fchdir, getppid};
use postern_ebpf_loader::{LoadMap, Slot};
use postern_io::backend::choose;
use postern_service::metrics::Process;

use crate::args::LogFile;
use crate::handover::{Channel, SourceDrops};
use crate::messages::{Bootstrap, Database, ToDataplane, ToSupervisor};
use crate::sandbox;
use crate::side::{Side, SideParts};
use crate::worker::context::{WorkerListener, WorkerLoad};
use crate::workers::{self, WorkerParts};

/// The hidden argument that makes this binary a dataplane. Standard input is its channel to the supervisor then.
pub(crate) const DATAPLANE_ARGUMENT: &str = "--dataplane";

/// Runs a dataplane to its end.
pub(crate) fn main() -> ExitCode {
    postern_service::logging::init("postern-relay");
    let Ok((channel, complaints)) = inherited_channel() else {
        eprintln!("postern-relay: error: {DATAPLANE_ARGUMENT} is for the relay's supervisor only");
        return ExitCode::from(2);
    };
    match run(channel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("{error:#}");
            if complaints.send(&ToSupervisor::Fatal { message: message.clone() }, &[]).is_err() {
                tracing::error!("the dataplane ends: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The channel, twice: to work with, and to complain through when that fails.
fn inherited_channel() -> io::Result<(Channel, Channel)> {
    let stdin = io::stdin();
    let channels = (stdin.as_fd().try_clone_to_owned()?, stdin.as_fd().try_clone_to_owned()?);
    rustix::net::getpeername(&channels.0)?; // fails for anything but a connected socket
    dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok((Channel::from_inherited(channels.0), Channel::from_inherited(channels.1)))
}

fn run(channel: Channel) -> anyhow::Result<()> {
    prctl::set_name(c"relay-dataplane")?; // instead of "exe", which /proc/self/exe would leave
    leave_signals_to_the_supervisor()?;
    let Some(handed) = Handed::receive(&channel)? else { return Ok(()) };
    die_with_supervisor(handed.bootstrap.supervisor_pid)?;
    let Handed { bootstrap, descriptors } = handed;
    let mut sockets = Sockets::unpack(&bootstrap, descriptors)?;
    // The last thing that needs more than the state folder: the load map is a descriptor to map, the CPUs a list to read.
    fchdir(&sockets.state_dir).context("the state folder cannot be entered")?;
    let loads = sockets.map_loads(&bootstrap)?;
    let plan = workers::Placement::of_this_process();
    let process = Process::open("postern-relay", env!("CARGO_PKG_VERSION"));
    let active = sandbox::enter(Path::new(".")).context("the sandbox cannot be entered")?;
    tracing::info!(files = ?active.files, syscalls = ?active.syscalls, generation = bootstrap.generation, "the dataplane is locked in");

    // Only here is known what the sandbox and this user leave of it.
    let io = choose(bootstrap.io.into()).context("--io")?;

    // From here on threads, and then network input.
    let (side, senders) = Side::prepare(SideParts {
        channel,
        admin: sockets.admin.take(),
        access_log: sockets.access_log.take(),
        geoip: std::mem::take(&mut sockets.geoip),
        process,
        warnings: active.warnings().into_iter().chain(io.warning).collect(),
        bootstrap: &bootstrap,
    })?;
    let parts = WorkerParts {
        bootstrap: &bootstrap,
        io: io.backend,
        config: side.config(),
        drain: side.drain(),
        senders,
        listeners: sockets.listeners,
        loads,
        drops: sockets.drops,
        gate: sandbox::Gate::new(bootstrap.workers, active.syscalls.is_ok()),
    };
    let running = workers::start(parts, &plan).context("a worker cannot be started")?;
    side.run(running)
}

/// A terminal's Ctrl-C and systemd's SIGTERM reach every process of the relay. The supervisor decides what they mean.
fn leave_signals_to_the_supervisor() -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        signals.add(signal);
    }
    Ok(signals.thread_block()?)
}

/// The channel's end says the same, but only to a dataplane that listens.
fn die_with_supervisor(supervisor_pid: u32) -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // It may have died before: then init, or a subreaper, is the parent by now.
    ensure!(u32::try_from(getppid().as_raw()) == Ok(supervisor_pid), "the supervisor has ended");
    Ok(())
}

/// What came over the channel.
struct Handed {
    bootstrap: Bootstrap,
    descriptors: Vec<OwnedFd>,
}

impl Handed {
    /// `None` when the supervisor has ended.
    fn receive(channel: &Channel) -> anyhow::Result<Option<Self>> {
        let Some(first) = channel.receive::<ToDataplane>()? else { return Ok(None) };
        let ToDataplane::Bootstrap(bootstrap) = first.message else { bail!("the bootstrap comes first") };
        let mut descriptors = Vec::with_capacity(bootstrap.descriptors());
        while descriptors.len() < bootstrap.descriptors() {
            let Some(next) = channel.receive::<ToDataplane>()? else { return Ok(None) };
            descriptors.extend(next.descriptors);
        }
        Ok(Some(Self { bootstrap: *bootstrap, descriptors }))
    }
}

/// The descriptors by what they are.
struct Sockets {
    state_dir: OwnedFd,
    /// By worker.
    listeners: Vec<Vec<WorkerListener>>,
    admin: Option<TcpListener>,
    load_map: Option<OwnedFd>,
    drops: SourceDrops,
    access_log: Option<OwnedFd>,
    geoip: Vec<(Database, OwnedFd)>,
}

impl Sockets {
    /// The reverse of the supervisor's order: the folder; address by address, within it worker by worker; the others.
    fn unpack(bootstrap: &Bootstrap, descriptors: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut descriptors: vec::IntoIter<OwnedFd> = descriptors.into_iter();
        let state_dir = descriptors.next().context("the state folder is missing")?;
        let mut listeners: Vec<Vec<WorkerListener>> = (0..bootstrap.workers).map(|_| Vec::new()).collect();
        for &(protocol, address) in &bootstrap.listen {
            for own in &mut listeners {
                let socket = descriptors.next().context("a listener is missing")?.into();
                own.push(WorkerListener { protocol, address, socket });
            }
        }
        let admin = if bootstrap.admin {
            Some(descriptors.next().context("the admin listener is missing")?.into())
        } else {
            None
        };
        let load_map =
            if bootstrap.load_map { Some(descriptors.next().context("the load map is missing")?) } else { None };
        let drops =
            if bootstrap.drops { Some(descriptors.next().context("the pipe for sources is missing")?) } else { None };
        let access_log = match bootstrap.access_log {
            LogFile::Descriptor => Some(descriptors.next().context("the access log is missing")?),
            LogFile::Off | LogFile::InStateDir => None,
        };
        let database = |of: &Database| Ok((*of, descriptors.next().context("a database of addresses is missing")?));
        let geoip = bootstrap.geoip.iter().map(database).collect::<anyhow::Result<_>>()?;
        ensure!(descriptors.next().is_none(), "more descriptors than were announced");
        Ok(Self { state_dir, listeners, admin, load_map, drops: SourceDrops::new(drops), access_log, geoip })
    }

    /// One cell per worker, in the kernel's map or in plain memory.
    fn map_loads(&mut self, bootstrap: &Bootstrap) -> anyhow::Result<Vec<WorkerLoad>> {
        let map = match self.load_map.take() {
            Some(descriptor) => LoadMap::map(descriptor).context("steer's load map cannot be mapped")?,
            None => LoadMap::anonymous(u32::from(bootstrap.workers)),
        };
        ensure!(bootstrap.slots.len() == usize::from(bootstrap.workers), "every worker has a slot");
        let map = Arc::new(map);
        Ok(bootstrap.slots.iter().map(|slot| WorkerLoad { map: Arc::clone(&map), slot: Slot(*slot) }).collect())
    }
}
