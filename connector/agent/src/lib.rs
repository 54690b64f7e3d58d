//! `postern-connector`: inside the private network. It dials out to relays, verifies what they may ask for against the
//! control authority's signature, and carries their requests to the applications. Nothing listens.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm,
        reason = "a test that unwraps or meets the unexpected fails loudly"
    )
)]

mod admin;
pub mod args;
mod ask;
mod backend;
mod check;
mod client_certificate;
mod content;
mod counters;
mod dial;
pub mod embed;
mod enrol;
mod exchange;
mod failure;
mod farm;
mod happy_eyeballs;
mod http2;
mod identity;
mod incoming;
mod keeper;
#[cfg(feature = "kerberos")]
mod kerberos;
pub mod limits;
mod placement;
mod pool;
mod process;
mod proxy;
mod resolve;
mod sso;
mod timed;
mod tls;
mod transactions;
mod translate;
mod tunnel;
mod vault;
mod worker;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let status = postern_service::failure::status("postern-connector", process::main);
    #[cfg(feature = "kerberos")]
    postern_sso::kerberos::leave(status);
    #[cfg(not(feature = "kerberos"))]
    ExitCode::from(status)
}
