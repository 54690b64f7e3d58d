//! From the name in the internal URL to its first page: name, connect, TLS, HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use postern_http::ResponseHead;
use postern_model::settings::BackendHttp;

use super::findings::{Findings, Seen};
use super::http::{self, Got, Timed, Trouble, Wire};
use super::redirect::{self, Leads};
use super::tls;
use crate::backend::Backend;
use crate::limits::ADDRESSES_TRIED_MAX;

/// What an application answers, and how to ask it once more.
pub(super) struct Page {
    pub(super) got: Got,
    /// Path and query that it was got from.
    pub(super) target: String,
    /// It led to another host with a SAML request.
    pub(super) saml: bool,
    address: SocketAddr,
}

/// Goes as far as it can.
pub(super) fn reach(findings: &Findings, backend: &Backend) -> Option<Page> {
    let addresses = findings.step("name", || name(backend))?;
    let (address, stream) = findings.step("connect", || connect(backend, &addresses))?;
    let wire: Box<dyn Wire> = match &backend.tls {
        Some(spoken) => findings.step("tls", || tls::look(backend, spoken, stream))?,
        None => Box::new(stream),
    };
    if matches!(backend.http, BackendHttp::Http2 | BackendHttp::H2c) {
        findings.add("http", Seen::skipped("backend_http says HTTP/2 alone, which a check does not speak"));
        return None;
    }
    findings.step("http", || first_page(backend, address, wire))
}

fn name(backend: &Backend) -> (Seen, Option<Vec<SocketAddr>>) {
    let (host, port) = (&*backend.internal.host, backend.internal.port);
    if let Ok(address) = host.parse::<IpAddr>() {
        let seen = Seen::ok(&format!("{address} is an address: no name is looked up"));
        return (seen, Some(vec![SocketAddr::new(address, port)]));
    }
    match (host, port).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found {
                if !addresses.contains(&address) && addresses.len() < ADDRESSES_TRIED_MAX {
                    addresses.push(address);
                }
            }
            let words: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            (Seen::ok(&format!("{host} is {}", words.join(", "))), (!addresses.is_empty()).then_some(addresses))
        }
        Err(error) => {
            let cure = "look at the host in the internal URL, and at /etc/resolv.conf and /etc/hosts of this connector";
            (Seen::fail(&format!("{host} cannot be resolved: {error}"), cure), None)
        }
    }
}

fn connect(backend: &Backend, addresses: &[SocketAddr]) -> (Seen, Option<(SocketAddr, Timed)>) {
    let mut failed: Vec<String> = Vec::new();
    let mut refused = false;
    for address in addresses {
        match TcpStream::connect_timeout(address, backend.connect_timeout.min(PATIENCE)) {
            Ok(stream) => {
                let stream = Timed::new(stream, Instant::now() + patience(backend));
                let seen = match failed.as_slice() {
                    [] => Seen::ok(&format!("connected to {address}")),
                    [..] => Seen::warn(
                        &format!("connected to {address}, but not to {}", failed.join(", ")),
                        "take addresses that do not answer out of DNS: each request may try them first",
                    ),
                };
                return (seen, Some((*address, stream)));
            }
            Err(error) => {
                refused |= error.kind() == io::ErrorKind::ConnectionRefused;
                failed.push(format!("{address} ({error})"));
            }
        }
    }
    let cure = if refused {
        "look at the port in the internal URL, and whether the application runs and listens on this address"
    } else {
        "look at the network and firewalls between this connector and the application"
    };
    (Seen::fail(&format!("no connection to {}", failed.join(", ")), cure), None)
}

/// The page of the internal URL, or the one that it leads to in the same application.
fn first_page(backend: &Backend, address: SocketAddr, wire: Box<dyn Wire>) -> (Seen, Option<Page>) {
    let mut target = format!("{}/", backend.internal.path);
    let mut wire = Some(wire);
    let mut way = String::new();
    for _ in 0..=REDIRECTS_MAX {
        let opened = wire.take().map_or_else(|| open(backend, address), Ok);
        let got = opened.and_then(|mut wire| http::get(&mut *wire, backend, &target, None));
        let got = match got {
            Ok(got) => got,
            Err(trouble) => return (unanswered(backend, &way, &trouble), None),
        };
        let seen = format!("{way}{}", answered(&got));
        match redirect::leads(backend, &target, &got.head) {
            Leads::Here(next) => {
                way = format!("{way}{} to {}, ", got.head.status, redirect::shown(&next));
                target = next;
            }
            Leads::Elsewhere { to, saml } => {
                let cure = "users' browsers go there themselves: publish that host, too, or set the internal URL to where it leads";
                let seen = Seen::warn(&format!("{seen}, leads to {to}"), cure);
                return (seen, Some(Page { got, target, saml, address }));
            }
            Leads::Nowhere => return (judged(seen, &got.head), Some(Page { got, target, saml: false, address })),
        }
    }
    (
        Seen::fail(
            &format!("{way}more than {REDIRECTS_MAX} redirects"),
            "look at the application's log: it redirects in a circle",
        ),
        None,
    )
}

impl Page {
    /// Asks for the same once more, with credentials.
    pub(super) fn again(&self, backend: &Backend, authorization: &str) -> Result<Got, Trouble> {
        let mut wire = open(backend, self.address)?;
        http::get(&mut *wire, backend, &self.target, Some(authorization))
    }
}

fn open(backend: &Backend, address: SocketAddr) -> Result<Box<dyn Wire>, Trouble> {
    let stream = TcpStream::connect_timeout(&address, backend.connect_timeout.min(PATIENCE))?;
    let stream = Timed::new(stream, Instant::now() + patience(backend));
    match &backend.tls {
        Some(spoken) => Ok(tls::open(spoken, stream)?),
        None => Ok(Box::new(stream)),
    }
}

/// For one connection and its answer.
fn patience(backend: &Backend) -> Duration {
    backend.silence_max.min(PATIENCE)
}

fn answered(got: &Got) -> String {
    let cut = if got.cut { ", a long page" } else { "" };
    format!("{} {}, first byte after {} ms{cut}", got.version(), got.head.status, got.first_byte.as_millis())
}

fn judged(seen: String, head: &ResponseHead) -> Seen {
    match head.status {
        500.. => Seen::fail(&seen, "the application is reached and fails: look at its own log"),
        400 | 421 => {
            Seen::warn(&seen, "the application refuses the request: look whether it expects another host name or TLS")
        }
        404 => Seen::warn(&seen, "the application has no page there: look at the path in the internal URL"),
        _ => Seen::ok(&seen),
    }
}

fn unanswered(backend: &Backend, way: &str, trouble: &Trouble) -> Seen {
    let cure = match trouble {
        Trouble::Slow => {
            "the application is reached and does not answer: look whether it is overloaded or waits for something"
        }
        Trouble::SpeaksTls => {
            "the application speaks TLS there: set an https:// internal URL (postern app set NAME --internal https://…)"
        }
        Trouble::Malformed(_) => "what answers there is no HTTP server: look at the port in the internal URL",
        Trouble::Ended | Trouble::Broken(_) if backend.tls.is_none() => {
            "look at the application's log; some servers that expect TLS end connections so"
        }
        Trouble::Ended | Trouble::Broken(_) => "look at the application's log: it ends the connection",
    };
    Seen::fail(&format!("{way}{trouble}"), cure)
}

/// A redirect or two and a step that hangs still leave time to say so.
const PATIENCE: Duration = Duration::from_secs(8);
/// Redirects within the application that are followed.
const REDIRECTS_MAX: usize = 5;
