//! Looks at servers for an operator: a connection within a time, TLS that notes who answers instead of trusting them, and one GET of
//! which the head is read. Nothing is sent that a stranger may not see, and what they say is shown, never obeyed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use postern_model::check::printable;
use postern_model::handshake::{HandshakeVerifier, Judge};
pub(crate) use postern_service::timed::Timed;
use postern_service::timed::is_slow;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CertificateError, ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Bytes both ways, on whichever thread.
pub(crate) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A connection in TLS, and who answered.
pub(crate) struct Secured {
    pub(crate) stream: StreamOwned<ClientConnection, Box<dyn Wire>>,
    /// Leaf first, as it was sent; nobody has verified it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The issuer's common name, or its whole name where it has none; printable.
    pub(crate) issuer: String,
    pub(crate) self_signed: bool,
    pub(crate) not_before_unix: i64,
    pub(crate) not_after_unix: i64,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

/// The first addresses of a host, each once.
pub(crate) fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

/// As [`addresses`], within a time: a look-up that hangs is left behind on its thread.
pub(crate) fn addresses_within(host: &str, port: u16, patience: Duration) -> Result<Vec<SocketAddr>, String> {
    let (done, ended) = mpsc::channel();
    let name = host.to_owned();
    let started = thread::Builder::new().name("name".into()).spawn(move || drop(done.send(addresses(&name, port))));
    started.map_err(|error| error.to_string())?;
    match ended.recv_timeout(patience) {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

/// Connects to the first that answers; the error names all that did not.
pub(crate) fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<(SocketAddr, Timed), String> {
    let until = Instant::now() + patience;
    let each = patience / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut failed = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(address, each) {
            Ok(stream) => {
                // What is measured is the other side: a request in two writes would wait 40 ms for an acknowledgement that is held back.
                let _ = stream.set_nodelay(true);
                return Ok((*address, Timed::new(stream, until)));
            }
            Err(error) => failed.push(format!("{address} ({error})")),
        }
    }
    Err(format!("no connection to {}", failed.join(", ")))
}

/// Begins TLS with whoever answers.
pub(crate) fn secure(
    stream: impl Wire + 'static,
    name: &ServerName<'static>,
    alpn: &[&[u8]],
) -> Result<Secured, String> {
    let mut stream: Box<dyn Wire> = Box::new(stream);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let noting = Arc::new(HandshakeVerifier { judge: Noting::default(), provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> = Arc::<HandshakeVerifier<Noting>>::clone(&noting);
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    let connection = ClientConnection::new(Arc::new(config), name.clone());
    let mut connection = connection.map_err(|error| error.to_string())?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| in_words(&error))?;
    }
    let chain = std::mem::take(&mut *noting.judge.shown.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Secured { stream: StreamOwned::new(connection, stream), chain })
}

/// Why a chain is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// None of the authorities issued it.
    UnknownIssuer,
    /// Another name, its time is over, …: in words.
    Other(String),
}

/// Whether this chain is good for `name` with these authorities, now.
pub(crate) fn verify(
    chain: &[CertificateDer<'static>],
    name: &ServerName<'static>,
    roots: RootCertStore,
) -> Result<(), Distrust> {
    let other = |error: &dyn std::fmt::Display| Distrust::Other(printable(&error.to_string(), WORDS_CHARS_MAX));
    let Some((leaf, intermediates)) = chain.split_first() else { return Err(other(&"it shows no certificate")) };
    if roots.is_empty() {
        return Err(Distrust::UnknownIssuer);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| other(&error))?;
    match verifier.verify_server_cert(leaf, intermediates, name, &[], UnixTime::now()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Err(Distrust::UnknownIssuer),
        Err(error) => Err(other(&error)),
    }
}

/// The authorities that this host trusts; none where it knows none.
pub(crate) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Asks for `target` and reads the head of the answer; the connection is of no use afterwards.
pub(crate) fn get(
    stream: &mut (impl Read + Write),
    authority: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<Head, String> {
    let mut request = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {SOFTWARE}\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| in_words(&error))?;
    stream.flush().map_err(|error| in_words(&error))?;
    head(stream)
}

/// The head of an answer of HTTP/1.x, and nothing behind it; interim ones before it (100, 103) are no answer.
pub(crate) fn head(stream: &mut impl Read) -> Result<Head, String> {
    for _ in 0..=INTERIM_MAX {
        let head = next_head(stream)?;
        if head.status == 101 || !(100..200).contains(&head.status) {
            return Ok(head);
        }
    }
    Err("there are interim answers only".into())
}

fn next_head(stream: &mut impl Read) -> Result<Head, String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        if text.len() == HEAD_BYTES_MAX {
            return Err("the answer's head has no end".into());
        }
        match stream.read(&mut byte) {
            Ok(0) => return Err("the connection ended before the answer".into()),
            Ok(_) => text.push(byte[0]),
            Err(error) => return Err(in_words(&error)),
        }
    }
    Head::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| "the answer is not HTTP".into())
}

fn in_words(error: &io::Error) -> String {
    if is_slow(error) {
        return "no answer in time".into();
    }
    // An alert's words are a stranger's.
    printable(&error.to_string(), WORDS_CHARS_MAX)
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let (version, rest) = lines.next()?.split_once(' ')?;
        let status = rest.get(..3)?.parse().ok().filter(|_| version.starts_with("HTTP/1."))?;
        let field =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Some(Self { status, fields: lines.filter_map(field).collect() })
    }

    /// The first field of this name, which is in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Secured {
    pub(crate) fn leaf(&self) -> Option<Leaf> {
        self.chain.first().and_then(Leaf::read)
    }

    /// Whether TLS 1.3 is spoken.
    pub(crate) fn is_tls13(&self) -> bool {
        self.stream.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// The protocol that was agreed on.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.stream.conn.alpn_protocol()
    }
}

impl Leaf {
    /// Nothing, where it cannot be read.
    pub(crate) fn read(leaf: &CertificateDer<'static>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
        let issuer = parsed.issuer();
        let common_name = issuer.iter_common_name().next().and_then(|name| name.as_str().ok());
        let name = common_name.map_or_else(|| issuer.to_string(), str::to_owned);
        Some(Self {
            issuer: printable(&name, ISSUER_CHARS_MAX),
            self_signed: issuer == parsed.subject(),
            not_before_unix: parsed.validity().not_before.timestamp(),
            not_after_unix: parsed.validity().not_after.timestamp(),
        })
    }
}

/// Takes every certificate and notes it.
#[derive(Debug, Default)]
struct Noting {
    shown: Mutex<Vec<CertificateDer<'static>>>,
}

impl Judge for Noting {
    fn judge(
        &self,
        _provider: &Arc<CryptoProvider>,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let chain = std::iter::once(leaf).chain(intermediates).map(|one| one.clone().into_owned());
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        Ok(())
    }
}

/// The name that TLS asks for.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    match host.parse::<IpAddr>() {
        Ok(address) => Some(ServerName::from(address)),
        Err(_) => ServerName::try_from(host.to_owned()).ok(),
    }
}

const SOFTWARE: &str = concat!("postern/", env!("CARGO_PKG_VERSION"), " (check)");
/// Of one name.
const ADDRESSES_MAX: usize = 4;
/// As much as relays write at most, and room for what applications add.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Answers before the answer: one or two are usual.
const INTERIM_MAX: usize = 8;
const ISSUER_CHARS_MAX: usize = 100;
const WORDS_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_to_its_end_and_no_further() {
        let mut wire = &b"HTTP/1.1 302 Found\r\nLocation:  https://login.test/\r\n\r\nbody"[..];
        let head = head(&mut wire).unwrap();
        assert_eq!((head.status, head.field("location")), (302, Some("https://login.test/")));
        assert_eq!(wire, b"body");
        assert!(super::head(&mut &b"SSH-2.0-x\r\n\r\n"[..]).unwrap_err().contains("not HTTP"));
        assert!(super::head(&mut &b"HTTP/1.1 200"[..]).unwrap_err().contains("ended"));
        assert!(super::head(&mut io::repeat(b'x')).unwrap_err().contains("no end"));
    }

    #[test]
    fn interim_answers_are_no_answer() {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
        let answered = format!("{hints}HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n\r\n");
        assert_eq!(head(&mut answered.as_bytes()).unwrap().status, 502);
        assert_eq!(head(&mut &b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..]).unwrap().status, 101);
        assert!(head(&mut hints.repeat(100).as_bytes()).unwrap_err().contains("interim"));
    }

    #[test]
    fn a_certificate_says_who_issued_it() {
        let mut params = rcgen::CertificateParams::new(vec!["relay.test".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Corp\x1b Inspection");
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let leaf = Leaf::read(made.der()).unwrap();
        assert_eq!((leaf.issuer.as_str(), leaf.self_signed), ("Corp\u{fffd} Inspection", true));
        assert!(leaf.not_before_unix < leaf.not_after_unix);
        let name = server_name("relay.test").unwrap();
        let chain = [made.der().clone()];
        assert_eq!(verify(&chain, &name, RootCertStore::empty()), Err(Distrust::UnknownIssuer));
        assert!(matches!(verify(&[], &name, RootCertStore::empty()), Err(Distrust::Other(_))));
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = connect(&[closed], Duration::from_secs(2)).unwrap_err();
        assert!(error.contains(&closed.to_string()) && error.contains("refused"), "{error}");
    }
}
