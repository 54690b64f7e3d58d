//! `steer` as the supervisor keeps it: on where it is wanted and possible, told which workers are there, gone at the end.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::{io, thread};

use aws_lc_rs::digest;
use postern_ebpf_loader::{BpfError, Slot, Steer, SteerLog, SteerOptions, Support, WorkerState, probe};
use postern_service::failure::Failure;

use super::listeners::Listeners;
use crate::args::EbpfMode;
use crate::workers::allowed_cpus;

/// Whether new connections are steered, and by what.
pub(crate) enum Steering {
    /// By BPF.
    On(Box<Steered>),
    /// By the kernel's hash, and why.
    Off(String),
}

pub(crate) struct Steered {
    steer: Steer,
    /// By worker.
    slots: Vec<Slot>,
}

impl Steering {
    /// Loads and attaches as `mode` says. `instance` names the pins.
    pub(crate) fn set_up(mode: EbpfMode, instance: &str, listeners: &Listeners) -> Result<Self, Failure> {
        if mode == EbpfMode::Off {
            return Ok(Self::Off(String::from("off")));
        }
        let outcome = match probe() {
            Support::Available => Steered::load(instance, listeners).map_err(|error| explain(&error)),
            Support::Unavailable(reason) => Err(reason),
        };
        match outcome {
            Ok(mut steered) => {
                if let Some(Err(error)) = steered.steer.take_log().map(pass_events_on) {
                    tracing::warn!(%error, "steering's events will not be in this log");
                }
                Ok(Self::On(Box::new(steered)))
            }
            Err(reason) if mode == EbpfMode::Require => {
                Err(Failure::new(format!("--ebpf require, but steering is not available: {reason}"))
                    .code("ebpf-unavailable"))
            }
            Err(reason) => {
                tracing::warn!("new connections are spread by the kernel's hash, not by load: {reason}");
                Ok(Self::Off(reason))
            }
        }
    }

    /// What `postern status` shows.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::On(_) => String::from("steer"),
            Self::Off(why) => why.clone(),
        }
    }

    /// The load map for the dataplane.
    pub(crate) fn load_map(&self) -> Option<OwnedFd> {
        match self {
            Self::On(steered) => steered.steer.load_map_fd().ok(),
            Self::Off(_) => None,
        }
    }

    /// Each worker's cell in that map, or in one of the dataplane's own.
    pub(crate) fn slots(&self, workers: u16) -> Vec<u32> {
        match self {
            Self::On(steered) => steered.slots.iter().map(|slot| slot.0).collect(),
            Self::Off(_) => (0..u32::from(workers)).collect(),
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

    /// Leaves nothing in the kernel.
    pub(crate) fn remove(self, listeners: &Listeners) {
        let Self::On(steered) = self else { return };
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
    fn load(instance: &str, listeners: &Listeners) -> Result<Self, BpfError> {
        let mut steer = Steer::load(instance, SteerOptions::default())?;
        let mut slots = Vec::new();
        for group in listeners.groups() {
            slots.clear(); // the same for every address
            for (worker, socket) in (0..).zip(&group.sockets) {
                slots.push(steer.join(worker, socket, SLOTS_GENERATION)?);
            }
        }
        for (slot, cpu) in slots.iter().zip(allowed_cpus()) {
            steer.prefer_on_cpu(*slot, u32::try_from(cpu).unwrap_or(u32::MAX))?;
        }
        let mut steered = Self { steer, slots };
        steered.attach(listeners)?;
        Ok(steered)
    }

    fn attach(&mut self, listeners: &Listeners) -> Result<(), BpfError> {
        for socket in listeners.groups().iter().filter_map(|group| group.sockets.first()) {
            self.steer.attach(socket)?;
        }
        Ok(())
    }
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

fn explain(error: &BpfError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The supervisor's listeners, and with them the slots, outlive every dataplane: one generation of them.
const SLOTS_GENERATION: u32 = 1;
/// Between two looks when no event wakes the thread.
const EVENTS_PAUSE: Duration = Duration::from_secs(60);
