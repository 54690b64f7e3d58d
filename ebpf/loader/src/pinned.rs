//! A running relay's maps, opened by their pins: for the command line on the relay's host. Needs root.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aya::maps::{Array, MapData, PerCpuArray};
use postern_ebpf_common::{
    ABI_VERSION, GuardCounters, GuardedInterface, INTERFACES_MAX, SourceLimits, SteerCounters, map,
};

use crate::{
    BpfError, GuardMode, SourceMaps,
    abi::{Shared, in_map, open},
    guard,
    pins::BPFFS,
    steer,
};

/// The maps of one instance.
pub struct Pinned {
    sources: SourceMaps,
    steer: PerCpuArray<MapData, Shared<SteerCounters>>,
    guard: Option<GuardMaps>,
}

struct GuardMaps {
    counters: PerCpuArray<MapData, Shared<GuardCounters>>,
    interfaces: Array<MapData, Shared<GuardedInterface>>,
}

/// Instances of running relays, in order.
pub fn instances() -> Result<Vec<String>, BpfError> {
    let folder = Path::new(BPFFS).join("postern");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(BpfError::Pins { path: folder, source }),
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_locked(&folder.join(name)));
    names.sort_unstable();
    Ok(names)
}

impl Pinned {
    /// Opens an instance's maps.
    pub fn open(instance: &str) -> Result<Self, BpfError> {
        let directory = directory(instance);
        if let Err(source) = fs::metadata(&directory) {
            return Err(match other_version(instance) {
                Some(version) => BpfError::OtherVersion { instance: instance.to_owned(), version },
                None => BpfError::Pins { path: directory, source },
            });
        }
        if !is_locked(&Path::new(BPFFS).join("postern").join(instance)) {
            return Err(BpfError::NotRunning(instance.to_owned()));
        }
        let guarded = directory.join(map::GUARD_COUNTERS).exists();
        let guard = guarded.then(|| GuardMaps::open(&directory)).transpose()?;
        Ok(Self { sources: SourceMaps::open(&directory)?, steer: open(&directory, map::COUNTERS)?, guard })
    }

    /// Limits and lists.
    pub fn sources(&mut self) -> &mut SourceMaps {
        &mut self.sources
    }

    /// The limits in force.
    pub fn limits(&self) -> Result<SourceLimits, BpfError> {
        self.sources.limits()
    }

    /// What became of new connections.
    pub fn steer_counters(&self) -> Result<SteerCounters, BpfError> {
        steer::sum(&self.steer)
    }

    /// What became of packets; nothing where no interface is guarded.
    pub fn guard_counters(&self) -> Result<Option<GuardCounters>, BpfError> {
        self.guard.as_ref().map(|guard| guard::sum(&guard.counters)).transpose()
    }

    /// The guarded interfaces, by name, and whether the driver runs the filter.
    pub fn interfaces(&self) -> Result<Vec<(String, bool)>, BpfError> {
        let Some(guard) = &self.guard else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for position in 0..INTERFACES_MAX {
            let Shared(interface) = guard.interfaces.get(&position, 0).map_err(in_map(map::INTERFACES))?;
            // One that was removed since has no name, and is not filtered any longer.
            found.extend(guard::interface_name(interface.index).map(|name| (name, interface.native == 1)));
        }
        Ok(found)
    }
}

impl GuardMaps {
    fn open(directory: &Path) -> Result<Self, BpfError> {
        Ok(Self { counters: open(directory, map::GUARD_COUNTERS)?, interfaces: open(directory, map::INTERFACES)? })
    }
}

impl GuardMode {
    /// In one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic { .. } => "generic",
        }
    }
}

fn directory(instance: &str) -> PathBuf {
    Path::new(BPFFS).join("postern").join(instance).join(format!("v{ABI_VERSION}"))
}

/// Whether a process holds the lock on the folder. Taking it oneself, however shortly, could get in the way of a start.
fn is_locked(folder: &Path) -> bool {
    let Ok(metadata) = fs::metadata(folder) else {
        return false;
    };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    holds_lock(&locks, metadata.ino())
}

/// A line is `1: FLOCK  ADVISORY  WRITE 4711 00:1f:12345 0 EOF`; the last of the three numbers is the inode. Two file
/// systems may have the same: then a stale folder counts as locked.
fn holds_lock(locks: &str, inode: u64) -> bool {
    let is_of = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.nth(1) == Some("FLOCK")
            && words.nth(3).and_then(|place| place.rsplit(':').next()).is_some_and(|found| found.parse() == Ok(inode))
    };
    locks.lines().any(is_of)
}

/// The version of maps that a relay older or newer than this program has.
fn other_version(instance: &str) -> Option<String> {
    let versions = fs::read_dir(Path::new(BPFFS).join("postern").join(instance)).ok()?;
    versions.flatten().filter_map(|entry| entry.file_name().into_string().ok()).find(|name| name.starts_with('v'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_by_its_inode() {
        let locks =
            "1: POSIX  ADVISORY  WRITE 10 fe:00:55 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 00:1f:123 0 EOF\n2: -> x\n";
        assert!(holds_lock(locks, 123));
        assert!(!holds_lock(locks, 55), "a lock of another kind");
        assert!(!holds_lock(locks, 12));
    }

    #[test]
    fn a_held_lock_is_seen_and_a_dropped_one_is_not() {
        let folder = std::env::temp_dir().join(format!("postern-lock-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        assert!(!is_locked(&folder));
        let lock = fs::File::open(&folder).unwrap();
        lock.try_lock().unwrap();
        assert!(is_locked(&folder));
        drop(lock);
        assert!(!is_locked(&folder));
        fs::remove_dir(&folder).unwrap();
    }
}
