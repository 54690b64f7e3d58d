//! A network namespace joined to this one by a pair of links, for tests where addresses matter. Needs root.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Removed, with its links, when dropped.
pub struct Netns {
    name: String,
    link: String,
    inside: Ipv4Addr,
    outside: Ipv4Addr,
}

impl Netns {
    /// True where namespaces can be made.
    pub fn is_possible() -> bool {
        nix::unistd::geteuid().is_root()
            && Command::new("ip").arg("-V").output().is_ok_and(|output| output.status.success())
    }

    /// `subnet` is the third octet of its own /30 in 10.213.0.0/16.
    pub fn create(subnet: u8) -> Result<Netns> {
        let id = format!("{}-{subnet}", std::process::id() % 100_000);
        let netns = Netns {
            name: format!("pt{id}"),
            link: format!("pv{id}"),
            outside: Ipv4Addr::new(10, 213, subnet, 1),
            inside: Ipv4Addr::new(10, 213, subnet, 2),
        };
        let (name, link) = (&netns.name, &netns.link);
        let peer = format!("{link}p");
        ip(&["netns", "add", name])?;
        ip(&["link", "add", link, "type", "veth", "peer", "name", &peer])?;
        ip(&["link", "set", &peer, "netns", name])?;
        ip(&["addr", "add", &format!("{}/30", netns.outside), "dev", link])?;
        ip(&["link", "set", link, "up"])?;
        ip(&["-n", name, "addr", "add", &format!("{}/30", netns.inside), "dev", &peer])?;
        ip(&["-n", name, "link", "set", &peer, "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// The namespace's own address.
    pub fn inside(&self) -> Ipv4Addr {
        self.inside
    }

    /// This side's address, which the namespace reaches.
    pub fn outside(&self) -> Ipv4Addr {
        self.outside
    }

    /// A command that runs inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // What was never made cannot be removed: no news.
        let _ = Command::new("ip").args(["link", "del", &self.link]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_reaches_this_side_and_is_removed() {
        if !Netns::is_possible() {
            eprintln!("passed over: network namespaces need root and iproute2");
            return;
        }
        let netns = Netns::create(250).unwrap();
        let listener = std::net::TcpListener::bind((netns.outside(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut command = netns.command("bash");
        command.arg("-c").arg(format!("exec 3<>/dev/tcp/{}/{}", address.ip(), address.port()));
        assert!(command.status().unwrap().success());
        assert_eq!(listener.accept().unwrap().1.ip(), netns.inside());
        let name = netns.name.clone();
        drop(netns);
        let list = Command::new("ip").args(["netns", "list"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&list.stdout).contains(&name));
    }
}
