//! Requests to an authority of certificates: over TLS, one connection each, bounded in size and time. No redirect is followed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

/// Speaks to one authority.
pub(super) struct Https {
    tls: TlsConnector,
}

impl Https {
    /// `ca_pem`: what its own certificate is verified with; without it what control's host knows.
    pub(super) fn new(ca_pem: Option<&str>) -> Result<Self, String> {
        let roots = match ca_pem {
            Some(pem) => own_roots(pem)?,
            None => system_roots()?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let tls = self.tls.clone();
        Box::pin(async move {
            match tokio::time::timeout(ANSWER_TIME_MAX, exchange(tls, request)).await {
                Ok(answer) => answer.map_err(|reason| Error::Other(reason.into())),
                Err(_) => {
                    let reason = format!("the authority does not answer within {} s", ANSWER_TIME_MAX.as_secs());
                    Err(Error::Other(reason.into()))
                }
            }
        })
    }
}

async fn exchange(tls: TlsConnector, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, String> {
    let url = Url::parse(&request.uri().to_string()).map_err(|error| format!("{}: {error}", request.uri()))?;
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(format!("{url} names no host"));
    };
    if url.scheme() != "https" {
        return Err(format!("{url} is not https://"));
    }
    let unreachable = |error: std::io::Error| format!("{} is not reached: {error}", &url[..Position::AfterPort]);
    let tcp = match &host {
        Host::Domain(name) => TcpStream::connect((*name, port)).await,
        Host::Ipv4(ip) => TcpStream::connect((*ip, port)).await,
        Host::Ipv6(ip) => TcpStream::connect((*ip, port)).await,
    };
    let tcp = tcp.map_err(unreachable)?;
    let name = match host {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|error| format!("{url}: {error}"))?,
        Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::V4(ip)),
        Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::V6(ip)),
    };
    let stream = tls.connect(name, tcp).await.map_err(unreachable)?;
    let broken = |error: hyper::Error| format!("{}: {error}", &url[..Position::AfterPath]);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let _driver = Driver(tokio::spawn(async move {
        // What goes wrong on it, the request sees as well.
        let _ = connection.await;
    }));
    let answer = sender.send_request(in_origin_form(&url, request)?).await.map_err(broken)?;
    let (mut head, body) = answer.into_parts();
    clamp_retry_after(&mut head.headers);
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| format!("{url}: {error}"))?;
    Ok(BytesResponse::from(Response::from_parts(head, Full::new(body.to_bytes()))))
}

/// As a server wants it (RFC 9112 §3.2.1).
fn in_origin_form(url: &Url, request: Request<BodyWrapper<Bytes>>) -> Result<Request<BodyWrapper<Bytes>>, String> {
    let (mut head, body) = request.into_parts();
    let unfit = |what: String| format!("{url}: {what}");
    let place = url[Position::BeforePath..Position::AfterQuery].parse::<Uri>();
    head.uri = place.map_err(|error| unfit(error.to_string()))?;
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
    head.headers.insert(HOST, host.map_err(|error| unfit(error.to_string()))?);
    Ok(Request::from_parts(head, body))
}

/// Whoever reads the answer adds these seconds to a time, and an authority may name more than any time has room for.
fn clamp_retry_after(headers: &mut HeaderMap) {
    let named = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    if named.and_then(|text| text.parse::<u64>().ok()).is_some_and(|seconds| seconds > RETRY_AFTER_S_MAX) {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S_MAX));
    }
}

/// Ends the connection's task with the request, also one that was given up.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn own_roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the CA file is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the CA file: {error}"))?;
    }
    if roots.is_empty() { Err("the CA file holds no certificate".into()) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if good == 0 {
        return Err("this host knows no authorities: install ca-certificates, or give --ca".into());
    }
    Ok(roots)
}

const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// A day: what an authority wants later than that is asked for again by then.
const RETRY_AFTER_S_MAX: u64 = 86_400;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// A chain of certificates has some kilobytes.
const BODY_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_in_origin_form() {
        let url = Url::parse("https://ca.example:14000/dir?x=1").unwrap();
        let request = Request::get(url.as_str()).body(BodyWrapper::default()).unwrap();
        let made = in_origin_form(&url, request).unwrap();
        assert_eq!(
            (made.uri().to_string().as_str(), made.headers()[HOST].to_str().unwrap()),
            ("/dir?x=1", "ca.example:14000")
        );
    }

    #[test]
    fn an_authority_that_cannot_be_verified_is_refused() {
        for (pem, message) in [
            ("", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "CA file"),
        ] {
            let error = Https::new(Some(pem)).err().unwrap();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn an_authority_puts_nothing_off_for_ever() {
        let clamped = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            clamp_retry_after(&mut headers);
            headers[RETRY_AFTER].to_str().unwrap().to_owned()
        };
        for far in ["86401", " 18446744073709551615 ", "+9223372036854775807"] {
            assert_eq!(clamped(far), "86400", "{far}");
        }
        // One that is no number of seconds is read as a date, or not at all.
        for kept in ["0", "86400", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999", "soon"] {
            assert_eq!(clamped(kept), kept);
        }
        let mut none = HeaderMap::new();
        clamp_retry_after(&mut none);
        assert!(none.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_asked_without_tls() {
        let tls = Https::new(Some(&crate::acme::tests::ca_pem())).unwrap().tls;
        let request = Request::get("http://127.0.0.1:1/dir").body(BodyWrapper::default()).unwrap();
        let error = exchange(tls, request).await.err().unwrap();
        assert!(error.contains("is not https://"), "{error}");
    }
}
