//! One HTTPS request at a time, to applications and the place to sign in: bounded in size and time, and no redirect is followed,
//! so that nobody sends a token elsewhere.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret::read_public_text;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};
use zeroize::Zeroizing;

use crate::look;

/// Asks servers.
pub(crate) struct Https {
    tls: TlsConnector,
    connect_to: Option<SocketAddr>,
    runtime: tokio::runtime::Runtime,
}

/// What one answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The first `WWW-Authenticate`.
    pub(crate) challenge: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

impl Https {
    /// Trusts the system's authorities, or those in a PEM file; connects to one address instead of what names say, if it is given.
    pub(crate) fn new(ca: Option<&Path>, connect_to: Option<SocketAddr>) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = builder.with_root_certificates(roots(ca)?).with_no_client_auth();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), connect_to, runtime })
    }

    pub(crate) fn get(&self, url: &Url) -> Result<Answer, Failure> {
        self.ask(Method::GET, url, "", None)
    }

    /// Sends a form.
    pub(crate) fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.ask(Method::POST, url, &written(form), None)
    }

    /// Sends a form, with a token.
    pub(crate) fn post_bearing(&self, token: &SecretText, url: &Url, form: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.ask(Method::POST, url, &written(form), Some(token))
    }

    fn ask(&self, method: Method, url: &Url, form: &str, token: Option<&SecretText>) -> Result<Answer, Failure> {
        let place = &url[..Position::AfterPath];
        let failed = |why: String| Failure::new(format!("{place}: {why}"));
        let request = request(method, url, form, token).map_err(|error| failed(error.to_string()))?;
        let asked = async { tokio::time::timeout(TIMEOUT, self.exchange(request, url)).await };
        match self.runtime.block_on(asked) {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(failed(format!("no whole answer in {} seconds", TIMEOUT.as_secs()))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, url: &Url) -> Result<Answer, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        if url.scheme() != "https" {
            return Err("it is no https:// address".into());
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err("it names no host".into());
        };
        let name = match &host {
            Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(|error| text(&error))?,
            Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::V4(*ip)),
            Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::V6(*ip)),
        };
        let tcp = match (self.connect_to, host) {
            (Some(address), _) => TcpStream::connect(address).await,
            (None, Host::Domain(name)) => TcpStream::connect((name, port)).await,
            (None, Host::Ipv4(ip)) => TcpStream::connect((ip, port)).await,
            (None, Host::Ipv6(ip)) => TcpStream::connect((ip, port)).await,
        };
        let tls = self.tls.connect(name, tcp.map_err(|error| text(&error))?).await.map_err(|error| text(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(|error| text(&error))?;
        // What goes wrong on it, the request sees as well; it ends with the runtime at the latest.
        tokio::spawn(async move { drop(connection.await) });
        let (head, body) = sender.send_request(request).await.map_err(|error| text(&error))?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| text(&error))?;
        let challenge = head.headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let body = Zeroizing::new(body.to_bytes().to_vec());
        Ok(Answer { status: head.status, challenge: challenge.map(str::to_owned), body })
    }
}

impl Answer {
    /// The body, if it is JSON of this shape.
    pub(crate) fn json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // Line and column, without a word of the body: tokens stand in it.
            let (line, column) = (error.line(), error.column());
            let place = &url[..Position::AfterPath];
            Failure::new(format!("{place} answers {} with something else at line {line}:{column}", self.status))
        })
    }
}

fn written(form: &[(&str, &str)]) -> Zeroizing<String> {
    Zeroizing::new(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish())
}

fn request(
    method: Method,
    url: &Url,
    form: &str,
    token: Option<&SecretText>,
) -> hyper::http::Result<Request<Full<Bytes>>> {
    let mut builder = Request::builder()
        .method(&method)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, concat!("postern/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json");
    if method == Method::POST {
        builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    builder.body(Full::new(Bytes::copy_from_slice(form.as_bytes())))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Failure> {
    let Some(file) = ca else {
        let roots = look::system_roots();
        let none = || Failure::new("this system has no certificate authorities").cure("name some with --ca FILE");
        return if roots.is_empty() { Err(none()) } else { Ok(roots) };
    };
    let text = read_public_text(file)?;
    let invalid = |why: String| Failure::new(format!("--ca {}: {why}", file.display())).code("file-unreadable");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() { Err(invalid("it holds no certificate".into())) } else { Ok(roots) }
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// Metadata and tokens have some kilobytes; a refusal's body may be a page.
const ANSWER_BYTES_MAX: usize = 256 << 10;
