//! `/healthz`, `/readyz` and `/metrics` on a loopback address, if asked for: a thread of its own, one request a connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use postern_service::failure::{Failure, OrFail as _};
use postern_service::metrics::{CONTENT_TYPE, Kind, Page, Process};

use crate::farm;
use crate::worker::Shared;

/// Listens and serves until the process ends.
pub(crate) fn listen(address: SocketAddr, shared: Arc<Shared>) -> Result<(), Failure> {
    let what = || format!("cannot listen on {address}");
    let listener = TcpListener::bind(address).or_fail("port-in-use", what)?;
    let process = Process::open("postern-connector", env!("CARGO_PKG_VERSION"));
    let serve = move || {
        for connection in listener.incoming().flatten() {
            // One at a time: whoever is slow is cut off after a second.
            let _ = answer(connection, &shared, &process);
        }
    };
    thread::Builder::new().name("admin".into()).spawn(serve).or_fail("port-in-use", what)?;
    tracing::info!(%address, "serving /healthz, /readyz and /metrics");
    Ok(())
}

fn answer(mut connection: TcpStream, shared: &Shared, process: &Process) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut request = [0; REQUEST_BYTES_MAX];
    let mut length = 0;
    while length < request.len() && !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut request[length..])? {
            0 => break,
            more => length += more,
        }
    }
    let (status, kind, body) = respond(&request[..length], shared, process);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body.as_bytes()].concat())
}

fn respond(request: &[u8], shared: &Shared, process: &Process) -> (&'static str, &'static str, String) {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let up = shared.counters.tunnels.value() > 0 && !shared.is_draining();
    match line {
        b"GET /healthz HTTP/1.1" | b"GET /healthz HTTP/1.0" => ("200 OK", TEXT, String::from("ok\n")),
        b"GET /readyz HTTP/1.1" | b"GET /readyz HTTP/1.0" if up => ("200 OK", TEXT, String::from("ready\n")),
        b"GET /readyz HTTP/1.1" | b"GET /readyz HTTP/1.0" => {
            ("503 Service Unavailable", TEXT, String::from("no tunnel to a relay\n"))
        }
        b"GET /metrics HTTP/1.1" | b"GET /metrics HTTP/1.0" => ("200 OK", CONTENT_TYPE, metrics(shared, process)),
        // Everything else.
        _ => ("404 Not Found", TEXT, String::from("there is /healthz, /readyz and /metrics\n")),
    }
}

fn metrics(shared: &Shared, process: &Process) -> String {
    let mut page = Page::default();
    shared.counters.describe(&mut page);
    let version = shared.config_version();
    let help = "Version of the group configuration in force.";
    page.single("postern_connector_config_version", Kind::Gauge, help, version);
    farm::describe(&shared.farms(), &mut page);
    process.describe(&mut page);
    page.finish()
}

const TEXT: &str = "text/plain; charset=utf-8";
const REQUEST_BYTES_MAX: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(1);
