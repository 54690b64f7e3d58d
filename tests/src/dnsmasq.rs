//! A real name server: dnsmasq, on a free port, by UDP and TCP, that knows what it is told and asks nobody.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Process;
use crate::within;
use crate::world::free_address;

/// It ends when dropped.
pub struct Dnsmasq {
    process: Process,
    address: SocketAddr,
    log: PathBuf,
}

impl Dnsmasq {
    /// Whether its program is there.
    pub fn is_possible() -> bool {
        Command::new(PROGRAM).arg("--version").output().is_ok_and(|output| output.status.success())
    }

    /// Names below `example.test` are at 127.0.0.1, and have these TXT records; there are no others.
    pub fn start(folder: &Path, texts: &[(&str, &str)]) -> Result<Dnsmasq> {
        let (address, log) = (free_address(Ipv4Addr::LOCALHOST)?, folder.join("dnsmasq.log"));
        Ok(Dnsmasq { process: run(address, &log, texts)?, address, log })
    }

    /// Starts it again, at the same address, with these TXT records.
    pub fn set(&mut self, texts: &[(&str, &str)]) -> Result<()> {
        self.process.kill();
        self.process = run(self.address, &self.log, texts)?;
        Ok(())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn run(address: SocketAddr, log: &Path, texts: &[(&str, &str)]) -> Result<Process> {
    let mut command = Command::new(PROGRAM);
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts"]);
    command.args(["--bind-interfaces", "--listen-address=127.0.0.1", "--log-facility=-"]);
    command.arg(format!("--port={}", address.port())).arg("--address=/example.test/127.0.0.1");
    // What is not there is answered as not there, and not refused for want of somebody to ask.
    command.arg("--local=/test/");
    if nix::unistd::geteuid().is_root() {
        // Else it becomes a user who may not read what is here.
        command.arg("--user=root");
    }
    command.args(texts.iter().map(|(name, text)| format!("--txt-record={name},{text}")));
    let mut process = Process::spawn("dnsmasq", command, log)?;
    if within(Duration::from_secs(10), || TcpStream::connect(address).is_ok()) && process.is_alive() {
        return Ok(process);
    }
    bail!("dnsmasq does not start: {}", process.log_tail())
}

const PROGRAM: &str = "/usr/sbin/dnsmasq";
