//! A network namespace joined to this one by a pair of links, for tests where addresses matter. Needs root.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, bind, sendto, socket};

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

    /// `subnet` is the third octet of its own /24 in 10.213.0.0/16.
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
        ip(&["addr", "add", &format!("{}/24", netns.outside), "dev", link])?;
        ip(&["link", "set", link, "up"])?;
        for address in [netns.inside, netns.other()] {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", &peer])?;
        }
        ip(&["-n", name, "link", "set", &peer, "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// The namespace's own address.
    pub fn inside(&self) -> Ipv4Addr {
        self.inside
    }

    /// A second address of the namespace.
    pub fn other(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.inside.octets();
        Ipv4Addr::new(a, b, c, d + 1)
    }

    /// This side's interface.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// This side's address, which the namespace reaches.
    pub fn outside(&self) -> Ipv4Addr {
        self.outside
    }

    /// Sends SYN packets from the namespace's second address, as fast as one thread can, until it is stopped.
    pub fn flood(&self, to: SocketAddrV4) -> Result<Flood> {
        let socket = self.raw_socket(self.other())?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let shared = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let address = SockaddrIn::from(SocketAddrV4::new(*to.ip(), 0));
            let mut port = 1024u16;
            while !shared.0.load(Ordering::Relaxed) {
                port = port.checked_add(1).unwrap_or(1024);
                // A full queue is no reason to end.
                if sendto(socket.as_raw_fd(), &syn(port, to.port()), &address, MsgFlags::empty()).is_ok() {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Flood { stop, sent, thread: Some(thread) })
    }

    /// A thread of its own is moved there, and ends.
    fn raw_socket(&self, address: Ipv4Addr) -> Result<OwnedFd> {
        let netns = File::open(format!("/run/netns/{}", self.name))?;
        let made = std::thread::spawn(move || -> Result<OwnedFd> {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
            bind(raw.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, 0)))?;
            Ok(raw)
        });
        made.join().expect("no panic there")
    }

    /// Listens on the namespace's own address, at whichever port is free.
    pub fn listen(&self) -> Result<TcpListener> {
        let (netns, address) = (File::open(format!("/run/netns/{}", self.name))?, self.inside);
        let made = std::thread::spawn(move || -> Result<TcpListener> {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            Ok(TcpListener::bind((address, 0))?)
        });
        made.join().expect("no panic there")
    }

    /// A command that runs inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

/// A flood under way. Stops when dropped.
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Packets so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A TCP header without a checksum: what drops it looks at nothing but ports and flags.
fn syn(from_port: u16, to_port: u16) -> [u8; 20] {
    let mut header = [0; 20];
    header[..2].copy_from_slice(&from_port.to_be_bytes());
    header[2..4].copy_from_slice(&to_port.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = 0x02;
    header
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
    use crate::pass_over;

    #[test]
    fn the_namespace_reaches_this_side_and_is_removed() {
        if !Netns::is_possible() {
            pass_over("network namespaces need root and iproute2");
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
