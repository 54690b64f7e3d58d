//! A relay under test: started on free ports of loopback, killed when dropped.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A state folder, two ports, and the program when it runs.
pub(crate) struct Relay {
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    process: Option<Child>,
}

impl Relay {
    /// Not started yet.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), address: free_address(), admin: free_address(), process: None }
    }

    /// Started and accepting.
    pub(crate) fn started() -> Self {
        let mut relay = Self::new();
        relay.start();
        relay
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// The usual command line.
    pub(crate) fn command(&self) -> Command {
        let mut command = program();
        command.arg("--state-dir").arg(self.folder.path().join("state"));
        command.arg("--control").arg(format!("unix:{}", self.control_socket().display()));
        command.args(["--listen", &self.address.to_string(), "--admin-listen", &self.admin.to_string()]);
        command.args(["--workers", "2", "--ebpf", "off", "--grace-period", "2"]);
        command
    }

    pub(crate) fn start(&mut self) {
        let command = self.command();
        self.start_as(command);
    }

    pub(crate) fn start_as(&mut self, command: Command) {
        self.spawn(command);
        eventually("the relay accepts", || self.metric("postern_relay_workers").is_some() && self.is_accepting());
    }

    /// Started, and no more.
    pub(crate) fn spawn(&mut self, mut command: Command) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        self.process = Some(command.stderr(log).spawn().unwrap());
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.as_ref().unwrap().id().try_into().unwrap())
    }

    /// The supervisor's only child.
    pub(crate) fn dataplane(&self) -> Option<Pid> {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    }

    /// Whether somebody takes a connection from the queue: it is answered, or closed.
    pub(crate) fn is_accepting(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return false };
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let _ = stream.write_all(b"not TLS at all\r\n\r\n");
        !matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// A number from /metrics.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        let body = http_get(self.admin, "/metrics")?;
        body.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.process.take().unwrap().wait().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = (process.kill(), process.wait());
        }
        if std::thread::panicking() {
            eprintln!("── the relay's log\n{}", self.log());
        }
    }
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-relay"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).env("POSTERN_LOG_FORMAT", "text").env_remove("RUST_BACKTRACE");
    command
}

/// Runs a command that is to fail: its status and its last line on standard error.
pub(crate) fn refused(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    (status.code(), text.lines().last().unwrap_or_default().to_owned())
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(crate) fn http_get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// Waits for something that takes a moment, at most ten seconds.
pub(crate) fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !happens() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        sleep(Duration::from_millis(5));
    }
}

pub(crate) fn exists(process: Pid) -> bool {
    // A zombie has ended.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A copy of the program that any user can reach, for tests that start as root.
pub(crate) fn program_for_everybody(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let copy = folder.join("postern-relay");
    fs::copy(env!("CARGO_BIN_EXE_postern-relay"), &copy).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    copy
}
