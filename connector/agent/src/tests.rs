//! The connector's own code between a fake relay and a fake backend, on the simulator: virtual clock, seeded network.

mod checks;
mod failures;
mod farm;
mod form;
mod http2;
mod leaving;
mod proven;
mod proxy;
mod requests;
mod resolving;
mod segments;
mod sso;
mod timeouts;
pub(crate) mod tls;
mod translated;
mod translation;
mod tunnels;
mod vault;
mod world;
