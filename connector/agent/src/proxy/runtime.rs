//! Through a proxy on tokio: for the programs that have a connector in them and ask control themselves. Who calls bounds the time.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::asked::Asked;
use super::{Proxy, ProxyFailed, Trouble};

/// Bytes both ways.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Carrier for T {}

/// A connection to `host` by way of the proxy, on which nothing was said yet.
pub(crate) async fn connect(proxy: &Proxy, host: &str, port: u16) -> Result<Box<dyn Carrier>, ProxyFailed> {
    let mut asked = Asked::begin(proxy, host, port)?;
    let unreachable = |error: io::Error| proxy.failed(Trouble::Unreachable(error.to_string()));
    let ended = |_: io::Error| proxy.failed(Trouble::Ended);
    let stream = TcpStream::connect((&*proxy.address.host, proxy.address.port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let mut carrier: Box<dyn Carrier> = match &proxy.tls {
        None => Box::new(stream),
        Some(tls) => {
            let connected = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), stream).await;
            Box::new(connected.map_err(|error| proxy.failed(Trouble::Tls(error.to_string())))?)
        }
    };
    // It waits for nothing: who runs on tokio has no account in Kerberos to ask proxies with.
    let who = proxy.who.says().map_err(|trouble| proxy.failed(trouble))?;
    carrier.write_all(&asked.request(who.as_deref().map(String::as_str))).await.map_err(ended)?;
    carrier.flush().await.map_err(ended)?;
    // Byte by byte: what comes behind the answer is not this one's to read.
    let mut byte = [0];
    loop {
        if carrier.read(&mut byte).await.map_err(ended)? == 0 {
            return Err(proxy.failed(Trouble::Ended));
        }
        if asked.take(&byte)?.is_some() {
            return Ok(carrier);
        }
    }
}
