//! The programs in the real kernel: needs root. Without it these tests say that they are skipped; in CI they fail.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod guard;
mod link;
mod sources;
mod steer;
mod world;
