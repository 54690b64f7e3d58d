//! `cargo xtask demo`: from nothing to a private application answered through relay, tunnel and connector, on loopback.
//! Everything lives in one temporary folder; nothing outlives the command.

mod application;
mod daemon;
mod interrupt;
mod sign_in;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{packages, shell, test};
use application::Application;
use daemon::Daemon;
use interrupt::Interrupt;

/// Names under `localhost` resolve to loopback in every browser, without touching any file.
const HOST: &str = "demo.localhost";
const START_TIMEOUT: Duration = Duration::from_secs(20);
const REPORT_TIMEOUT: Duration = Duration::from_secs(6);
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Without `programs` they are built first.
pub(crate) fn run(check: bool, programs: Option<PathBuf>) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let programs = match programs {
        Some(folder) => folder.canonicalize().with_context(|| folder.display().to_string())?,
        None => build()?,
    };
    let mut demo = Demo::start(&interrupt, programs)?;
    demo.request_once()?;
    demo.sign_in_once(&interrupt)?;
    demo.describe();
    if check {
        eprintln!(
            "demo --check: a request went through the whole chain and its answer was right; so did one that had to sign in"
        );
        return Ok(());
    }
    println!("\nCtrl-C ends it all and leaves nothing behind.");
    demo.wait(&interrupt)
}

fn build() -> Result<PathBuf> {
    shell::step("what it needs", || packages::ensure(&[packages::BUILD, packages::DEMO]))?;
    shell::step("cargo build --release", || shell::run(&mut test::build("release")))?;
    Ok(shell::target_dir().join("release"))
}

/// The running chain. Fields are dropped in order: daemons first, their folder last.
struct Demo {
    daemons: Vec<Daemon>,
    application: Application,
    relay: SocketAddr,
    /// Of the user who may sign in.
    password: String,
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start(interrupt: &Interrupt, programs: PathBuf) -> Result<Demo> {
        let folder = tempfile::Builder::new().prefix("postern-demo-").tempdir()?;
        let mut demo = Demo {
            daemons: Vec::new(),
            application: Application::start()?,
            relay: free_address()?,
            password: sign_in::password()?,
            programs,
            folder,
        };
        demo.start_control(interrupt)?;
        demo.start_relay(interrupt)?;
        demo.start_connector()?;
        demo.publish()?;
        demo.start_identity()?;
        demo.wait_ready(interrupt)?;
        Ok(demo)
    }

    fn start_control(&mut self, interrupt: &Interrupt) -> Result<()> {
        eprintln!("   starting postern-control");
        let mut command = self.program("postern-control");
        command.arg("--state-dir").arg(self.path("control"));
        command.arg("--admin-socket").arg(self.socket());
        self.spawn("postern-control", command)?;
        let socket = self.socket();
        self.wait_for("postern-control", interrupt, || socket.exists())?;
        self.cli(&["init"]).map(drop)
    }

    fn start_relay(&mut self, interrupt: &Interrupt) -> Result<()> {
        eprintln!("   starting postern-relay on {}", self.relay);
        let mut command = self.program("postern-relay");
        command.arg("--state-dir").arg(self.path("relay"));
        command.arg("--control").arg(format!("unix:{}", self.socket().display()));
        command.args(["--listen", &self.relay.to_string(), "--grace-period", "1"]);
        self.spawn("postern-relay", command)?;
        let relay = self.relay;
        self.wait_for("postern-relay", interrupt, || std::net::TcpStream::connect(relay).is_ok())
    }

    fn start_connector(&mut self) -> Result<()> {
        eprintln!("   starting postern-connector");
        let token = self.cli(&["connector", "token", "--group", "default"])?;
        let file = self.path("token");
        write_secret(&file, token.trim())?;
        let mut command = self.program("postern-connector");
        command.args(["--relay", &self.relay.to_string(), "--grace-period", "1"]);
        command.arg("--token-file").arg(file);
        command.arg("--state-dir").arg(self.path("connector"));
        self.spawn("postern-connector", command)
    }

    fn publish(&self) -> Result<()> {
        eprintln!("   publishing the sample application");
        let (external, internal) = (self.url(), format!("http://{}/", self.application.address()));
        let publish =
            ["app", "publish", "demo", "--external", &external, "--internal", &internal, "--preauth", "passthrough"];
        self.cli(&publish).map(drop)
    }

    /// A place to sign in, a user, and an application that only they may open.
    fn start_identity(&mut self) -> Result<()> {
        eprintln!("   starting postern-identity");
        let place = format!("https://{}:{}/", sign_in::IDENTITY_HOST, self.relay.port());
        self.cli(&["identity", "publish", "--external", &place])?;
        let token = self.path("identity-token");
        self.cli(&["connector", "token", "--group", "postern-identity", "--out", &token.display().to_string()])?;
        let mut command = self.program("postern-identity");
        command.args(["--relay", &self.relay.to_string(), "--grace-period", "1"]).arg("--token-file").arg(token);
        command.arg("--state-dir").arg(self.path("identity"));
        self.spawn("postern-identity", command)?;
        let password = self.path("password");
        write_secret(&password, &self.password)?;
        self.cli(&["user", "create", sign_in::USER, "--password-file", &password.display().to_string()])?;
        let external = format!("https://{}:{}/", sign_in::APP_HOST, self.relay.port());
        let internal = format!("http://{}/", self.application.address());
        let publish =
            ["app", "publish", "staff", "--external", &external, "--internal", &internal, "--preauth", "oidc"];
        self.cli(&publish)?;
        self.cli(&["assign", "staff", "--user", sign_in::USER]).map(drop)
    }

    /// As a browser would: sent to sign in, and back at the application.
    fn sign_in_once(&mut self, interrupt: &Interrupt) -> Result<()> {
        let (curl, folder) = (self.curl_hosts(), self.folder.path().to_owned());
        let place = format!("https://{}:{}/", sign_in::IDENTITY_HOST, self.relay.port());
        let answered = || {
            let mut command = Command::new("curl");
            command.args(["--silent", "--fail", "--max-time", "2", "--output", "/dev/null"]).args(&curl);
            command.arg(&place).current_dir(&folder).status().is_ok_and(|status| status.success())
        };
        daemon::wait_for(&mut self.daemons, "the place to sign in", READY_TIMEOUT, interrupt, answered)?;
        let answer = sign_in::sign_in(self.folder.path(), &self.curl_hosts(), self.relay.port(), &self.password)?;
        if !answer.contains(self.application.secret()) {
            bail!("after signing in the answer is not the application's: {answer}");
        }
        Ok(())
    }

    /// Ready when the real request is answered: nothing less proves the chain.
    fn wait_ready(&mut self, interrupt: &Interrupt) -> Result<()> {
        eprintln!("   waiting for the tunnel");
        let (curl, folder) = (self.curl(), self.folder.path().to_owned());
        let answered = || {
            let mut command = Command::new("curl");
            command.args(["--silent", "--fail", "--max-time", "2", "--output", "/dev/null"]).args(&curl);
            command.current_dir(&folder).status().is_ok_and(|status| status.success())
        };
        daemon::wait_for(&mut self.daemons, "the chain", READY_TIMEOUT, interrupt, answered)
    }

    /// One request as a user would make it, its answer compared with what the application says of itself.
    fn request_once(&self) -> Result<()> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "10"]).args(self.curl());
        let answer = shell::output(&mut command)?;
        if !answer.contains(self.application.secret()) {
            bail!("the answer is not the application's: {answer}");
        }
        Ok(())
    }

    fn describe(&self) {
        println!("\nPostern is running on loopback, in {}:", self.folder.path().display());
        for daemon in &self.daemons {
            println!("  {:<18} pid {}", daemon.name(), daemon.pid());
        }
        println!(
            "  sample application http://{}/ (private: nothing but the connector should reach it)",
            self.application.address()
        );
        println!("  eBPF steering      {}", self.ebpf());
        println!("\nOpen      {}", self.url());
        println!("or run    curl {}", self.curl().join(" "));
        println!(
            "sign in   https://{}:{}/ as {} with {}",
            sign_in::APP_HOST,
            self.relay.port(),
            sign_in::USER,
            self.password
        );
        let cli = self.binary("postern");
        let cli = format!("{} --socket {}", cli.display(), self.socket().display());
        println!("and look  {cli} status");
        println!("who is in {cli} session list");
        println!("times     {cli} histogram app/demo --watch");
        println!("throttle  {cli} throttle set app/demo --rps 5");
    }

    /// What the relay says of its BPF programs, in its first report.
    fn ebpf(&self) -> String {
        let begun = Instant::now();
        while begun.elapsed() < REPORT_TIMEOUT {
            let list = self.cli(&["relay", "list", "-o", "json"]).unwrap_or_default();
            let said = list.split("\"ebpf\"").nth(1).and_then(|rest| rest.split('"').nth(1));
            if let Some(words) = said.filter(|words| !words.is_empty()) {
                return words.to_owned();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        "not said: see the relay's log".to_owned()
    }

    fn wait(mut self, interrupt: &Interrupt) -> Result<()> {
        while !interrupt.arrived() {
            std::thread::sleep(Duration::from_millis(200));
            for daemon in &mut self.daemons {
                daemon.expect_alive()?;
            }
        }
        eprintln!("\nstopping");
        Ok(())
    }

    fn curl(&self) -> Vec<String> {
        let authority = self.path("control").join("web-ca.pem");
        vec!["--cacert".into(), authority.display().to_string(), "--resolve".into(), self.resolve(HOST), self.url()]
    }

    /// For the hosts of signing in.
    fn curl_hosts(&self) -> Vec<String> {
        let mut arguments = vec!["--cacert".into(), self.path("control").join("web-ca.pem").display().to_string()];
        for host in [sign_in::APP_HOST, sign_in::IDENTITY_HOST] {
            arguments.extend(["--resolve".into(), self.resolve(host)]);
        }
        arguments
    }

    fn resolve(&self, host: &str) -> String {
        format!("{host}:{}:{}", self.relay.port(), self.relay.ip())
    }

    fn url(&self) -> String {
        format!("https://{HOST}:{}/", self.relay.port())
    }

    fn cli(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.program("postern");
        command.arg("--socket").arg(self.socket()).args(arguments);
        shell::output(&mut command)
            .with_context(|| format!("the control process said:\n{}", self.log_tail("postern-control")))
    }

    fn spawn(&mut self, name: &'static str, command: Command) -> Result<()> {
        let log = self.path(&format!("{name}.log"));
        self.daemons.push(Daemon::spawn(name, command, log)?);
        Ok(())
    }

    fn wait_for(&mut self, name: &str, interrupt: &Interrupt, is_up: impl Fn() -> bool) -> Result<()> {
        daemon::wait_for(&mut self.daemons, name, START_TIMEOUT, interrupt, is_up)
    }

    fn log_tail(&self, name: &str) -> String {
        let daemon = self.daemons.iter().find(|daemon| daemon.name() == name);
        daemon.map(Daemon::log_tail).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("admin.sock")
    }

    fn binary(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// With the embedded defaults: whatever `POSTERN_…` says in this shell is for somebody else.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.binary(name));
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("POSTERN_")) {
            command.env_remove(key);
        }
        command
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn write_secret(file: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
