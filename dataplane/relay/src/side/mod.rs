//! The side thread: one tokio thread for what is not the hot path. It keeps the link to control, forwards enrolments,
//! keeps the last good state on disk, and publishes configurations to the workers.

mod sender;

pub use sender::{HandOver, HandOverKind, SideSender, TunnelState, WorkerReport};
