//! `postern`: the operator's command line, which speaks to postern-control's admin socket and keeps nothing itself; and a user's own tokens,
//! kept in their home (`access login`).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod args;
mod client;
mod commands;
mod document;
mod har;
mod https;
mod input;
mod inventory;
mod look;
mod output;
mod password;
mod time_text;

use std::process::ExitCode;

use args::Args;
use clap::Parser;
use postern_service::failure::{self, Failure};

fn main() -> ExitCode {
    let args = Args::parse();
    let format = args.common.output;
    match commands::run(args) {
        Ok(code) => code,
        Err(error) => {
            if let Some(line) = output::json_error(format, &error) {
                eprintln!("{line}");
                return ExitCode::from(error.downcast_ref().map_or(failure::EXIT_FAILURE, Failure::exit_status));
            }
            ExitCode::from(failure::report("postern", &output::for_people(error)))
        }
    }
}
