//! One request to the provider at a time: bounded in size and time, over TLS, and no redirect is followed, so that whoever
//! answers sends us nowhere else.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};
use zeroize::Zeroizing;

use crate::failure::{Cause, SignInFailure, shown};
use crate::limits::HEAD_BYTES_MAX;
use crate::settings::SettingsInvalid;

/// Fetches from one provider.
pub(crate) struct Fetcher {
    tls: TlsConnector,
    timeout: Duration,
}

/// An answer.
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// How a request says who asks.
pub(crate) enum Credentials<'a> {
    None,
    Basic { user: &'a str, password: &'a str },
    Bearer(&'a str),
}

impl Fetcher {
    pub(crate) fn new(ca: Option<&str>, timeout: Duration) -> Result<Self, SettingsInvalid> {
        let roots = match ca {
            Some(pem) => own_roots(pem)?,
            None => system_roots()?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SettingsInvalid::Ca(error.to_string()))?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), timeout })
    }

    /// GET, of at most `bytes_max`.
    pub(crate) async fn get(
        &self,
        url: &Url,
        credentials: Credentials<'_>,
        bytes_max: usize,
    ) -> Result<Fetched, SignInFailure> {
        self.fetch(url, request(Method::GET, url, &credentials, "")?, bytes_max).await
    }

    /// POST of a form, whose answer has at most `bytes_max`.
    pub(crate) async fn post(
        &self,
        url: &Url,
        credentials: Credentials<'_>,
        form: &str,
        bytes_max: usize,
    ) -> Result<Fetched, SignInFailure> {
        self.fetch(url, request(Method::POST, url, &credentials, form)?, bytes_max).await
    }

    async fn fetch(&self, url: &Url, request: Request<Full<Bytes>>, max: usize) -> Result<Fetched, SignInFailure> {
        match tokio::time::timeout(self.timeout, self.connect_and_fetch(url, request, max)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let limit = self.timeout.as_millis();
                Err(Cause::ProviderSlow.because(format!("{}: no whole answer in {limit} ms", place(url))))
            }
        }
    }

    async fn connect_and_fetch(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        max: usize,
    ) -> Result<Fetched, SignInFailure> {
        let unreachable =
            |error: std::io::Error| Cause::ProviderUnreachable.because(format!("{}: {error}", place(url)));
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Cause::ProviderMisconfigured.because(format!("{}: it names no host", place(url))));
        };
        let tcp = match &host {
            Host::Domain(name) => TcpStream::connect((*name, port)).await,
            Host::Ipv4(ip) => TcpStream::connect((*ip, port)).await,
            Host::Ipv6(ip) => TcpStream::connect((*ip, port)).await,
        };
        let tcp = tcp.map_err(unreachable)?;
        if url.scheme() == "http" {
            return exchange(url, tcp, request, max).await;
        }
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.to_owned())
                .map_err(|error| Cause::ProviderMisconfigured.because(format!("{}: {error}", place(url))))?,
            Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::V4(ip)),
            Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::V6(ip)),
        };
        let tls = self.tls.connect(name, tcp).await.map_err(unreachable)?;
        exchange(url, tls, request, max).await
    }
}

async fn exchange<S>(url: &Url, stream: S, request: Request<Full<Bytes>>, max: usize) -> Result<Fetched, SignInFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| Cause::ProviderUnreachable.because(format!("{}: {error}", place(url)));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let _driver = Driver(tokio::spawn(async move {
        // What goes wrong on it, the request sees as well.
        let _ = connection.await;
    }));
    let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    let body = match Limited::new(body, max).collect().await {
        Ok(collected) => Zeroizing::new(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            let what = format!("{}: the answer is larger than {max} bytes", place(url));
            return Err(Cause::ProviderAnswerInvalid.because(what));
        }
        Err(error) => return Err(Cause::ProviderUnreachable.because(format!("{}: {error}", place(url)))),
    };
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Fetched { status: head.status, content_type: content_type.to_owned(), body })
}

/// Ends the connection's task with the request, also one that was given up.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(
    method: Method,
    url: &Url,
    credentials: &Credentials<'_>,
    form: &str,
) -> Result<Request<Full<Bytes>>, SignInFailure> {
    let mut builder = Request::builder()
        .method(&method)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, "postern")
        .header(ACCEPT, "application/json");
    let authorization = match credentials {
        Credentials::None => None,
        Credentials::Basic { user, password } => Some(basic(user, password)),
        Credentials::Bearer(token) => Some(Zeroizing::new(format!("Bearer {token}"))),
    };
    if let Some(text) = authorization {
        let invalid = |_| Cause::ProviderAnswerInvalid.because("its access token does not fit a header");
        let mut value = HeaderValue::from_str(&text).map_err(invalid)?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    if method == Method::POST {
        builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let body = Full::new(Bytes::copy_from_slice(form.as_bytes()));
    builder.body(body).map_err(|error| Cause::ProviderMisconfigured.because(format!("{}: {error}", place(url))))
}

/// RFC 6749 §2.3.1: both are form-encoded first, so that a colon in the id stays part of it.
fn basic(user: &str, password: &str) -> Zeroizing<String> {
    let encode = |text: &str| -> Zeroizing<String> {
        Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
    };
    let pair = Zeroizing::new(format!("{}:{}", *encode(user), *encode(password)));
    Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes()))))
}

impl Fetched {
    /// The body as a JSON object, if the answer is a good one.
    pub(crate) fn json(&self, url: &Url) -> Result<serde_json::Map<String, serde_json::Value>, SignInFailure> {
        if !self.status.is_success() {
            let cause =
                if self.status.is_server_error() { Cause::ProviderFailed } else { Cause::ProviderMisconfigured };
            return Err(cause.because(format!("{} answers {}", place(url), self.status)));
        }
        self.object(url)
    }

    /// The body as a JSON object, whatever the status.
    pub(crate) fn object(&self, url: &Url) -> Result<serde_json::Map<String, serde_json::Value>, SignInFailure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // Line and column, without a word of the body: tokens stand in it.
            let what = format!("{}: no JSON object at line {}, column {}", place(url), error.line(), error.column());
            Cause::ProviderAnswerInvalid.because(what)
        })
    }
}

/// An address without its query, for the log.
pub(crate) fn place(url: &Url) -> String {
    shown(&url[..Position::AfterPath])
}

fn own_roots(pem: &str) -> Result<RootCertStore, SettingsInvalid> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| SettingsInvalid::Ca(error.to_string()))?;
        roots.add(certificate).map_err(|error| SettingsInvalid::Ca(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(SettingsInvalid::Ca("it holds no certificate".into()));
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, SettingsInvalid> {
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if good == 0 { Err(SettingsInvalid::NoRoots) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_in_the_client_id_stays_in_it() {
        let header = basic("a:b", "c d/é");
        let decoded = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(decoded, b"a%3Ab:c+d%2F%C3%A9");
    }

    #[test]
    fn credentials_are_marked_as_such() {
        let url = Url::parse("https://a.example/b?c=d").unwrap();
        let made = request(Method::GET, &url, &Credentials::Bearer("hunter2"), "").unwrap();
        assert!(!format!("{made:?}").contains("hunter2"));
        assert_eq!(
            (made.uri().to_string().as_str(), &made.headers()[HOST]),
            ("/b?c=d", &HeaderValue::from_static("a.example"))
        );
        assert!(request(Method::GET, &url, &Credentials::Bearer("a\r\nb"), "").is_err());
    }

    #[test]
    fn a_ca_that_is_none_is_refused() {
        assert!(matches!(own_roots(""), Err(SettingsInvalid::Ca(_))));
        assert!(matches!(
            own_roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            Err(SettingsInvalid::Ca(_))
        ));
    }
}
