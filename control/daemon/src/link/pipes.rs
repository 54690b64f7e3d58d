//! Identity processes that reach control through a relay: bytes in messages of the link, TLS inside, HTTP inside that. What is
//! within a pipe no relay can read or change, and who is at its other end is proven to control itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use postern_model::identity::{MESSAGE_BYTES_MAX, path};
use postern_model::link::{PIPE_BYTES_MAX, ToRelay};
use postern_model::negotiate::TICKET_PATH;
use postern_model::oauth;
use postern_model::portal::path as portal_path;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::control::Control;
use crate::enrol;
use crate::limits::{PIPE_BUFFER_BYTES, PIPE_REQUEST_TIMEOUT, PIPE_WAITING_BYTES_MAX, PIPES_MAX};
use crate::{directory_sync, portal, saml, scim, sign_in};

/// The pipes of one link.
pub(super) struct Pipes {
    control: Rc<Control>,
    open: BTreeMap<u64, Pipe>,
    out: mpsc::Sender<ToRelay>,
}

/// One of them.
struct Pipe {
    /// What came and was not taken yet.
    inward: mpsc::UnboundedSender<Bytes>,
    waiting: Rc<std::cell::Cell<usize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Pipes {
    /// Also gives what is to be sent to the relay.
    pub(super) fn new(control: Rc<Control>) -> (Self, mpsc::Receiver<ToRelay>) {
        let (out, outward) = mpsc::channel(MESSAGES_WAITING);
        (Self { control, open: BTreeMap::new(), out }, outward)
    }

    /// An identity process came. `false`: there are too many.
    pub(super) fn opened(&mut self, pipe: u64) -> bool {
        self.open.retain(|_, pipe| !pipe.task.is_finished());
        if self.open.len() >= PIPES_MAX || self.open.contains_key(&pipe) {
            return false;
        }
        let (inward, received) = mpsc::unbounded_channel();
        let waiting = Rc::new(std::cell::Cell::new(0));
        let (near, far) = tokio::io::duplex(PIPE_BUFFER_BYTES);
        let (read, write) = tokio::io::split(near);
        let (control, out) = (Rc::clone(&self.control), self.out.clone());
        let taken = Rc::clone(&waiting);
        let task = tokio::task::spawn_local(async move {
            let served = serve(control, far);
            tokio::select! {
                served = served => if let Err(error) = served {
                    tracing::debug!(pipe, "an identity process is not served: {error:#}");
                },
                () = async { tokio::join!(inwards(received, write, taken), outwards(pipe, read, out.clone())); } => {}
            }
            let _ = out.send(ToRelay::PipeClosed { pipe }).await;
        });
        self.open.insert(pipe, Pipe { inward, waiting, task });
        true
    }

    /// What it says. `false`: it is no use, and closed.
    pub(super) fn data(&mut self, pipe: u64, data: &str) -> bool {
        let Some(open) = self.open.get(&pipe) else { return false };
        let bytes = STANDARD.decode(data).ok().filter(|bytes| bytes.len() <= PIPE_BYTES_MAX);
        let sent = bytes.is_some_and(|bytes| {
            let waiting = open.waiting.get() + bytes.len();
            open.waiting.set(waiting);
            waiting <= PIPE_WAITING_BYTES_MAX && open.inward.send(Bytes::from(bytes)).is_ok()
        });
        if !sent {
            self.closed(pipe);
        }
        sent
    }

    /// It has gone.
    pub(super) fn closed(&mut self, pipe: u64) {
        if let Some(pipe) = self.open.remove(&pipe) {
            pipe.task.abort();
        }
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        self.open.values().for_each(|pipe| pipe.task.abort());
    }
}

async fn inwards(
    mut received: mpsc::UnboundedReceiver<Bytes>,
    mut write: tokio::io::WriteHalf<DuplexStream>,
    waiting: Rc<std::cell::Cell<usize>>,
) {
    while let Some(bytes) = received.recv().await {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
        waiting.set(waiting.get() - bytes.len());
    }
}

async fn outwards(pipe: u64, mut read: tokio::io::ReadHalf<DuplexStream>, out: mpsc::Sender<ToRelay>) {
    let mut buffer = vec![0; PIPE_BYTES_MAX];
    while let Ok(length @ 1..) = read.read(&mut buffer).await {
        let data = STANDARD.encode(&buffer[..length]);
        if out.send(ToRelay::PipeData { pipe, data }).await.is_err() {
            return;
        }
    }
}

/// TLS, who is there, then requests one after the other.
async fn serve(control: Rc<Control>, stream: DuplexStream) -> anyhow::Result<()> {
    let config = control.authority.identity_tls()?;
    let stream = timeout(PIPE_REQUEST_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await??;
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    if leaf.as_ref().and_then(|leaf| caller(&control, leaf)).is_none() {
        anyhow::bail!("its certificate is not that of an enrolled identity process, or of one that reads a directory");
    }
    let service = service_fn(move |request| {
        let (control, leaf) = (Rc::clone(&control), leaf.clone());
        async move { Ok::<_, Infallible>(answer(&control, leaf.as_ref(), request).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    Ok(connection.await?)
}

/// Who asks: what one may the other may not.
enum Caller {
    /// An identity process.
    Identity,
    /// A process that reads a directory.
    Source(Box<directory_sync::Asking>),
}

/// An enrolled connector of the identity's group, or of a source's, now.
fn caller(control: &Control, leaf: &CertificateDer<'_>) -> Option<Caller> {
    let (connector, group) = enrol::identity(leaf)?;
    {
        let snapshot = control.snapshot();
        snapshot.connectors.get(&connector).filter(|known| known.group == group)?;
        if snapshot.identity.as_ref().is_some_and(|identity| identity.group == group) {
            return Some(Caller::Identity);
        }
    }
    directory_sync::asking(control, connector, group).map(|asking| Caller::Source(Box::new(asking)))
}

async fn answer(
    control: &Control,
    leaf: Option<&CertificateDer<'static>>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    // It may have been removed while it was connected.
    let Some(caller) = leaf.and_then(|leaf| caller(control, leaf)) else { return plain(StatusCode::FORBIDDEN) };
    let (head, body) = request.into_parts();
    let body = timeout(PIPE_REQUEST_TIMEOUT, Limited::new(body, MESSAGE_BYTES_MAX).collect()).await;
    let Some(body) = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    if head.method != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    if let Caller::Source(asking) = caller {
        return match directory_sync::answer(control, &asking, head.uri.path(), &body) {
            Some(json) => Response::new(Full::new(Bytes::from(json))),
            None => plain(StatusCode::BAD_REQUEST),
        };
    }
    match head.uri.path() {
        path::BEGIN => reply(read(&body).map(|request| sign_in::begin(control, request))),
        path::PASSWORD => match read(&body) {
            Some(request) => reply(Some(sign_in::password(control, request).await)),
            None => plain(StatusCode::BAD_REQUEST),
        },
        TICKET_PATH => reply(read(&body).map(|request| sign_in::ticket(control, request))),
        path::DEVICE => reply(read(&body).map(|request| sign_in::device_host::give(control, &request))),
        path::DEVICE_RETURN => reply(read(&body).map(|request| sign_in::device_host::back(control, &request))),
        path::FACTOR => reply(read(&body).map(|request| sign_in::factor(control, request))),
        path::ACCOUNT => reply(read(&body).map(|request| sign_in::account(control, request))),
        path::BROWSER => reply(read(&body).map(|request| sign_in::browser(control, &request))),
        path::SCIM => match read(&body) {
            Some(call) => reply(Some(scim::answer(control, &call).await)),
            None => plain(StatusCode::BAD_REQUEST),
        },
        postern_model::saml::path::METADATA => reply(Some(saml::metadata(control).await)),
        postern_model::saml::path::START => match (saml::ensure(control).await, read(&body)) {
            (Ok(()), Some(request)) => reply(Some(sign_in::saml::start(control, request))),
            (_, None) => plain(StatusCode::BAD_REQUEST),
            (Err(_), Some(_)) => plain(StatusCode::INTERNAL_SERVER_ERROR),
        },
        path::SIGN_OUT => reply(read(&body).map(|request| sign_in::sign_out(control, &request))),
        portal_path::BEGIN => reply(read(&body).map(|request| sign_in::begin_portal(control, &request))),
        portal_path::PORTAL => reply(read(&body).map(|request| portal::answer(control, &request))),
        portal_path::PASSWORD => reply(read(&body).map(|request| portal::passwords::answer(control, &request))),
        oauth::path::AUTHORIZE => reply(read(&body).map(|request| sign_in::authorize(control, request))),
        oauth::path::CONSENT => reply(read(&body).map(|request| sign_in::consent(control, &request))),
        oauth::path::DEVICE => reply(read(&body).map(|request| sign_in::enter_code(control, request))),
        oauth::path::CALL => reply(read(&body).map(|call| crate::oauth::answer(control, &call))),
        other => answer_external(control, other, &body),
    }
}

/// Signing in by external providers.
fn answer_external(control: &Control, path: &str, body: &[u8]) -> Response<Full<Bytes>> {
    use postern_model::external::path;
    use sign_in::external;
    match path {
        path::LOGIN => reply(read(body).map(|request| external::login(control, request))),
        path::START => reply(read(body).map(|request| external::start(control, request))),
        path::KEEP => reply(read(body).map(|request| external::keep(control, request))),
        path::TAKE => reply(read(body).map(|request| external::take(control, &request))),
        path::FINISH => reply(read(body).map(|request| external::finish(control, request))),
        path::PROVIDERS => reply(read(body).map(|request| external::by_issuer(control, &request))),
        path::PROBES => reply(Some(external::probes::asked(control))),
        path::PROBED => reply(read(body).map(|request| external::probes::answered(control, request))),
        path::END => reply(read(body).map(|request| external::end(control, &request))),
        _ => plain(StatusCode::NOT_FOUND),
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn reply<T: serde::Serialize>(value: Option<T>) -> Response<Full<Bytes>> {
    match value.and_then(|value| serde_json::to_vec(&value).ok()) {
        Some(json) => Response::new(Full::new(Bytes::from(json))),
        None => plain(StatusCode::BAD_REQUEST),
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Messages to the relay that wait for the link.
const MESSAGES_WAITING: usize = 16;
