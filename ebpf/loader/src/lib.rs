//! The user side of Postern's eBPF: loads, pins, attaches and removes the programs, and gives workers their place
//! in the load map. It decides nothing about connections; the programs do.
//!
//! The privileged supervisor owns a [`Steer`]; an unprivileged worker only maps the [`LoadMap`] whose descriptor
//! it was handed.

mod error;
mod load_map;
mod log;
mod pins;
mod probe;
mod steer;

pub use error::SteerError;
pub use load_map::{LoadMap, WorkerLoadCell, monotonic_ns};
pub use log::SteerLog;
pub use postern_ebpf_common::{ABI_VERSION, SteerCounters, WorkerState};
pub use probe::{Support, probe};
pub use steer::{Slot, Steer, SteerOptions};
