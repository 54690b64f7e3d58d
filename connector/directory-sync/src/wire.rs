//! The way to the directory: TCP and TLS, here and not in the LDAP library, so that every byte of an answer is counted before
//! anybody looks at it. The library sees one end of a socket pair.

use std::net::IpAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context as _;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, StdStream};
use postern_service::secret;
use rustls::crypto::aws_lc_rs as provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::args::{Directory, Source};
use crate::failure::Failure;
use crate::frames::{Budget, Frames};
use crate::limits::{CONNECT_TIMEOUT, START_TLS_BYTES_MAX};

/// A connection that answers within bounds. When it is dropped it ends.
pub(crate) struct Wire {
    pub(crate) ldap: Ldap,
    budget: Rc<Budget>,
    tasks: [JoinHandle<()>; 2],
}

impl Wire {
    /// Connects to one directory.
    pub(crate) async fn connect(directory: &Directory, source: &Source) -> Result<Self, Failure> {
        let config = tls_config(source).map_err(|error| Failure::untrusted(directory, &format!("{error:#}")))?;
        let late = |_| Failure::unreachable(directory, &"no answer in time");
        let stream = timeout(CONNECT_TIMEOUT, secured(directory, config)).await.map_err(late)??;
        let broken = |error: std::io::Error| Failure::unreachable(directory, &error);
        let (near, far) = StdUnixStream::pair().map_err(broken)?;
        near.set_nonblocking(true).map_err(broken)?;
        let near = UnixStream::from_std(near).map_err(broken)?;
        let budget = Rc::<Budget>::default();
        let carrying = tokio::task::spawn_local(carry(stream, near, Rc::clone(&budget)));
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(far));
        let opened = LdapConnAsync::with_settings(settings, "ldapi:///").await;
        let (connection, ldap) = opened.map_err(|error| Failure::unreachable(directory, &error))?;
        // A task of its own: what the library cannot read may end it, and nothing else.
        let driving = tokio::task::spawn_local(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to the directory broke");
            }
        });
        Ok(Self { ldap, budget, tasks: [carrying, driving] })
    }

    /// The next question has an answer of its own.
    pub(crate) fn refill(&self) {
        self.budget.refill();
    }

    /// Why the connection was ended, if it was on our side.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        self.budget.broken()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn secured(directory: &Directory, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Failure> {
    let unreachable = |error: std::io::Error| Failure::unreachable(directory, &error);
    let mut stream = TcpStream::connect((&*directory.host, directory.port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    if directory.start_tls {
        start_tls(&mut stream).await.map_err(|error| Failure::untrusted(directory, &format!("{error:#}")))?;
    }
    let name = match directory.host.parse::<IpAddr>() {
        Ok(address) => ServerName::IpAddress(address.into()),
        Err(_) => ServerName::try_from(directory.host.clone())
            .map_err(|_| Failure::untrusted(directory, &"no certificate can have this name"))?,
    };
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        // A refusal of TLS comes as an error of the input, with what is wrong as its words; else it broke off.
        let is_refused = error.kind() == std::io::ErrorKind::InvalidData;
        if is_refused { Failure::untrusted(directory, &error) } else { Failure::unreachable(directory, &error) }
    })
}

/// RFC 4511 §4.14. By hand, and read to the last byte of the one answer: nothing that came before TLS is taken for what came
/// within it.
async fn start_tls(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(START_TLS).await?;
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let [tag, first] = head;
    anyhow::ensure!(tag == SEQUENCE, "the answer to StartTLS is no LDAP message");
    let mut length = usize::from(first);
    if first >= 0x80 {
        let mut long = vec![0; usize::from(first & 0x7f)];
        anyhow::ensure!((1..=4).contains(&long.len()), "the answer to StartTLS has no length");
        stream.read_exact(&mut long).await?;
        length = long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    }
    anyhow::ensure!(length <= START_TLS_BYTES_MAX, "the answer to StartTLS is too long");
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    let is_agreed = agreed(&answer).context("the answer to StartTLS is malformed")?;
    anyhow::ensure!(is_agreed, "the directory refuses StartTLS: its certificate may be missing");
    Ok(())
}

/// Whether an ExtendedResponse to message 1 says success.
fn agreed(answer: &[u8]) -> Option<bool> {
    let rest = answer.strip_prefix(&[0x02, 0x01, 0x01])?.strip_prefix(&[EXTENDED_RESPONSE])?;
    let (first, rest) = rest.split_first()?;
    let long = usize::from(first.saturating_sub(0x80).min(4));
    let code = rest.get(long..)?.strip_prefix(&[ENUMERATED, 0x01])?.first()?;
    Some(*code == 0)
}

/// Both directions, until one ends or an answer is not one that the library should see.
async fn carry(stream: TlsStream<TcpStream>, near: UnixStream, budget: Rc<Budget>) {
    let (mut from_directory, mut to_directory) = split(stream);
    let (mut from_library, mut to_library) = near.into_split();
    let inwards = async {
        let (mut buffer, mut frames) = (vec![0; CHUNK_BYTES], Frames::default());
        while let Ok(length @ 1..) = from_directory.read(&mut buffer).await {
            let Some(messages) = frames.take(&buffer[..length], &budget) else { return };
            if to_library.write_all(&messages).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = inwards => {}
        _ = tokio::io::copy(&mut from_library, &mut to_directory) => {}
    }
}

fn tls_config(source: &Source) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match &source.ca {
        Some(file) => {
            let text = secret::read_public_text(file)?;
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                roots.add(certificate.with_context(|| file.display().to_string())?)?;
            }
            anyhow::ensure!(!roots.is_empty(), "{} holds no certificate", file.display());
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// LDAPMessage 1 with the ExtendedRequest 1.3.6.1.4.1.1466.20037.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const SEQUENCE: u8 = 0x30;
const EXTENDED_RESPONSE: u8 = 0x78;
const ENUMERATED: u8 = 0x0a;
const CHUNK_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_start_tls_is_read_narrowly() {
        let good = b"\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(agreed(good), Some(true));
        assert_eq!(
            agreed(b"\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"),
            Some(true),
            "as Active Directory writes lengths"
        );
        assert_eq!(agreed(b"\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"), Some(false));
        assert_eq!(agreed(b"\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00"), None, "of another question");
        for cut in 0..8 {
            assert_eq!(agreed(&good[..cut]), None, "{cut} bytes");
        }
        assert_eq!(START_TLS.len(), 2 + usize::from(START_TLS[1]));
    }
}
