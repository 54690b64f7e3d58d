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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer;
    use crate::side::disk::Folder;
    use crate::side::identity::Identity;
    use crate::side::sender::HandOverKind;
    use crate::side::testing;
    use crate::side::tls::{Authority, TlsConfigs};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    struct World {
        authority: testing::Authority,
        config: Arc<ServerConfig>,
    }

    /// A relay whose certificate control has issued.
    fn world() -> World {
        let held = tempfile::tempdir().unwrap();
        let authority = testing::Authority::new();
        let mut identity = Identity::load_or_make(&Folder::new(held.path())).unwrap();
        identity.take_issued(&authority.issue_relay(&identity.request_pem().unwrap())).unwrap();
        let trusted = Authority::read(&authority.pem).unwrap();
        let config = TlsConfigs::new(crate::args::TlsPreset::default())
            .unwrap()
            .control(identity.issued().unwrap(), &trusted)
            .unwrap();
        World { authority, config }
    }

    fn dialler(authority: &testing::Authority, client: testing::Client) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_client_auth_cert(client.chain, client.key).unwrap();
        config.alpn_protocols = vec![postern_model::link::ALPN.to_vec()];
        TlsConnector::from(Arc::new(config))
    }

    /// A client dials; the "worker" reads `held_back` bytes before it hands over. True if the side thread sees control.
    async fn seen_as_control(world: &World, client: testing::Client, held_back: usize) -> io::Result<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        let (mut accepted, peer) = listener.accept().await?;
        let name = ServerName::try_from(postern_model::link::SERVER_NAME).unwrap();
        let dial = async {
            let mut stream = dialler(&world.authority, client).connect(name, stream).await?;
            stream.write_all(b"hello").await?;
            io::Result::Ok(stream)
        };
        let serve = async {
            let mut first_bytes = vec![0; held_back];
            accepted.read_exact(&mut first_bytes).await?;
            let (socket, kind) = (accepted.into_std()?, HandOverKind::Control);
            let connection = HandOver { socket, first_bytes: first_bytes.into(), kind, peer };
            let mut stream = accept(connection, Arc::clone(&world.config)).await?;
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await?;
            assert_eq!(&hello, b"hello");
            Ok(peer::is_control(&stream.get_ref().1.peer_certificates().unwrap()[0]))
        };
        let (_dialled, served) = tokio::join!(dial, serve);
        served
    }

    #[tokio::test]
    async fn control_is_admitted_wherever_the_worker_stopped_reading() {
        let world = world();
        for held_back in [0, 1, 5, 150] {
            assert!(seen_as_control(&world, world.authority.issue_control(), held_back).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_connector_is_not_control_and_a_stranger_is_nobody() {
        let world = world();
        let connector = world.authority.issue_connector("c1-9".parse().unwrap(), "g1-1".parse().unwrap());
        assert!(!seen_as_control(&world, connector, 5).await.unwrap());
        let stranger = testing::Authority::new().issue_control();
        assert!(seen_as_control(&world, stranger, 5).await.is_err());
    }
}
