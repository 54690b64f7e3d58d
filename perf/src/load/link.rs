//! One connection of the load generator, with TLS or without, used by one task.

use std::io::{self, BufRead, Write};
use std::rc::Rc;

use rustls::{ClientConnection, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio_uring::net::TcpStream;

use super::Target;

/// What one read takes at most.
pub(super) const READ_BYTES: usize = 64 * 1024;

pub struct Link {
    socket: Rc<TcpStream>,
    tls: Option<Box<ClientConnection>>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Link {
    /// TCP and, where the target has it, TLS.
    pub async fn open(target: &Target) -> io::Result<Link> {
        let socket = Rc::new(TcpStream::connect(target.address).await?);
        socket.set_nodelay(true)?;
        let mut link = Link { socket, tls: None, incoming: Vec::with_capacity(READ_BYTES), outgoing: Vec::new() };
        if let Some(config) = &target.tls {
            let name = ServerName::try_from(target.name.clone()).map_err(io::Error::other)?;
            let tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
            link.tls = Some(Box::new(tls));
            link.shake_hands().await?;
        }
        Ok(link)
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        loop {
            self.flush().await?;
            if !self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
                return Ok(());
            }
            self.receive(&mut |_| Ok(())).await?;
        }
    }

    pub fn socket(&self) -> &Rc<TcpStream> {
        &self.socket
    }

    /// The protocol that the server chose.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.alpn_protocol()
    }

    pub fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None => self.outgoing.extend_from_slice(bytes),
        }
        self.flush().await
    }

    /// One read, handed over piece by piece; its end is an error.
    pub async fn receive(&mut self, take: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.incoming);
        buffer.clear();
        buffer.reserve(READ_BYTES);
        let (read, buffer) = self.socket.read(buffer).await;
        self.incoming = buffer;
        let count = read?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &mut self.tls {
            Some(tls) => decrypt(tls, &self.incoming[..count], take),
            None => take(&self.incoming[..count]),
        }
    }

    /// Gives back what only an exchange needs.
    pub fn forget_buffers(&mut self) {
        self.incoming = Vec::new();
        self.outgoing = Vec::new();
    }

    /// Says goodbye as TLS wants it; the socket closes when the link is dropped.
    pub async fn close(mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.outgoing)?;
            }
        }
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let (written, mut buffer) = self.socket.write_all(std::mem::take(&mut self.outgoing)).await;
        buffer.clear();
        self.outgoing = buffer;
        written
    }

    /// Its parts, for a protocol that reads and writes at the same time.
    pub(super) fn into_parts(self) -> Option<(Rc<TcpStream>, Box<ClientConnection>)> {
        Some((self.socket, self.tls?))
    }
}

/// All that these bytes of a connection say, in order.
pub(super) fn decrypt(
    tls: &mut ClientConnection,
    mut bytes: &[u8],
    take: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes)?;
        tls.process_new_packets().map_err(io::Error::other)?;
        let mut reader = tls.reader();
        loop {
            let count = match reader.fill_buf() {
                Ok([]) => break, // close_notify: the read that follows says so
                Ok(piece) => {
                    take(piece)?;
                    piece.len()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            reader.consume(count);
        }
    }
    Ok(())
}
