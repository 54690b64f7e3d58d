//! The listening sockets: bound once, by the supervisor, and open until it ends. Dataplanes come and go on duplicates.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use postern_service::failure::Failure;
use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::LISTEN_BACKLOG;
use crate::worker::context::ListenProtocol;

/// All listening sockets of this relay.
#[derive(Debug)]
pub(crate) struct Listeners {
    groups: Vec<Group>,
    admin: Option<TcpListener>,
}

/// The sockets of one address, one per worker: a reuseport group of the kernel.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) protocol: ListenProtocol,
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Binds everything or nothing.
    pub(crate) fn bind(
        addresses: &[(ListenProtocol, SocketAddr)],
        workers: u16,
        admin: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + PREDECESSOR_TIME;
        let bind = |&(protocol, address): &(ListenProtocol, SocketAddr)| {
            retry_in_use(deadline, || Group::bind(protocol, address, workers)).map_err(|e| refused(address, &e))
        };
        let groups = addresses.iter().map(bind).collect::<Result<_, _>>()?;
        let admin =
            admin.map(|address| retry_in_use(deadline, || listen_admin(address)).map_err(|e| refused(address, &e)));
        Ok(Self { groups, admin: admin.transpose()? })
    }

    /// Gives the ports up, as far as the supervisor holds them.
    pub(crate) fn close(&mut self) {
        self.groups.clear();
        self.admin = None;
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn admin(&self) -> Option<&TcpListener> {
        self.admin.as_ref()
    }

    /// The addresses, with the ports that the system chose where 0 was asked for.
    pub(crate) fn addresses(&self) -> Vec<(ListenProtocol, SocketAddr)> {
        self.groups.iter().map(|group| (group.protocol, group.address)).collect()
    }

    /// Every descriptor in the bootstrap's order.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let workers = self.groups.iter().flat_map(|group| group.sockets.iter());
        workers.chain(self.admin.iter()).map(AsFd::as_fd).collect()
    }
}

impl Group {
    fn bind(protocol: ListenProtocol, address: SocketAddr, workers: u16) -> io::Result<Self> {
        // Sockets of one user share a port silently once all ask for SO_REUSEPORT. The first one asks for it only after it
        // is bound, so that another program on this port, a second relay too, is an error instead of half the traffic.
        let first = socket(address)?;
        first.bind(&address.into())?;
        first.set_reuse_port(true)?;
        let address = first.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP socket"))?;
        let mut sockets = vec![first];
        for _ in 1..workers {
            let next = socket(address)?;
            next.set_reuse_port(true)?;
            next.bind(&address.into())?;
            sockets.push(next);
        }
        for socket in &sockets {
            socket.listen(LISTEN_BACKLOG)?;
        }
        Ok(Self { protocol, address, sockets: sockets.into_iter().map(TcpListener::from).collect() })
    }
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // [::] means IPv6 whatever net.ipv6.bindv6only says, so that 0.0.0.0 can stand beside it.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?; // inherited by accepted sockets
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen_admin(address: SocketAddr) -> io::Result<TcpListener> {
    let admin = socket(address)?;
    admin.bind(&address.into())?;
    admin.listen(LISTEN_BACKLOG)?;
    Ok(admin.into())
}

/// After a `kill -9` of a supervisor its dataplane ends at once too, but the kernel takes a moment to close its sockets.
fn retry_in_use<T>(deadline: Instant, mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(RETRY_PAUSE)
            }
            outcome => return outcome,
        }
    }
}

const PREDECESSOR_TIME: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(25);

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        return Failure::new(format!("cannot listen on {address}: the port is in use")).code("port-in-use");
    }
    let failure = Failure::new(format!("cannot listen on {address}: {error}"));
    let code = [
        (io::ErrorKind::PermissionDenied, "port-not-permitted"),
        (io::ErrorKind::AddrNotAvailable, "address-unavailable"),
    ];
    match code.into_iter().find(|(known, _)| *known == kind) {
        Some((_, code)) => failure.code(code),
        None => failure, // every other error speaks for itself
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn tls(address: &str) -> (ListenProtocol, SocketAddr) {
        (ListenProtocol::Tls, address.parse().unwrap())
    }

    const ANY_PORT: &str = "127.0.0.1:0";

    #[test]
    fn every_worker_gets_a_socket_of_one_port() {
        let listeners = Listeners::bind(&[tls(ANY_PORT), tls("[::1]:0")], 3, None).unwrap();
        assert_eq!(listeners.descriptors().len(), 6);
        for group in listeners.groups() {
            assert!(group.sockets.iter().all(|socket| socket.local_addr().unwrap() == group.address));
            TcpStream::connect(group.address).unwrap();
        }
    }

    #[test]
    fn a_second_relay_of_the_same_user_is_refused() {
        let first = Listeners::bind(&[tls(ANY_PORT)], 2, None).unwrap();
        let refused = Listeners::bind(&first.addresses(), 2, None).unwrap_err().to_string();
        assert!(refused.contains("the port is in use"), "{refused}");
    }

    #[test]
    fn the_port_is_free_again_afterwards() {
        let first = Listeners::bind(&[tls(ANY_PORT)], 2, None).unwrap();
        let addresses = first.addresses();
        drop(first);
        Listeners::bind(&addresses, 2, None).unwrap();
    }

    #[test]
    fn a_foreign_address_is_named() {
        let refused = Listeners::bind(&[tls("192.0.2.1:0")], 1, None).unwrap_err().to_string();
        assert!(refused.contains("192.0.2.1:0") && refused.contains("address-unavailable"), "{refused}");
    }
}
