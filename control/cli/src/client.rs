//! One request at a time to postern-control's admin API, over its Unix socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use postern_model::admin::Problem;
use postern_service::failure::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::args::Common;

/// Where the packaged postern-control listens.
const SOCKET_DEFAULT: &str = "/run/postern/control/admin.sock";
/// The tenant that `init` makes.
const TENANT_DEFAULT: &str = "default";
/// Control answers from memory or SQLite: longer means that it hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Control waits 35 s for relays, and those for connectors.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(45);
/// Control gives an authority of certificates 150 s, after the order before it.
const AUTHORITY_TIMEOUT: Duration = Duration::from_secs(330);
/// A hundred million records.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// The largest answer: 10,000 applications at about 1 KiB, with room to spare.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Speaks to one postern-control.
pub(crate) struct Client {
    socket: PathBuf,
    tenant: Option<String>,
    runtime: tokio::runtime::Runtime,
}

/// An answer with its status; only `ready` needs it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Bytes,
}

impl Client {
    /// Settles where to connect to; connects with each request.
    pub(crate) fn new(common: &Common) -> Result<Self> {
        if common.server.is_some() {
            let refused = Failure::new("--server is not yet available");
            return Err(refused.cure("use --socket on the host of postern-control").code("not-yet-available").into());
        }
        let socket = common.socket.clone().or_else(|| variable("POSTERN_SOCKET").map(PathBuf::from));
        Ok(Self {
            socket: socket.unwrap_or_else(|| PathBuf::from(SOCKET_DEFAULT)),
            tenant: common.tenant.clone().or_else(|| variable("POSTERN_TENANT")),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Where control is looked for.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The tenant that was asked for, escaped for a path.
    pub(crate) fn tenant(&self) -> String {
        segment(self.tenant.as_deref().unwrap_or(TENANT_DEFAULT))
    }

    /// The tenant, if one was asked for.
    pub(crate) fn tenant_given(&self) -> Option<String> {
        self.tenant.as_deref().map(segment)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.request(Method::GET, path, Bytes::new())?.value()
    }

    /// As [`Client::get`] for what control takes its time for, such as a log of millions of records.
    pub(crate) fn get_patiently<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.request_within(PATIENCE, Method::GET, path, Bytes::new())?.value()
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.request(Method::DELETE, path, Bytes::new())?.value()
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request(Method::POST, path, serde_json::to_vec(body)?.into())?.value()
    }

    /// As [`Client::post`] for what control asks others for.
    pub(crate) fn post_patiently<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request_within(OTHERS_TIMEOUT, Method::POST, path, serde_json::to_vec(body)?.into())?.value()
    }

    /// As [`Client::post`] for what control asks an authority of certificates for.
    pub(crate) fn post_at_length<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request_within(AUTHORITY_TIMEOUT, Method::POST, path, serde_json::to_vec(body)?.into())?.value()
    }

    /// As [`Client::put`] for what control asks an authority of certificates for.
    pub(crate) fn put_at_length<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request_within(AUTHORITY_TIMEOUT, Method::PUT, path, serde_json::to_vec(body)?.into())?.value()
    }

    pub(crate) fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request(Method::PATCH, path, serde_json::to_vec(body)?.into())?.value()
    }

    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request(Method::PUT, path, serde_json::to_vec(body)?.into())?.value()
    }

    /// A request whose answer is looked at whatever its status.
    pub(crate) fn ask(&self, path: &str) -> Result<Answer> {
        self.request(Method::GET, path, Bytes::new())
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        self.request_within(ANSWER_TIMEOUT, method, path, body)
    }

    fn request_within(&self, most: Duration, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        self.runtime.block_on(async {
            match tokio::time::timeout(most, self.exchange(method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => Err(self.unanswered(&format!("no answer within {} s", most.as_secs()))),
            }
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unconnected(&error))?;
        let broken = |error: hyper::Error| self.unanswered(&error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "control")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        connection.abort();
        let body = body.map_err(|error| self.unanswered(&error.to_string()))?.to_bytes();
        Ok(Answer { status, body })
    }

    fn unconnected(&self, error: &std::io::Error) -> anyhow::Error {
        let socket = self.socket.display();
        if error.kind() == ErrorKind::PermissionDenied {
            let refused = Failure::new(format!("this user may not connect to {socket}"));
            return refused.code("permission-denied").into();
        }
        let missing = Failure::new(format!("postern-control does not answer at {socket}: {error}"));
        missing.code("control-unreachable").into()
    }

    fn unanswered(&self, what: &str) -> anyhow::Error {
        let socket = self.socket.display();
        Failure::new(format!("postern-control at {socket} did not complete its answer: {what}"))
            .cure("look at its log: journalctl -u postern-control")
            .into()
    }
}

impl Answer {
    /// The value of a successful answer; any other is the problem that it describes.
    pub(crate) fn value<T: DeserializeOwned>(&self) -> Result<T> {
        if !self.status.is_success() {
            return Err(self.problem());
        }
        self.parse()
    }

    /// The body's value, whatever the status.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body).map_err(|error| {
            Failure::new(format!("postern-control's answer is not understood: {error}"))
                .cure("use the postern command of the same version as postern-control")
        })?)
    }

    pub(crate) fn problem(&self) -> anyhow::Error {
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => problem.into(),
            Err(_) => Failure::new(format!("postern-control answered {}", self.status)).into(),
        }
    }
}

/// A name or id as one segment of a path: what is not unreserved (RFC 3986 §2.3) is percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The content of a file that is sent to control, bounded by what it takes.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    Ok(postern_service::secret::read_public_text(path)?)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_it_holds() {
        assert_eq!(segment("a1-7"), "a1-7");
        assert_eq!(segment("../x?y#z"), "%2E%2E%2Fx%3Fy%23z");
        assert_eq!(segment("ä"), "%C3%A4");
    }
}
