//! The admin socket: who may ask (peer credentials), HTTP/1.1 around the routes, and the upgrade to a relay's link.

mod audit;
mod authority;
mod certificates;
mod devices;
mod directory;
mod directory_sync;
mod figures;
mod identity;
mod on_one_connector;
pub(crate) mod overview;
mod policies;
mod routes;
mod scim;
mod terms;
mod vault;

use std::cell::Cell;
use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_model::admin::{Problem, REQUEST_BYTES_MAX, path};
use postern_model::document::APPLY_BYTES_MAX;
use postern_model::link::{UPGRADE_PATH, UPGRADE_PROTOCOL};
use postern_service::failure::Failure;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::control::{Actor, Control};
use crate::limits::{ADMIN_BODY_TIMEOUT, ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_TIMEOUT, STRANGERS_MAX};
use crate::link::{self, admit::Peer};
use crate::problem::problem;

/// A bound admin socket; its file goes with it.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    access: Rc<Access>,
    places: Places,
}

/// Connections that are being served, links not counted. Users who may do nothing here have few places of their own, enough
/// to be told so: the socket is open to every user of the host, and they must not use up those of the others.
#[derive(Default)]
struct Places {
    admitted: Rc<Cell<usize>>,
    strangers: Rc<Cell<usize>>,
}

impl Places {
    /// A place for a connection of this user, while there is one.
    fn take(&self, access: &Access, uid: u32) -> Option<Open> {
        let (places, most) = match access.may_link(uid) {
            true => (&self.admitted, ADMIN_CONNECTIONS_MAX),
            false => (&self.strangers, STRANGERS_MAX),
        };
        (places.get() < most).then(|| Open::count(places))
    }
}

/// Which users may do what.
pub(crate) struct Access {
    own_uid: u32,
    admin_uids: Vec<u32>,
    relay_uids: Vec<u32>,
}

impl Access {
    /// Root and control's own user may do everything, as may `admin_uids`; `relay_uids` may link.
    pub(crate) fn new(admin_uids: Vec<u32>, relay_uids: Vec<u32>) -> Self {
        Self { own_uid: nix::unistd::Uid::effective().as_raw(), admin_uids, relay_uids }
    }

    fn may_administer(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own_uid || self.admin_uids.contains(&uid)
    }

    fn may_link(&self, uid: u32) -> bool {
        self.may_administer(uid) || self.relay_uids.contains(&uid)
    }

    /// Others need to reach the socket at all; then credentials alone decide.
    fn socket_mode(&self) -> u32 {
        if self.admin_uids.is_empty() && self.relay_uids.is_empty() { 0o600 } else { 0o666 }
    }
}

impl AdminSocket {
    /// Binds the socket. A file left by a process that is gone is replaced; one that answers is an error.
    pub(crate) fn bind(path: &Path, access: Access) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            Failure::new(format!("cannot listen on {}: {error}", path.display()))
                .code("address-unavailable")
                .cure("choose another --admin-socket")
        };
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(Failure::new(format!("another process answers on {}", path.display())).code("port-in-use"));
        }
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
        let listener = UnixListener::bind(path).map_err(unusable)?;
        let mode = std::fs::Permissions::from_mode(access.socket_mode());
        std::fs::set_permissions(path, mode).map_err(unusable)?;
        Ok(Self { listener, path: path.to_owned(), access: Rc::new(access), places: Places::default() })
    }

    /// Serves until `shutdown`, then waits for requests under way.
    pub(crate) async fn serve(self, control: Rc<Control>, shutdown: watch::Receiver<bool>) {
        let mut down = shutdown.clone();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.spawn(stream, &control, &shutdown),
                    Err(error) => {
                        tracing::warn!(%error, "the admin socket cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                _ = down.wait_for(|down| *down) => break,
            }
        }
        let _ = std::fs::remove_file(&self.path);
        while self.places.admitted.get() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    fn spawn(&self, stream: UnixStream, control: &Rc<Control>, shutdown: &watch::Receiver<bool>) {
        let Ok(credentials) = stream.peer_cred() else { return };
        let uid = credentials.uid();
        let Some(open) = self.places.take(&self.access, uid) else {
            // Not for strangers: they would fill the log.
            if self.access.may_link(uid) {
                tracing::warn!("{ADMIN_CONNECTIONS_MAX} admin connections are open: one more is refused");
            }
            return;
        };
        let client =
            Client { control: Rc::clone(control), access: Rc::clone(&self.access), uid, shutdown: shutdown.clone() };
        tokio::task::spawn_local(async move {
            client.serve(stream).await;
            drop(open);
        });
    }
}

/// Counts an open connection for as long as it lives.
struct Open(Rc<Cell<usize>>);

impl Open {
    fn count(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One connection and the user behind it.
#[derive(Clone)]
struct Client {
    control: Rc<Control>,
    access: Rc<Access>,
    uid: u32,
    shutdown: watch::Receiver<bool>,
}

impl Client {
    async fn serve(self, stream: UnixStream) {
        let mut down = self.shutdown.clone();
        let service = service_fn(move |request| {
            let client = self.clone();
            async move { Ok::<_, Infallible>(client.respond(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(ADMIN_HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            _ = down.wait_for(|down| *down) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "an admin connection broke");
        }
    }

    async fn respond(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answer =
            if request.uri().path() == UPGRADE_PATH { self.link(request) } else { self.administer(request).await };
        answer.unwrap_or_else(|problem| render_problem(&problem))
    }

    async fn administer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Problem> {
        if !self.access.may_administer(self.uid) {
            return Err(problem(
                "permission-denied",
                format!("uid {} may not administer Postern: use sudo or --admin-uid {0}", self.uid),
            ));
        }
        let (head, body) = request.into_parts();
        let bytes_max = body_bytes_max(head.uri.path());
        let body = timeout(ADMIN_BODY_TIMEOUT, Limited::new(body, bytes_max).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes);
        let body = body.ok_or_else(|| {
            let most = bytes_max >> 20;
            problem("request-invalid", format!("the body is larger than {most} MiB or did not come whole"))
        })?;
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let actor = Actor::Uid(self.uid);
        let reply = match figures::answer(&self.control, &head.method, path, query).await {
            Some(reply) => reply?,
            None => routes::answer(&self.control, &actor, &head.method, path, query, &body).await?,
        };
        Ok(render(reply.status, "application/json", reply.json))
    }

    fn link(self, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Problem> {
        if !self.access.may_link(self.uid) {
            return Err(problem(
                "permission-denied",
                format!("uid {} may not link a relay: start postern-control with --relay-uid {0}", self.uid),
            ));
        }
        let wanted = request.headers().get(UPGRADE).map(|value| value.as_bytes());
        if request.method() != Method::POST || wanted != Some(UPGRADE_PROTOCOL.as_bytes()) {
            return Err(problem("request-invalid", format!("POST {UPGRADE_PATH} needs Upgrade: {UPGRADE_PROTOCOL}")));
        }
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::task::spawn_local(async move {
            match upgrade.await {
                Ok(stream) => drop(link::serve(self.control, TokioIo::new(stream), Peer::Unix, self.shutdown).await),
                Err(error) => tracing::debug!(%error, "a link was not upgraded"),
            }
        });
        let mut response = render(StatusCode::SWITCHING_PROTOCOLS, "application/json", Vec::new());
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().insert(CONNECTION, hyper::header::HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, hyper::header::HeaderValue::from_static(UPGRADE_PROTOCOL));
        Ok(response)
    }
}

/// A document may hold all that a tenant has, a network a list of anonymisers; everything else is small.
fn body_bytes_max(path: &str) -> usize {
    let mut from_the_end = path.rsplit('/');
    match (from_the_end.next(), from_the_end.next()) {
        (Some(path::APPLY), _) | (_, Some(path::NETWORKS)) => APPLY_BYTES_MAX,
        _ => REQUEST_BYTES_MAX,
    }
}

fn render_problem(problem: &Problem) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = serde_json::to_vec(problem).unwrap_or_default();
    render(status, "application/problem+json", json)
}

fn render(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

const HEAD_BYTES_MAX: usize = 16 << 10;
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const DRAIN_POLL: std::time::Duration = std::time::Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_use_up_the_places_of_others() {
        let access = Access { own_uid: 10, admin_uids: vec![11], relay_uids: vec![12] };
        let places = Places::default();
        let strangers: Vec<Open> = std::iter::from_fn(|| places.take(&access, 13)).collect();
        assert_eq!(strangers.len(), STRANGERS_MAX);
        let mut uids = [0, 10, 11, 12].into_iter().cycle();
        let admitted: Vec<Open> = std::iter::from_fn(|| places.take(&access, uids.next()?)).collect();
        assert_eq!(admitted.len(), ADMIN_CONNECTIONS_MAX);
        drop(strangers);
        assert!(places.take(&access, 13).is_some() && places.take(&access, 11).is_none());
    }
}
