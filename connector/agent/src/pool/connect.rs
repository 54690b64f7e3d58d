//! New connections to a backend: directly, through a proxy, or to the program itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use postern_http::Limits;
use postern_http::h1::{Inbox, ResponseParser};
use postern_io::{Stream, now, timeout};
use postern_model::settings::BackendHttp;

use super::{Acquired, BackendConnection, Counted, Grant, Permit, Pool, Wanted};
use crate::backend::HTTP2;
use crate::embed;
use crate::failure::{Failed, Fault};
use crate::happy_eyeballs;
use crate::http2::Http2Backend;
use crate::proxy::ring::{self, Beyond};
use crate::proxy::{Proxy, Way};

impl Pool {
    /// A new connection.
    pub(super) async fn connect(
        self: &Rc<Self>,
        permit: Option<Permit>,
        wanted: Wanted<'_>,
    ) -> Result<Acquired, Failed> {
        let _dialling = (self.speaks_http2.get() && !wanted.http1 && !wanted.alone).then(|| Dialling::begin(self));
        let longest = self.backend.connect_timeout;
        let Ok(connected) = timeout(longest, self.connect_to_any(wanted)).await else {
            let detail = format!("no connection within {} ms{}", longest.as_millis(), self.way.words());
            return Err(Failed::new(Fault::BackendUnreachable, detail).unprocessed());
        };
        let (stream, peer) = connected?;
        let http2 = self.backend.http == BackendHttp::H2c || stream.tls().alpn.as_deref() == Some(HTTP2);
        if http2 && !wanted.http1 {
            self.speaks_http2.set(true);
            let connection = Http2Backend::begin((stream, peer), self, permit, Counted::new(&self.counters)).await?;
            let lease = Http2Backend::lease(&connection);
            if !wanted.alone {
                self.shared.borrow_mut().push(connection);
            }
            return Ok(Acquired::Http2(lease));
        }
        if self.backend.http == BackendHttp::Http2 && !wanted.http1 {
            let detail = "the backend does not choose h2, which backend_http=2 demands";
            return Err(Failed::new(Fault::BackendTls, detail).unprocessed());
        }
        Ok(Acquired::Http1(Box::new(BackendConnection {
            stream,
            inbox: Inbox::default(),
            parser: ResponseParser::new(Limits::default()),
            reused: false,
            busy: false,
            login: wanted.login.cloned(),
            peer,
            idle_since: now(),
            _counted: Counted::new(&self.counters),
            permit,
        })))
    }

    /// With the address that it leads to, where that is one of a name's.
    async fn connect_to_any(&self, wanted: Wanted<'_>) -> Result<(Stream, Option<IpAddr>), Failed> {
        let internal = &self.backend.internal;
        // A program that is a backend itself has no other: it serves nobody's network.
        if let Some(built_in) = &self.built_in {
            return Ok((embed::connect(built_in, &self.backend)?, None));
        }
        if internal.wildcard().is_some() {
            let detail = format!("{} is no host, but all that are below", internal.host);
            return Err(Failed::new(Fault::ConfigMissing, detail).unprocessed());
        }
        match &self.way {
            Way::Direct => self.connect_directly(wanted).await,
            Way::Through(by) => Ok((self.connect_through(by, wanted).await?, None)),
            Way::Unknown(why) => Err(Failed::new(Fault::ConfigMissing, &**why).unprocessed()),
        }
    }

    async fn connect_directly(&self, wanted: Wanted<'_>) -> Result<(Stream, Option<IpAddr>), Failed> {
        let internal = &self.backend.internal;
        let addresses = self.names.addresses(&internal.host).await.map_err(|error| {
            Failed::new(Fault::BackendUnreachable, format!("{} cannot be resolved: {error}", internal.host))
                .unprocessed()
        })?;
        if self.backend.is_below_wildcard {
            check_beyond(&internal.host, &addresses)?;
        }
        let connected = happy_eyeballs::connect(&addresses, internal.port, self.backend.connect_timeout).await;
        let (socket, peer) = connected.map_err(|error| Failed::connecting(&error))?;
        if self.backend.is_below_wildcard && is_own(peer, socket.local_addr()) {
            return Err(not_beyond(&internal.host, peer));
        }
        let is_named = internal.host.parse::<IpAddr>().is_err();
        Ok((self.secure(Stream::plain(socket), wanted).await?, is_named.then_some(peer)))
    }

    /// The proxy looks the name up.
    async fn connect_through(&self, by: &Proxy, wanted: Wanted<'_>) -> Result<Stream, Failed> {
        let internal = &self.backend.internal;
        let beyond = Beyond { host: &internal.host, port: internal.port, tls: self.backend.tls.is_some() };
        let connected = ring::connect(by, &self.names, beyond, self.backend.connect_timeout).await;
        self.secure(connected.map_err(|failed| Failed::through_proxy(&failed))?, wanted).await
    }

    async fn secure(&self, stream: Stream, wanted: Wanted<'_>) -> Result<Stream, Failed> {
        let Some(tls) = &self.backend.tls else { return Ok(stream) };
        if let Some(reason) = tls.own_missing() {
            let detail = format!("the client certificate that is set cannot be shown: {reason}");
            return Err(Failed::new(Fault::BackendTls, detail).unprocessed());
        }
        let config = if wanted.http1 { &tls.http1 } else { &tls.config };
        let secured = stream.start_tls_client(Arc::clone(config), tls.server_name.clone()).await;
        secured.map_err(|error| Failed::handshaking(&error))
    }
}

/// Which hosts below a wildcard there are, names alone say, and users choose among these: what only this host and its links reach is
/// not meant.
fn check_beyond(host: &str, addresses: &[IpAddr]) -> Result<(), Failed> {
    addresses.iter().find(|address| !is_beyond(**address)).map_or(Ok(()), |address| Err(not_beyond(host, *address)))
}

fn not_beyond(host: &str, address: IpAddr) -> Failed {
    let detail =
        format!("{host} has the address {address}: hosts below a wildcard are neither this one nor on its link alone");
    Failed::new(Fault::BackendUnreachable, detail).unprocessed()
}

/// Whether a connection led to this very host, by whichever of its addresses. `local`: of this end; none in the simulator.
fn is_own(peer: IpAddr, local: Option<SocketAddr>) -> bool {
    let Some(local) = local else { return false };
    let own = |address: IpAddr| UdpSocket::bind(SocketAddr::new(address, 0)).is_ok();
    // A second address of an interface is spoken to from the first. But where addresses of others can be bound (`ip_nonlocal_bind`),
    // that this one can says nothing.
    local.ip() == peer || own(peer) && !own(OF_NOBODY[usize::from(peer.is_ipv6())])
}

fn is_beyond(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_this = address.octets()[0] == 0 || address.is_loopback();
            let is_of_host = address.is_link_local() || OF_CLOUDS.contains(&address);
            !is_this && !is_of_host && !address.is_multicast() && !address.is_broadcast()
        }
        IpAddr::V6(address) => match address.segments() {
            // A translator leads to the IPv4 address in it (RFC 6052, RFC 8215).
            [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => {
                let [.., a, b, c, d] = address.octets();
                is_beyond(Ipv4Addr::new(a, b, c, d).into())
            }
            // So does a tunnel (RFC 3056 §2).
            [0x2002, ..] => {
                let [_, _, a, b, c, d, ..] = address.octets();
                is_beyond(Ipv4Addr::new(a, b, c, d).into())
            }
            [first, second, ..] => {
                let is_link_local = first & 0xffc0 == 0xfe80;
                // Where a cloud tells its machines their keys, as it does at 169.254.169.254.
                let is_of_cloud = matches!((first, second), (0xfd00, 0xec2) | (0xfd20, 0xce));
                let is_this = address.is_unspecified() || address.is_loopback();
                !is_this && !is_link_local && !is_of_cloud && !address.is_multicast()
            }
        },
    }
}

/// Where clouds that do not do so on the link tell their machines their keys, or what to run: Alibaba, Azure, Oracle.
const OF_CLOUDS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Addresses for documentation, which no host has (RFC 5737, RFC 3849).
const OF_NOBODY: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// While a connection is being made that many can share.
struct Dialling(Rc<Pool>);

impl Dialling {
    fn begin(pool: &Rc<Pool>) -> Self {
        pool.dialling.set(true);
        Self(Rc::clone(pool))
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.dialling.set(false);
        self.0.has_room();
        // Whoever still waits makes its own attempt.
        if let Some(waiter) = self.0.next_waiter() {
            match self.0.permit(Wanted::default()) {
                Some(permit) => waiter.send(Grant::Permit(permit)),
                None => self.0.waiters.borrow_mut().push_front(waiter),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_below_a_wildcard_are_neither_this_one_nor_its_neighbours_alone() {
        for (address, beyond) in [
            ("10.0.0.7", true),
            ("192.168.1.1", true),
            ("203.0.113.9", true),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("fd00:ec3::254", true),
            ("fd00:ec2::254", false),
            ("64:ff9b::10.0.0.7", true),
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b::127.0.0.1", false),
            ("64:ff9b:1::10.0.0.7", true),
            ("64:ff9b:1:a::169.254.169.254", false),
            ("2002:a00:7::1", true),
            ("2002:7f00:1::1", false),
            ("fd20:ce::254", false),
            ("100.100.100.100", true),
            ("100.100.100.200", false),
            ("168.63.129.16", false),
            ("192.0.0.192", false),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("169.254.169.254", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("ff02::1", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(is_beyond(address), beyond, "{address}");
            let both = ["10.0.0.7".parse().unwrap(), address];
            assert_eq!(check_beyond("crm.corp", &both).is_ok(), beyond, "one of several is enough: {address}");
        }
    }

    #[test]
    fn a_connection_to_an_address_of_this_host_is_known_by_it() {
        let [here, there]: [IpAddr; 2] = ["127.0.0.9", "192.0.2.7"].map(|address| address.parse().unwrap());
        let from = |local: &str| Some(SocketAddr::new(local.parse().unwrap(), 4_000));
        assert!(is_own(there, from("192.0.2.7")), "from the same address");
        assert!(!is_own(there, from("192.0.2.9")), "a neighbour");
        assert!(is_own(here, from("127.0.0.1")), "a second address of this host");
        assert!(!is_own(here, None), "in the simulator");

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = postern_io::Runtime::new(postern_io::RuntimeOptions::default()).unwrap();
        let local = runtime.run(async move {
            let socket = postern_io::Socket::connect(address, &postern_io::ConnectOptions::default()).await.unwrap();
            socket.local_addr()
        });
        assert!(is_own(address.ip(), local.unwrap()));
    }
}
