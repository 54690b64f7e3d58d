//! The real program as processes: what survives what, and what is said when it cannot start.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod crash;
mod link;
mod relay;
mod start;
