//! What the program asks of control: HTTP/1.1 with JSON in TLS that ends in control, within TLS that ends in a relay. A few
//! connections are kept; each carries one question at a time.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use postern_model::identity::{MESSAGE_BYTES_MAX, RELAY_NAME};
use rustls_pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Credentials;
use crate::args::RelayAddress;
use crate::proxy::runtime::{self, Carrier};

/// The way to control, within a [`tokio::task::LocalSet`].
#[derive(Debug)]
pub struct ControlClient {
    credentials: Credentials,
    bounds: Bounds,
    idle: RefCell<Vec<SendRequest<Full<Bytes>>>>,
    /// Which relay to begin with: the one that worked last.
    first: Cell<usize>,
    places: Semaphore,
}

/// How much a program asks at once, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections, and so questions at once; others wait for their turn.
    pub connections_max: usize,
    /// TCP and both handshakes, by one relay.
    pub connect_timeout: Duration,
    /// From the question to its answer, with the wait for its turn and all relays that are tried.
    pub answer_timeout: Duration,
}

/// Control did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// In words: what became of the last relay.
    #[error("no relay leads to control: {0}")]
    Unreachable(String),
    /// Anything other than 200.
    #[error("control answered {0}")]
    Status(StatusCode),
    /// In words: what is wrong with it.
    #[error("control's answer is not understood: {0}")]
    Malformed(String),
}

impl ControlClient {
    /// Connects when it is asked something.
    #[must_use]
    pub fn new(credentials: Credentials, bounds: Bounds) -> Self {
        let places = Semaphore::new(bounds.connections_max);
        Self { credentials, bounds, idle: RefCell::default(), first: Cell::new(0), places }
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// When control does not answer, or not with what is asked for.
    pub async fn ask<T: DeserializeOwned>(&self, path: &str, question: &impl Serialize) -> Result<T, Unanswered> {
        let body = Bytes::from(serde_json::to_vec(question).map_err(malformed)?);
        let asked = async {
            let _place = self.places.acquire().await.map_err(unreachable)?;
            // A kept connection may have ended: then once more on a new one. Control does nothing twice that matters: a flow
            // that was used up answers so.
            let kept = self.idle.borrow_mut().pop();
            if let Some(kept) = kept.filter(|kept| !kept.is_closed())
                && let Ok(answer) = self.ask_on(kept, path, body.clone()).await
            {
                return answer;
            }
            let fresh = self.connect().await?;
            self.ask_on(fresh, path, body).await.map_err(unreachable)?
        };
        let answer = timeout(self.bounds.answer_timeout, asked).await;
        let answer = answer.map_err(|_| unreachable("no answer in time"))??;
        serde_json::from_slice(&answer).map_err(malformed)
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
        *request.uri_mut() = Uri::try_from(path).unwrap_or_default();
        request.headers_mut().insert(HOST, HeaderValue::from_static("control"));
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        let read = Limited::new(answer.into_body(), MESSAGE_BYTES_MAX).collect().await;
        if read.is_ok() && !connection.is_closed() {
            self.idle.borrow_mut().push(connection);
        }
        Ok(match read.map(Collected::to_bytes) {
            Ok(body) if status == StatusCode::OK => Ok(body),
            Ok(_) => Err(Unanswered::Status(status)),
            Err(error) => Err(malformed(error)),
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Unanswered> {
        let relays = &self.credentials.relays;
        let mut last = String::from("there is none");
        for turn in 0..relays.len() {
            let nth = (self.first.get() + turn) % relays.len();
            match timeout(self.bounds.connect_timeout, self.connect_by(&relays[nth])).await {
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

    async fn carrier(&self, relay: &RelayAddress) -> anyhow::Result<Box<dyn Carrier>> {
        if let Some(by) = self.credentials.shared.proxies.of_relay(&relay.host, relay.port) {
            return Ok(runtime::connect(by, &relay.host, relay.port).await?);
        }
        let stream = TcpStream::connect((&*relay.host, relay.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn connect_by(&self, relay: &RelayAddress) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = self.carrier(relay).await?;
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

fn unreachable(error: impl Display) -> Unanswered {
    Unanswered::Unreachable(error.to_string())
}

fn malformed(error: impl Display) -> Unanswered {
    Unanswered::Malformed(error.to_string())
}

#[cfg(test)]
mod tests;
