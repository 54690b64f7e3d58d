//! Through a proxy on a thread that may block: for enrolment, renewal and checks.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Instant;

use rustls::{ClientConnection, StreamOwned};

use super::asked::Asked;
use super::{Proxy, ProxyFailed, Trouble};
use crate::limits::ADDRESSES_TRIED_MAX;
use crate::timed::{Timed, Wire, is_slow};

/// A connection to `host` by way of the proxy, on which nothing was said yet. It ends at `until`, whatever it is used for; looking up the
/// proxy's name takes the time that the host's resolver takes.
pub(crate) fn connect(proxy: &Proxy, host: &str, port: u16, until: Instant) -> Result<Box<dyn Wire>, ProxyFailed> {
    let address = (&*proxy.address.host, proxy.address.port);
    let addresses: Vec<SocketAddr> = match address.to_socket_addrs() {
        Ok(found) => found.take(ADDRESSES_TRIED_MAX).collect(),
        Err(error) => {
            let why = format!("{} cannot be resolved: {error}", proxy.address.host);
            return Err(proxy.failed(Trouble::Unreachable(why)));
        }
    };
    let mut last = proxy.failed(Trouble::Unreachable(String::from("its name has no address")));
    for (nth, address) in (0u32..).zip(&addresses) {
        // An equal part of what is left; the last one gets all of it.
        let left = until.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_sub(nth).max(1);
        if left.is_zero() {
            return Err(proxy.failed(Trouble::Slow));
        }
        let connected = TcpStream::connect_timeout(address, left / others);
        let connected = connected.map_err(|error| proxy.failed(Trouble::Unreachable(error.to_string())));
        match connected.and_then(|stream| ask(proxy, stream, host, port, until)) {
            Ok(wire) => return Ok(wire),
            Err(failed) if failed.trouble.is_of_the_address() => last = failed,
            Err(failed) => return Err(failed),
        }
    }
    Err(last)
}

fn ask(proxy: &Proxy, stream: TcpStream, host: &str, port: u16, until: Instant) -> Result<Box<dyn Wire>, ProxyFailed> {
    let mut asked = Asked::begin(proxy, host, port)?;
    let broken = |error: io::Error| proxy.failed(if is_slow(&error) { Trouble::Slow } else { Trouble::Ended });
    let mut wire = secure(proxy, Timed::new(stream, until))?;
    let who = proxy.who.says().map_err(|trouble| proxy.failed(trouble))?;
    let request = asked.request(who.as_deref().map(String::as_str));
    wire.write_all(&request).and_then(|()| wire.flush()).map_err(broken)?;
    // Byte by byte: what comes behind the answer is not this one's to read.
    let mut byte = [0];
    loop {
        if wire.read(&mut byte).map_err(broken)? == 0 {
            return Err(proxy.failed(Trouble::Ended));
        }
        if asked.take(&byte)?.is_some() {
            return Ok(wire);
        }
    }
}

fn secure(proxy: &Proxy, mut stream: Timed) -> Result<Box<dyn Wire>, ProxyFailed> {
    let Some(tls) = &proxy.tls else { return Ok(Box::new(stream)) };
    let failed =
        |error: io::Error| proxy.failed(if is_slow(&error) { Trouble::Slow } else { Trouble::Tls(error.to_string()) });
    let connection = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone());
    let mut connection = connection.map_err(|error| failed(io::Error::other(error)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(failed)?;
    }
    Ok(Box::new(StreamOwned::new(connection, stream)))
}
