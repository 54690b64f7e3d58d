//! gRPC by its own library, in Python: a service without TLS, and a client of it.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::client::Client;
use crate::process::Process;
use crate::{within, world};

/// Names a Python that has grpcio: `cargo xtask test` makes one and sets this.
pub const PYTHON_VARIABLE: &str = "POSTERN_TEST_GRPC";

/// The service, with the Python that runs it.
pub struct Grpc {
    _process: Process,
    python: PathBuf,
    address: SocketAddr,
}

/// That Python, if it is there.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os(PYTHON_VARIABLE)?);
    python.exists().then_some(python)
}

impl Grpc {
    pub fn start(python: &Path, folder: &Path) -> Result<Grpc> {
        let address = world::free_address(Ipv4Addr::LOCALHOST)?;
        let mut command = Command::new(python);
        command.arg(script("server.py")).arg(address.port().to_string());
        let mut process = Process::spawn("grpc", command, &folder.join("grpc.log"))?;
        if !within(Duration::from_secs(15), || TcpStream::connect(address).is_ok()) || !process.is_alive() {
            bail!("the gRPC service does not start: {}", process.log_tail());
        }
        Ok(Grpc { _process: process, python: python.to_owned(), address })
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Makes every kind of call as `client` would, and says which were as they should be.
    pub fn calls(&self, client: &Client, authority: &Path) -> Result<Output> {
        let mut command = Command::new(&self.python);
        command.arg(script("client.py")).args(["--relay", &client.relay.to_string(), "--host", &client.host]);
        command.arg("--authority").arg(authority).output().context("the gRPC client")
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/grpc").join(name)
}
