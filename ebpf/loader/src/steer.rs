//! The steering program and its maps, as the supervisor handles them: load, join listeners, attach, set states,
//! remove.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, PerCpuArray, ReusePortSockArray},
    programs::SkReuseport,
};
use postern_ebpf_common::{
    ABI_VERSION, CPUS_MAX, GROUPS_MAX, SLOTS_MAX, STALL_LIMIT_NS, SourceLimits, SteerConfig, SteerCounters,
    WorkerState, map, socket_index,
};
use socket2::SockRef;

use crate::{
    BpfError, LoadMap, SourceMaps, SteerLog,
    abi::{Shared, in_map, take},
    pins::Pins,
};

/// A worker's place in the load map. Workers of different generations have different slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// How the program behaves. All of it can be changed later.
#[derive(Clone, Copy, Debug)]
pub struct SteerOptions {
    /// A worker that has been in one turn of its loop for longer gets no new connections.
    pub stall_limit: Duration,
    /// What one source may do; for [`Guard`](crate::Guard) as well.
    pub limits: SourceLimits,
}

impl Default for SteerOptions {
    fn default() -> Self {
        Self { stall_limit: Duration::from_nanos(STALL_LIMIT_NS), limits: SourceLimits::default() }
    }
}

/// The loaded program of one relay instance. Order of use: `load`; `join` every worker's listeners; `set_state`
/// active; `attach` one listener of every address; at the end `detach` them, then `remove`.
///
/// Dropping it unpins everything too. A program stays attached to listeners that are still open: detach first.
pub struct Steer {
    pins: Pins,
    /// By group. The first is loaded at once, so that a kernel that refuses says so before anything depends on it.
    groups: Vec<Group>,
    slots: Vec<Option<Joined>>,
    loads: LoadMap,
    log: Option<SteerLog>,
    maps: Maps,
    config: SteerConfig,
}

/// The listeners of one address, whose program knows which part of the socket array is theirs.
struct Group {
    address: Option<SocketAddr>,
    ebpf: Ebpf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Joined {
    generation: u32,
    worker: u32,
}

struct Maps {
    config: Array<MapData, Shared<SteerConfig>>,
    active: Array<MapData, u32>,
    cpu_slots: Array<MapData, u32>,
    sockets: ReusePortSockArray<MapData>,
    counters: PerCpuArray<MapData, Shared<SteerCounters>>,
    sources: SourceMaps,
    loads: OwnedFd,
}

impl Steer {
    /// Loads the program that this build carries. `instance` names the pins: `/sys/fs/bpf/postern/<instance>`.
    pub fn load(instance: &str, options: SteerOptions) -> Result<Self, BpfError> {
        let pins = Pins::claim(instance)?;
        let mut first = load_group(&pins, 0)?;
        let maps = Maps::take(&mut first)?;
        let descriptor = maps.loads.try_clone().map_err(BpfError::LoadMap)?;
        let loads = LoadMap::map(descriptor).map_err(BpfError::LoadMap)?;
        let log = SteerLog::new(&mut first)?;
        let config = SteerConfig { abi: ABI_VERSION, ..SteerConfig::default() };
        let mut steer = Self {
            pins,
            groups: vec![Group { address: None, ebpf: first }],
            slots: vec![None; SLOTS_MAX as usize],
            loads,
            log: Some(log),
            maps,
            config,
        };
        steer.set_stall_limit(options.stall_limit)?;
        steer.maps.sources.set_limits(&options.limits)?;
        Ok(steer)
    }

    /// Changes the stall limit at once.
    pub fn set_stall_limit(&mut self, stall_limit: Duration) -> Result<(), BpfError> {
        self.config.stall_limit_ns = u64::try_from(stall_limit.as_nanos()).unwrap_or(u64::MAX);
        self.write_config()
    }

    /// Makes `listener` the one through which `worker` of `generation` gets the connections of the listener's
    /// address. Call it once per address; the slot stays the same. The worker gets nothing before it is active.
    pub fn join(&mut self, worker: u32, listener: &impl AsFd, generation: u32) -> Result<Slot, BpfError> {
        let group = self.group(listener)?;
        let slot = self.slot(Joined { generation, worker })?;
        let socket = listener.as_fd().as_raw_fd();
        let index = socket_index(group, slot.0);
        self.maps.sockets.set(index, &socket, 0).map_err(in_map(map::SOCKETS))?;
        Ok(slot)
    }

    /// `Active`: gets new connections. `Draining`: keeps what it has. `Absent`: leaves the slot, which may then
    /// go to another worker.
    pub fn set_state(&mut self, slot: Slot, state: WorkerState) -> Result<(), BpfError> {
        self.occupied(slot)?;
        self.loads.worker(slot).set_state(state);
        if state == WorkerState::Absent {
            self.leave(slot)?;
        }
        self.write_active()
    }

    /// Connections that `cpu` receives go to this worker when it is not heavier than others. The last one told
    /// counts.
    pub fn prefer_on_cpu(&mut self, slot: Slot, cpu: u32) -> Result<(), BpfError> {
        self.occupied(slot)?;
        if cpu >= CPUS_MAX {
            return Ok(());
        }
        self.maps.cpu_slots.set(cpu, slot.0 + 1, 0).map_err(in_map(map::CPU_SLOTS))
    }

    /// Steers every connection to the address of `listener`, whichever of its listeners this is.
    pub fn attach(&mut self, listener: &impl AsFd) -> Result<(), BpfError> {
        let group = self.group(listener)?;
        let program = program(&mut self.groups[group as usize].ebpf)?;
        Ok(program.attach(listener)?)
    }

    /// Gives the address of `listener` back to the kernel's hash.
    pub fn detach(listener: &impl AsFd) -> Result<(), BpfError> {
        Ok(SkReuseport::detach(listener)?)
    }

    /// The load map's descriptor for a worker process, which needs no privilege to [`LoadMap::map`] it.
    pub fn load_map_fd(&self) -> io::Result<OwnedFd> {
        self.maps.loads.try_clone()
    }

    /// The supervisor's own view of the loads.
    #[must_use]
    pub fn loads(&self) -> &LoadMap {
        &self.loads
    }

    /// The programs' events. There is one; the second call gives nothing.
    pub fn take_log(&mut self) -> Option<SteerLog> {
        self.log.take()
    }

    /// What became of the connections since the program was loaded.
    pub fn counters(&self) -> Result<SteerCounters, BpfError> {
        sum(&self.maps.counters)
    }

    /// Limits and lists, which [`Guard`](crate::Guard) shares.
    pub fn sources(&mut self) -> &mut SourceMaps {
        &mut self.maps.sources
    }

    /// Drops what comes from the address (an IPv6 one: from its /64) for a while from now on: packets where
    /// [`Guard`](crate::Guard) is attached, new connections everywhere.
    pub fn drop_source(&mut self, source: IpAddr, duration: Duration) -> Result<(), BpfError> {
        self.maps.sources.drop_source(source, duration)
    }

    /// The directory of the pinned maps.
    #[must_use]
    pub fn pin_directory(&self) -> PathBuf {
        self.pins.maps()
    }

    /// Unpins everything and removes the instance's directory. Detach first.
    pub fn remove(mut self) -> Result<(), BpfError> {
        self.pins.remove()
    }

    /// The group of the listener's address, made (and its program loaded) at first sight.
    fn group(&mut self, listener: &impl AsFd) -> Result<u32, BpfError> {
        let address = SockRef::from(listener).local_addr().map_err(BpfError::Listener)?;
        let address = address.as_socket().ok_or_else(|| BpfError::Listener(io::ErrorKind::Unsupported.into()))?;
        if let Some(known) = (0..).zip(&self.groups).find(|(_, group)| group.address == Some(address)) {
            return Ok(known.0);
        }
        if let Some(unused) = (0..).zip(&mut self.groups).find(|(_, group)| group.address.is_none()) {
            unused.1.address = Some(address);
            return Ok(unused.0);
        }
        let number = (0..GROUPS_MAX).nth(self.groups.len()).ok_or(BpfError::GroupsExhausted(address))?;
        let ebpf = load_group(&self.pins, number)?;
        self.groups.push(Group { address: Some(address), ebpf });
        Ok(number)
    }

    fn slot(&mut self, joined: Joined) -> Result<Slot, BpfError> {
        if let Some(known) = (0..).zip(&self.slots).find(|(_, slot)| **slot == Some(joined)) {
            return Ok(Slot(known.0));
        }
        let free = (0..).zip(&mut self.slots).find(|(_, slot)| slot.is_none());
        let (number, slot) = free.ok_or(BpfError::SlotsExhausted)?;
        *slot = Some(joined);
        self.loads.worker(Slot(number)).started();
        Ok(Slot(number))
    }

    fn occupied(&self, slot: Slot) -> Result<(), BpfError> {
        let joined = self.slots.get(slot.0 as usize).copied().flatten();
        joined.map(|_| ()).ok_or(BpfError::SlotEmpty(slot.0))
    }

    fn leave(&mut self, slot: Slot) -> Result<(), BpfError> {
        self.slots[slot.0 as usize] = None;
        for group in (0..GROUPS_MAX).take(self.groups.len()) {
            // Empty already when the listener was closed or never joined in this group.
            let _ = self.maps.sockets.clear_index(&socket_index(group, slot.0));
        }
        for cpu in 0..CPUS_MAX {
            let preferred = self.maps.cpu_slots.get(&cpu, 0).map_err(in_map(map::CPU_SLOTS))?;
            if preferred == slot.0 + 1 {
                self.maps.cpu_slots.set(cpu, 0, 0).map_err(in_map(map::CPU_SLOTS))?;
            }
        }
        Ok(())
    }

    /// Rewrites the list of active slots. The program may see it half-written, which is why it looks at each
    /// worker's state as well.
    fn write_active(&mut self) -> Result<(), BpfError> {
        let active = (0..SLOTS_MAX).map(Slot).filter(|slot| self.loads.worker(*slot).state() == WorkerState::Active);
        self.config.active = 0;
        for (position, slot) in (0..).zip(active) {
            self.maps.active.set(position, slot.0, 0).map_err(in_map(map::ACTIVE))?;
            self.config.active = position + 1;
        }
        self.write_config()
    }

    fn write_config(&mut self) -> Result<(), BpfError> {
        self.maps.config.set(0, Shared(self.config), 0).map_err(in_map(map::CONFIG))
    }
}

impl Drop for Steer {
    fn drop(&mut self) {
        if let Err(error) = self.pins.remove() {
            log::warn!("eBPF pins are left behind, the next start removes them: {error}");
        }
    }
}

impl Maps {
    fn take(ebpf: &mut Ebpf) -> Result<Self, BpfError> {
        // aya cannot map an array into memory; what is needed of this one is its descriptor.
        let loads = ebpf.map(map::LOADS).ok_or(BpfError::ObjectPart(map::LOADS))?;
        let aya::maps::Map::Array(loads) = loads else {
            return Err(BpfError::ObjectPart(map::LOADS));
        };
        let loads = loads.fd().as_fd().try_clone_to_owned().map_err(BpfError::LoadMap)?;
        Ok(Self {
            config: take(ebpf, map::CONFIG)?,
            active: take(ebpf, map::ACTIVE)?,
            cpu_slots: take(ebpf, map::CPU_SLOTS)?,
            sockets: take(ebpf, map::SOCKETS)?,
            counters: take(ebpf, map::COUNTERS)?,
            sources: SourceMaps::take(ebpf)?,
            loads,
        })
    }
}

pub(crate) fn sum(counters: &PerCpuArray<MapData, Shared<SteerCounters>>) -> Result<SteerCounters, BpfError> {
    let cpus = counters.get(&0, 0).map_err(in_map(map::COUNTERS))?;
    Ok(cpus.iter().fold(SteerCounters::default(), |sum, cpu| sum.plus(cpu.0)))
}

fn load_group(pins: &Pins, group: u32) -> Result<Ebpf, BpfError> {
    let maps = pins.maps();
    let mut ebpf = EbpfLoader::new()
        .default_map_pin_directory(&maps)
        .map_pin_path(map::LOGS, maps.join(map::LOGS))
        .override_global("GROUP", &group, true)
        .load(OBJECT)?;
    program(&mut ebpf)?.load()?;
    Ok(ebpf)
}

fn program(ebpf: &mut Ebpf) -> Result<&mut SkReuseport, BpfError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(BpfError::ObjectPart(PROGRAM))?;
    Ok(program.try_into()?)
}

const PROGRAM: &str = "steer";

/// Committed, so that building needs no BPF toolchain; `cargo xtask ebpf` rebuilds it.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../prebuilt/steer.bpf.o");
