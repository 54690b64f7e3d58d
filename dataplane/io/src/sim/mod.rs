//! The deterministic simulator: one runtime hosts every node, time is virtual, and a seeded
//! generator decides delays, partial reads and writes, resets and stalls.

pub(crate) mod net;

pub use net::Faults;

use std::net::SocketAddr;

use crate::core::with_core;

/// Sets what the network does from now on.
///
/// # Panics
/// On a real backend.
pub fn set_faults(faults: Faults) {
    with_core(|core| net::backend(core).set_faults(faults));
}

/// Resets every connection that was made to `address`, as a crashed host's kernel would.
///
/// # Panics
/// On a real backend.
pub fn reset_connections_to(address: SocketAddr) {
    with_core(|core| net::backend(core).reset_connections_to(core, address));
}

/// Lets nothing pass on connections made to `address` until told otherwise: what is sent
/// meanwhile arrives afterwards.
///
/// # Panics
/// On a real backend.
pub fn stall_connections_to(address: SocketAddr, stalled: bool) {
    with_core(|core| net::backend(core).stall_connections_to(core, address, stalled));
}
