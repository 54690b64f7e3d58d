//! What the programs are told about sources, live: limits, deny list, and who is dropped for a while. The supervisor has
//! these maps from the loaded object, the command line from their pins.

use std::{io, net::IpAddr, path::Path, time::Duration};

use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use postern_ebpf_common::{Source, SourceLimits, map};

use crate::{
    BpfError, Prefix,
    abi::{Shared, in_map, open, take},
    monotonic_ns,
};

/// The maps that `guard` and `steer` share. Every change takes effect with the next packet.
pub struct SourceMaps {
    limits: Array<MapData, Shared<SourceLimits>>,
    denied: LpmTrie<MapData, Shared<Source>, u32>,
    bans: HashMap<MapData, Shared<Source>, u64>,
}

impl SourceMaps {
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, BpfError> {
        Ok(Self { limits: take(ebpf, map::LIMITS)?, denied: take(ebpf, map::DENIED)?, bans: take(ebpf, map::BANS)? })
    }

    pub(crate) fn open(directory: &Path) -> Result<Self, BpfError> {
        Ok(Self {
            limits: open(directory, map::LIMITS)?,
            denied: open(directory, map::DENIED)?,
            bans: open(directory, map::BANS)?,
        })
    }

    /// The limits in force.
    pub fn limits(&self) -> Result<SourceLimits, BpfError> {
        Ok(self.limits.get(&0, 0).map_err(in_map(map::LIMITS))?.0)
    }

    /// Puts other limits in force.
    pub fn set_limits(&mut self, limits: &SourceLimits) -> Result<(), BpfError> {
        self.limits.set(0, Shared(*limits), 0).map_err(in_map(map::LIMITS))
    }

    /// Adds to the deny list; false when it stood there already.
    pub fn deny(&mut self, prefix: Prefix) -> Result<bool, BpfError> {
        match self.denied.insert(&key(prefix), 1, BPF_NOEXIST) {
            Ok(()) => Ok(true),
            Err(error) if os_error(&error) == Some(libc::EEXIST) => Ok(false),
            Err(error) if os_error(&error) == Some(libc::ENOSPC) => Err(BpfError::DenyListFull),
            Err(error) => Err(in_map(map::DENIED)(error)),
        }
    }

    /// Removes exactly this prefix from the deny list; false when it was not there.
    pub fn allow(&mut self, prefix: Prefix) -> Result<bool, BpfError> {
        was_there(self.denied.remove(&key(prefix))).map_err(in_map(map::DENIED))
    }

    /// The deny list, in order.
    pub fn denied(&self) -> Result<Vec<Prefix>, BpfError> {
        let mut prefixes = Vec::new();
        for key in self.denied.keys() {
            let key = key.map_err(in_map(map::DENIED))?;
            prefixes.extend(Prefix::from_key(key.prefix_len(), key.data().0));
        }
        prefixes.sort_unstable();
        Ok(prefixes)
    }

    /// Drops what comes from the address (an IPv6 one: from its /64) for a while from now on.
    pub fn drop_source(&mut self, source: IpAddr, duration: Duration) -> Result<(), BpfError> {
        let until_ns = monotonic_ns().saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        self.bans.insert(site(source), until_ns, 0).map_err(in_map(map::BANS))
    }

    /// Lets the address in again before its time; false when it was not kept out.
    pub fn release(&mut self, source: IpAddr) -> Result<bool, BpfError> {
        was_there(self.bans.remove(&site(source))).map_err(in_map(map::BANS))
    }

    /// Who is dropped at present (IPv6: the /64), and for how long still.
    pub fn banned(&self) -> Result<Vec<(IpAddr, Duration)>, BpfError> {
        let now_ns = monotonic_ns();
        let mut banned = Vec::new();
        for entry in self.bans.iter() {
            let (Shared(source), until_ns) = entry.map_err(in_map(map::BANS))?;
            if let Some(ip) = source.ip()
                && until_ns > now_ns
            {
                banned.push((ip, Duration::from_nanos(until_ns - now_ns)));
            }
        }
        banned.sort_unstable();
        Ok(banned)
    }
}

fn key(prefix: Prefix) -> Key<Shared<Source>> {
    let (bits, source) = prefix.key();
    Key::new(bits, Shared(source))
}

fn site(source: IpAddr) -> Shared<Source> {
    Shared(Source::from(source).site())
}

fn was_there(removed: Result<(), MapError>) -> Result<bool, MapError> {
    match removed {
        Ok(()) => Ok(true),
        Err(MapError::KeyNotFound) => Ok(false),
        Err(error) if os_error(&error) == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn os_error(error: &MapError) -> Option<i32> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        source = cause.source();
    }
    None
}

const BPF_NOEXIST: u64 = 1;
