//! TLS on connections that workers handed over: the bytes they had read come first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::sender::HandOver;

/// A connection whose first bytes were read elsewhere.
#[derive(Debug)]
pub(crate) struct Replayed {
    first_bytes: Bytes,
    stream: TcpStream,
}

/// The server's side of the handshake.
pub(crate) async fn accept(connection: HandOver, config: Arc<ServerConfig>) -> io::Result<TlsStream<Replayed>> {
    let HandOver { socket, first_bytes, .. } = connection;
    socket.set_nonblocking(true)?;
    let stream = TcpStream::from_std(socket)?;
    TlsAcceptor::from(config).accept(Replayed { first_bytes, stream }).await
}

impl AsyncRead for Replayed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first_bytes.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.first_bytes.len().min(buffer.remaining());
        buffer.put_slice(&self.first_bytes[..length]);
        self.first_bytes.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
