//! The user side of Postern's eBPF: loads, pins, attaches and removes the programs, tells them limits and lists, and gives
//! workers their place in the load map. It decides nothing about connections and packets; the programs do.
//!
//! The privileged supervisor owns a [`Steer`] and, where interfaces are filtered, a [`Guard`]; an unprivileged worker only
//! maps the [`LoadMap`] whose descriptor it was handed. The command line opens the maps by their pins ([`Pinned`]), and asks the
//! kernel what it gives to this process ([`probe()`], [`probe_ring`], [`clock`]).
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod abi;
mod error;
mod guard;
mod host;
mod load_map;
mod log;
mod pinned;
mod pins;
mod prefix;
mod probe;
mod sources;
mod steer;

pub use error::BpfError;
pub use guard::{Guard, GuardMode, interface_index, interface_name, interfaces};
pub use host::{Clock, clock, probe_ring};
pub use load_map::{LoadMap, WorkerLoadCell, monotonic_ns};
pub use log::SteerLog;
pub use pinned::{Pinned, instances};
pub use postern_ebpf_common::{
    ABI_VERSION, GuardCounters, INTERFACES_MAX, SourceLimits, SteerCounters, WorkerState,
    bucket::{RATE_MAX, Rate},
};
pub use prefix::{Prefix, PrefixInvalid};
pub use probe::{Support, probe};
pub use sources::SourceMaps;
pub use steer::{Slot, Steer, SteerOptions};
