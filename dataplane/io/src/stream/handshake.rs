//! The beginning of TLS on a stream: at once, or after both sides agreed on it in plain text.

use std::{future::poll_fn, io, rc::Rc, sync::Arc};

use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;

use super::{Stream, TlsSummary};
use crate::{
    socket::Socket,
    time::{now, read_clock},
    tls::{NullIdentity, Pump, TlsFailure},
};

impl Stream {
    /// Performs the server's side of a TLS handshake whose first bytes were already received.
    ///
    /// # Errors
    /// [`TlsFailure`] inside `InvalidData`, or the connection's failure.
    pub async fn tls_server(mut socket: Socket, config: Arc<ServerConfig>, first: Vec<u8>) -> io::Result<Self> {
        socket.unread(first);
        Self::plain(socket).begin(Pump::server(config)?).await
    }

    /// Performs the client's side of a TLS handshake.
    ///
    /// # Errors
    /// [`TlsFailure`] inside `InvalidData`, or the connection's failure.
    pub async fn tls_client(socket: Socket, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        Self::plain(socket).start_tls_client(config, name).await
    }

    /// Stands for TLS in the simulator; see [`NullIdentity`].
    ///
    /// # Errors
    /// When the peer does not speak it, or the connection fails.
    pub async fn tls_null(mut socket: Socket, own: &NullIdentity, first: Vec<u8>) -> io::Result<Self> {
        socket.unread(first);
        Self::plain(socket).start_tls_null(own).await
    }

    /// As [`Stream::tls_client`] on a plain stream that something was said on before, such as the answer of a proxy: TLS
    /// begins behind what was read and queued.
    ///
    /// # Errors
    /// As [`Stream::tls_client`].
    ///
    /// # Panics
    /// When the stream speaks TLS already.
    pub async fn start_tls_client(self, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        self.begin(Pump::client(config, name)?).await
    }

    /// As [`Stream::tls_null`] on a plain stream, see [`Stream::start_tls_client`].
    ///
    /// # Errors
    /// As [`Stream::tls_null`].
    ///
    /// # Panics
    /// When the stream speaks TLS already.
    pub async fn start_tls_null(self, own: &NullIdentity) -> io::Result<Self> {
        self.begin(Pump::null(own)).await
    }

    async fn begin(self, pump: Pump) -> io::Result<Self> {
        let inner = &self.0.inner;
        let plain = inner.pump.replace(Some(pump)).is_none();
        assert!(plain, "TLS begins on a plain stream, once");
        let begun = now();
        // What the peer has said of it so far was read as plain text.
        let mut first = inner.plain_in.take().to_vec();
        inner.feed(&mut first)?;
        while !inner.is_established() {
            let received = poll_fn(|cx| inner.socket.borrow_mut().poll_recv(cx)).await?;
            let Some(mut chunk) = received else {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, TlsFailure::HandshakeEof));
            };
            inner.feed(&mut chunk)?;
        }
        if let Some(pump) = inner.pump.borrow().as_ref() {
            let summary = TlsSummary { handshake: read_clock().since(begun), ..pump.summary() };
            inner.summary.replace(Rc::new(summary));
        }
        Ok(self)
    }
}
