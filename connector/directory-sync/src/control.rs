//! What control is asked: HTTP/1.1 with JSON in TLS that ends in control, within TLS that ends in a relay. One connection, one
//! question at a time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use postern_connector::args::RelayAddress;
use postern_connector::embed::Credentials;
use postern_model::directory_sync::Answer;
use postern_model::identity::{MESSAGE_BYTES_MAX, RELAY_NAME};
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::failure::Failure;
use crate::limits::{ANSWER_TIMEOUT, CONNECT_TIMEOUT};

/// The way to control.
pub(crate) struct Control {
    credentials: Credentials,
    kept: RefCell<Option<SendRequest<Full<Bytes>>>>,
    /// Which relay to begin with: the one that worked last.
    first: Cell<usize>,
}

/// Control did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("no relay leads to control: {0}")]
    Unreachable(String),
    #[error("control answered {0}: it is of another version, or the source is gone")]
    Status(StatusCode),
    #[error("control's answer is not understood: {0}")]
    Malformed(String),
    #[error("{0}")]
    Refused(Failure),
}

impl Control {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self { credentials, kept: RefCell::default(), first: Cell::new(0) }
    }

    /// One question, one answer. Asked once more where a kept connection had ended: control does nothing twice that matters.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Unanswered> {
        let malformed = |error: serde_json::Error| Unanswered::Malformed(error.to_string());
        let body = Bytes::from(serde_json::to_vec(question).map_err(malformed)?);
        let asked = async {
            let kept = self.kept.borrow_mut().take();
            if let Some(kept) = kept.filter(|kept| !kept.is_closed())
                && let Ok(answer) = self.ask_on(kept, path, body.clone()).await
            {
                return answer;
            }
            let fresh = self.connect().await?;
            self.ask_on(fresh, path, body).await.map_err(|error| Unanswered::Unreachable(error.to_string()))?
        };
        let answer = timeout(ANSWER_TIMEOUT, asked).await;
        let answer = answer.map_err(|_| Unanswered::Unreachable("no answer in time".into()))??;
        match serde_json::from_slice(&answer).map_err(malformed)? {
            Answer::Done(done) => Ok(done),
            Answer::Refused { code, detail } => Err(Unanswered::Refused(Failure { code, detail })),
        }
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
        request.headers_mut().insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("control"));
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        let read = Limited::new(answer.into_body(), MESSAGE_BYTES_MAX).collect().await;
        let read = read.map(http_body_util::Collected::to_bytes);
        if read.is_ok() && !connection.is_closed() {
            *self.kept.borrow_mut() = Some(connection);
        }
        Ok(match read {
            Ok(body) if status == StatusCode::OK => Ok(body),
            Ok(_) => Err(Unanswered::Status(status)),
            Err(error) => Err(Unanswered::Malformed(error.to_string())),
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
