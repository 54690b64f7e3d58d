//! Whether a relay can listen here, and who does where it cannot.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt::ReuseAddr,
};

use super::finding::Finding;
use super::host::Host;

/// Binds, does not listen, and gives the address back: no client is met.
pub(super) fn listen(host: &Host, address: SocketAddr) -> Finding {
    judged(host, address, take(address)).about(&address.to_string())
}

fn take(address: SocketAddr) -> Result<(), Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // As listeners do: what is left of connections is no hindrance.
    setsockopt(&socket, ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
}

fn judged(host: &Host, address: SocketAddr, taken: Result<(), Errno>) -> Finding {
    const CHECK: &str = "listen";
    match taken {
        Ok(()) => Finding::ok(CHECK, "it is free"),
        Err(Errno::EADDRINUSE) => match holder(host, address) {
            Some(holder) if holder.name == RELAY => {
                Finding::ok(CHECK, format!("the relay listens (pid {})", holder.pid))
            }
            Some(Holder { pid, name }) => {
                let cure = format!("stop {name} (pid {pid}), or give the relay another --listen");
                Finding::fail(CHECK, format!("{name} (pid {pid}) listens there"), &cure)
            }
            None => Finding::fail(
                CHECK,
                "another program listens there",
                "run this as root to see which one, or: ss -ltnp; stop it, or give the relay another --listen",
            ),
        },
        Err(Errno::EACCES) => Finding::warn(
            CHECK,
            "this user may not listen on a port that low",
            "start the relay as root (its dataplane drops it), or with CAP_NET_BIND_SERVICE",
        ),
        Err(Errno::EADDRNOTAVAIL) => Finding::fail(
            CHECK,
            "this host does not have that address",
            "look at `ip address`; [::] stands for all of them",
        ),
        Err(error @ Errno::EAFNOSUPPORT) => {
            Finding::fail(CHECK, format!("{error}"), "IPv6 is off here: listen on 0.0.0.0:PORT")
        }
        Err(error) => Finding::fail(CHECK, format!("it cannot be had: {error}"), "look at the address"),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    name: String,
}

/// The process that listens there, if this user may see it.
fn holder(host: &Host, address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|table| host.read(table));
    let inodes: Vec<u64> = tables.flat_map(|table| listeners(&table, address)).collect();
    let mut pids: Vec<u32> = fs::read_dir(host.at("/proc"))
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .take(PROCESSES_MAX)
        .collect();
    pids.sort_unstable();
    let pid = pids.into_iter().find(|pid| holds(host, *pid, &inodes))?;
    let name = host.read(&format!("/proc/{pid}/comm"))?.trim().to_owned();
    Some(Holder { pid, name })
}

fn holds(host: &Host, pid: u32, inodes: &[u64]) -> bool {
    let Ok(descriptors) = fs::read_dir(host.at(&format!("/proc/{pid}/fd"))) else { return false };
    descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode: u64| inodes.contains(&inode))
    })
}

/// Inodes of listeners that are in the way of `address`.
fn listeners(table: &str, address: SocketAddr) -> Vec<u64> {
    table.lines().skip(1).filter_map(|line| listener(line, address)).collect()
}

fn listener(line: &str, address: SocketAddr) -> Option<u64> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let (ip, port) = local.split_once(':')?;
    let (ip, port) = (parsed(ip)?, u16::from_str_radix(port, 16).ok()?);
    let meets = ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
    (state == LISTENS && port == address.port() && meets).then(|| inode.parse().ok()).flatten()
}

/// Words of 32 bits in the order of this machine.
fn parsed(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(8 * at..8 * at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => word(0).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None, // what no kernel writes
    }
}

/// Of `/proc/net/tcp`: TCP_LISTEN.
const LISTENS: &str = "0A";
/// As the kernel cuts it, to 15 characters.
const RELAY: &str = "postern-relay";
const PROCESSES_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::super::host::tests::host;
    use super::*;
    use postern_model::check::StepResult;
    use std::net::TcpListener;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn table(local: &str, state: &str, inode: u64) -> String {
        format!(
            "{HEAD}   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n"
        )
    }

    #[test]
    fn only_listeners_in_the_way_count() {
        let wanted: SocketAddr = "127.0.0.1:443".parse().unwrap();
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(listeners(&table(&format!("{loopback}:01BB"), "0A", 77), wanted), [77]);
        assert_eq!(listeners(&table("00000000:01BB", "0A", 78), wanted), [78], "it has all addresses");
        for (local, state) in
            [(format!("{loopback}:01BC"), "0A"), (format!("{loopback}:01BB"), "01"), ("x".into(), "0A")]
        {
            assert_eq!(listeners(&table(&local, state, 77), wanted), [0_u64; 0], "{local} {state}");
        }
        let other: SocketAddr = "192.0.2.7:443".parse().unwrap();
        assert_eq!(listeners(&table(&format!("{loopback}:01BB"), "0A", 77), other), [0_u64; 0]);
        let all6 = format!("{}:01BB", "0".repeat(32));
        assert_eq!(listeners(&table(&all6, "0A", 79), wanted), [79]);
    }

    #[test]
    fn who_listens_is_named_and_the_relay_may() {
        let address: SocketAddr = "0.0.0.0:443".parse().unwrap();
        let of = |name: &str| {
            let (tcp, comm) = (table("00000000:01BB", "0A", 4711), format!("{name}\n"));
            let (folder, host) =
                host(&[("/proc/net/tcp", tcp.as_str()), ("/proc/81/comm", comm.as_str()), ("/proc/7/comm", "x\n")]);
            fs::create_dir(folder.path().join("proc/81/fd")).unwrap();
            std::os::unix::fs::symlink("socket:[4711]", folder.path().join("proc/81/fd/5")).unwrap();
            judged(&host, address, Err(Errno::EADDRINUSE))
        };
        let taken = of("nginx");
        assert!(
            taken.failed() && taken.seen.contains("nginx (pid 81)") && taken.cure.contains("stop nginx"),
            "{taken:?}"
        );
        assert_eq!(of("postern-relay").result, StepResult::Ok);
        let (_folder, blind) = host(&[]);
        let taken = judged(&blind, address, Err(Errno::EADDRINUSE));
        assert!(taken.failed() && taken.cure.contains("as root"), "{taken:?}");
        assert_eq!(judged(&blind, address, Err(Errno::EACCES)).result, StepResult::Warn);
        assert!(judged(&blind, address, Err(Errno::EADDRNOTAVAIL)).failed());
        assert_eq!(judged(&blind, address, Ok(())).result, StepResult::Ok);
    }

    #[test]
    fn an_address_of_this_host_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = listen(&Host::this(), address);
        assert!(taken.failed() && taken.about == address.to_string(), "{taken:?}");
        assert!(taken.seen.contains(&format!("pid {}", std::process::id())), "own descriptors are seen: {taken:?}");
        drop(listener);
        assert_eq!(listen(&Host::this(), address).result, StepResult::Ok);
    }
}
