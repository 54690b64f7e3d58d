//! One request to an application: name, connection, TLS, HTTP, each within its time. Certificates are looked at and not believed:
//! nothing that is sent is secret.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use postern_model::handshake::{Anybody, HandshakeVerifier};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::super::columns::Column;
use super::{Seen, certificate};
use crate::look;

/// Opens connections.
pub(super) struct Dialler {
    tls: TlsConnector,
    /// What this host trusts, if it trusts anybody.
    trust: Option<Arc<WebPkiServerVerifier>>,
}

/// What an application said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The beginning of its content.
    pub(super) page: Vec<u8>,
}

impl Dialler {
    pub(super) fn new() -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let anybody = Arc::new(HandshakeVerifier { judge: Anybody, provider: Arc::clone(&provider) });
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let config = builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth();
        let roots = look::system_roots();
        let trust = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), trust })
    }

    /// The answer to GET, and what is seen on the way to it; `tells` of name, connection and certificate.
    pub(super) async fn get(&self, url: &Url, tells: bool, seen: &mut Seen) -> Option<Answer> {
        let mut unheard = Seen::default();
        let told = if tells { &mut *seen } else { &mut unheard };
        let addresses = resolved(url, told).await;
        let tcp = connected(&addresses, told).await;
        // What fails on a later request is told in any case.
        if tcp.is_none() {
            seen.missed.append(&mut unheard.missed);
        }
        let tcp = tcp?;
        let asked = if url.scheme() == "https" {
            let tls = self.secured(url, tcp, tells, seen).await?;
            timeout(ANSWER_TIMEOUT, exchange(url, tls)).await
        } else {
            timeout(ANSWER_TIMEOUT, exchange(url, tcp)).await
        };
        let answer = asked.unwrap_or_else(|_| Err(format!("no whole answer in {} s", ANSWER_TIMEOUT.as_secs())));
        answer.map_err(|why| seen.missed(format!("http: {}: {why}", shown(url)))).ok()
    }

    async fn secured(
        &self,
        url: &Url,
        tcp: TcpStream,
        tells: bool,
        seen: &mut Seen,
    ) -> Option<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = server_name(url)?;
        let stream = match timeout(CONNECT_TIMEOUT, self.tls.connect(name.clone(), tcp)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                seen.missed(format!("tls: {error}"));
                return None;
            }
            Err(_) => {
                seen.missed(format!("tls: no handshake in {} s", CONNECT_TIMEOUT.as_secs()));
                return None;
            }
        };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        if tells && let Some((leaf, intermediates)) = chain.split_first() {
            let verdict = self.trust.as_ref().map(|trust| {
                let verified = trust.verify_server_cert(leaf, intermediates, &name, &[], UnixTime::now());
                verified.map(drop).map_err(|error| error.to_string())
            });
            certificate::tell(url, leaf, verdict, seen);
        }
        Some(stream)
    }
}

/// The addresses of its host, and whether there are several.
async fn resolved(url: &Url, seen: &mut Seen) -> Vec<SocketAddr> {
    let port = url.port_or_known_default().unwrap_or_default();
    let name = match url.host() {
        Some(Host::Domain(name)) => name,
        Some(Host::Ipv4(ip)) => return vec![SocketAddr::from((ip, port))],
        Some(Host::Ipv6(ip)) => return vec![SocketAddr::from((ip, port))],
        None => return Vec::new(),
    };
    let addresses: Vec<SocketAddr> = match timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect(),
        Ok(Err(error)) => {
            seen.missed(format!("dns: {name}: {error}"));
            return Vec::new();
        }
        Err(_) => {
            seen.missed(format!("dns: {name}: no answer in {} s", CONNECT_TIMEOUT.as_secs()));
            return Vec::new();
        }
    };
    let ips: Vec<String> = addresses.iter().map(|address| bracketed(address.ip())).collect();
    seen.found(format!("dns: {name} is {}", ips.join(" ")));
    // One of each kind is one server.
    let of_one_kind = |ipv4: bool| addresses.iter().filter(|address| address.is_ipv4() == ipv4).count();
    if of_one_kind(true) > 1 || of_one_kind(false) > 1 {
        seen.fills(Column::Farm, &ips.join(" "));
        seen.fills(Column::Balancing, &format!("DNS: {} addresses", ips.len()));
    }
    addresses
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The first address that takes a connection.
async fn connected(addresses: &[SocketAddr], seen: &mut Seen) -> Option<TcpStream> {
    let mut last = None;
    for address in addresses.iter().take(TRIED_MAX) {
        let started = Instant::now();
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                seen.found(format!("connected to {address} in {} ms", started.elapsed().as_millis()));
                return Some(stream);
            }
            Ok(Err(error)) => last = Some(format!("connect: {address}: {error}")),
            Err(_) => last = Some(format!("connect: {address}: no answer in {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }
    if let Some(why) = last {
        seen.missed(why);
    }
    None
}

fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok(),
        Host::Ipv4(ip) => Some(ServerName::from(IpAddr::V4(ip))),
        Host::Ipv6(ip) => Some(ServerName::from(IpAddr::V6(ip))),
    }
}

async fn exchange<S>(url: &Url, stream: S) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ends = tokio::time::Instant::now() + ANSWER_TIMEOUT - MARGIN;
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, concat!("postern/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "text/html, */*;q=0.5")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // What goes wrong on it, the request sees as well; it ends with the sender, or with the runtime.
    tokio::spawn(async move { drop(connection.await) });
    let (head, body) = sender.send_request(request).await.map_err(|error| error.to_string())?.into_parts();
    let page = beginning(body, ends.min(tokio::time::Instant::now() + PAGE_TIMEOUT)).await;
    Ok(Answer { status: head.status, headers: head.headers, page })
}

/// As much as is looked at; what breaks off was enough, and so was what has no end: a stream of events, a poll.
async fn beginning(mut body: Incoming, until: tokio::time::Instant) -> Vec<u8> {
    let mut page = Vec::new();
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        let Ok(data) = frame.into_data() else { continue };
        let room = PAGE_BYTES_MAX - page.len();
        page.extend_from_slice(&data[..data.len().min(room)]);
        if page.len() == PAGE_BYTES_MAX {
            break;
        }
    }
    page
}

/// As it may be shown: queries, parameters of a path and names of users may be secrets.
pub(super) fn shown(url: &Url) -> String {
    let path = url.path().split(';').next().unwrap_or_default();
    format!("{}{path}", url.origin().ascii_serialization())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// Of that, for the page behind the head.
const PAGE_TIMEOUT: Duration = Duration::from_secs(3);
/// A page that has no end is given up before the answer is.
const MARGIN: Duration = Duration::from_millis(500);
/// Of a name.
const ADDRESSES_MAX: usize = 16;
/// Addresses that a connection is tried to.
const TRIED_MAX: usize = 3;
/// Of a page: forms and scripts stand at its beginning.
const PAGE_BYTES_MAX: usize = 256 << 10;
