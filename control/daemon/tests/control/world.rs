//! One postern-control on a temporary state folder, and requests to it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) struct World {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl World {
    /// Starts control on an empty state folder.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut world = Self { folder: tempfile::tempdir().unwrap(), child: None };
        world.restart(arguments);
        world
    }

    /// Starts it again on the same folder, after [`World::kill`] or [`World::terminate`].
    pub(crate) fn restart(&mut self, arguments: &[&str]) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let child = self.command(arguments).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < deadline, "control does not come up: {}", self.log_text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs a further control on the same folder to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; gives how long the end took.
    pub(crate) fn terminate(&mut self) -> Duration {
        let mut child = self.child.take().unwrap();
        let started = Instant::now();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log_text());
        started.elapsed()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state().join("admin.sock")
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.try_ask(method, path, body).unwrap()
    }

    /// As [`World::ask`]; an error when control went away before it answered.
    pub(crate) fn try_ask(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let mut stream = UnixStream::connect(self.socket())?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: control\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Ok((status, serde_json::from_str(body)?))
    }

    /// A request that must succeed.
    pub(crate) fn done<T: DeserializeOwned>(&self, method: &str, path: &str, body: &Value) -> T {
        let (status, answer) = self.ask(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        serde_json::from_value(answer).unwrap()
    }

    /// A request that must be refused; gives code and detail.
    pub(crate) fn refused(&self, method: &str, path: &str, body: &Value) -> (String, String) {
        let (status, answer) = self.ask(method, path, body);
        assert!(status >= 400, "{method} {path} was done: {answer}");
        assert_eq!(answer["status"], status);
        (answer["code"].as_str().unwrap().into(), answer["detail"].as_str().unwrap().into())
    }

    pub(crate) fn publish(&self, name: &str, external: &str) -> Value {
        self.done("POST", "/v1/tenants/default/apps", &app(name, external))
    }

    /// Asks `GET path` until `wanted` holds.
    pub(crate) fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (_, answer) = self.ask("GET", path, &Value::Null);
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} stays {answer}; log: {}", self.log_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postern-control"));
        command.arg("--state-dir").arg(self.state()).args(arguments);
        command.env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn app(name: &str, external: &str) -> Value {
    json!({"name": name, "external_url": external, "internal_url": "http://127.0.0.1:8000", "preauth": "passthrough"})
}
