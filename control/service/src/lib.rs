//! What every Postern daemon needs around its own work: configuration, logging, signals, systemd notification,
//! one-line failures, state folders and secret files. It knows nothing of HTTP, tunnels or the store.
//!
//! ```no_run
//! use clap::Parser;
//! use postern_service::{ServiceArgs, config, failure, logging, notify, signals};
//!
//! #[derive(Parser)]
//! #[command(name = "postern-relay", version)]
//! struct Args {
//!     #[command(flatten)]
//!     service: ServiceArgs,
//!     /// Where state lives.
//!     #[arg(long, value_name = "DIR")]
//!     state_dir: std::path::PathBuf,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     failure::run("postern-relay", || {
//!         let args = config::parse::<Args>()?;
//!         logging::init("postern-relay");
//!         let mut signals = signals::Signals::install()?;
//!         // … bind, spawn …
//!         notify::ready();
//!         while signals.wait() != signals::Signal::Terminate {}
//!         notify::stopping();
//!         let _drain_for = args.service.grace_period;
//!         Ok(())
//!     })
//! }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

pub mod config;
pub mod duration;
pub mod failure;
pub mod geoip;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod secret;
pub mod signals;
pub mod state;
pub mod suggest;
pub mod timed;

use std::path::PathBuf;
use std::time::Duration;

/// The flags that every daemon has; flatten it into the daemon's own.
#[derive(clap::Args, Clone, Debug)]
pub struct ServiceArgs {
    /// Read further settings from this TOML file; its keys are the names of the flags
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub config: Option<PathBuf>,
    /// How long SIGTERM waits for work in flight: seconds, or 500ms, 30s, 2m
    #[arg(
        long,
        value_name = "S",
        default_value = "30s",
        value_parser = duration::parse,
        help_heading = "Service"
    )]
    pub grace_period: Duration,
}
