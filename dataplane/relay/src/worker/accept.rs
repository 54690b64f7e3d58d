//! From a listening socket to what a connection turns out to be. Nothing but retained bytes exists of a connection until
//! its ClientHello was read: until then it may go to another worker or to the side thread.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use postern_http::h1::{ResponseContext, encode_response};
use postern_http::{Method, Version};
use postern_io::sync::{Either, select};
use postern_io::{Listener, Socket, Stream, now, sleep, spawn, timeout};
use postern_model::ids::RequestId;
use postern_model::{acme, enrol, identity, link};
use postern_tunnel::Identity;
use postern_tunnel::client_hello::{ClientHello, ClientHelloInvalid, ClientHelloParser, Progress};

use super::Worker;
use super::challenge;
use super::context::ListenProtocol;
use super::h1::Http1Connection;
use super::h2::{self, Http2Connection};
use super::peers::{Moved, ToWorker};
use super::reject::Reject;
use super::session::OpenedFor;
use super::tunnel::Tunnel;
use crate::limits::{CLIENT_HELLO_BYTES_MAX, HANDSHAKE_TIMEOUT};
use crate::peer;
use crate::side::{HandOver, HandOverKind};

/// Accepts until the process drains, then serves what had been accepted.
pub(crate) async fn accept_all(worker: Rc<Worker>, listener: Listener, protocol: ListenProtocol) {
    let begin = match protocol {
        ListenProtocol::Tls => |worker: &Rc<Worker>, socket| begin(worker, socket, Vec::new(), None),
        ListenProtocol::Http => begin_plain,
    };
    loop {
        match select(listener.accept(), worker.draining()).await {
            Either::First(Ok(socket)) => begin(&worker, socket),
            Either::First(Err(error)) => {
                tracing::warn!("a connection cannot be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
            Either::Second(()) => break,
        }
    }
    while let Some(socket) = listener.take_accepted() {
        begin(&worker, socket);
    }
}

/// Takes over what another worker accepted.
pub(crate) fn take_moved(worker: &Rc<Worker>, moved: Moved) {
    begin(worker, Socket::from_fd(moved.socket), moved.first_bytes, Some(moved.peer));
}

fn begin(worker: &Rc<Worker>, socket: Socket, first: Vec<u8>, moved_from: Option<SocketAddr>) {
    let Some(place) = worker.place(moved_from.is_some()) else {
        return; // full: closing at once is the cheapest answer, and the others go on
    };
    let worker = Rc::clone(worker);
    spawn(async move {
        let _place = place;
        let Some(address) = moved_from.or_else(|| socket.peer_addr()).filter(|address| is_let_in(&worker, *address))
        else {
            return;
        };
        if let Err(error) = connection(&worker, socket, first, address, moved_from.is_some()).await {
            worker.counters().handshakes_failed.increment();
            tracing::debug!("a connection ended in its handshake: {error}");
        }
    })
    .detach();
}

/// Clients alone come without TLS, and speak HTTP/1.1.
fn begin_plain(worker: &Rc<Worker>, socket: Socket) {
    let Some(place) = worker.place(false) else { return };
    let worker = Rc::clone(worker);
    spawn(async move {
        let _place = place;
        let Some(address) = socket.peer_addr().filter(|address| is_let_in(&worker, *address)) else { return };
        Http1Connection::new(Stream::plain(socket), address, OpenedFor::Plain).serve(worker).await;
    })
    .detach();
}

/// Whoever floods is not, where nothing in the kernel keeps him away.
fn is_let_in(worker: &Worker, address: SocketAddr) -> bool {
    !worker.published().limits.is_shut_out(address.ip(), now().as_nanos())
}

/// Finds out what a connection is, and serves it as that until it ends.
pub(super) async fn connection(
    worker: &Rc<Worker>,
    mut socket: Socket,
    first: Vec<u8>,
    address: SocketAddr,
    moved: bool,
) -> io::Result<()> {
    let mut retained = first;
    let read = timeout(HANDSHAKE_TIMEOUT, read_hello(&mut socket, &mut retained)).await;
    let kind = match read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
        Hello::Kind(kind) => kind,
        Hello::Invalid(ClientHelloInvalid::PlainHttp) => {
            answer_plain_http(socket).await;
            return Ok(());
        }
        Hello::Invalid(invalid) => return Err(io::Error::new(io::ErrorKind::InvalidData, invalid)),
    };
    match kind {
        Kind::Client(server_name) => client(worker, socket, retained, address, server_name).await,
        Kind::Challenge(server_name) => challenge::handshake(worker, socket, retained, server_name).await,
        Kind::Side(kind) => hand_over(worker, socket, retained, address, kind).await,
        Kind::Tunnel(target) => match target.filter(|target| !moved && worker.is_elsewhere(*target)) {
            Some(target) => pass_on(worker, socket, retained, address, target.worker).await,
            None => tunnel(worker, socket, retained, address).await,
        },
    }
}

enum Hello {
    Kind(Kind),
    Invalid(ClientHelloInvalid),
}

/// What a ClientHello asks for.
enum Kind {
    Client(Option<String>),
    /// An authority of certificates looks whose this host is.
    Challenge(Option<String>),
    Side(HandOverKind),
    Tunnel(Option<Target>),
}

/// The worker that a tunnel's server name asks for; a hint.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) worker: u16,
    pub(crate) generation: u32,
}

async fn read_hello(socket: &mut Socket, retained: &mut Vec<u8>) -> io::Result<Hello> {
    let mut parser = ClientHelloParser::new(CLIENT_HELLO_BYTES_MAX);
    loop {
        match parser.advance(retained) {
            Progress::Done(hello) => return Ok(Hello::Kind(kind_of(&hello))),
            Progress::Invalid(invalid) => return Ok(Hello::Invalid(invalid)),
            Progress::Incomplete => {}
        }
        match socket.recv().await? {
            Some(chunk) => retained.extend_from_slice(&chunk),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn kind_of(hello: &ClientHello<'_>) -> Kind {
    if hello.alpn.offers(TUNNEL_ALPN) {
        Kind::Tunnel(hello.sni.and_then(target_of))
    } else if hello.alpn.offers(link::ALPN) {
        Kind::Side(HandOverKind::Control)
    } else if hello.alpn.offers(identity::ALPN) {
        Kind::Side(HandOverKind::Identity)
    } else if hello.alpn.offers(enrol::ALPN) {
        Kind::Side(HandOverKind::Enrol)
    } else if hello.alpn.iter().eq([acme::TLS_ALPN]) {
        Kind::Challenge(hello.sni.map(str::to_owned))
    } else {
        Kind::Client(hello.sni.map(str::to_owned))
    }
}

/// `w<worker>-g<generation>.…`
fn target_of(server_name: &str) -> Option<Target> {
    let (label, _) = server_name.split_once('.')?;
    let (worker, generation) = label.strip_prefix('w')?.split_once("-g")?;
    Some(Target { worker: worker.parse().ok()?, generation: generation.parse().ok()? })
}

async fn client(
    worker: &Rc<Worker>,
    socket: Socket,
    retained: Vec<u8>,
    address: SocketAddr,
    server_name: Option<String>,
) -> io::Result<()> {
    let (config, opened_for) = worker.published().client_door(server_name);
    let handshake = timeout(HANDSHAKE_TIMEOUT, Stream::tls_server(socket, config, retained));
    let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let tls = stream.tls();
    let counters = worker.counters();
    if tls.resumed {
        counters.handshakes_resumed.increment()
    } else {
        counters.handshakes_full.increment()
    }
    if tls.alpn.as_deref() == Some(h2::ALPN) {
        Http2Connection::new(stream, address, opened_for).serve(Rc::clone(worker)).await;
    } else {
        Http1Connection::new(stream, address, opened_for).serve(Rc::clone(worker)).await;
    }
    Ok(())
}

async fn tunnel(worker: &Rc<Worker>, socket: Socket, retained: Vec<u8>, address: SocketAddr) -> io::Result<()> {
    let published = worker.published();
    let (Some(config), Some(relay)) = (published.tunnel_tls.clone(), published.relay) else {
        return Err(io::Error::other("a connector came before control has issued this relay's certificate"));
    };
    let handshake = timeout(HANDSHAKE_TIMEOUT, Stream::tls_server(socket, config, retained));
    let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let named = stream.tls().peer_certificates.first().and_then(peer::connector);
    let Some((connector, group)) = named else {
        return Err(io::Error::other("a client certificate that names no connector"));
    };
    if !published.admits_connector(connector, group) {
        tracing::warn!(%connector, "a connector that control does not know was refused");
        return Err(io::Error::other("a connector that control does not know"));
    }
    let _spared = worker.drops.spare(address.ip());
    let identity =
        Identity::Relay { relay, generation: worker.generation, workers: worker.workers, worker: worker.index };
    let tunnel = Tunnel::new(stream, connector, group, identity, worker.on_tunnel_changed());
    worker.serve_tunnel(tunnel).await;
    Ok(())
}

async fn pass_on(
    worker: &Rc<Worker>,
    socket: Socket,
    mut retained: Vec<u8>,
    peer: SocketAddr,
    target: u16,
) -> io::Result<()> {
    let (socket, rest) = socket.into_fd().await?;
    retained.extend_from_slice(&rest);
    worker.counters().connections_moved.increment();
    let moved = ToWorker::Connection(Moved { socket, first_bytes: retained, peer });
    worker.send_to(target, moved).map_err(|_| io::Error::other("the other worker's mailbox is full"))
}

async fn hand_over(
    worker: &Rc<Worker>,
    socket: Socket,
    mut retained: Vec<u8>,
    peer: SocketAddr,
    kind: HandOverKind,
) -> io::Result<()> {
    let (socket, rest): (OwnedFd, _) = socket.into_fd().await?;
    retained.extend_from_slice(&rest);
    let socket = TcpStream::from(socket);
    socket.set_nonblocking(true)?;
    let handed = worker.side.hand_over(HandOver { socket, first_bytes: retained.into(), kind, peer });
    handed.map_err(|_| io::Error::other("the side thread's queue is full"))
}

/// Somebody typed `http://` with the TLS port.
async fn answer_plain_http(socket: Socket) {
    let reject = Reject::plain_http();
    let (answer, body) = reject.answer(RequestId(0), None);
    let context = ResponseContext { method: &Method::Get, version: Version::Http11, keep_alive: false };
    let mut out = Vec::new();
    let mut encoder = encode_response(&answer, context, &mut out);
    let written = encoder.write(&body, &mut out);
    assert!(written.is_ok(), "the page's length is its own");
    let stream = Stream::plain(socket);
    stream.queue(&out);
    stream.close(crate::limits::CLOSE_LINGER).await;
}

/// The protocol between relay and connector, as ALPN names it.
pub(crate) const TUNNEL_ALPN: &[u8] = b"postern-tunnel/1";

/// After a failed accept: descriptors may be free again then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
