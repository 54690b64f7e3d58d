//! `postern-directory-sync`: reads users and groups from an LDAP directory and tells control, which keeps its own in step. Towards
//! relays it is a connector without applications; what it tells control goes through a relay in TLS of its own. Control decides
//! what becomes of it.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod args;
mod control;
mod dn;
mod entry;
mod failure;
mod frames;
mod limits;
mod map;
mod mark;
mod members;
mod moved;
mod names;
mod pass;
mod read;
mod schedule;
mod wire;

use std::process::ExitCode;
use std::thread;

use postern_connector::embed::{self, BuiltIn, Credentials};
use postern_service::signals::Signals;
use postern_service::{config, logging};
use tokio::task::LocalSet;

use args::{Args, Source};

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    postern_service::failure::run("postern-directory-sync", || {
        let args = config::parse::<Args>()?;
        logging::init("postern-directory-sync");
        let (options, source) = args.options()?;
        let mut signals = Signals::install()?;
        embed::run(&options, &mut signals, move |credentials| start(credentials, source))
    })
}

/// Follows the directory, on a thread of its own. No application is served: what a relay brings is turned away.
fn start(credentials: Credentials, source: Source) -> anyhow::Result<BuiltIn> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("directory".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, schedule::follow(credentials, source));
    })?;
    Ok(BuiltIn::new(|_| false))
}
