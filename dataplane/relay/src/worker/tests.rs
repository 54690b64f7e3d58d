//! The worker in the simulator: clients and connectors on a virtual network, with faults.

mod access;
mod drain;
mod limits;
mod people;
mod places;
mod policies;
mod told;
mod traced;
mod user_limits;
mod websockets;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postern_http::h1::{BodyDecoder, BodyEvent, Inbox, ResponseParser};
use postern_http::{BodyKind, Headers, Known, Limits, Method, RequestHead, ResponseHead};
use postern_io::sim::{self, Faults};
use postern_io::{BackendKind, ConnectOptions, Instant, Listener, Runtime, RuntimeOptions, Socket, Stream};
use postern_io::{now, sleep, spawn, timeout};
use postern_model::Snapshot;
use postern_model::config::Preauth;
use postern_model::identity::DEVICE_HOST_PATH;
use postern_model::ids::{ConnectorId, GroupId, RelayId, TenantId};
use postern_model::plan::Plan;
use postern_model::service_token::ServiceToken;
use postern_tunnel::{
    Cancel, CancelCode, Connection, Culprit, Event, GoAwayReason, Hello, Identity, Output, Sent, StreamId,
};
use rustls::ServerConfig;
use rustls::server::ResolvesServerCertUsingSni;

use super::context::{WorkerLimits, WorkerLoad};
use super::drain::Drain;
use super::h1::Http1Connection;
use super::peers::{Peers, ToWorker};
use super::session::OpenedFor;
use super::tunnel::{Health, Tunnel};
use super::{Worker, WorkerParts};
use crate::handover::SourceDrops;
use crate::published::{ConfigHandle, Published};
use crate::side::testing::{HOST, snapshot};

const CLIENTS: &str = "10.0.0.1:443";

pub(super) fn in_the_simulator<T: 'static>(seed: u64, test: impl Future<Output = T> + 'static) -> T {
    let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(seed), ..RuntimeOptions::default() };
    Runtime::new(options).unwrap().run(test).unwrap()
}

pub(super) fn worker() -> Rc<Worker> {
    worker_with(&[])
}

/// A worker whose application has these settings.
fn worker_with(settings: &[(&str, &str)]) -> Rc<Worker> {
    worker_on(published_with(settings))
}

pub(super) fn worker_on(config: ConfigHandle) -> Rc<Worker> {
    let (mut senders, receiver) = crate::side::channel(1);
    std::mem::forget(receiver);
    Worker::new(WorkerParts {
        index: 0,
        workers: 1,
        generation: 1,
        side: senders.remove(0),
        config,
        senders: Peers::mesh(1).remove(0).senders,
        drain: Drain::default(),
        load: WorkerLoad::plain(),
        limits: WorkerLimits { connections_max: 10_000 },
        drops: SourceDrops::default(),
    })
}

/// What control published: one application.
fn published() -> ConfigHandle {
    published_with(&[])
}

fn published_with(settings: &[(&str, &str)]) -> ConfigHandle {
    let first = publication(1, |snapshot| {
        for app in snapshot.apps.values_mut() {
            app.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        }
    });
    ConfigHandle::new(Arc::new(first))
}

/// One publication, of the application after `change`.
pub(super) fn publication(sequence: u64, change: impl FnOnce(&mut Snapshot)) -> Published {
    let mut snapshot = snapshot(sequence);
    change(&mut snapshot);
    let tls = ServerConfig::builder().with_no_client_auth();
    Published {
        sequence,
        version: sequence,
        permits: sequence,
        sessions: Arc::default(),
        relay: Some(RelayId(1)),
        plan: Arc::new(Plan::build(&snapshot).unwrap()),
        tls: Arc::new(tls.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()))),
        devices_tls: None,
        tls13: None,
        tunnel_tls: None,
        group_configs: Default::default(),
        connectors: (1..=9).map(|nth| (ConnectorId::new(TenantId::DEFAULT, nth), GroupId::DEFAULT)).collect(),
        limits: Default::default(),
        networks: Default::default(),
        countries: Arc::default(),
        challenges: Arc::default(),
    }
}

/// The application asks, and knows these tokens.
pub(super) fn asking(tokens: impl IntoIterator<Item = ServiceToken>) -> impl FnOnce(&mut Snapshot) {
    let tokens: Vec<_> = tokens.into_iter().map(|token| (token.id, token)).collect();
    move |snapshot| {
        snapshot.apps.values_mut().for_each(|app| app.preauth = Preauth::Oidc);
        snapshot.service_tokens.extend(tokens);
    }
}

pub(super) fn worker_asking(tokens: impl IntoIterator<Item = ServiceToken>) -> Rc<Worker> {
    worker_on(ConfigHandle::new(Arc::new(publication(1, asking(tokens)))))
}

/// What control publishes next, and what the side thread does then.
pub(super) fn publish(worker: &Rc<Worker>, change: impl FnOnce(&mut Snapshot)) {
    let sessions = Arc::clone(&worker.published().sessions);
    let next = Published { sessions, ..publication(worker.config.sequence() + 1, change) };
    worker.config.publish(Arc::new(next));
    worker.look(&mut false);
}

/// Listens for clients; what they send is served by the worker, without TLS.
fn serve_clients(worker: &Rc<Worker>) {
    serve_clients_at(worker, CLIENTS);
}

fn serve_clients_at(worker: &Rc<Worker>, address: &str) {
    let worker = Rc::clone(worker);
    let listener = Listener::sim(address.parse().unwrap()).unwrap();
    spawn(async move {
        while let Ok(socket) = listener.accept().await {
            let address: SocketAddr = "192.0.2.7:50000".parse().unwrap();
            let client =
                Http1Connection::new(Stream::plain(socket), address, OpenedFor::Applications(Some(HOST.to_owned())));
            let worker = Rc::clone(&worker);
            spawn(async move {
                let _place = worker.place(false);
                client.serve(Rc::clone(&worker)).await;
            })
            .detach();
        }
    })
    .detach();
}

fn connector_address(nth: u32) -> SocketAddr {
    format!("10.0.1.{nth}:443").parse().unwrap()
}

/// Brings connector `nth` up: the relay's end and a fake connector that answers requests as their paths say.
pub(super) async fn connect(worker: &Rc<Worker>, nth: u32) -> Rc<Tunnel> {
    let (tunnel, _) = dial(worker, nth, connector_address(nth)).await;
    online(&tunnel).await;
    tunnel
}

async fn online(tunnel: &Tunnel) {
    while tunnel.health() != Health::Online {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Why a connector was told to go away, each time.
type Told = Rc<RefCell<Vec<GoAwayReason>>>;

/// A connector's new tunnel, not online yet, and what the connector will be told.
async fn dial(worker: &Rc<Worker>, nth: u32, address: SocketAddr) -> (Rc<Tunnel>, Told) {
    dial_of(worker, GroupId::DEFAULT, nth, address).await
}

/// The same of a connector of another group.
async fn dial_of(worker: &Rc<Worker>, group: GroupId, nth: u32, address: SocketAddr) -> (Rc<Tunnel>, Told) {
    let told = Told::default();
    let listener = Listener::sim(address).unwrap();
    let connector = ConnectorId::new(TenantId::DEFAULT, nth);
    let dialled = spawn(async move { Socket::connect(address, &ConnectOptions::default()).await.unwrap() });
    let relay_end = Stream::plain(listener.accept().await.unwrap());
    let connector_end = Stream::plain(dialled.await);
    spawn(FakeConnector::new(connector, Rc::clone(&told)).run(connector_end)).detach();
    let identity = Identity::Relay { relay: RelayId(1), generation: 1, workers: 1, worker: 0 };
    let tunnel = Tunnel::new(relay_end, connector, group, identity, worker.on_tunnel_changed());
    let served = (Rc::clone(worker), Rc::clone(&tunnel));
    spawn(async move {
        let _place = served.0.place(false);
        served.0.serve_tunnel(served.1).await;
    })
    .detach();
    (tunnel, told)
}

/// Answers `/echo` with the request's content, `/zeros/N` with N bytes, `/slow` never, `/name` with its id, `/fields` with the
/// request's fields, as where devices are shown. Of what is sent to `/deaf` it takes nothing. Content for `/left` finds the first
/// connector without the application.
struct FakeConnector {
    id: ConnectorId,
    connection: Connection,
    streams: HashMap<StreamId, Answer>,
    deaf: HashSet<StreamId>,
    left: HashSet<StreamId>,
    /// Those whose trailers are shown behind their content.
    showing: HashSet<StreamId>,
    told: Told,
}

#[derive(Default)]
struct Answer {
    pending: Vec<Bytes>,
    ended: bool,
}

impl FakeConnector {
    fn new(id: ConnectorId, told: Told) -> Self {
        let identity = Identity::Connector { connector: id };
        let hello = Hello { identity, software: String::from("fake"), has_keytab: false };
        let connection = Connection::new(&hello, postern_tunnel::Limits::default(), now().since_origin());
        let (deaf, left, showing) = (HashSet::new(), HashSet::new(), HashSet::new());
        Self { id, connection, streams: HashMap::new(), deaf, left, showing, told }
    }

    async fn run(mut self, stream: Stream) {
        let mut output = Output::new();
        loop {
            while let Some(event) = self.connection.poll_event() {
                self.take(event);
            }
            while self.connection.poll_output(&mut output) {
                for segment in output.drain() {
                    stream.queue_bytes(&segment);
                }
                while let Some(event) = self.connection.poll_event() {
                    self.take(event);
                }
            }
            if stream.writable().await.is_err() {
                return;
            }
            match stream.read().await {
                Ok(bytes) if !bytes.is_empty() => self.connection.handle_input(bytes, now().since_origin()).unwrap(),
                Ok(_) | Err(_) => return,
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events do not concern a fake")]
    fn take(&mut self, event: Event) {
        match event {
            Event::Open { stream, head, end, .. } => self.open(stream, &head, end),
            Event::Data { stream, .. } if self.deaf.contains(&stream) => {}
            Event::Data { stream, .. } if self.left.remove(&stream) => {
                let cancel = Cancel::new(Culprit::Connector, CancelCode::APP_UNKNOWN);
                self.connection.cancel(stream, &Cancel { unprocessed: true, ..cancel });
            }
            Event::Data { stream, data, end } => {
                self.connection.consumed(stream, data.len());
                if let Some(answer) = self.streams.get_mut(&stream) {
                    answer.pending.push(data);
                    answer.ended = end;
                }
                self.pump(stream);
            }
            Event::Trailers { stream, trailers } => {
                let answer = self.streams.entry(stream).or_default();
                if self.showing.remove(&stream) {
                    let trailers = Headers::decode(&trailers, &Limits::default()).unwrap();
                    let shown = trailers.iter().map(|field| format!("{field:?}\n")).collect::<String>();
                    answer.pending.push(Bytes::from(shown));
                }
                answer.ended = true;
                self.pump(stream);
            }
            Event::Writable { stream } => self.pump(stream),
            Event::GoAway(away) => self.told.borrow_mut().push(away.reason),
            Event::Cancelled { stream, .. } => drop(self.streams.remove(&stream)),
            _ => {}
        }
    }

    fn open(&mut self, stream: StreamId, head: &[u8], end: bool) {
        let request = RequestHead::decode(head, &Limits::default()).unwrap();
        let path = request.target.path().to_owned();
        let (body, answer) = match path.strip_prefix("/zeros/") {
            Some(count) => {
                let count = count.parse::<usize>().unwrap();
                let pending = vec![Bytes::from(vec![0; count])];
                (BodyKind::Length(count as u64), Answer { pending, ended: true })
            }
            None if path == "/name" => {
                let name = Bytes::from(self.id.to_string());
                (BodyKind::Length(name.len() as u64), Answer { pending: vec![name], ended: true })
            }
            None if path == "/fields" || path == DEVICE_HOST_PATH => {
                let fields = request.headers.iter().map(|field| format!("{field:?}\n"));
                let fields = Bytes::from(fields.collect::<String>());
                (BodyKind::Length(fields.len() as u64), Answer { pending: vec![fields], ended: true })
            }
            // A password of the vault that is not there, one that is not taken, and what no password changes.
            None if path == "/sso/missing" => return self.cancel(stream, CancelCode::SSO_CREDENTIAL_MISSING),
            None if path == "/sso/refused" => return self.cancel(stream, CancelCode::SSO_CREDENTIAL_REFUSED),
            None if path == "/sso/failed" => return self.cancel(stream, CancelCode::SSO_REFUSED),
            // One that cannot be opened any more, and a connector that can open none.
            None if path == "/sso/stale" => return self.cancel(stream, CancelCode::SSO_UNAVAILABLE),
            None if path == "/sso/keyless" => {
                let cancel = Cancel::new(Culprit::Connector, CancelCode::SSO_UNAVAILABLE);
                return self.connection.cancel(stream, &cancel);
            }
            None if path == "/deaf" => {
                self.deaf.insert(stream);
                return;
            }
            None if path == "/left" && self.id.seq == 1 => {
                self.left.insert(stream);
                return;
            }
            None if path == "/slow" || (path == "/second" && self.id.seq == 1) => return,
            None if path == "/half" && self.id.seq == 1 => {
                let pending = vec![Bytes::from(vec![b'A'; 500])];
                (BodyKind::Length(1000), Answer { pending, ended: false })
            }
            None if path == "/half" => {
                (BodyKind::Chunked, Answer { pending: vec![Bytes::from(vec![b'B'; 500])], ended: true })
            }
            None if path == "/switch" => return self.switch(stream, &request, end),
            None if path.starts_with("/limits/") => return limits::answer(&mut self.connection, stream, &path),
            None => (BodyKind::Chunked, Answer { pending: Vec::new(), ended: end }),
        };
        if path == "/trailers" {
            self.showing.insert(stream);
        }
        let mut encoded = Vec::new();
        ResponseHead::new(200, body).encode(&mut encoded);
        self.connection.send_head(stream, &encoded, false).unwrap();
        self.streams.insert(stream, answer);
        self.pump(stream);
    }

    fn cancel(&mut self, stream: StreamId, code: CancelCode) {
        self.connection.cancel(stream, &Cancel::new(Culprit::Client, code).with_detail("10.0.0.5 refuses"));
    }

    fn switch(&mut self, stream: StreamId, request: &RequestHead, end: bool) {
        assert!(!end, "a stream that may be upgraded stays open");
        let mut head = ResponseHead::new(101, BodyKind::Upgrade);
        head.headers.append(Known::Upgrade, request.headers.get(Known::Upgrade).unwrap()).unwrap();
        if let Some(key) = request.headers.get_str(Known::SecWebsocketKey) {
            head.headers.append(Known::SecWebsocketAccept, super::websocket::accept(key)).unwrap();
        }
        let mut encoded = Vec::new();
        head.encode(&mut encoded);
        self.connection.send_upgrade(stream, &encoded).unwrap();
        self.streams.insert(stream, Answer::default());
    }

    fn pump(&mut self, stream: StreamId) {
        let Some(answer) = self.streams.get_mut(&stream) else { return };
        while let Some(data) = answer.pending.first_mut() {
            match self.connection.send_data(stream, data, false) {
                Ok(Sent::All) => drop(answer.pending.remove(0)),
                Ok(Sent::Partly) => return,
                Err(_) => return drop(self.streams.remove(&stream)),
            }
        }
        if answer.ended {
            let _ = self.connection.end(stream);
            self.streams.remove(&stream);
        }
    }
}

/// A client: writes what it is told, reads one response at a time.
struct Client {
    stream: Stream,
    inbox: Inbox,
}

impl Client {
    async fn new() -> Self {
        Self::at(CLIENTS).await
    }

    async fn at(address: &str) -> Self {
        let socket = Socket::connect(address.parse().unwrap(), &ConnectOptions::default()).await.unwrap();
        Self { stream: Stream::plain(socket), inbox: Inbox::default() }
    }

    fn get(&self, path: &str) {
        self.stream.queue(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes());
    }

    async fn more(&mut self) -> Result<(), String> {
        let bytes = self.stream.read().await.map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Err(String::from("the connection ended"));
        }
        self.inbox.push(bytes);
        Ok(())
    }

    /// A complete response, or why there is none.
    async fn response(&mut self) -> Result<(ResponseHead, Vec<u8>), String> {
        self.response_to(&Method::Get).await
    }

    async fn response_to(&mut self, method: &Method) -> Result<(ResponseHead, Vec<u8>), String> {
        let mut parser = ResponseParser::new(Limits::default());
        let head = loop {
            if let Some((head, length)) =
                parser.parse(self.inbox.as_slice(), method, false).map_err(|e| format!("{e:?}"))?
            {
                self.inbox.consume(length);
                if !head.is_interim() {
                    break head;
                }
                continue;
            }
            self.more().await?;
        };
        let mut decoder = BodyDecoder::new(head.body, Limits::default());
        let mut body = Vec::new();
        loop {
            match decoder.decode(self.inbox.segment()).map_err(|e| format!("{e:?}"))? {
                Some(BodyEvent::Data(data)) => body.extend_from_slice(&data),
                Some(BodyEvent::Trailers(_)) => {}
                Some(BodyEvent::End) => return Ok((head, body)),
                None => self.more().await?,
            }
        }
    }
}

pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect()
}

#[test]
fn a_request_reaches_a_connector_and_its_answer_the_client() {
    in_the_simulator(1, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        for _ in 0..3 {
            client.get("/name");
            let (head, body) = client.response().await.unwrap();
            assert_eq!((head.status, body.as_slice()), (200, &b"c1-1"[..]));
        }
    });
}

#[test]
fn content_is_echoed_whatever_the_network_does_to_it() {
    for seed in 0..10 {
        in_the_simulator(seed, async move {
            sim::set_faults(Faults {
                delay: (Duration::from_micros(20), Duration::from_millis(4)),
                piece_bytes_max: 5_000,
                reset_one_in: 0,
            });
            let worker = worker();
            serve_clients(&worker);
            connect(&worker, 1).await;
            let mut client = Client::new().await;
            let data = pattern(700_000);
            let head = format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {}\r\n\r\n", data.len());
            client.stream.queue(head.as_bytes());
            client.stream.queue(&data);
            let (_, body) = timeout(Duration::from_secs(60), client.response()).await.unwrap().unwrap();
            assert!(body == data, "the echo differs");
            client
                .stream
                .queue(format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes());
            for piece in data.chunks(1000 + seed as usize) {
                client.stream.queue(format!("{:x}\r\n", piece.len()).as_bytes());
                client.stream.queue(piece);
                client.stream.queue(b"\r\n");
            }
            client.stream.queue(b"0\r\nx-check: yes\r\n\r\n");
            let (_, body) = timeout(Duration::from_secs(60), client.response()).await.unwrap().unwrap();
            assert!(body == data, "the chunked echo differs");
        });
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    in_the_simulator(2, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        for count in 1..=20 {
            client.get(&format!("/zeros/{count}"));
        }
        for count in 1..=20 {
            assert_eq!(client.response().await.unwrap().1.len(), count);
        }
    });
}

#[test]
fn refusals_have_their_status_and_code() {
    let long = format!("GET /{} HTTP/1.1\r\nhost: {HOST}\r\n\r\n", "a".repeat(9000));
    let cases: [(&str, u16, &str); 6] = [
        ("GET / HTTP/1.1\r\nhost: other.example\r\n\r\n", 421, "host-unknown"),
        ("GET /a/../b HTTP/1.1\r\nhost: app.example.com\r\n\r\n", 400, "http-path-dot-segment"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "http-host-missing"),
        (
            "POST / HTTP/1.1\r\nhost: app.example.com\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
            "http-length-and-encoding",
        ),
        (&long, 414, "http-target-too-long"),
        ("GET / HTTP/1.1\r\nhost: app.example.com\r\n\r\n", 503, "connector-unavailable"),
    ];
    for (request, status, code) in cases {
        let request = request.to_owned();
        let (head, body) = in_the_simulator(3, async move {
            serve_clients(&worker());
            let mut client = Client::new().await;
            client.stream.queue(request.as_bytes());
            client.response().await.unwrap()
        });
        let body = String::from_utf8(body).unwrap();
        assert_eq!(head.status, status, "{body}");
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
        assert_eq!(head.headers.get(Known::RetryAfter).is_some(), status == 503);
    }
}

#[test]
fn a_lost_connector_loses_no_repeatable_request() {
    for seed in 0..10 {
        in_the_simulator(seed, async {
            let worker = worker();
            serve_clients(&worker);
            connect(&worker, 1).await;
            connect(&worker, 2).await;
            let answered = Rc::new(Cell::new(0));
            let clients: Vec<_> = (0..16).map(|_| spawn(many_gets(Rc::clone(&answered)))).collect();
            sleep(Duration::from_millis(20)).await;
            sim::reset_connections_to(connector_address(1));
            for client in clients {
                timeout(Duration::from_secs(10), client).await.unwrap();
            }
            assert_eq!(answered.get(), 16 * 100);
        });
    }
}

async fn many_gets(answered: Rc<Cell<usize>>) {
    let mut client = Client::new().await;
    for _ in 0..100 {
        client.get("/name");
        let (head, body) = client.response().await.unwrap();
        assert_eq!((head.status, &body[..3]), (200, &b"c1-"[..]));
        answered.set(answered.get() + 1);
    }
}

#[test]
fn a_silent_connector_is_left_within_a_second() {
    in_the_simulator(4, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        connect(&worker, 2).await;
        sleep(Duration::from_secs(1)).await;
        sim::stall_connections_to(connector_address(1), true);
        let begun: Instant = now();
        let clients: Vec<_> = (0..16).map(|_| spawn(many_gets(Rc::default()))).collect();
        for client in clients {
            timeout(Duration::from_secs(1), client).await.unwrap();
        }
        assert!(now().since(begun) < Duration::from_secs(1));
    });
}

#[test]
fn what_may_not_be_repeated_is_refused_and_a_begun_answer_is_cut() {
    in_the_simulator(5, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut posting = Client::new().await;
        posting.stream.queue(format!("POST /slow HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\nhi").as_bytes());
        let mut reading = Client::new().await;
        reading.get("/zeros/50000000");
        reading.more().await.unwrap();
        sleep(Duration::from_millis(50)).await;
        connect(&worker, 2).await;
        sim::reset_connections_to(connector_address(1));
        let (head, body) = posting.response().await.unwrap();
        assert_eq!(head.status, 502, "{}", String::from_utf8_lossy(&body));
        let cut = reading.response().await;
        assert!(cut.is_err(), "a part was presented as the whole");
    });
}

#[test]
fn a_client_that_does_not_read_holds_a_bounded_part_of_its_answer() {
    in_the_simulator(6, async {
        let worker = worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let stalled: Vec<Client> = {
            let mut clients = Vec::new();
            for _ in 0..64 {
                let client = Client::new().await;
                client.get("/zeros/5000000");
                clients.push(client);
            }
            clients
        };
        sleep(Duration::from_secs(1)).await;
        let usage = tunnel.with(|connection| connection.usage());
        // Windows grew while the clients' sockets still took something; the answers are 64 × 5 MB.
        assert!(usage.received_bytes <= 64 * 300_000, "{usage:?}");
        let mut quick = Client::new().await;
        let begun = now();
        quick.get("/zeros/5000000");
        assert_eq!(quick.response().await.unwrap().1.len(), 5_000_000);
        assert!(now().since(begun) < Duration::from_secs(2), "{:?}", now().since(begun));
        drop(stalled);
    });
}

#[test]
fn an_application_that_never_answers_is_a_504_after_its_time() {
    in_the_simulator(7, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let begun = now();
        client.get("/slow");
        let (head, _) = client.response().await.unwrap();
        assert_eq!(head.status, 504);
        let waited = now().since(begun);
        assert!((Duration::from_secs(85)..Duration::from_secs(86)).contains(&waited), "{waited:?}");
    });
}

/// Connector 1 has a request and part of a short answer when it is lost; connector 2's answer is the only one seen.
#[test]
fn a_second_answer_has_nothing_of_the_first() {
    in_the_simulator(9, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        client.get("/half");
        sleep(Duration::from_millis(50)).await;
        connect(&worker, 2).await;
        sim::reset_connections_to(connector_address(1));
        let (head, body) = client.response().await.unwrap();
        assert_eq!((head.body, body), (BodyKind::Chunked, vec![b'B'; 500]));
        client.get("/name");
        assert_eq!(client.response().await.unwrap().1, b"c1-2");
    });
}

#[test]
fn content_that_was_empty_ends_on_the_second_try_too() {
    in_the_simulator(10, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let head = format!("PUT /second HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
        client.stream.queue(head.as_bytes());
        sleep(Duration::from_millis(50)).await;
        connect(&worker, 2).await;
        sim::reset_connections_to(connector_address(1));
        let answer = timeout(Duration::from_secs(5), client.response()).await.unwrap();
        assert_eq!(answer.unwrap().0.status, 200);
    });
}

#[test]
fn a_client_that_sends_requests_and_reads_nothing_is_not_answered_on_and_on() {
    in_the_simulator(11, async {
        let worker = worker();
        serve_clients(&worker);
        let mut client = Client::new().await;
        let request = "GET / HTTP/1.1\r\nhost: other.example\r\n\r\n";
        client.stream.queue(request.repeat(20_000).as_bytes());
        sleep(Duration::from_secs(10)).await;
        let answered = worker.counters().requests_refused.value();
        assert!(answered < 3_000, "{answered} answers for a client that reads none");
        for _ in 0..20_000 {
            assert_eq!(client.response().await.unwrap().0.status, 421);
        }
    });
}

/// The client sends all before it reads anything: the answer that waits for it must not hold its content up.
#[test]
fn content_goes_on_while_the_answer_waits() {
    in_the_simulator(12, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let data = pattern(8_000_000);
        let head = format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {}\r\n\r\n", data.len());
        client.stream.queue(head.as_bytes());
        client.stream.queue(&data);
        timeout(Duration::from_secs(60), client.stream.flushed()).await.unwrap().unwrap();
        let (_, body) = client.response().await.unwrap();
        assert!(body == data, "the echo differs");
    });
}

#[test]
fn a_client_that_goes_while_the_application_takes_nothing_leaves_no_request_behind() {
    in_the_simulator(15, async {
        let worker = worker();
        serve_clients(&worker);
        let tunnel = connect(&worker, 1).await;
        let client = Client::new().await;
        client
            .stream
            .queue(format!("POST /deaf HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 1000000\r\n\r\n").as_bytes());
        client.stream.queue(&pattern(100_000));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(tunnel.open_streams(), 1);
        drop(client);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(tunnel.open_streams(), 0);
    });
}

#[test]
fn after_a_101_both_directions_are_raw() {
    in_the_simulator(13, async {
        let worker = worker();
        serve_clients(&worker);
        connect(&worker, 1).await;
        let mut client = Client::new().await;
        let offer =
            |path| format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
        // Not taken first: then the connection goes on as HTTP.
        client.stream.queue(offer("/name").as_bytes());
        assert_eq!(client.response().await.unwrap().0.status, 200);
        client.stream.queue(offer("/switch").as_bytes());
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.extend_from_slice(&client.stream.read().await.unwrap());
        }
        assert!(seen.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&seen));
        for message in ["ping", "pong"] {
            client.stream.queue(message.as_bytes());
            let mut echoed = Vec::new();
            while echoed.len() < 4 {
                echoed.extend_from_slice(&client.stream.read().await.unwrap());
            }
            assert_eq!(echoed, message.as_bytes());
            sleep(Duration::from_secs(600)).await;
        }
    });
}

#[test]
fn a_trickled_head_is_refused_in_time() {
    in_the_simulator(8, async {
        serve_clients(&worker());
        let mut client = Client::new().await;
        let stream = client.stream.clone();
        let trickle = spawn(async move {
            let mut rest = Bytes::from(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nx-long: {}", "a".repeat(100)));
            while rest.has_remaining() {
                stream.queue(&rest.split_to(1));
                sleep(Duration::from_secs(1)).await;
            }
        });
        let (head, _) = timeout(Duration::from_secs(20), client.response()).await.unwrap().unwrap();
        assert_eq!(head.status, 408);
        drop(trickle);
    });
}
