//! `/healthz`, `/readyz` and `/metrics` for monitoring, where `--admin-listen` asks for them. Nothing can be changed here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_model::Snapshot;
use postern_model::admin::Status;
use postern_model::config::CertificateOrigin;
use postern_service::failure::Failure;
use postern_service::metrics::{CONTENT_TYPE as PAGE_TYPE, Kind, Page, Process};
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
    let process = Rc::new(Process::open("postern-control", env!("CARGO_PKG_VERSION")));
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
        let (control, process) = (Rc::clone(&control), Rc::clone(&process));
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let response = respond(&control, &process, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(ADMIN_HEAD_TIMEOUT).keep_alive(false);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

fn respond(control: &Control, process: &Process, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET, "/readyz") => {
            let ready = overview::ready(control);
            let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, if ready.ready { "ready\n".into() } else { ready.missing.join("\n") + "\n" })
        }
        (&Method::GET, "/metrics") => (StatusCode::OK, metrics(control, process)),
        _ => (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PAGE_TYPE));
    response
}

/// Bounded by relays, groups and certificates, which [`crate::limits`] bounds; connectors are counted, each relay names its own.
fn metrics(control: &Control, process: &Process) -> String {
    let status = overview::status(control);
    let linked = status.relays.iter().filter(|relay| relay.connected).count() as u64;
    let mut page = Page::default();
    for (name, help, value) in [
        ("postern_control_version", "Version of the log.", status.version),
        ("postern_control_tenants", "Tenants.", status.tenants.into()),
        ("postern_control_apps", "Published applications.", status.apps.into()),
        ("postern_control_connectors", "Enrolled connectors.", status.connectors.into()),
        (
            "postern_control_connectors_online",
            "Connectors online at one relay or more.",
            status.connectors_online.into(),
        ),
        ("postern_control_relays", "Relays.", status.relays.len() as u64),
        ("postern_control_relays_linked", "Relays whose link is up.", linked),
        ("postern_control_warnings", "What postern status warns about.", status.warnings.len() as u64),
        (
            "postern_control_ready",
            "1 when requests can be served: what postern ready says.",
            overview::ready(control).ready.into(),
        ),
    ] {
        page.single(name, Kind::Gauge, help, value);
    }
    relays(&mut page, &status);
    certificates(&mut page, &control.snapshot());
    orders(&mut page, control);
    if let Some(bytes) = control.store_bytes() {
        page.single("postern_control_store_bytes", Kind::Gauge, "Size of the store.", bytes);
    }
    process.describe(&mut page);
    page.finish()
}

fn relays(page: &mut Page, status: &Status) {
    let mut up = page.family("postern_control_relay_linked", Kind::Gauge, "1 while a relay's link is up, by relay.");
    for relay in &status.relays {
        up.sample(&[("relay", relay.name.as_str())], u64::from(relay.connected));
    }
    let help = "Version that a relay serves, by relay.";
    let mut applied = page.family("postern_control_relay_version", Kind::Gauge, help);
    for relay in &status.relays {
        let version = relay.status.as_ref().map_or(0, |status| status.applied_version);
        applied.sample(&[("relay", relay.name.as_str())], version);
    }
    let help = "Connectors online at a relay, by relay.";
    let mut online = page.family("postern_control_relay_connectors_online", Kind::Gauge, help);
    for relay in &status.relays {
        let connectors = relay.status.iter().flat_map(|status| &status.connectors);
        let count = connectors.filter(|connector| connector.online && relay.connected).count();
        online.sample(&[("relay", relay.name.as_str())], count);
    }
}

/// First those that operators gave: the others are renewed by control.
fn certificates(page: &mut Page, snapshot: &Snapshot) {
    let of = |origin| snapshot.certificates.values().filter(move |certificate| certificate.origin == origin);
    let all = of(CertificateOrigin::Given).chain(of(CertificateOrigin::Issued));
    let help = "End of a certificate, Unix time, by certificate and its first host.";
    let mut ends = page.family("postern_certificate_not_after_timestamp_seconds", Kind::Gauge, help);
    for certificate in all.take(CERTIFICATES_SHOWN_MAX) {
        let (id, host) = (certificate.id.to_string(), certificate.hosts.first().map_or("", String::as_str));
        ends.sample(&[("certificate", &id), ("host", host)], certificate.not_after_unix);
    }
}

/// Of certificates by ACME.
fn orders(page: &mut Page, control: &Control) {
    let renewed = control.snapshot().acme_renewals.len();
    let figures = control.acme.figures();
    let help = "Certificates that are renewed by ACME.";
    page.single("postern_control_acme_certificates", Kind::Gauge, help, renewed);
    let help = "Certificates whose last renewal by ACME failed.";
    page.single("postern_control_acme_failing", Kind::Gauge, help, figures.failing);
    let help = "Orders by ACME, by their outcome.";
    let mut orders = page.family("postern_control_acme_orders_total", Kind::Counter, help);
    orders.sample(&[("outcome", "issued")], figures.issued).sample(&[("outcome", "failed")], figures.failed);
}

const CERTIFICATES_SHOWN_MAX: usize = 1_000;
const CONNECTIONS_MAX: usize = 32;
