//! The peers, each as its own documentation would set it up for speed: one thread or worker, keep-alive on both sides,
//! the same certificate, the same origin.

mod haproxy;
mod nginx;
mod rathole;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use postern_tests::certificate::Certificate;
use postern_tests::process::Process;
use postern_tests::{within, world};

use crate::cpu::Part;

/// Whom Postern is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HAProxy alone: TLS in, plain to the origin.
    Haproxy,
    /// nginx alone, likewise.
    Nginx,
    /// HAProxy, then rathole's server and client over TLS: a chain like Postern's.
    HaproxyRathole,
}

pub const ALL: &[Kind] = &[Kind::Haproxy, Kind::Nginx, Kind::HaproxyRathole];

/// A peer that runs; ends when dropped.
pub struct Peer {
    pub kind: Kind,
    pub address: SocketAddr,
    /// What dials first, first.
    processes: Vec<Process>,
}

/// What peers are started with.
pub struct Setting<'lab> {
    pub folder: &'lab Path,
    pub leaf: &'lab Certificate,
    pub origin: SocketAddr,
    pub rathole: Option<&'lab Path>,
    /// A wire as long as this inside the peer's tunnel, if it has one.
    pub round_trip: Option<Duration>,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Haproxy => "haproxy",
            Kind::Nginx => "nginx",
            Kind::HaproxyRathole => "haproxy→rathole",
        }
    }

    pub fn start(self, setting: &Setting<'_>) -> Result<Peer> {
        match self {
            Kind::Haproxy => haproxy::start(self, setting, setting.origin, Vec::new()),
            Kind::Nginx => nginx::start(setting),
            Kind::HaproxyRathole => {
                let (tunnel, entrance) = rathole::start(setting)?;
                haproxy::start(self, setting, entrance, tunnel)
            }
        }
    }
}

impl Peer {
    pub fn parts(&self) -> Vec<Part> {
        self.processes.iter().map(|process| Part { name: process.name().into(), pids: process.tree() }).collect()
    }
}

/// Where a program is: `PATH`, or the folders that an ordinary user's `PATH` lacks.
pub fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .with_context(|| format!("{program} is not installed"))
}

/// A configuration file and the process that reads it; returns when it listens.
fn launch(folder: &Path, name: &str, mut command: Command, address: SocketAddr) -> Result<Process> {
    command.current_dir(folder);
    let process = Process::spawn(name, command, &folder.join(format!("{name}.log")))?;
    if !within(Duration::from_secs(5), || TcpStream::connect(address).is_ok()) {
        bail!("{name} does not listen at {address}: {}", process.log_tail());
    }
    Ok(process)
}

fn free_address() -> Result<SocketAddr> {
    world::free_address(Ipv4Addr::LOCALHOST)
}
