//! The ring engine: one thread, one ring, one executor.
//!
//! It owns sockets, buffers, timers and TLS, and knows no HTTP. The relay's workers and the
//! connector run on it; everything here is single-threaded and cheap to clone, except
//! [`mailbox`], which is the one way in from another thread.
//!
//! A loop turn runs every ready task, then every [`turn`] hook (where what was queued during the
//! turn is sealed into shared TLS records), then hands all sends to the kernel in one system call
//! and waits for completions. What a task queues is therefore sent once per turn, not once per
//! call.
//!
//! This is the dataplane's only crate with `unsafe`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

pub mod backend;
mod buffer;
mod core;
pub mod duplex;
mod executor;
mod limits;
mod listener;
pub mod mailbox;
mod output;
pub mod runtime;
pub mod sim;
mod socket;
mod stream;
pub mod sync;
pub mod time;
mod tls;
pub mod turn;
mod wheel;

pub use backend::BackendKind;
pub use buffer::Chunk;
pub use executor::{Task, spawn};
pub use limits::*;
pub use listener::Listener;
pub use runtime::{Runtime, RuntimeOptions, random_u64};
pub use socket::{ConnectOptions, Socket};
pub use stream::{Stream, TlsSummary};
pub use time::{Elapsed, Instant, now, read_clock, sleep, sleep_until, timeout, wall_clock, yield_now};
pub use tls::{NullIdentity, TlsFailure};
