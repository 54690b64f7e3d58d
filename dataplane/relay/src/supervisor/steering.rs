//! BPF as the supervisor keeps it: on where it is wanted and possible, told which workers are there, gone at the end.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::{io, thread};

use aws_lc_rs::digest;
use postern_ebpf_loader::{BpfError, Slot, SourceLimits, Steer, SteerLog, SteerOptions, Support, WorkerState, probe};
use postern_service::failure::Failure;

use super::guarding::{Guarding, check_interfaces, unfiltered};
use super::listeners::Listeners;
use super::refusals::Refusals;
use crate::args::{EbpfMode, Options};
use crate::limits::SOURCE_DROP_MAX;
use crate::messages::KernelFigures;
use crate::workers::allowed_cpus;

/// Whether BPF is at work, and with what.
pub(crate) enum Steering {
    On(Box<Steered>),
    /// New connections are spread by the kernel's hash, and why.
    Off {
        why: String,
        warnings: Vec<String>,
    },
}

pub(crate) struct Steered {
    steer: Steer,
    /// By worker.
    slots: Vec<Slot>,
    guarding: Option<Guarding>,
    warnings: Vec<String>,
    refusals: Refusals,
}

impl Steering {
    /// Loads and attaches as `options` say. `instance` names the pins.
    pub(crate) fn set_up(options: &Options, instance: &str, listeners: &Listeners) -> Result<Self, Failure> {
        check_interfaces(&options.xdp)?;
        if options.ebpf == EbpfMode::Off {
            return Ok(Self::off(String::from("off")));
        }
        let outcome = match probe() {
            Support::Available => Steered::load(options, instance, listeners).map_err(|error| error.chain()),
            Support::Unavailable(reason) => Err(reason),
        };
        let steered = match outcome {
            Ok(steered) => steered,
            Err(reason) if options.ebpf == EbpfMode::Require => return Err(unavailable(&reason)),
            Err(reason) => return Ok(Self::missed(options, reason)),
        };
        if options.ebpf == EbpfMode::Require
            && let Some(missing) = steered.first_missing(options)
        {
            return Err(unavailable(missing));
        }
        for warning in &steered.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self::On(Box::new(steered)))
    }

    /// In place of one that is to be [removed](Self::remove).
    pub(crate) fn ended() -> Self {
        Self::off(String::from("ended"))
    }

    fn off(why: String) -> Self {
        Self::Off { why, warnings: Vec::new() }
    }

    /// Wanted, but not possible.
    fn missed(options: &Options, why: String) -> Self {
        tracing::warn!("new connections are spread by the kernel's hash, not by load: {why}");
        let mut warnings: Vec<String> = options.xdp.iter().map(|interface| unfiltered(interface, &why)).collect();
        if !options.deny.is_empty() {
            warnings.push(format!("--deny: these sources are not refused: {why}"));
        }
        if options.source_limits != SourceLimits::default() {
            warnings.push(format!("--connection-rate and its like: no limit holds for sources: {why}"));
        }
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        Self::Off { why, warnings }
    }

    /// What `postern status` shows.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::On(steered) => {
                let guard = steered.guarding.as_ref().and_then(Guarding::describe);
                ["steer".to_owned()].into_iter().chain(guard).collect::<Vec<_>>().join(", ")
            }
            Self::Off { why, .. } => why.clone(),
        }
    }

    /// What is not as asked for, one line each; the log has them already.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self {
            Self::On(steered) => steered.warnings.clone(),
            Self::Off { warnings, .. } => warnings.clone(),
        }
    }

    /// Whether sources can be dropped in the kernel.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }

    /// The load map for the dataplane.
    pub(crate) fn load_map(&self) -> Option<OwnedFd> {
        match self {
            Self::On(steered) => steered.steer.load_map_fd().ok(),
            Self::Off { .. } => None,
        }
    }

    /// Each worker's cell in that map, or in one of the dataplane's own.
    pub(crate) fn slots(&self, workers: u16) -> Vec<u32> {
        match self {
            Self::On(steered) => steered.slots.iter().map(|slot| slot.0).collect(),
            Self::Off { .. } => (0..u32::from(workers)).collect(),
        }
    }

    /// `Active` when the workers accept. `Draining` while no dataplane runs: the listeners are still there, and the kernel
    /// spreads what arrives over their queues until the next dataplane takes it from there.
    pub(crate) fn tell(&mut self, state: WorkerState) {
        let Self::On(steered) = self else { return };
        for slot in steered.slots.clone() {
            if let Err(error) = steered.steer.set_state(slot, state) {
                tracing::error!(%error, "steering cannot be told the workers' state");
            }
        }
    }

    /// Has the kernel drop these for a while, as the dataplane asks.
    pub(crate) fn drop_sources(&mut self, sources: &[(IpAddr, Duration)]) {
        let Self::On(steered) = self else { return };
        for (source, duration) in sources {
            let duration = (*duration).min(SOURCE_DROP_MAX);
            tracing::debug!(%source, ?duration, "dropped in the kernel");
            match steered.steer.drop_source(*source, duration) {
                Ok(()) => steered.refusals.source_dropped(),
                Err(error) => tracing::error!(error = error.chain(), "a source cannot be dropped in the kernel"),
            }
        }
    }

    /// Says in the log what the kernel has refused since the last time, and gives what it counted so far.
    pub(crate) fn report(&mut self) -> Option<KernelFigures> {
        let Self::On(steered) = self else { return None };
        let guard = steered.guarding.as_ref().map(Guarding::counters).transpose();
        match steered.steer.counters().and_then(|steer| Ok((steer, guard?))) {
            Ok((steer, guard)) => Some(steered.refusals.report(&steer, &guard.unwrap_or_default())),
            Err(error) => {
                tracing::warn!(error = error.chain(), "the kernel's counters cannot be read");
                None
            }
        }
    }

    /// Leaves nothing in the kernel.
    pub(crate) fn remove(self, listeners: &Listeners) {
        let Self::On(steered) = self else { return };
        drop(steered.guarding);
        for group in listeners.groups() {
            if let Some(Err(error)) = group.sockets.first().map(Steer::detach) {
                tracing::warn!(%error, address = %group.address, "steering stays attached until the listeners close");
            }
        }
        if let Err(error) = steered.steer.remove() {
            tracing::warn!(%error, "steering's pins could not be removed; the next start will");
        }
    }
}

impl Steered {
    fn load(options: &Options, instance: &str, listeners: &Listeners) -> Result<Self, BpfError> {
        let steer_options = SteerOptions { limits: options.source_limits, ..SteerOptions::default() };
        let mut steer = Steer::load(instance, steer_options)?;
        for prefix in &options.deny {
            steer.sources().deny(*prefix)?;
        }
        let slots = join(&mut steer, listeners)?;
        for (slot, cpu) in slots.iter().zip(allowed_cpus()) {
            steer.prefer_on_cpu(*slot, u32::try_from(cpu).unwrap_or(u32::MAX))?;
        }
        for socket in listeners.groups().iter().filter_map(|group| group.sockets.first()) {
            steer.attach(socket)?;
        }
        if let Some(Err(error)) = steer.take_log().map(pass_events_on) {
            tracing::warn!(%error, "steering's events will not be in this log");
        }
        let mut warnings = Vec::new();
        let guarding = guard(&steer, options, listeners, &mut warnings);
        Ok(Self { steer, slots, guarding, warnings, refusals: Refusals::default() })
    }

    /// The first of the warnings, if an interface is not filtered.
    fn first_missing(&self, options: &Options) -> Option<&str> {
        let is_complete = |guarding: &Guarding| guarding.is_complete(options.xdp.len());
        let complete = options.xdp.is_empty() || self.guarding.as_ref().is_some_and(is_complete);
        if complete {
            None
        } else {
            self.warnings.iter().map(String::as_str).find(|line| line.contains("not filtered"))
        }
    }
}

fn join(steer: &mut Steer, listeners: &Listeners) -> Result<Vec<Slot>, BpfError> {
    let mut slots = Vec::new();
    for group in listeners.groups() {
        slots.clear(); // the same for every address
        for (worker, socket) in (0..).zip(&group.sockets) {
            slots.push(steer.join(worker, socket, SLOTS_GENERATION)?);
        }
    }
    Ok(slots)
}

/// The packet filter where one is asked for. Without it connections are steered all the same.
fn guard(steer: &Steer, options: &Options, listeners: &Listeners, warnings: &mut Vec<String>) -> Option<Guarding> {
    if options.xdp.is_empty() {
        return None;
    }
    let ports = listeners.groups().iter().map(|group| group.address.port());
    match Guarding::set_up(steer, &options.xdp, ports, warnings) {
        Ok(guarding) => Some(guarding),
        Err(error) => {
            let reason = error.chain();
            warnings.extend(options.xdp.iter().map(|interface| unfiltered(interface, &reason)));
            None
        }
    }
}

fn unavailable(reason: &str) -> Failure {
    Failure::new(format!("--ebpf require, but BPF is not available: {reason}")).code("ebpf-unavailable")
}

/// Passes the programs' rare events into this process's log until the process ends.
fn pass_events_on(mut log: SteerLog) -> io::Result<()> {
    let pass_on = move || {
        while log.wait(EVENTS_PAUSE).is_ok() {
            log.drain();
        }
        tracing::warn!("steering's events cannot be read any longer");
    };
    thread::Builder::new().name(String::from("steer-events")).spawn(pass_on).map(drop)
}

/// A name for the pins that two relays on one machine do not share: state folders differ.
pub(crate) fn instance_name(name: &str, state_dir: &Path) -> String {
    let digest = digest::digest(&digest::SHA256, state_dir.as_os_str().as_encoded_bytes());
    let name = name.get(..name.len().min(40)).unwrap_or("relay");
    format!("{name}-{}", hex::encode(&digest.as_ref()[..4]))
}

/// The supervisor's listeners, and with them the slots, outlive every dataplane: one generation of them.
const SLOTS_GENERATION: u32 = 1;
/// Between two looks when no event wakes the thread.
const EVENTS_PAUSE: Duration = Duration::from_secs(60);
