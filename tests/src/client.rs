//! A small blocking HTTP/1.1 client over TLS, independent of the product's codec, that tells a cut answer from a complete one.

mod raw;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustls::client::Resumption;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use socket2::{Domain, Socket, Type};

const HEAD_BYTES_MAX: usize = 64 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// What asks for a WebSocket (RFC 6455 §4.1), with the key of §1.3.
const WEBSOCKET: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Why there is no complete answer.
#[derive(Debug)]
pub enum Broken {
    /// No byte of an answer came.
    NoAnswer(String),
    /// The head came, but its body ended early, visibly.
    Cut { received: u64 },
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::NoAnswer(why) => write!(f, "no answer: {why}"),
            Broken::Cut { received } => {
                write!(f, "the answer was cut after {received} bytes of body")
            }
        }
    }
}

impl std::error::Error for Broken {}

/// What one needs to know to reach a published application.
#[derive(Clone)]
pub struct Client {
    pub relay: SocketAddr,
    pub host: String,
    tls: Arc<ClientConfig>,
    timeout: Duration,
    from: Option<IpAddr>,
    token: Option<String>,
}

impl Client {
    /// A client that trusts the authorities in a PEM file, and connects to `relay` for whatever `host`.
    pub fn new(relay: SocketAddr, host: &str, authority: &Path) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(authority).map_err(|error| anyhow!("{}: {error:?}", authority.display()))?
        {
            roots.add(certificate.map_err(|error| anyhow!("{error:?}"))?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Client {
            relay,
            host: host.to_owned(),
            tls: Arc::new(tls),
            timeout: Duration::from_secs(20),
            from: None,
            token: None,
        })
    }

    /// The same for another host; TLS session tickets are not shared with it.
    pub fn for_host(&self, host: &str) -> Client {
        Client { host: host.to_owned(), ..self.clone() }
    }

    /// Reads and writes that take longer than this fail.
    pub fn timeout(mut self, timeout: Duration) -> Client {
        self.timeout = timeout;
        self
    }

    /// Connects from this address: all of 127.0.0.0/8 is this host's.
    pub fn bound_to(mut self, address: IpAddr) -> Client {
        self.from = Some(address);
        self
    }

    /// Shows this token with every request.
    pub fn bearing(&self, token: &str) -> Client {
        Client { token: Some(token.trim().to_owned()), ..self.clone() }
    }

    /// Shows this certificate, PEM with its chain, wherever one is asked for.
    pub fn showing(&self, certificate: &Path, key: &Path) -> Result<Client> {
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain = chain.map_err(|error| anyhow!("{}: {error:?}", certificate.display()))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| anyhow!("{}: {error:?}", key.display()))?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
        let mut tls = ClientConfig::clone(&self.tls);
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
        // What was made without it is not gone on with.
        tls.resumption = Resumption::in_memory_sessions(16);
        Ok(Client { tls: Arc::new(tls), ..self.clone() })
    }

    pub fn connect(&self) -> Result<Connection> {
        let name = self.host.split(':').next().unwrap_or_default().to_owned();
        self.connect_as(&name)
    }

    /// With another name in the handshake than the requests' host.
    pub fn connect_as(&self, sni: &str) -> Result<Connection> {
        let stream = self.handshake_as(sni, Arc::clone(&self.tls))?;
        Ok(Connection { stream, host: self.host.clone(), token: self.token.clone(), buffer: Vec::new() })
    }

    /// A connection for other protocols than HTTP/1.1.
    pub fn handshake(&self, alpn: &[&[u8]]) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        self.handshake_as(self.host.split(':').next().unwrap_or_default(), Arc::new(tls))
    }

    fn handshake_as(&self, sni: &str, tls: Arc<ClientConfig>) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let socket = self.socket().context("connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(self.timeout))?;
        socket.set_write_timeout(Some(self.timeout))?;
        let tls = ClientConnection::new(tls, ServerName::try_from(sni.to_owned())?)?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context("TLS handshake")?;
        }
        Ok(stream)
    }

    fn socket(&self) -> std::io::Result<TcpStream> {
        let Some(from) = self.from else { return TcpStream::connect_timeout(&self.relay, self.timeout) };
        let socket = Socket::new(Domain::for_address(self.relay), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&self.relay.into(), self.timeout)?;
        Ok(socket.into())
    }

    /// A WebSocket that is open, and the answer that opened it. `fields` are sent beside those that ask for it.
    pub fn websocket(&self, path: &str, fields: &[(&str, &str)]) -> Result<(Connection, Head)> {
        let mut connection = self.connect()?;
        connection.send_head("GET", path, &[&WEBSOCKET[..], fields].concat())?;
        let head = connection.head("GET")?;
        if head.status != 101 {
            bail!("a WebSocket was asked for, the answer is {}", head.status);
        }
        Ok((connection, head))
    }

    /// One GET on a connection of its own.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.connect()?.get(path)
    }
}

/// One TLS connection; requests follow each other on it.
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    host: String,
    token: Option<String>,
    buffer: Vec<u8>,
}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Informational answers that came before it.
    pub informational: Vec<u16>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The head of an answer, and how its body is delimited.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub informational: Vec<u16>,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[], &[])
    }

    /// One request with a body of known length, and its complete answer.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !body.is_empty() {
            headers.push(("Content-Length", &length));
        }
        self.send_head(method, path, &headers)?;
        self.send(body)?;
        self.answer(method)
    }

    /// The same bodyless request several times in one write.
    pub fn send_heads(&mut self, method: &str, path: &str, count: u64) -> Result<()> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        let count = usize::try_from(count)?;
        self.send(head.repeat(count).as_bytes())
    }

    pub fn send_head(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())
    }

    /// Bytes as they are, behind TLS.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush())
            .map_err(|error| Broken::NoAnswer(error.to_string()))?;
        Ok(())
    }

    pub fn send_chunk(&mut self, bytes: &[u8]) -> Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk)
    }

    pub fn answer(&mut self, method: &str) -> Result<Answer> {
        let head = self.head(method)?;
        let (mut body, mut received) = (Vec::new(), 0);
        let trailers = self.body(&head, |piece| {
            received += piece.len() as u64;
            body.extend_from_slice(piece);
            true
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body, trailers, informational: head.informational })
    }

    /// The head of the final answer.
    pub fn head(&mut self, method: &str) -> Result<Head> {
        let mut informational = Vec::new();
        loop {
            let text = self.head_text()?;
            let mut head = parse_head(&text, method)?;
            if head.status >= 200 || head.status == 101 {
                head.informational = informational;
                return Ok(head);
            }
            informational.push(head.status);
        }
    }

    /// The status of one informational answer.
    pub fn interim(&mut self) -> Result<u16> {
        let text = self.head_text()?;
        Ok(parse_head(&text, "GET")?.status)
    }

    fn head_text(&mut self) -> Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8(self.buffer.drain(..end + 4).collect())?;
                return Ok(text);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                bail!("an answer's head of more than {HEAD_BYTES_MAX} bytes");
            }
            match self.fill() {
                Ok(0) => bail!(Broken::NoAnswer("connection closed".into())),
                Ok(_) => {}
                Err(error) => bail!(Broken::NoAnswer(error.to_string())),
            }
        }
    }

    /// Hands over the body piece by piece until it ends or `take` returns false; returns its trailers.
    pub fn body(&mut self, head: &Head, mut take: impl FnMut(&[u8]) -> bool) -> Result<Vec<(String, String)>> {
        let mut received = 0;
        match head.framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => {
                self.counted(length, &mut received, &mut take)?;
                Ok(Vec::new())
            }
            Framing::Chunked => self.chunked(&mut received, &mut take),
            Framing::UntilClose => self.until_close(&mut received, &mut take),
        }
    }

    fn counted(&mut self, length: u64, received: &mut u64, take: &mut impl FnMut(&[u8]) -> bool) -> Result<bool> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && !matches!(self.fill(), Ok(1..)) {
                bail!(Broken::Cut { received: *received });
            }
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            *received += piece as u64;
            left -= piece as u64;
            let go_on = take(&self.buffer[..piece]);
            self.buffer.drain(..piece);
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn chunked(&mut self, received: &mut u64, take: &mut impl FnMut(&[u8]) -> bool) -> Result<Vec<(String, String)>> {
        loop {
            let line = self.line(*received)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).with_context(|| format!("chunk size {line:?}"))?;
            if length == 0 {
                break;
            }
            if !self.counted(length, received, take)? {
                return Ok(Vec::new());
            }
            if !self.line(*received)?.is_empty() {
                bail!("a chunk longer than its size");
            }
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line(*received)?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(trailers);
            };
            trailers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }

    fn until_close(
        &mut self,
        received: &mut u64,
        take: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<(String, String)>> {
        loop {
            if !self.buffer.is_empty() {
                *received += self.buffer.len() as u64;
                if !take(&self.buffer) {
                    return Ok(Vec::new());
                }
                self.buffer.clear();
            }
            match self.fill() {
                Ok(0) => return Ok(Vec::new()),
                Ok(_) => {}
                // Without close_notify it is cut, not complete.
                Err(_) => bail!(Broken::Cut { received: *received }),
            }
        }
    }

    fn line(&mut self, received: u64) -> Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8(self.buffer[..end].to_vec())?;
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                bail!("a line of more than {HEAD_BYTES_MAX} bytes");
            }
            if !matches!(self.fill(), Ok(1..)) {
                bail!(Broken::Cut { received });
            }
        }
    }

    /// More bytes into the buffer; 0 after a clean end.
    fn fill(&mut self) -> std::io::Result<usize> {
        let mut piece = [0; READ_BYTES];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }
}

fn parse_head(text: &str, method: &str) -> Result<Head> {
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .with_context(|| format!("no status line: {first:?}"))?;
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').with_context(|| format!("no header: {line:?}"))?;
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let framing = framing(status, method, &headers)?;
    Ok(Head { status, headers, informational: Vec::new(), framing })
}

fn framing(status: u16, method: &str, headers: &[(String, String)]) -> Result<Framing> {
    if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        return Ok(Framing::None);
    }
    let values = |wanted: &str| -> Vec<&str> {
        headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    match (values("transfer-encoding").as_slice(), values("content-length").as_slice()) {
        (["chunked"], []) => Ok(Framing::Chunked),
        ([], [length]) => Ok(Framing::Length(length.parse()?)),
        ([], []) => Ok(Framing::UntilClose),
        (encodings, lengths) => bail!("contradictory framing: {encodings:?} {lengths:?}"),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
