//! A desktop in the browser as the private application: noVNC's page, websockify, and a VNC server with one terminal.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Process;
use crate::{within, world};

const PAGES: &str = "/usr/share/novnc";
const PATIENCE: Duration = Duration::from_secs(20);

/// Fields are dropped in order: what draws before what it is drawn on.
pub struct Desktop {
    terminal: Process,
    gateway: Process,
    server: Process,
    address: SocketAddr,
}

/// Whether all of it is there.
#[must_use]
pub fn is_there() -> bool {
    let is_program = |name: &str| Path::new("/usr/bin").join(name).exists();
    ["Xtigervnc", "websockify", "xterm"].into_iter().all(is_program) && Path::new(PAGES).join("vnc_lite.html").exists()
}

impl Desktop {
    /// Serves on loopback whoever comes.
    pub fn start(folder: &Path) -> Result<Desktop> {
        let folder = folder.join("desktop");
        std::fs::create_dir_all(&folder)?;
        let screen = world::free_address(Ipv4Addr::LOCALHOST)?;
        let mut command = Command::new("Xtigervnc");
        // Which display is free it finds out itself, and says in a line of its own.
        command.args(["-displayfd", "1", "-rfbport", &screen.port().to_string(), "-localhost"]);
        command.args(["-SecurityTypes", "None", "-geometry", "640x480", "-depth", "24"]);
        let server = Process::spawn("Xtigervnc", command, &folder.join("server.log"))?;
        let mut display = None;
        within(PATIENCE, || {
            display = number(&server.log());
            display.is_some()
        });
        let display = display.with_context(|| format!("no display: {}", server.log_tail()))?;
        let mut command = Command::new("xterm");
        command.args(["-geometry", "100x35+0+0", "-e", "/bin/sh"]).env("DISPLAY", format!(":{display}"));
        let mut terminal = Process::spawn("xterm", command, &folder.join("terminal.log"))?;
        let address = world::free_address(Ipv4Addr::LOCALHOST)?;
        let mut command = Command::new("websockify");
        command.arg(format!("--web={PAGES}")).args([address.to_string(), screen.to_string()]);
        let mut gateway = Process::spawn("websockify", command, &folder.join("gateway.log"))?;
        let is_up = within(PATIENCE, || TcpStream::connect(address).is_ok());
        if !is_up || !gateway.is_alive() || !terminal.is_alive() {
            bail!("it does not start: {}\n{}", gateway.log_tail(), terminal.log_tail());
        }
        Ok(Desktop { terminal, gateway, server, address })
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Whether the server was left by whoever looked at it, before so much time has passed.
    pub fn is_left_within(&self, limit: Duration) -> bool {
        self.server.logs_within(limit, "Connections: closed")
    }

    /// What its programs say, for messages.
    pub fn logs(&self) -> String {
        [&self.server, &self.gateway, &self.terminal].map(Process::log_tail).join("\n")
    }
}

fn number(log: &str) -> Option<u32> {
    log.lines().find_map(|line| line.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_display_is_a_line_of_its_own() {
        assert_eq!(number("\nXvnc TigerVNC 1.12.0\n port 15901\n3\nmore\n"), Some(3));
        assert_eq!(number("Xvnc 3\n"), None);
    }
}
