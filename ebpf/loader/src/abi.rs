//! The ABI's values and maps in aya's hands.

use std::path::Path;

use aya::{
    Ebpf, Pod,
    maps::{Map, MapData, MapError},
};
use postern_ebpf_common::{GuardCounters, GuardedInterface, Source, SourceLimits, SteerConfig, SteerCounters};

use crate::BpfError;

/// A value of the ABI.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(pub(crate) T);

// SAFETY: repr(C), nothing but integers, no padding (their sizes are asserted beside their definitions).
unsafe impl Pod for Shared<SteerConfig> {}
// SAFETY: as above.
unsafe impl Pod for Shared<SteerCounters> {}
// SAFETY: as above.
unsafe impl Pod for Shared<GuardCounters> {}
// SAFETY: as above.
unsafe impl Pod for Shared<SourceLimits> {}
// SAFETY: as above.
unsafe impl Pod for Shared<GuardedInterface> {}
// SAFETY: as above.
unsafe impl Pod for Shared<Source> {}

/// The map of a loaded object; afterwards the object has it no longer.
pub(crate) fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, BpfError> {
    let map = ebpf.take_map(name).ok_or(BpfError::ObjectPart(name))?;
    T::try_from(map).map_err(in_map(name))
}

/// The map pinned in `directory`.
pub(crate) fn open<T: TryFrom<Map, Error = MapError>>(directory: &Path, name: &'static str) -> Result<T, BpfError> {
    MapData::from_pin(directory.join(name)).and_then(Map::from_map_data).and_then(T::try_from).map_err(in_map(name))
}

pub(crate) fn in_map(map: &'static str) -> impl Fn(MapError) -> BpfError {
    move |source| BpfError::Map { map, source }
}
