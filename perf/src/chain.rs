//! The chain under test: control, relay, connector as users start them, one worker each, an application published on it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use postern_tests::certificate::Certificate;
use postern_tests::client::Client;
use postern_tests::process::Process;
use postern_tests::world::{Options, START_TIMEOUT, World};

use crate::cpu::Part;

/// The published application, and the name in its certificate.
pub const APP: &str = "perf";
pub const HOST: &str = "perf.example.test";
/// Far above what one core does: limits are not what is measured.
const LIMIT_PER_SECOND: &str = "1000000";

/// How the chain differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct Variant {
    /// Other programs in place of the relay and the connector.
    pub relay: Option<PathBuf>,
    pub connector: Option<PathBuf>,
    /// Where the relay listens; any free port without.
    pub listen: Option<SocketAddr>,
    /// Where the connector dials instead of the relay itself.
    pub dial: Option<SocketAddr>,
    /// Further arguments for the relay.
    pub relay_arguments: Vec<String>,
}

/// A running chain; ends when dropped.
pub struct Chain {
    world: World,
    /// What could not be set as wanted.
    pub remarks: Vec<String>,
}

impl Chain {
    /// Started on the core of the calling thread, in front of that origin.
    pub fn start(variant: &Variant, leaf: &Certificate, origin: SocketAddr) -> Result<Chain> {
        let options = Options {
            connectors: 1,
            workers: 1,
            relay: variant.relay_arguments.clone(),
            connector: vec!["--workers".into(), "1".into()],
            listen: variant.listen,
            relay_seen_by_connectors: variant.dial,
            ..Options::default()
        };
        let mut world = World::bare(options)?;
        world.start_control()?;
        match &variant.relay {
            None => world.start_relay()?,
            Some(program) => start_other_relay(&mut world, program)?,
        }
        let token = world.token("default")?;
        match &variant.connector {
            None => world.start_connector(0, &token)?,
            Some(program) => start_other_connector(&mut world, program, &token)?,
        }
        world.expect_within(START_TIMEOUT, "the connector is online", |world| world.connectors_online() == 1)?;
        let mut chain = Chain { world, remarks: Vec::new() };
        chain.publish(leaf, origin)?;
        chain.raise_limits();
        Ok(chain)
    }

    fn publish(&self, leaf: &Certificate, origin: SocketAddr) -> Result<()> {
        let (host, internal) = (self.host(), format!("http://{origin}/"));
        let external = format!("https://{host}/");
        let (certificate, key) = (leaf.certificate.display().to_string(), leaf.key.display().to_string());
        self.world.cli(
            &[
                &["app", "publish", APP, "--external", &external, "--internal", &internal, "--preauth", "passthrough"]
                    [..],
                &["--cert", &certificate, "--key", &key][..],
            ]
            .concat(),
        )?;
        self.world.wait_published(&Client::new(self.world.relay_address, &host, &leaf.certificate)?)
    }

    /// Default limits are far above typical use, but not above what this does.
    fn raise_limits(&mut self) {
        let app = format!("app/{APP}");
        for what in [app.as_str(), "tenant"] {
            if let Err(error) = self.world.cli(&["throttle", "set", what, "--rps", LIMIT_PER_SECOND]) {
                let said = format!("{error:#}");
                let why = said.lines().next().and_then(|line| line.rsplit("error: ").next()).unwrap_or_default();
                self.remarks.push(format!("the limit of {what} stays at its default: {why}"));
            }
        }
    }

    /// The world it runs in, for what else is to be set up there.
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }

    pub fn address(&self) -> SocketAddr {
        self.world.relay_address
    }

    pub fn host(&self) -> String {
        format!("{HOST}:{}", self.world.relay_address.port())
    }

    /// Its processes; the relay is supervisor and dataplane.
    pub fn parts(&self) -> Vec<Part> {
        let part = |name: &str, process: &Process| Part { name: name.into(), pids: process.tree() };
        let relay = self.world.relay.iter().map(|process| part("relay", process));
        let connector = self.world.connectors.iter().map(|process| part("connector", process));
        let control = self.world.control.iter().map(|process| part("control", process));
        relay.chain(connector).chain(control).collect()
    }

    pub fn dataplane(&self) -> Option<u32> {
        self.world.dataplane()
    }

    pub fn relay_process(&self) -> Option<&Process> {
        self.world.relay.as_ref()
    }

    pub fn connector_process(&self) -> Option<&Process> {
        self.world.connectors.first()
    }
}

fn start_other_relay(world: &mut World, program: &Path) -> Result<()> {
    let command = other(&world.relay_command(), program);
    world.relay = Some(Process::spawn("postern-relay", command, &world.path("relay.log"))?);
    let is_ready = |world: &World| world.relay.as_ref().is_some_and(|relay| relay.log().contains("\"ready\""));
    world.expect_within(START_TIMEOUT, "the relay is ready", is_ready)
}

fn start_other_connector(world: &mut World, program: &Path, token: &str) -> Result<()> {
    postern_tests::world::write_secret(&world.path("token-0"), token)?;
    let command = other(&world.connector_command(0), program);
    world.connectors.push(Process::spawn("postern-connector", command, &world.path("connector-0.log"))?);
    Ok(())
}

/// The same command with another program.
fn other(command: &Command, program: &Path) -> Command {
    let mut changed = Command::new(program);
    changed.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => changed.env(name, value),
            None => changed.env_remove(name),
        };
    }
    changed
}
