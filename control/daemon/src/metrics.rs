//! `/healthz`, `/readyz` and `/metrics` for monitoring, where `--admin-listen` asks for them. Nothing can be changed here.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_service::failure::Failure;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::admin::overview;
use crate::control::Control;
use crate::limits::ADMIN_HEAD_TIMEOUT;

/// Binds the address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "--admin-listen is open to other hosts: a loopback address is safer");
    }
    TcpListener::bind(address).await.map_err(|error| {
        let kind = error.kind();
        let code = if kind == std::io::ErrorKind::AddrInUse {
            "port-in-use"
        } else if kind == std::io::ErrorKind::PermissionDenied {
            "port-not-permitted"
        } else {
            "address-unavailable"
        };
        Failure::new(format!("cannot listen on {address}: {error}")).code(code)
    })
}

/// Serves until `shutdown`.
pub(crate) async fn serve(listener: TcpListener, control: Rc<Control>, mut shutdown: watch::Receiver<bool>) {
    let permits = std::sync::Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|down| *down) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = std::sync::Arc::clone(&permits).try_acquire_owned() else { continue };
        let control = Rc::clone(&control);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let response = respond(&control, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(ADMIN_HEAD_TIMEOUT).keep_alive(false);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

fn respond(control: &Control, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET, "/readyz") => {
            let ready = overview::ready(control);
            let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, if ready.ready { "ready\n".into() } else { ready.missing.join("\n") + "\n" })
        }
        (&Method::GET, "/metrics") => (StatusCode::OK, metrics(control)),
        _ => (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

fn metrics(control: &Control) -> String {
    let status = overview::status(control);
    let linked = status.relays.iter().filter(|relay| relay.connected).count();
    let mut text = String::new();
    for (name, help, value) in [
        ("version", "Version of the log.", status.version),
        ("tenants", "Tenants.", status.tenants.into()),
        ("apps", "Published applications.", status.apps.into()),
        ("connectors", "Enrolled connectors.", status.connectors.into()),
        ("connectors_online", "Connectors online at one relay or more.", status.connectors_online.into()),
        ("relays", "Relays.", status.relays.len() as u64),
        ("relays_linked", "Relays whose link is up.", linked as u64),
        ("warnings", "What `postern status` warns about.", status.warnings.len() as u64),
    ] {
        let _ = write!(
            text,
            "# HELP postern_control_{name} {help}\n# TYPE postern_control_{name} gauge\npostern_control_{name} {value}\n"
        );
    }
    text
}

const CONNECTIONS_MAX: usize = 32;
