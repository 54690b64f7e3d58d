//! The program `postern-control`; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    postern_service::failure::run("postern-control", || {
        let args = postern_service::config::parse::<postern_control::Args>()?;
        postern_service::logging::init("postern-control");
        postern_control::run(&args)
    })
}
