//! The project's own commands: `cargo xtask demo|test|perf|tidy|ebpf`.
//! It owns set-up, checks and the demonstration; no product code lives here.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly"))]

mod browser;
mod demo;
mod ebpf;
mod kerberos;
mod openid_provider;
mod packages;
mod perf;
mod python;
mod saml_peers;
mod shell;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

/// Demonstrates, tests and checks Postern.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything, run the whole chain on loopback and print a URL to try. Ctrl-C ends it and leaves nothing behind.
    Demo {
        /// Unattended: make one real request through the chain, check the answer, exit.
        #[arg(long)]
        check: bool,
        /// Use the programs in this folder instead of building them
        #[arg(long, value_name = "FOLDER")]
        programs: Option<std::path::PathBuf>,
    },
    /// Every check and test there is, with headings and timings. What is missing is installed when run as root.
    Test {
        /// Only the end-to-end tests, with relay and connectors where the kernel refuses io_uring: they run on epoll.
        #[arg(long)]
        no_io_uring: bool,
        /// Only the end-to-end tests whose names contain one of these
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// JupyterLab in Chromium through the whole chain, one test of all; installs both.
    Browser,
    /// The tests of single sign-on by Kerberos, against two KDCs and Apache; installs and unpacks what they need.
    Kerberos,
    /// Build the BPF object from its sources and put it in place.
    Ebpf {
        /// Compare with the committed object instead.
        #[arg(long)]
        check: bool,
    },
    /// Measure the chain, beside peers with --peers; or count what does not wobble with --check-counted.
    Perf(perf::Perf),
    /// Check what the compiler does not: crate edges, `unsafe`, lengths, links, error codes.
    Tidy,
}

fn main() -> std::process::ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo { check, programs } => demo::run(check, programs),
        Task::Test { no_io_uring: false, names } if names.is_empty() => test::run(),
        Task::Test { no_io_uring, names } => test::end_to_end(no_io_uring, &names),
        Task::Browser => browser::run(),
        Task::Kerberos => kerberos::run(),
        Task::Ebpf { check } => ebpf::run(check),
        Task::Perf(arguments) => perf::run(&arguments),
        Task::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
