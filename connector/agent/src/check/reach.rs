//! From the name in the internal URL to its first page: name and connect, or the proxy that does both, then TLS, HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_http::{Known, ResponseHead};
use postern_model::check::CHECK_PATIENCE_MS;
use postern_model::proxy::authority;
use postern_model::settings::BackendHttp;
use postern_service::timed::Timed;
use zeroize::Zeroizing;

use super::findings::{Findings, Seen};
use super::http::{self, Got, Said, Spoken, Trouble, Wire, is_slow};
use super::redirect::{self, Leads};
use super::tls;
use crate::backend::Backend;
use crate::limits::ADDRESSES_TRIED_MAX;
use crate::proxy::{Proxy, Way, blocking};
use crate::sso::form::jar::Jar;

/// What an application answers, and how to ask it once more.
pub(super) struct Page {
    pub(super) got: Got,
    /// Path and query that it was got from.
    pub(super) target: String,
    /// It led to another host with a SAML request.
    pub(super) saml: bool,
    route: Route,
    cookies: Cookies,
}

/// How it is connected to once more.
enum Route {
    Direct(SocketAddr),
    Through(Arc<Proxy>),
}

/// What the application had kept on the way there.
struct Cookies {
    jar: Jar,
    /// As they were set, the first of them.
    sets: Vec<Vec<u8>>,
    began: Instant,
}

/// Goes as far as it can.
pub(super) fn reach(findings: &Findings, backend: &Backend, way: &Way) -> Option<Page> {
    let (route, stream) = begin(findings, backend, way)?;
    let spoken = match &backend.tls {
        Some(tls) => findings.step("tls", || tls::look(backend, tls, stream))?,
        None => plain(backend, stream),
    };
    findings.step("http", || first_page(backend, route, spoken))
}

fn begin(findings: &Findings, backend: &Backend, way: &Way) -> Option<(Route, Box<dyn Wire>)> {
    match way {
        Way::Direct => {
            let addresses = findings.step("name", || name(backend))?;
            let (address, stream) = findings.step("connect", || connect(backend, &addresses))?;
            Some((Route::Direct(address), Box::new(stream)))
        }
        Way::Through(by) => {
            let stream = findings.step("proxy", || proxied(backend, by))?;
            Some((Route::Through(Arc::clone(by)), stream))
        }
        Way::Unknown(why) => {
            let cure = "give each connector of the group that proxy, or set backend_proxy to one that they have";
            findings.add("proxy", Seen::fail(why, cure));
            None
        }
    }
}

/// The proxy looks the name up, too.
fn proxied(backend: &Backend, by: &Proxy) -> (Seen, Option<Box<dyn Wire>>) {
    let (host, port) = (&*backend.internal.host, backend.internal.port);
    match blocking::connect(by, host, port, Instant::now() + patience(backend)) {
        Ok(wire) => (Seen::ok(&format!("the proxy {} connects to {}", by.address, authority(host, port))), Some(wire)),
        Err(failed) => (Seen::fail(&failed.to_string(), failed.trouble.cure()), None),
    }
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
            Err(error) if is_slow(&error) && backend.connect_timeout > PATIENCE => {
                let (waited, longer) = (PATIENCE.as_secs(), backend.connect_timeout.as_millis());
                failed.push(format!(
                    "{address} (no answer within the {waited} s that a check waits; requests wait {longer} ms (connect_timeout_ms))"
                ));
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

/// The page of the internal URL, or the one that it leads to in the same application. Cookies go with it, as with a browser's requests.
fn first_page(backend: &Backend, route: Route, spoken: Spoken) -> (Seen, Option<Page>) {
    let mut target = format!("{}/", backend.internal.path);
    let (mut spoken, mut way, mut cookies) = (Some(spoken), String::new(), Cookies::default());
    for _ in 0..=REDIRECTS_MAX {
        let opened = spoken.take().map_or_else(|| open(backend, &route, false), Ok);
        let said = Said { authorization: None, cookies: cookies.field(&target) };
        let got = opened.and_then(|spoken| http::get(spoken, backend, &target, &said));
        let got = match got {
            Ok(got) => got,
            Err(trouble) => return (unanswered(backend, &way, &trouble), None),
        };
        cookies.keep(&got.head, &target);
        let seen = format!("{way}{}", answered(&got));
        match redirect::leads(backend, &target, &got.head) {
            Leads::Here(next) => {
                way = format!("{way}{} to {}, ", got.head.status, redirect::shown(&next));
                target = next;
            }
            Leads::Elsewhere { to, saml } => {
                let cure = "users' browsers go there themselves: publish that host, too, or set the internal URL to where it leads";
                let seen = Seen::warn(&format!("{seen}, leads to {to}"), cure);
                return (seen, Some(Page { got, target, saml, route, cookies }));
            }
            Leads::Nowhere => {
                return (judged(seen, &got.head), Some(Page { got, target, saml: false, route, cookies }));
            }
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
    /// Asks for the same once more, with credentials: over HTTP/1.1 where requests with them go over that.
    pub(super) fn again(&self, backend: &Backend, authorization: &str) -> Result<Got, Trouble> {
        let spoken = open(backend, &self.route, backend.http == BackendHttp::Auto)?;
        let said = Said { authorization: Some(authorization), cookies: self.cookies.field(&self.target) };
        http::get(spoken, backend, &self.target, &said)
    }

    /// Offers a WebSocket at the same place, on a connection of its own, and gives the answer's status; nothing where HTTP/2 alone is
    /// spoken, which has no such offer here.
    pub(super) fn offer_websocket(&self, backend: &Backend) -> Result<Option<u16>, Trouble> {
        let spoken = open_within(backend, &self.route, true, patience(backend).min(OFFER_PATIENCE))?;
        if spoken.http2 {
            return Ok(None);
        }
        let said = Said { authorization: None, cookies: self.cookies.field(&self.target) };
        http::offer_websocket(spoken, backend, &self.target, &said).map(Some)
    }

    /// `Set-Cookie` fields of the way here.
    pub(super) fn set_cookies(&self) -> &[Vec<u8>] {
        &self.cookies.sets
    }
}

impl Default for Cookies {
    fn default() -> Self {
        Self { jar: Jar::default(), sets: Vec::new(), began: Instant::now() }
    }
}

impl Cookies {
    fn keep(&mut self, head: &ResponseHead, target: &str) {
        let at = self.now();
        for set in head.headers.get_all(Known::SetCookie) {
            self.jar.keep(set, target, at);
            if self.sets.len() < SETS_MAX {
                self.sets.push(set.to_vec());
            }
        }
    }

    fn field(&self, target: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.jar.field(target, self.now(), std::iter::empty())
    }

    /// The worker's clock does not go on this thread.
    fn now(&self) -> postern_io::Instant {
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        postern_io::Instant::from_nanos(nanos)
    }
}

fn open(backend: &Backend, route: &Route, http1: bool) -> Result<Spoken, Trouble> {
    open_within(backend, route, http1, patience(backend))
}

fn open_within(backend: &Backend, route: &Route, http1: bool, patience: Duration) -> Result<Spoken, Trouble> {
    let stream: Box<dyn Wire> = match route {
        Route::Direct(address) => {
            let stream = TcpStream::connect_timeout(address, backend.connect_timeout.min(patience))?;
            Box::new(Timed::new(stream, Instant::now() + patience))
        }
        Route::Through(by) => {
            let (host, port) = (&*backend.internal.host, backend.internal.port);
            blocking::connect(by, host, port, Instant::now() + patience).map_err(io::Error::from)?
        }
    };
    match &backend.tls {
        Some(tls) => Ok(tls::open(tls, stream, http1)?),
        None => Ok(plain(backend, stream)),
    }
}

fn plain(backend: &Backend, stream: Box<dyn Wire>) -> Spoken {
    Spoken { wire: stream, http2: backend.http == BackendHttp::H2c }
}

/// For one connection and its answer.
fn patience(backend: &Backend) -> Duration {
    backend.silence_max.min(PATIENCE)
}

/// How long it was waited for, and whether requests would have waited longer.
pub(super) fn waited(backend: &Backend) -> String {
    let requests_ms = backend.silence_max.as_millis();
    if backend.silence_max > PATIENCE {
        format!(
            "within the {} s that a check waits; requests wait {requests_ms} ms (backend_timeout_ms)",
            PATIENCE.as_secs()
        )
    } else {
        format!("within {requests_ms} ms (backend_timeout_ms)")
    }
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

pub(super) fn words(backend: &Backend, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Slow => format!("no answer in time: none {}", waited(backend)),
        Trouble::SpeaksTls
        | Trouble::SpeaksHttp1
        | Trouble::NotHttp2(_)
        | Trouble::Malformed(_)
        | Trouble::Ended
        | Trouble::Broken(_) => trouble.to_string(),
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
        Trouble::SpeaksHttp1 => "set backend_http=1.1, or turn HTTP/2 with prior knowledge on in the application",
        Trouble::Malformed(_) | Trouble::NotHttp2(_) => {
            "what answers there is no HTTP server: look at the port in the internal URL, and at backend_http"
        }
        Trouble::Ended | Trouble::Broken(_) if backend.tls.is_none() => {
            "look at the application's log; some servers that expect TLS end connections so"
        }
        Trouble::Ended | Trouble::Broken(_) => "look at the application's log: it ends the connection",
    };
    Seen::fail(&format!("{way}{}", words(backend, trouble)), cure)
}

/// A redirect or two and a step that hangs still leave time to say so.
const PATIENCE: Duration = Duration::from_millis(CHECK_PATIENCE_MS);
/// For what is only offered.
const OFFER_PATIENCE: Duration = Duration::from_secs(3);
/// Cookies that are looked at.
const SETS_MAX: usize = 32;
/// Redirects within the application that are followed.
const REDIRECTS_MAX: usize = 5;
