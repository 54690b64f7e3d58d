//! What each command does: one request to control, one result printed.

mod access;
mod access_request;
mod access_review;
mod app;
mod apply;
mod assign;
mod audit;
mod authority;
mod certificate;
mod connector;
mod device;
mod directory_sync;
mod doctor;
mod explain;
mod factor;
mod generate;
mod guard;
mod histogram;
pub(crate) mod identity;
mod idp;
mod init;
mod inventory;
pub(crate) mod network;
mod oauth_client;
mod policy;
mod relay;
mod request;
mod scim;
mod status;
mod tenant;
pub(crate) mod terms;
mod throttle;
mod trace;
mod user;
mod user_group;
mod user_token;
mod vault;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Args, Command};
use crate::client::Client;
use crate::output::Output;

/// What a command works with.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) output: Output,
}

/// Runs the command. Only `ready`, `diff`, `doctor` and `app check` end with another status than 0 without an error.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let output = Output::new(args.common.output);
    if let Some(ran) = run_here(&args, output) {
        return ran;
    }
    let context = Context { client: Client::new(&args.common)?, output };
    match args.command {
        Command::Init => init::run(&context).map(done),
        Command::Tenant(command) => tenant::run(&context, command).map(done),
        Command::Relay(command) => relay::run(&context, command).map(done),
        Command::ConnectorGroup(command) => connector::run_group(&context, command).map(done),
        Command::Connector(command) => connector::run(&context, command).map(done),
        Command::App(command) => app::run(&context, command),
        Command::Inventory(command) => inventory::run(&context, &command).map(done),
        Command::Access(command) => access::run(&context, command).map(done),
        Command::Identity(command) => identity::run(&context, command).map(done),
        Command::Idp(command) => idp::run(&context, command).map(done),
        Command::Client(command) => oauth_client::run(&context, command).map(done),
        Command::Session(command) => identity::run_session(&context, command).map(done),
        Command::Vault(command) => vault::run(&context, command),
        Command::Scim(command) => scim::run(&context, command).map(done),
        Command::DirectorySync(command) => directory_sync::run(&context, command).map(done),
        Command::Cert(command) => certificate::run(&context, command).map(done),
        Command::Acme(command) => authority::run_acme(&context, command).map(done),
        Command::Domain(command) => authority::run_domain(&context, command).map(done),
        Command::Throttle(command) => throttle::run(&context, command).map(done),
        Command::Network(command) => network::run(&context, command).map(done),
        Command::User(command) => user::run(&context, command).map(done),
        Command::Device(command) => device::run(&context, command).map(done),
        Command::Group(command) => user_group::run(&context, command).map(done),
        Command::Policy(command) => policy::run(&context, command).map(done),
        Command::Terms(command) => terms::run(&context, command).map(done),
        Command::Assign(args) => assign::run(&context, args).map(done),
        Command::Histogram(args) => histogram::run(&context, &args).map(done),
        Command::Trace(args) => trace::run(&context, &args).map(done),
        Command::Explain(explain) => request::run(&context, &explain).map(done),
        Command::Apply(args) => apply::apply(&context, &args).map(done),
        Command::Diff(args) => apply::diff(&context, &args),
        Command::Export(args) => apply::export(&context, &args).map(done),
        Command::Status => status::run(&context).map(done),
        Command::Ready(ready) => status::ready(&context, &ready),
        Command::Audit(command) => audit::run(&context, command),
        Command::Doctor(_) | Command::Guard(_) | Command::Completions { .. } | Command::Man { .. } => {
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs what needs no control; `None` for all else.
fn run_here(args: &Args, output: Output) -> Option<Result<ExitCode>> {
    match &args.command {
        Command::Doctor(doctor) => Some(doctor::run(doctor, &args.common, output)),
        Command::Guard(guard) => Some(guard::run(guard, output).map(done)),
        Command::Explain(explain) if explain.request().is_none() => Some(explain::run(explain, output).map(done)),
        Command::Completions { shell } => Some(generate::completions(*shell).map(done)),
        Command::Man { dir } => Some(generate::man_pages(dir).map(done)),
        Command::Init
        | Command::Tenant(_)
        | Command::Relay(_)
        | Command::ConnectorGroup(_)
        | Command::Connector(_)
        | Command::App(_)
        | Command::Inventory(_)
        | Command::Access(_)
        | Command::Identity(_)
        | Command::Idp(_)
        | Command::Client(_)
        | Command::Session(_)
        | Command::Vault(_)
        | Command::Scim(_)
        | Command::DirectorySync(_)
        | Command::Cert(_)
        | Command::Acme(_)
        | Command::Domain(_)
        | Command::Throttle(_)
        | Command::Network(_)
        | Command::User(_)
        | Command::Device(_)
        | Command::Group(_)
        | Command::Assign(_)
        | Command::Policy(_)
        | Command::Terms(_)
        | Command::Histogram(_)
        | Command::Trace(_)
        | Command::Explain(_)
        | Command::Apply(_)
        | Command::Diff(_)
        | Command::Export(_)
        | Command::Status
        | Command::Ready(_)
        | Command::Audit(_) => None,
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
