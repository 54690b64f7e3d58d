//! What is asked of control: HTTP/1.1 with JSON in TLS that ends in control, within TLS that ends in a relay. A few connections
//! are kept; each carries one request at a time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use postern_connector::args::RelayAddress;
use postern_connector::embed::Credentials;
use postern_model::identity::{MESSAGE_BYTES_MAX, RELAY_NAME};
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::external::Providers;
use crate::kerberos::Acceptor;

/// The way to control.
pub(crate) struct Control {
    credentials: Credentials,
    idle: RefCell<Vec<SendRequest<Full<Bytes>>>>,
    /// Which relay to begin with: the one that worked last.
    first: Cell<usize>,
    places: Semaphore,
    /// What is known of external providers, for all sign-ins.
    pub(crate) providers: Providers,
    /// What verifies Kerberos tickets, where this process has a key for that.
    pub(crate) acceptor: Option<Acceptor>,
}

/// Control did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("no relay leads to control: {0}")]
    Unreachable(String),
    #[error("control answered {0}")]
    Refused(StatusCode),
    #[error("control's answer is not understood: {0}")]
    Malformed(String),
}

impl Control {
    pub(crate) fn new(credentials: Credentials, acceptor: Option<Acceptor>) -> Self {
        let places = Semaphore::new(CONNECTIONS_MAX);
        Self {
            credentials,
            idle: RefCell::default(),
            first: Cell::new(0),
            places,
            providers: Providers::default(),
            acceptor,
        }
    }

    /// One question, one answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Unanswered> {
        let body = serde_json::to_vec(question).map_err(|error| Unanswered::Malformed(error.to_string()))?;
        let body = Bytes::from(body);
        let asked = async {
            let unreachable = |error: &dyn std::fmt::Display| Unanswered::Unreachable(error.to_string());
            let _place = self.places.acquire().await.map_err(|error| unreachable(&error))?;
            // A kept connection may have ended: then once more on a new one. Control does nothing twice: a flow that was
            // used up answers so.
            let kept = self.idle.borrow_mut().pop();
            if let Some(kept) = kept.filter(|kept| !kept.is_closed())
                && let Ok(answer) = self.ask_on(kept, path, body.clone()).await
            {
                return answer;
            }
            let fresh = self.connect().await?;
            self.ask_on(fresh, path, body).await.map_err(|error| unreachable(&error))?
        };
        let answer = timeout(ANSWER_TIMEOUT, asked).await;
        let answer = answer.map_err(|_| Unanswered::Unreachable("no answer in time".into()))??;
        serde_json::from_slice(&answer).map_err(|error| Unanswered::Malformed(error.to_string()))
    }

    /// The outer error: nothing was answered on this connection.
    async fn ask_on(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        path: &str,
        body: Bytes,
    ) -> Result<Result<Bytes, Unanswered>, hyper::Error> {
        connection.ready().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = hyper::Uri::try_from(path).unwrap_or_default();
        let host = hyper::header::HeaderValue::from_static("control");
        request.headers_mut().insert(hyper::header::HOST, host);
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        let read = Limited::new(answer.into_body(), MESSAGE_BYTES_MAX).collect().await;
        let read =
            read.map(http_body_util::Collected::to_bytes).map_err(|error| Unanswered::Malformed(error.to_string()));
        if read.is_ok() && !connection.is_closed() {
            self.idle.borrow_mut().push(connection);
        }
        Ok(match read {
            Ok(body) if status == StatusCode::OK => Ok(body),
            Ok(_) => Err(Unanswered::Refused(status)),
            Err(error) => Err(error),
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Unanswered> {
        let relays = self.credentials.relays();
        let mut last = String::from("there is none");
        for turn in 0..relays.len() {
            let nth = (self.first.get() + turn) % relays.len();
            match timeout(CONNECT_TIMEOUT, self.connect_by(&relays[nth])).await {
                Ok(Ok(connection)) => {
                    self.first.set(nth);
                    return Ok(connection);
                }
                Ok(Err(error)) => last = format!("{}: {error:#}", relays[nth]),
                Err(_) => last = format!("{}: no answer in time", relays[nth]),
            }
        }
        Err(Unanswered::Unreachable(last))
    }

    async fn connect_by(&self, relay: &RelayAddress) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect((&*relay.host, relay.port)).await?;
        stream.set_nodelay(true)?;
        let outer = TlsConnector::from(Arc::new(self.credentials.relay_tls(relay)?));
        let stream = outer.connect(ServerName::try_from(RELAY_NAME)?, stream).await?;
        let (inner, name) = self.credentials.control_tls()?;
        let stream = TlsConnector::from(Arc::new(inner)).connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to control broke");
            }
        });
        Ok(sender)
    }
}

/// Through one relay control serves sixteen.
const CONNECTIONS_MAX: usize = 12;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Passwords wait for their turn for up to five seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
