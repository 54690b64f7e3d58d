//! A real forward proxy: tinyproxy, which asks who comes (HTTP Basic) and carries CONNECT to anywhere.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Process;
use crate::within;

/// Whom it knows.
pub const USER: &str = "postern";
pub const PASSWORD: &str = "open-sesame-7";

pub struct Tinyproxy {
    process: Process,
    folder: PathBuf,
    address: SocketAddr,
}

impl Tinyproxy {
    /// True where it is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        Command::new(PROGRAM).arg("-v").output().is_ok_and(|output| output.status.success())
    }

    /// Starts it at an address of this host.
    pub fn start(folder: &Path, address: SocketAddr) -> Result<Tinyproxy> {
        let folder = folder.join("tinyproxy");
        std::fs::create_dir_all(&folder)?;
        let (ip, port) = (address.ip(), address.port());
        let settings = format!(
            "Port {port}\nListen {ip}\nTimeout 600\nMaxClients 200\nLogLevel Connect\nBasicAuth {USER} {PASSWORD}\nDisableViaHeader Yes\n"
        );
        std::fs::write(folder.join("tinyproxy.conf"), settings)?;
        let process = spawn(&folder)?;
        let mut proxy = Tinyproxy { process, folder, address };
        proxy.wait()?;
        Ok(proxy)
    }

    /// `http://HOST:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// With who asks.
    #[must_use]
    pub fn url_of_user(&self) -> String {
        format!("http://{USER}@{}", self.address)
    }

    /// What it has written since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends it, with every connection that it carries.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.folder)?;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let address = self.address;
        if !within(Duration::from_secs(5), || TcpStream::connect(address).is_ok()) || !self.process.is_alive() {
            bail!("tinyproxy does not start: {}", self.process.log_tail());
        }
        Ok(())
    }
}

fn spawn(folder: &Path) -> Result<Process> {
    let mut command = Command::new(PROGRAM);
    command.arg("-d").arg("-c").arg(folder.join("tinyproxy.conf"));
    Process::spawn("tinyproxy", command, &folder.join("log"))
}

const PROGRAM: &str = "tinyproxy";
