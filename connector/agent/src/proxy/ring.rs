//! Through a proxy on the engine: for tunnels and backends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_io::{ConnectOptions, Socket, Stream, timeout};

use super::asked::Asked;
use super::{Proxy, ProxyFailed, Trouble, bridge};
use crate::limits::ADDRESSES_TRIED_MAX;
use crate::resolve::Names;

/// Who is reached by way of a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beyond<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// TLS is begun with them next.
    pub(crate) tls: bool,
}

/// A connection to them by way of the proxy, on which nothing was said yet. At each of the proxy's addresses it takes an equal
/// part of `patience`, name resolution apart.
pub(crate) async fn connect(
    proxy: &Proxy,
    names: &Names,
    beyond: Beyond<'_>,
    patience: Duration,
) -> Result<Stream, ProxyFailed> {
    let unknown = |error: std::io::Error| {
        proxy.failed(Trouble::Unreachable(format!("{} cannot be resolved: {error}", proxy.address.host)))
    };
    let addresses = names.addresses(&proxy.address.host).await.map_err(unknown)?;
    let tried = addresses.len().clamp(1, ADDRESSES_TRIED_MAX);
    let each = patience / u32::try_from(tried).unwrap_or(1);
    let mut last = proxy.failed(Trouble::Unreachable(String::from("its name has no address")));
    for address in addresses.iter().take(tried) {
        let address = SocketAddr::new(*address, proxy.address.port);
        match timeout(each, by(proxy, address, beyond, each)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failed)) if failed.trouble.is_of_the_address() => last = failed,
            Ok(Err(failed)) => return Err(failed),
            Err(_) => last = proxy.failed(Trouble::Slow),
        }
    }
    Err(last)
}

async fn by(proxy: &Proxy, address: SocketAddr, beyond: Beyond<'_>, patience: Duration) -> Result<Stream, ProxyFailed> {
    let mut asked = Asked::begin(proxy, beyond.host, beyond.port)?;
    let unreachable = |error: std::io::Error| proxy.failed(Trouble::Unreachable(error.to_string()));
    let options = ConnectOptions { timeout: patience, ..ConnectOptions::default() };
    let socket = Socket::connect(address, &options).await.map_err(unreachable)?;
    let stream = match &proxy.tls {
        None => Stream::plain(socket),
        Some(tls) => Stream::tls_client(socket, Arc::clone(&tls.config), tls.name.clone())
            .await
            .map_err(|error| proxy.failed(Trouble::Tls(error.to_string())))?,
    };
    let who = proxy.who.says_on_ring().await.map_err(|trouble| proxy.failed(trouble))?;
    stream.queue(&asked.request(who.as_deref().map(String::as_str)));
    loop {
        let input = stream.read().await.map_err(|_| proxy.failed(Trouble::Ended))?;
        if input.is_empty() {
            return Err(proxy.failed(Trouble::Ended));
        }
        if let Some(rest) = asked.take(&input)? {
            stream.unread(&rest);
            let within = proxy.tls.is_some() && beyond.tls;
            return if within { bridge::plain(stream).map_err(unreachable) } else { Ok(stream) };
        }
    }
}
