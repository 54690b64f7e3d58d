//! A whole installation on loopback, in one temporary folder: control, relay, connectors, as a user would start them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::client::Client;
use crate::process::Process;
use crate::{origin, programs, within};

/// How long a daemon may take to come up, on a busy machine with unoptimised programs.
pub const START_TIMEOUT: Duration = Duration::from_secs(20);
const GRACE_PERIOD_S: &str = "2";

/// One world at a time: its tests measure time and memory.
static ONE: Mutex<()> = Mutex::new(());

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Options {
    pub connectors: usize,
    pub workers: usize,
    /// Further arguments for the relay.
    pub relay: Vec<String>,
    /// Environment for the relay.
    pub relay_environment: Vec<(String, String)>,
    /// Further arguments for the connectors.
    pub connector: Vec<String>,
    /// Further arguments for control.
    pub control: Vec<String>,
    /// Relay and connectors run where the kernel refuses io_uring.
    pub denies_io_uring: bool,
    /// Where the relay listens; a free loopback port without.
    pub listen: Option<SocketAddr>,
    /// Where connectors dial instead of the relay itself.
    pub relay_seen_by_connectors: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connectors: 1,
            workers: 2,
            relay: Vec::new(),
            relay_environment: Vec::new(),
            connector: Vec::new(),
            control: Vec::new(),
            denies_io_uring: programs::denies_io_uring(),
            listen: None,
            relay_seen_by_connectors: None,
        }
    }
}

/// Fields are dropped in order: what dials first, what is dialled last, their folder at the very end.
pub struct World {
    pub connectors: Vec<Process>,
    /// Where people sign in, once it was started.
    pub identity: Option<Process>,
    /// A second relay, once it was started.
    pub second_relay: Option<Process>,
    pub relay: Option<Process>,
    pub control: Option<Process>,
    pub relay_address: SocketAddr,
    options: Options,
    folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl World {
    /// Everything running, every connector enrolled and online.
    pub fn start(options: Options) -> Result<World> {
        let mut world = World::bare(options)?;
        world.start_control()?;
        world.start_relay()?;
        for index in 0..world.options.connectors {
            let token = world.token("default")?;
            world.start_connector(index, &token)?;
        }
        let wanted = world.options.connectors;
        world.expect_within(START_TIMEOUT, "connectors online", |world| world.connectors_online() == wanted)?;
        Ok(world)
    }

    /// The usual world: one connector, two workers.
    pub fn usual() -> Result<World> {
        World::start(Options::default())
    }

    /// A folder and addresses; nothing runs yet.
    pub fn bare(options: Options) -> Result<World> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("postern-test-").tempdir()?;
        // The relay's dataplane may run as another user.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(World {
            connectors: Vec::new(),
            identity: None,
            second_relay: None,
            relay: None,
            control: None,
            relay_address: match options.listen {
                Some(address) => address,
                None => free_address(Ipv4Addr::LOCALHOST)?,
            },
            options,
            folder,
            _one: one,
        })
    }

    pub fn start_control(&mut self) -> Result<()> {
        let command = self.control_command();
        let control = Process::spawn("postern-control", command, &self.path("control.log"))?;
        self.control = Some(control);
        self.expect_within(START_TIMEOUT, "control answers", |world| world.cli(&["init"]).is_ok())
    }

    pub fn control_command(&self) -> Command {
        let mut command = programs::command("postern-control");
        command.arg("--state-dir").arg(self.path("control")).arg("--admin-socket").arg(self.socket());
        command.args(&self.options.control);
        command
    }

    pub fn start_relay(&mut self) -> Result<()> {
        let relay = Process::spawn("postern-relay", self.relay_command(), &self.path("relay.log"))?;
        self.relay = Some(relay);
        let is_ready = |world: &World| world.relay.as_ref().is_some_and(|relay| relay.log().contains("\"ready\""));
        self.expect_within(START_TIMEOUT, "the relay is ready", is_ready)
    }

    pub fn relay_command(&self) -> Command {
        let mut command = self.daemon("postern-relay");
        command.arg("--state-dir").arg(self.path("relay"));
        command.arg("--control").arg(format!("unix:{}", self.socket().display()));
        command.args(["--listen", &self.relay_address.to_string()]);
        command.args(["--workers", &self.options.workers.to_string(), "--grace-period", GRACE_PERIOD_S]);
        command.args(&self.options.relay).envs(self.options.relay_environment.clone());
        command
    }

    /// A relay beside the first, with a state and a name of its own.
    pub fn start_second_relay(&mut self, listen: SocketAddr) -> Result<()> {
        let mut command = self.daemon("postern-relay");
        command.arg("--state-dir").arg(self.path("relay-2")).args(["--name", "second"]);
        command.arg("--control").arg(format!("unix:{}", self.socket().display()));
        command.args(["--listen", &listen.to_string(), "--workers", "1", "--grace-period", GRACE_PERIOD_S]);
        command.args(&self.options.relay);
        self.second_relay = Some(Process::spawn("postern-relay 2", command, &self.path("relay-2.log"))?);
        let is_linked =
            |world: &World| world.json(&["relay", "list"]).is_ok_and(|list| list.to_string().contains("\"second\""));
        self.expect_within(START_TIMEOUT, "the second relay is linked", is_linked)
    }

    /// Publishes `https://login.example.test:PORT/` and starts the process that serves it; waits until people can sign in.
    pub fn start_identity(&mut self) -> Result<()> {
        let external = format!("https://login.example.test:{}/", self.relay_address.port());
        self.cli(&["identity", "publish", "--external", &external])?;
        write_secret(&self.path("token-identity"), &self.token("postern-identity")?)?;
        self.restart_identity()
    }

    /// Starts it again as it was.
    pub fn restart_identity(&mut self) -> Result<()> {
        self.identity = None;
        let command = self.daemon("postern-identity");
        self.start_identity_by(command)
    }

    /// The same as another program, or with more arguments.
    pub fn start_identity_by(&mut self, mut command: Command) -> Result<()> {
        self.identity = None;
        let relay = self.relay_address.to_string();
        command.args(["--relay", &relay, "--grace-period", GRACE_PERIOD_S]);
        command.arg("--token-file").arg(self.path("token-identity"));
        command.arg("--state-dir").arg(self.path("identity"));
        self.identity = Some(Process::spawn("postern-identity", command, &self.path("identity.log"))?);
        let client = self.client(&format!("login.example.test:{}", self.relay_address.port()))?;
        let serves = |_: &World| client.get("/").is_ok_and(|answer| answer.status == 200);
        self.expect_within(START_TIMEOUT, "people can sign in", serves)
    }

    fn daemon(&self, name: &str) -> Command {
        if self.options.denies_io_uring { programs::command_without_io_uring(name) } else { programs::command(name) }
    }

    /// The connector with this number: started anew it finds its state of before.
    pub fn start_connector(&mut self, index: usize, token: &str) -> Result<()> {
        let file = self.path(&format!("token-{index}"));
        write_secret(&file, token)?;
        let log = self.path(&format!("connector-{index}.log"));
        let process = Process::spawn(&format!("postern-connector {index}"), self.connector_command(index), &log)?;
        if index < self.connectors.len() {
            self.connectors[index] = process;
        } else {
            self.connectors.push(process);
        }
        Ok(())
    }

    /// Starts it again as it was.
    pub fn restart_connector(&mut self, index: usize) -> Result<()> {
        self.connectors[index].kill();
        let log = self.path(&format!("connector-{index}.log"));
        self.connectors[index] =
            Process::spawn(&format!("postern-connector {index}"), self.connector_command(index), &log)?;
        Ok(())
    }

    pub fn connector_command(&self, index: usize) -> Command {
        let relay = self.options.relay_seen_by_connectors.unwrap_or(self.relay_address);
        let mut command = self.daemon("postern-connector");
        command.args(["--relay", &relay.to_string(), "--grace-period", GRACE_PERIOD_S]);
        command.arg("--token-file").arg(self.path(&format!("token-{index}")));
        command.arg("--state-dir").arg(self.path(&format!("connector-{index}")));
        command.args(&self.options.connector);
        command
    }

    /// Lets connectors dial a forwarder from now on.
    pub fn connectors_dial(&mut self, address: SocketAddr) {
        self.options.relay_seen_by_connectors = Some(address);
    }

    pub fn token(&self, group: &str) -> Result<String> {
        let text = self.cli(&["connector", "token", "--group", group, "-o", "json"])?;
        let json: serde_json::Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        Ok(json["token"].as_str().context("no token in the answer")?.to_owned())
    }

    /// Publishes `internal` as `https://NAME.example.test:PORT/` and waits until the relay knows it.
    pub fn publish(&self, name: &str, internal: &str) -> Result<Client> {
        self.publish_with(name, internal, &[])
    }

    pub fn publish_with(&self, name: &str, internal: &str, more: &[&str]) -> Result<Client> {
        let host = format!("{name}.example.test:{}", self.relay_address.port());
        let external = format!("https://{host}/");
        let mut arguments =
            vec!["app", "publish", name, "--external", &external, "--internal", internal, "--preauth", "passthrough"];
        arguments.extend_from_slice(more);
        self.cli(&arguments)?;
        let client = self.client(&host)?;
        self.wait_published(&client)?;
        Ok(client)
    }

    /// Until every worker knows the application, and every tunnel's connector.
    pub fn wait_published(&self, client: &Client) -> Result<()> {
        let known = |world: &World| (0..4 * world.options.workers).all(|_| is_known(client));
        self.expect_within(START_TIMEOUT, "relay and connectors know the application", known)
    }

    /// A client for whatever host at the relay.
    pub fn client(&self, host: &str) -> Result<Client> {
        Client::new(self.relay_address, host, &self.authority())
    }

    /// The authority of certificates that control issues for applications.
    pub fn authority(&self) -> PathBuf {
        self.path("control").join("web-ca.pem")
    }

    /// Arguments for curl to reach a host at the relay.
    pub fn curl(&self, host: &str) -> Vec<String> {
        let resolve = format!("{host}:{}:{}", self.relay_address.port(), self.relay_address.ip());
        vec!["--cacert".into(), self.authority().display().to_string(), "--resolve".into(), resolve]
    }

    /// What the CLI prints; an error holds what it said on stderr.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cli_output(arguments)?;
        if !output.status.success() {
            bail!("postern {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    pub fn cli_output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = programs::command("postern");
        command.arg("--socket").arg(self.socket()).args(arguments);
        command.stdin(std::process::Stdio::null()).output().context("postern")
    }

    pub fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let mut arguments = arguments.to_vec();
        arguments.extend_from_slice(&["-o", "json"]);
        let text = self.cli(&arguments)?;
        serde_json::from_str(&text).with_context(|| text.clone())
    }

    /// How many connectors are online, as control knows, with a tunnel to every worker.
    pub fn connectors_online(&self) -> usize {
        let Ok(list) = self.json(&["connector", "list"]) else {
            return 0;
        };
        let workers = self.options.workers as u64;
        let is_complete = |connector: &&serde_json::Value| {
            let at = connector["relays"].as_array().map_or(&[][..], Vec::as_slice);
            let tunnels: u64 = at.iter().filter_map(|relay| relay["tunnels"].as_u64()).sum();
            connector["online"] == true && tunnels >= workers
        };
        list["items"].as_array().map_or(0, |items| items.iter().filter(is_complete).count())
    }

    /// Polls, and fails with the tails of all logs.
    pub fn expect_within(&self, limit: Duration, what: &str, is_true: impl Fn(&World) -> bool) -> Result<()> {
        if within(limit, || is_true(self)) {
            return Ok(());
        }
        bail!("not within {} s: {what}\n{}", limit.as_secs(), self.logs())
    }

    pub fn relay(&mut self) -> &mut Process {
        self.relay.as_mut().expect("the relay was started")
    }

    pub fn control(&mut self) -> &mut Process {
        self.control.as_mut().expect("control was started")
    }

    /// The relay's unprivileged process, the supervisor's only child.
    pub fn dataplane(&self) -> Option<u32> {
        self.relay.as_ref()?.children().first().copied()
    }

    /// The ends of all logs, for messages.
    pub fn logs(&self) -> String {
        let daemons = self
            .control
            .iter()
            .chain(&self.relay)
            .chain(&self.second_relay)
            .chain(&self.connectors)
            .chain(&self.identity);
        daemons.map(|daemon| format!("── {}\n{}\n", daemon.name(), daemon.log_tail())).collect()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.path("admin.sock")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

/// True when an answer comes that could not come without the application: its own, or what became of asking it.
fn is_known(client: &Client) -> bool {
    client
        .get(origin::PROBE)
        .is_ok_and(|answer| answer.status != 421 && !answer.text().contains("backend-config-missing"))
}

/// A loopback port that was free a moment ago.
pub fn free_address(ip: impl Into<IpAddr>) -> Result<SocketAddr> {
    Ok(TcpListener::bind((ip.into(), 0))?.local_addr()?)
}

/// A file that only its owner reads.
pub fn write_secret(file: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
