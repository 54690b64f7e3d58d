//! The side thread: one tokio thread for what is not the hot path. It keeps the link to control, forwards enrolments,
//! keeps the last good state on disk, and publishes configurations to the workers.

mod accept;
mod admin;
mod answers;
mod calls;
pub(crate) mod challenges;
mod disk;
mod enrol;
mod identity;
mod keeper;
mod link;
mod metrics;
mod pace;
mod pipes;
mod reception;
mod run;
mod seal;
mod sender;
mod shares;
mod state;
mod status;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

pub(crate) use run::{Side, SideParts};
#[cfg(test)]
pub(crate) use sender::channel;
pub use sender::{HandOver, HandOverKind, SideSender, TunnelState, WorkerReport};
