//! A network namespace joined to this one by a pair of links: where floods come from.

use std::{
    env,
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::fd::AsRawFd as _,
    process::{self, Command},
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Removed, with its links, when dropped.
pub(crate) struct Link {
    netns: String,
    /// This side's interface.
    pub(crate) interface: String,
    subnet: u8,
    _subnet_lock: File,
}

impl Link {
    /// This side is `.1`, the other `.2` to `.4`; in IPv6 the other side has two /64 beside this one's.
    pub(crate) fn create() -> Self {
        let (subnet, lock) = free_subnet();
        let id = format!("pg{}{subnet}", process::id() % 100_000);
        let link = Self { netns: id.clone(), interface: id, subnet, _subnet_lock: lock };
        let (netns, interface) = (&link.netns, &link.interface);
        ip(&format!("netns add {netns}"));
        ip(&format!("link add {interface} type veth peer name inside netns {netns}"));
        ip(&format!("addr add {}/24 dev {interface}", link.here()));
        ip(&format!("addr add {}/64 dev {interface} nodad", link.here_v6()));
        ip(&format!("link set {interface} up"));
        ip(&format!("-n {netns} link set inside up"));
        for host in 2..5 {
            ip(&format!("-n {netns} addr add {}/24 dev inside", link.there(host)));
        }
        for site in 1..3 {
            let at = link.there_v6(site, 1);
            ip(&format!("-n {netns} addr add {at}/128 dev inside nodad"));
            ip(&format!("-n {netns} addr add {}/128 dev inside nodad", link.there_v6(site, 2)));
            ip(&format!("-6 route add {}/64 dev {interface}", link.there_v6(site, 0)));
        }
        ip(&format!("-n {netns} -6 route add {}/128 dev inside", link.here_v6()));
        link
    }

    /// This side's address.
    pub(crate) fn here(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 214, self.subnet, 1)
    }

    /// One of the other side's.
    pub(crate) fn there(&self, host: u8) -> IpAddr {
        Ipv4Addr::new(10, 214, self.subnet, host).into()
    }

    pub(crate) fn here_v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd02, 14, self.subnet.into(), 0, 0, 0, 0, 1)
    }

    /// One of the other side's, by /64.
    pub(crate) fn there_v6(&self, site: u16, host: u16) -> IpAddr {
        Ipv6Addr::new(0xfd02, 14, self.subnet.into(), site, 0, 0, 0, host).into()
    }

    /// Puts this side's interface into a bridge, which has no native XDP. The bridge's name and the two addresses.
    pub(crate) fn add_bridge(&self) -> (String, Ipv4Addr, IpAddr) {
        let (netns, interface) = (&self.netns, &self.interface);
        let here = Ipv4Addr::new(10, 215, self.subnet, 1);
        let there = Ipv4Addr::new(10, 215, self.subnet, 2);
        let bridge = format!("{interface}b");
        ip(&format!("link add {bridge} type bridge"));
        ip(&format!("link set {interface} master {bridge}"));
        ip(&format!("addr add {here}/24 dev {bridge}"));
        ip(&format!("link set {bridge} up"));
        ip(&format!("-n {netns} addr add {there}/24 dev inside"));
        (bridge, here, there.into())
    }

    /// Connects from the other side.
    pub(crate) fn connect(&self, from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.there_socket(from, Type::STREAM, Protocol::TCP);
        socket.connect_timeout(&to.into(), Duration::from_millis(500))?;
        Ok(socket.into())
    }

    /// Sends the first fragments of datagrams from the other side.
    pub(crate) fn send_fragments(&self, from: Ipv4Addr, to: SocketAddr, count: u16) {
        let socket = self.there_socket(from.into(), Type::RAW, Protocol::from(libc::IPPROTO_RAW));
        let IpAddr::V4(to_ip) = to.ip() else { panic!("IPv4 only") };
        let mut packet = [0; 28];
        packet[0] = 0x45;
        packet[6] = 0x20; // more fragments follow
        packet[8] = 64;
        packet[9] = libc::IPPROTO_TCP as u8;
        packet[12..16].copy_from_slice(&from.octets());
        packet[16..20].copy_from_slice(&to_ip.octets());
        packet[22..24].copy_from_slice(&to.port().to_be_bytes());
        for number in 0..count {
            packet[4..6].copy_from_slice(&(number + 1).to_be_bytes());
            socket.send_to(&packet, &SocketAddr::new(to.ip(), 0).into()).unwrap();
        }
    }

    /// Sends segments with these flags from the other side, each with another port, as fast as one thread can.
    pub(crate) fn flood(&self, from: IpAddr, to: SocketAddr, flags: u8, count: u16) {
        let socket = self.there_socket(from, Type::RAW, Protocol::TCP);
        // The kernel drops raw packets without a word when the interface's queue is full; veth has none.
        let to_address = SocketAddr::new(to.ip(), 0).into();
        for number in 0..count {
            let mut segment = [0; 20];
            segment[..2].copy_from_slice(&(1024 + number).to_be_bytes());
            segment[2..4].copy_from_slice(&to.port().to_be_bytes());
            segment[12] = 5 << 4;
            segment[13] = flags;
            socket.send_to(&segment, &to_address).unwrap();
        }
    }

    fn there_socket(&self, from: IpAddr, kind: Type, protocol: Protocol) -> Socket {
        let netns = File::open(format!("/run/netns/{}", self.netns)).unwrap();
        let bound = move || {
            // SAFETY: an open namespace; only this thread, which ends here, is moved there.
            let moved = unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(moved, 0, "{}", io::Error::last_os_error());
            let socket = Socket::new(Domain::for_address((from, 0).into()), kind, Some(protocol)).unwrap();
            socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
            socket
        };
        thread::spawn(bound).join().unwrap()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // What was never made cannot be removed: no news.
        let _ = Command::new("ip").args(["link", "del", &self.interface]).output();
        let _ = Command::new("ip").args(["link", "del", &format!("{}b", self.interface)]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).output();
    }
}

/// Tests run beside each other, in processes of their own too: the lock says whose a subnet is.
fn free_subnet() -> (u8, File) {
    let locked = (0..=u8::MAX).find_map(|subnet| {
        let file = File::create(env::temp_dir().join(format!("postern-test-subnet-{subnet}"))).unwrap();
        file.try_lock().ok().map(|()| (subnet, file))
    });
    locked.expect("a free subnet among 256")
}

pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("these tests need iproute2");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;
